//! `input` of a config: what the agent is to do, as one text or as messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the agent is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Input {
    /// The operating procedure as one text.
    Text(String),
    /// System messages hold the procedure; user and assistant messages open the conversation.
    Messages(Vec<InputMessage>),
}

/// One message of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct InputMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// Says nothing that is not known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageType>,
}

/// Who speaks in a message of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Gives instructions.
    System,
    /// The person.
    User,
    /// The model, in an example or an earlier turn.
    Assistant,
}

/// The only type of such a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// A message.
    Message,
}

/// What a message of the input says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// One text.
    Text(String),
    /// Texts, images and files in their order.
    Parts(Vec<Part>),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(deny_unknown_fields)]
pub enum Part {
    /// A text.
    InputText {
        /// Its words.
        text: String,
    },
    /// An image, from a team file or an address.
    InputImage {
        /// How closely the model should look.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<Detail>,
        /// Id of a team file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
        /// An address, or a data URL.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// Coarsely and cheaply.
    Low,
    /// Finely.
    High,
    /// As the model sees fit.
    Auto,
}
