//! The conversation between a run and a model, put in order once for all wires.
//!
//! Here: seed turns and lines become turns that alternate as the strictest wire wants it: a person's messages in a row are one turn, the
//! results of one answer's tools are one turn, and a person opens. Not here: JSON, which each wire writes for itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::builds::{Part as SeedPart, SeedTurn, Speaker};
use domain::turns::{Line, Outcome, ToolCall};
use serde_json::Value;

use super::route::Route;
use crate::models::{Pictures, TurnRequest};

/// Said where a wire has no switch for it, and where the switch wants the word in the prompt.
pub(super) const JSON_RULE: &str = "Your final answer must be exactly one JSON object, with no other text around it.";

/// Said for a person where nobody spoke.
const OPENING: &str = "Begin.";

/// One turn of the conversation.
pub(super) enum Turn<'a> {
    /// A person's.
    User(Vec<Part>),
    /// The model's.
    Assistant {
        text: String,
        calls: &'a [ToolCall],
        /// What the route's provider gave us to keep, if it was this provider.
        kept: Option<Value>,
    },
    /// What came of the tools of the turn before.
    Results(Vec<ToolResult<'a>>),
}

/// A piece of what a person says.
pub(super) enum Part {
    Text(String),
    Picture(Picture),
}

/// A picture, as bytes in base64 or as an address that the provider fetches from.
pub(super) enum Picture {
    Bytes { media_type: String, base64: String },
    Address(String),
}

/// What came of one tool call.
pub(super) struct ToolResult<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) text: String,
    pub(super) failed: bool,
    pub(super) picture: Option<Picture>,
}

impl Picture {
    /// One URL, of data if need be.
    pub(super) fn into_url(self) -> String {
        match self {
            Self::Bytes { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
            Self::Address(url) => url,
        }
    }

    fn from_url(url: &str) -> Self {
        match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
            Some((media_type, data)) => Self::Bytes { media_type: media_type.to_owned(), base64: data.to_owned() },
            None => Self::Address(url.to_owned()),
        }
    }
}

/// The whole conversation, in order.
pub(super) fn turns<'a>(request: &TurnRequest<'a>, route: &Route<'_>) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    request.seed.iter().for_each(|seed| add_seed(&mut turns, seed));
    for line in request.lines {
        match line {
            Line::User(text) => add_user(&mut turns, vec![Part::Text(text.clone())]),
            Line::Assistant { text, calls, carry } => {
                let kept = super::carry::read(carry.as_ref(), route);
                // An empty answer cannot be said again.
                if !text.is_empty() || !calls.is_empty() {
                    turns.push(Turn::Assistant { text: text.clone(), calls, kept });
                }
            }
            Line::ToolResult { call_id, name, outcome } => {
                let result = result(call_id, name, outcome, request.pictures);
                match turns.last_mut() {
                    Some(Turn::Results(results)) => results.push(result),
                    _ => turns.push(Turn::Results(vec![result])),
                }
            }
        }
    }
    if !matches!(turns.first(), Some(Turn::User(_))) {
        turns.insert(0, Turn::User(vec![Part::Text(OPENING.to_owned())]));
    }
    turns
}

/// For wires whose results cannot hold pictures: takes them out, to be shown after the results.
pub(super) fn pictures_after(results: &mut [ToolResult<'_>]) -> Vec<Part> {
    results.iter_mut().filter_map(|result| result.picture.take()).map(Part::Picture).collect()
}

fn add_seed(turns: &mut Vec<Turn<'_>>, seed: &SeedTurn) {
    let parts = seed.parts.iter().filter_map(|part| match part {
        SeedPart::InputText { text } => Some(Part::Text(text.clone())),
        SeedPart::InputImage { url, .. } => url.as_deref().map(Picture::from_url).map(Part::Picture),
        // Team files are stored but not served yet; the engine tells people so.
        SeedPart::InputFile { .. } => None,
    });
    let parts: Vec<_> = parts.collect();
    match seed.role {
        _ if parts.is_empty() => {}
        Speaker::User => add_user(turns, parts),
        Speaker::Assistant => {
            // No wire lets a model show pictures.
            let texts =
                parts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
            let text = texts.collect::<Vec<_>>().join("\n\n");
            turns.push(Turn::Assistant { text, calls: &[], kept: None });
        }
    }
}

fn add_user(turns: &mut Vec<Turn<'_>>, parts: Vec<Part>) {
    match turns.last_mut() {
        Some(Turn::User(said)) => said.extend(parts),
        _ => turns.push(Turn::User(parts)),
    }
}

fn result<'a>(id: &'a str, name: &'a str, outcome: &Outcome, pictures: &dyn Pictures) -> ToolResult<'a> {
    let picture = match outcome {
        Outcome::Image(image) => pictures
            .bytes(image)
            .map(|bytes| Picture::Bytes { media_type: image.media_type.clone(), base64: STANDARD.encode(bytes) }),
        _ => None,
    };
    let text = match outcome {
        Outcome::Ok(Value::String(text)) => text.clone(),
        Outcome::Ok(value) => value.to_string(),
        Outcome::Image(image) if picture.is_some() => format!("Here is the picture {}.", image.path),
        Outcome::Image(image) => format!("The picture {} has been changed or deleted since.", image.path),
        Outcome::Error(text) => format!("Error: {text}"),
        Outcome::Unknown => Outcome::UNKNOWN.to_owned(),
        Outcome::Skipped(text) => format!("Not run: {text}"),
    };
    let failed = matches!(outcome, Outcome::Error(_) | Outcome::Unknown | Outcome::Skipped(_));
    ToolResult { id, name, text, failed, picture }
}
