//! One model turn: what goes in, what comes out, how it fails. The providers behind it are in [`crate::providers`].

use domain::builds::{Sampling, SeedTurn};
use domain::runs::ModelFailure;
use domain::turns::{ImageRef, Line, Stop, ToolSpec, Usage};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

/// Something that answers a conversation.
pub trait Model: Send + Sync + 'static {
    /// One turn. Dropping the future cancels the call. No retries inside: the run's journal counts them.
    fn turn<'a>(&'a self, request: TurnRequest<'a>) -> BoxFuture<'a, Result<Answer, ModelFailure>>;

    /// A sentence for people about each of these settings that `model` does not take and that is left out of its turns. Fallbacks, which
    /// may take others, are not looked at.
    fn notes(&self, model: &str, sampling: &Sampling) -> Vec<String> {
        let _ = (model, sampling);
        Vec::new()
    }
}

/// Everything one turn needs.
#[derive(Clone, Copy)]
pub struct TurnRequest<'a> {
    /// The model's name as the Build says it; the provider table and `errand.toml` make a real one of it.
    pub model: &'a str,
    /// The system prompt: Errand's own rules, then the SOP.
    pub instructions: &'a str,
    /// The Build's own first turns.
    pub seed: &'a [SeedTurn],
    /// What was said since.
    pub lines: &'a [Line],
    /// The tools on offer.
    pub tools: &'a [ToolSpec],
    /// Temperature and the like.
    pub sampling: &'a Sampling,
    /// The final answer must be a JSON object (`text.format`).
    pub json_object: bool,
    /// Which turn of the run this is, from 1.
    pub turn: u32,
    /// What people said and answered since the run started, oldest first: a recording is found by it.
    pub people: &'a [String],
    /// The run's files, for the pictures that tool results name.
    pub pictures: &'a dyn Pictures,
}

/// Where a turn finds the bytes of a picture.
pub trait Pictures: Send + Sync {
    /// The bytes, if the file is still what the journal says it was. Does not block the caller's thread.
    fn load(&self, image: &ImageRef) -> BoxFuture<'static, Option<Vec<u8>>>;
}

/// A complete answer. `engine` makes a [`domain::turns::Reply`] of it by giving each call its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its words.
    pub text: String,
    /// The tools it wants.
    pub calls: Vec<ProposedCall>,
    /// Why it stopped.
    pub stop: Stop,
    /// The model that answered, as the provider knows it.
    pub model: String,
    /// Tokens and money.
    pub usage: Usage,
    /// What the provider wants back unchanged in later turns.
    pub carry: Option<Value>,
}

/// A tool call as the model asked for it: whole, with arguments that are a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct ProposedCall {
    /// The provider's id; unique within the answer (made up where the provider gives none).
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}
