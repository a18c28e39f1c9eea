//! What one run may use before it is stopped. Every number is a named setting of `errand.toml`, section `[limits]`.
//!
//! Turns, tool calls, output and time count from the start of the run or from the message that resumed it: a person who asks for more
//! grants more, a restart of the server does not. All are read off the journal, so a crash cannot reset them.

use serde::Deserialize;

/// What people may say to one run in all, in bytes: every node that works on it holds all of it in memory.
pub const SAID_MAX: usize = 16 * 1024 * 1024;

/// Bounds of one run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Model turns. A worker that has not finished after so many is going in circles.
    pub turns: u32,
    /// Tool calls. More than turns, since one reply may hold several.
    pub tool_calls: u32,
    /// Bytes that model and tools may add to the transcript: what every later turn must carry and every reader load.
    pub output_bytes: u64,
    /// Active milliseconds: from a claim to the next wait or end. Waiting for a person is free.
    pub wall_ms: u64,
    /// Milliseconds that one tool call may take. Longer, and it is given up: its outcome is unknown unless it is safe to repeat.
    pub tool_ms: u64,
    /// Tries of one model turn before the run fails with the provider's own words.
    pub model_tries: u32,
    /// How often a model may be asked again for an answer in the form the Build demands.
    pub repairs: u32,
    /// Milliseconds that a tool call waits for a person's approval. Longer, and it counts as denied.
    pub approval_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            turns: 200,
            tool_calls: 500,
            output_bytes: 8 * 1024 * 1024,
            wall_ms: 2 * 60 * 60 * 1000,
            tool_ms: 5 * 60 * 1000,
            model_tries: 8,
            repairs: 2,
            approval_ms: 7 * 24 * 60 * 60 * 1000,
        }
    }
}
