//! `input` of a config: the SOP as one text, or as a conversation of messages.
//!
//! Here: its shape and how it is read from a submission, alike for v1 and v2.
//! Not here: which parts reach a model (`serving.rs`).

use serde::{Deserialize, Serialize};

use crate::shape::{Cursor, Flaw};

/// What the Assignment is told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// The SOP.
    Text(String),
    /// System messages hold the SOP; user and assistant messages open the conversation.
    Messages(Vec<InputMessage>),
}

/// One message of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// `"message"` when it was given; it carries no meaning.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageType>,
}

/// Who speaks in a message of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Gives instructions.
    System,
    /// The person.
    User,
    /// The model, in an example or an earlier turn.
    Assistant,
}

/// The only type a message of the input can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// A message.
    Message,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// One text.
    Text(String),
    /// Texts, images and files in order.
    Parts(Vec<Part>),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// A text.
    InputText {
        /// Its words.
        text: String,
    },
    /// An image; the contract allows it to have no source at all (A13).
    InputImage {
        /// How closely the model should look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<Detail>,
        /// A team file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
        /// A web address or data URL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// A team file.
    InputFile {
        /// Its id.
        file_id: String,
    },
}

/// How closely a model should look at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Coarsely and cheaply.
    Low,
    /// Finely.
    High,
    /// As the model sees fit.
    Auto,
}

impl Input {
    pub(super) fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        if let Some(text) = at.value().as_str() {
            return Ok(Self::Text(text.to_owned()));
        }
        if !at.value().is_array() {
            return Err(at.flaw("a string or an array of messages"));
        }
        at.array()?.map(|item| InputMessage::read(&item)).collect::<Result<_, _>>().map(Self::Messages)
    }
}

impl InputMessage {
    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        let message = at.object(&["role", "content", "type"])?;
        Ok(Self {
            role: message.required("role")?.choice(&Role::NAMES)?,
            content: Content::read(&message.required("content")?)?,
            kind: message.read("type", |at| at.choice(&[("message", MessageType::Message)]))?,
        })
    }
}

impl Content {
    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        if let Some(text) = at.value().as_str() {
            return Ok(Self::Text(text.to_owned()));
        }
        if !at.value().is_array() {
            return Err(at.flaw("a string or an array of parts"));
        }
        at.array()?.map(|item| Part::read(&item)).collect::<Result<_, _>>().map(Self::Parts)
    }
}

impl Part {
    fn read(at: &Cursor<'_>) -> Result<Self, Flaw> {
        let kinds = ["input_text", "input_image", "input_file"];
        let owned = |at: &Cursor<'_>| at.string().map(str::to_owned);
        match at.open_object()?.required("type")?.one_of(&kinds)? {
            "input_text" => {
                let part = at.object(&["type", "text"])?;
                Ok(Self::InputText { text: owned(&part.required("text")?)? })
            }
            "input_image" => {
                let part = at.object(&["type", "detail", "file_id", "url"])?;
                Ok(Self::InputImage {
                    detail: part.read("detail", |at| at.choice(&Detail::NAMES))?,
                    file_id: part.read("file_id", owned)?,
                    url: part.read("url", owned)?,
                })
            }
            _ => {
                let part = at.object(&["type", "file_id"])?;
                Ok(Self::InputFile { file_id: owned(&part.required("file_id")?)? })
            }
        }
    }
}

impl Role {
    const NAMES: [(&str, Self); 3] = [("system", Self::System), ("user", Self::User), ("assistant", Self::Assistant)];
}

impl Detail {
    const NAMES: [(&str, Self); 3] = [("low", Self::Low), ("high", Self::High), ("auto", Self::Auto)];
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: &Value) -> Result<Input, Flaw> {
        Input::read(&Cursor::new(value, "/input"))
    }

    #[test]
    fn a_conversation_comes_out_as_it_went_in() {
        let input = json!([
            {"role": "system", "content": "Be brief.", "type": "message"},
            {"role": "user", "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "detail": "high", "url": "https://example.com/a.png"},
                {"type": "input_image"},
                {"type": "input_file", "file_id": "f1"},
            ]},
            {"role": "assistant", "content": []},
        ]);
        let typed = read(&input).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), input);
        assert_eq!(serde_json::from_value::<Input>(input).unwrap(), typed);
    }

    #[test]
    fn nulls_are_left_out() {
        let input = json!([{"role": "user", "type": null, "content": [
            {"type": "input_image", "detail": null, "file_id": null, "url": null}]}]);
        let expected = json!([{"role": "user", "content": [{"type": "input_image"}]}]);
        assert_eq!(serde_json::to_value(read(&input).unwrap()).unwrap(), expected);
    }

    #[test]
    fn flaws_name_the_exact_place() {
        for (input, pointer) in [
            (json!(7), "/input"),
            (json!([{"content": "x"}]), "/input/0/role"),
            (json!([{"role": "tool", "content": "x"}]), "/input/0/role"),
            (json!([{"role": "user", "content": 1}]), "/input/0/content"),
            (json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]), "/input/0/content/0/type"),
            (json!([{"role": "user", "content": [{"type": "input_text"}]}]), "/input/0/content/0/text"),
            (
                json!([{"role": "user", "content": [{"type": "input_text", "text": "x", "url": "u"}]}]),
                "/input/0/content/0/url",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_file", "file_id": null}]}]),
                "/input/0/content/0/file_id",
            ),
        ] {
            assert_eq!(read(&input).unwrap_err().pointer, pointer, "{input}");
        }
    }
}
