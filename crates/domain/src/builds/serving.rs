//! What a config means to the Job that executes it.
//!
//! Here: the questions the engine asks of a [`Config`]: which model, which instructions, which opening
//! turns, which settings, and what it names that this version of Errand does not use.
//! Not here: the real model behind a name ([`crate::models`]), clamping to a provider's ranges.

use std::collections::HashSet;
use std::fmt::Display;

use serde_json::Number;

use super::{Config, Content, Input, InputMessage, McpTool, Options, Part, Role, TextFormat, Tool};

/// One opening turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedTurn {
    /// Who says it.
    pub role: Speaker,
    /// What is said; at least one part, each a text that is not blank or an image with a `url`.
    pub parts: Vec<Part>,
}

/// Who speaks in a conversation, instructions aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// Settings of a model call; `None` leaves a setting to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampling {
    /// 0 to 2 as configured, not yet clamped to the provider's range (contract A39).
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Tokens, rounded down but at least 1 (contract A40).
    pub max_output_tokens: Option<u32>,
    /// Whether the provider may keep the answer.
    pub store: Option<bool>,
}

impl Config {
    /// The model of the main loop, as the config names it.
    pub fn model_name(&self) -> &str {
        match self {
            Self::V1(data) => &data.model,
            Self::V2(data) => &data.models.agent.model,
        }
    }

    /// The SOP: a string input as it is, or the texts of all system messages, a blank line between.
    pub fn instructions(&self) -> String {
        match self.input() {
            Input::Text(sop) => sop.clone(),
            Input::Messages(messages) => {
                let system = messages.iter().filter(|message| message.role == Role::System);
                system.flat_map(|message| message.texts()).collect::<Vec<_>>().join("\n\n")
            }
        }
    }

    /// The user and assistant messages of the input, in order, as far as a model can be given them.
    ///
    /// What is left out is blank or named by [`Config::unserved`]; a turn of nothing else is left out
    /// as a whole. A string input opens no conversation.
    pub fn seed_turns(&self) -> Vec<SeedTurn> {
        self.messages().filter_map(SeedTurn::from_message).collect()
    }

    /// The settings for each model call; a v2 config has none.
    pub fn sampling(&self) -> Sampling {
        match self {
            Self::V1(data) => Sampling {
                temperature: data.temperature.as_ref().and_then(Number::as_f64),
                top_p: data.top_p.as_ref().and_then(Number::as_f64),
                max_output_tokens: data.max_output_tokens.as_ref().map(whole_tokens),
                store: data.store,
            },
            Self::V2(_) => Sampling::default(),
        }
    }

    /// Whether the final answer must be one JSON object.
    pub fn wants_json_object(&self) -> bool {
        let Self::V1(data) = self else { return false };
        data.text.as_ref().and_then(|text| text.format) == Some(TextFormat::JsonObject)
    }

    /// The MCP servers whose tools a Job is given: of several with one `server_label`, by which calls are told apart, the first.
    pub fn servers(&self) -> Vec<McpTool> {
        self.labelled().into_iter().filter(|(_, is_first)| *is_first).map(|(tool, _)| tool.clone()).collect()
    }

    /// Every tool entry, and whether it is the first with its label.
    fn labelled(&self) -> Vec<(&McpTool, bool)> {
        let Self::V1(data) = self else { return vec![] };
        let mut labels = HashSet::new();
        data.tools.iter().flatten().map(|Tool::Mcp(tool)| (tool, labels.insert(&tool.server_label))).collect()
    }

    /// The team files that each Job is given, by id or by name, each once.
    pub fn files(&self) -> Vec<String> {
        let files = match self {
            Self::V1(data) => &data.files,
            Self::V2(data) => &data.files,
        };
        let mut named = HashSet::new();
        files.iter().filter(|name| named.insert(*name)).cloned().collect()
    }

    /// One sentence for the transcript about each thing this config names and this version of Errand
    /// does not use, each once, in a fixed order.
    pub fn unserved(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match self {
            Self::V1(data) => {
                for (tool, _) in self.labelled().into_iter().filter(|(_, is_first)| !is_first) {
                    sentences.push(format!(
                        "Only the first of the tools with the server_label {:?} is used: its calls are told apart by that label.",
                        tool.server_label
                    ));
                }
                sentences.extend(unused_each("skill", &data.skills));
            }
            Self::V2(data) => {
                sentences.extend(unused_each("skill", &data.skills));
                sentences.extend(unused_each("plugin", &data.plugins));
                if let Some(options) = &data.options {
                    options.unserved(&mut sentences);
                    if options.browser_provider.is_some() {
                        let pair = &data.models.browsing;
                        let (model, provider) = (&pair.model, &pair.provider);
                        sentences.push(unused(format!("The browsing model {model} ({provider})")));
                    }
                }
            }
        }
        sentences.extend(self.messages().flat_map(InputMessage::unserved));
        let mut said = HashSet::new();
        sentences.retain(|sentence| said.insert(sentence.clone()));
        sentences
    }

    fn input(&self) -> &Input {
        match self {
            Self::V1(data) => &data.input,
            Self::V2(data) => &data.input,
        }
    }

    fn messages(&self) -> impl Iterator<Item = &InputMessage> {
        let messages: &[InputMessage] = match self.input() {
            Input::Text(_) => &[],
            Input::Messages(messages) => messages,
        };
        messages.iter()
    }
}

impl SeedTurn {
    fn from_message(message: &InputMessage) -> Option<Self> {
        let role = match message.role {
            Role::System => return None,
            Role::User => Speaker::User,
            Role::Assistant => Speaker::Assistant,
        };
        let parts: Vec<Part> = match &message.content {
            Content::Text(text) => vec![Part::InputText { text: text.clone() }],
            Content::Parts(parts) => parts.clone(),
        };
        let parts: Vec<Part> = parts.into_iter().filter(can_be_sent).collect();
        (!parts.is_empty()).then_some(Self { role, parts })
    }
}

/// Providers refuse blank texts, and nothing gives them team files yet.
fn can_be_sent(part: &Part) -> bool {
    match part {
        Part::InputText { text } => !text.trim().is_empty(),
        Part::InputImage { url, .. } => url.is_some(),
        Part::InputFile { .. } => false,
    }
}

impl InputMessage {
    fn texts(&self) -> Vec<&str> {
        match &self.content {
            Content::Text(text) => vec![text],
            Content::Parts(parts) => parts.iter().filter_map(Part::text).collect(),
        }
    }

    fn unserved(&self) -> Vec<String> {
        let Content::Parts(parts) = &self.content else {
            return Vec::new();
        };
        parts.iter().filter_map(|part| part.unserved(self.role)).collect()
    }
}

impl Part {
    fn text(&self) -> Option<&str> {
        if let Self::InputText { text } = self { Some(text) } else { None }
    }

    fn unserved(&self, role: Role) -> Option<String> {
        match self {
            Self::InputImage { url: Some(_), .. } if role == Role::System => {
                Some(unused("An input_image in a system message"))
            }
            Self::InputText { .. } | Self::InputImage { url: Some(_), .. } => None,
            Self::InputFile { file_id } | Self::InputImage { file_id: Some(file_id), .. } => {
                Some(unused(format!("The team file {file_id:?}")))
            }
            Self::InputImage { .. } => {
                Some("An input_image has neither file_id nor url, so it was skipped.".to_owned())
            }
        }
    }
}

impl Options {
    fn unserved(&self, sentences: &mut Vec<String>) {
        if let Some(provider) = self.browser_provider {
            sentences.push(unused(format!("The option browserProvider ({})", provider.name())));
        }
        if self.evaluation_schema_id.is_some() {
            sentences.push(unused("The option evaluationSchemaId"));
        }
        if self.benchmark_expected_outcomes.is_some() {
            sentences.push(unused("The option benchmarkExpectedOutcomes"));
        }
        sentences.extend(unused_each("option", self.others.keys()));
    }
}

fn unused_each(noun: &str, names: impl IntoIterator<Item = impl AsRef<str>>) -> impl Iterator<Item = String> {
    names.into_iter().map(move |name| unused(format!("The {noun} {:?}", name.as_ref())))
}

fn unused(what: impl Display) -> String {
    format!("{what} is stored with this Build, but this version of Errand does not use it.")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is wanted: the number is positive and may exceed any real limit"
)]
fn whole_tokens(number: &Number) -> u32 {
    number.as_f64().map_or(1, |tokens| tokens.floor().max(1.0) as u32)
}

#[cfg(test)]
mod tests;
