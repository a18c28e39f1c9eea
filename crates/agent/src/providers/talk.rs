//! The conversation between a run and a model, put in order once for all wires.
//!
//! Here: seed turns and lines become turns that alternate as the strictest wire wants it: a person's messages in a row are one turn, the
//! results of one answer's tools are one turn, and a person opens. Not here: JSON, which each wire writes for itself.

use domain::builds::{Detail, Part as SeedPart, SeedTurn, Speaker};
use domain::turns::{Line, Outcome, ToolCall};
use serde_json::Value;

use super::pictures::{Album, Shown};
use super::route::Route;
use crate::models::TurnRequest;

/// Said where a wire has no switch for it, and where the switch wants the word in the prompt.
pub(super) const JSON_RULE: &str = "Your final answer must be exactly one JSON object, with no other text around it.";

/// Said for a person where nobody spoke, at the start or after an example of an answer.
const OPENING: &str = "Begin.";

/// Stands for a message of nothing but spaces: vendors refuse blank texts.
const BLANK: &str = "(empty message)";

/// The longest name of a tool that all vendors take.
const NAME_MAX: usize = 64;

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
    /// With how closely to look at it, where the Build says.
    Picture(Picture, Option<Detail>),
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
pub(super) fn turns<'a>(request: &TurnRequest<'a>, route: &Route<'_>, mut album: Album<'_>) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    request.seed.iter().for_each(|seed| add_seed(&mut turns, seed));
    for line in request.lines {
        match line {
            Line::User(text) => {
                let text = if is_blank(text) { BLANK } else { text };
                add_user(&mut turns, vec![Part::Text(text.to_owned())]);
            }
            Line::Assistant { text, calls, carry } => {
                add_assistant(&mut turns, text, calls, super::carry::read(carry.as_ref(), route));
            }
            Line::ToolResult { call_id, name, outcome } => {
                let result = result(call_id, name, outcome, &mut album);
                match turns.last_mut() {
                    Some(Turn::Results(results)) => results.push(result),
                    _ => turns.push(Turn::Results(vec![result])),
                }
            }
        }
    }
    if !matches!(turns.first(), Some(Turn::User(_))) {
        turns.insert(0, opening());
    }
    // After its own last word a model has nothing to answer, and some are refused for it.
    if matches!(turns.last(), Some(Turn::Assistant { calls: [], .. })) {
        turns.push(opening());
    }
    turns
}

/// The name of a tool that was called, as every vendor takes it back. Models also call what there is not, by names that are refused and
/// would end the run, though the tool's answer to such a call puts them right.
pub(super) fn plain_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let name: String = name.chars().map(plain).take(NAME_MAX).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name
    } else {
        let rest = name.get(1..).unwrap_or_default();
        format!("_{rest}")
    }
}

/// For wires whose results cannot hold pictures: takes them out, to be shown after the results.
pub(super) fn pictures_after(results: &mut [ToolResult<'_>]) -> Vec<Part> {
    results.iter_mut().filter_map(|result| result.picture.take()).map(|picture| Part::Picture(picture, None)).collect()
}

fn add_seed(turns: &mut Vec<Turn<'_>>, seed: &SeedTurn) {
    let parts = seed.parts.iter().filter_map(|part| match part {
        SeedPart::InputText { text } => Some(text.clone()).filter(|text| !is_blank(text)).map(Part::Text),
        SeedPart::InputImage { url, detail, .. } => {
            url.as_deref().map(|url| Part::Picture(Picture::from_url(url), *detail))
        }
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
            add_assistant(turns, &texts.collect::<Vec<_>>().join("\n\n"), &[], None);
        }
    }
}

/// An answer without words or calls cannot be said again.
fn add_assistant<'a>(turns: &mut Vec<Turn<'a>>, text: &str, calls: &'a [ToolCall], kept: Option<Value>) {
    let text = if is_blank(text) { "" } else { text };
    if !text.is_empty() || !calls.is_empty() {
        turns.push(Turn::Assistant { text: text.to_owned(), calls, kept });
    }
}

fn add_user(turns: &mut Vec<Turn<'_>>, parts: Vec<Part>) {
    match turns.last_mut() {
        Some(Turn::User(said)) => said.extend(parts),
        _ => turns.push(Turn::User(parts)),
    }
}

fn opening<'a>() -> Turn<'a> {
    Turn::User(vec![Part::Text(OPENING.to_owned())])
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn result<'a>(id: &'a str, name: &'a str, outcome: &Outcome, album: &mut Album<'_>) -> ToolResult<'a> {
    let mut picture = None;
    let text = match outcome {
        Outcome::Ok(Value::String(text)) => text.clone(),
        Outcome::Ok(value) => value.to_string(),
        Outcome::Image(image) => match album.take(id) {
            Shown::Whole(base64) => {
                picture = Some(Picture::Bytes { media_type: image.media_type.clone(), base64 });
                format!("Here is the picture {}.", image.path)
            }
            Shown::Changed => format!("The picture {} has been changed or deleted since.", image.path),
            Shown::NoRoom => format!(
                "The picture {} is left out to make room for newer ones. To see it, read the file again, and no other picture with it.",
                image.path
            ),
        },
        Outcome::Error(text) => format!("Error: {text}"),
        Outcome::Unknown => Outcome::UNKNOWN.to_owned(),
        Outcome::Skipped(text) => format!("Not run: {text}"),
    };
    let failed = matches!(outcome, Outcome::Error(_) | Outcome::Unknown | Outcome::Skipped(_));
    ToolResult { id, name, text, failed, picture }
}
