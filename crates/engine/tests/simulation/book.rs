//! What has happened so far, and what of it must not have. Filled by `watch.rs` with each commit, by tools, models and clients as they act.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use domain::RunId;
use domain::turns::{Replay, ToolCall};
use uuid::Uuid;

use crate::node::Who;
use crate::plan::Plan;

#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) simulated_ms: u64,
    pub(crate) runs: u64,
    pub(crate) commits: u64,
    pub(crate) crashes: u64,
    pub(crate) drains: u64,
    pub(crate) freezes: u64,
    pub(crate) cuts: u64,
    pub(crate) takeovers: u64,
    pub(crate) tool_calls: u64,
    pub(crate) unknown: u64,
    pub(crate) limits: u64,
    pub(crate) quarantined: u64,
    pub(crate) answers: u64,
    pub(crate) messages: u64,
    pub(crate) stops: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: &Self) {
        let pairs = [
            (&mut self.simulated_ms, more.simulated_ms),
            (&mut self.runs, more.runs),
            (&mut self.commits, more.commits),
            (&mut self.crashes, more.crashes),
            (&mut self.drains, more.drains),
            (&mut self.freezes, more.freezes),
            (&mut self.cuts, more.cuts),
            (&mut self.takeovers, more.takeovers),
            (&mut self.tool_calls, more.tool_calls),
            (&mut self.unknown, more.unknown),
            (&mut self.limits, more.limits),
            (&mut self.quarantined, more.quarantined),
            (&mut self.answers, more.answers),
            (&mut self.messages, more.messages),
            (&mut self.stops, more.stops),
        ];
        for (sum, more) in pairs {
            *sum += more;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, commits, crashes, drains, freezes, cuts, takeovers, tool_calls, unknown, .. } = self;
        let Self { limits, quarantined, answers, messages, stops, simulated_ms, .. } = self;
        let hours = simulated_ms / 3_600_000;
        write!(
            f,
            "{hours} simulated hours, {runs} runs, {commits} commits, {crashes} crashes, {drains} drains, {freezes} freezes, \
             {cuts} partitions, {takeovers} takeovers, {tool_calls} tool calls, {unknown} unknown outcomes, {limits} limits reached, \
             {quarantined} quarantined, {answers} answers, {messages} messages, {stops} stops"
        )
    }
}

/// A claim as the book has it: until when it holds is counted here once more, not taken from the table.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) token: String,
    pub(crate) who: Who,
    pub(crate) since: u64,
    pub(crate) end: u64,
    pub(crate) team: String,
}

/// All arrivals of one call at its tool.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) run: String,
    pub(crate) line: String,
    pub(crate) replay: Replay,
    pub(crate) arrivals: u32,
    pub(crate) effects: u32,
}

/// What clients know of one run.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) team: String,
    pub(crate) webhook: bool,
    /// Messages in the order of their commits.
    pub(crate) messages: Vec<String>,
    /// Those of them whose client was answered.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Requests by how often a client was told that its answer was taken.
    pub(crate) answered: BTreeMap<Uuid, u32>,
    /// Whether a client was told that the run is being stopped.
    pub(crate) stopped: bool,
}

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) counts: Counts,
    pub(crate) violations: Vec<String>,
    /// The trace, folded.
    pub(crate) hash: u64,
    /// The trace in words, where somebody wants to read it.
    pub(crate) pages: Option<Vec<String>>,
    pub(crate) lease_ms: u64,
    pub(crate) team_most: usize,
    /// The last row of the log that was looked at.
    pub(crate) seen: i64,
    pub(crate) held: BTreeMap<String, Held>,
    /// Since when runs could be claimed that are not.
    pub(crate) due: BTreeMap<String, u64>,
    pub(crate) ends_of_journals: BTreeMap<String, u64>,
    pub(crate) intents: BTreeSet<Uuid>,
    pub(crate) finished: BTreeSet<Uuid>,
    pub(crate) calls: BTreeMap<Uuid, Called>,
    pub(crate) told: BTreeMap<String, Told>,
    /// Runs that are to be stopped.
    pub(crate) stops: BTreeSet<String>,
    /// Runs by the word that their model sees.
    pub(crate) numbers: BTreeMap<String, RunId>,
    /// Runs whose start a client was answered.
    pub(crate) accepted: Vec<RunId>,
}

impl Book {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            pages: std::env::var_os("ERRAND_SIM_TRACE").map(|_| vec![]),
            lease_ms: plan.settings.lease_ms,
            team_most: usize::try_from(plan.settings.team_concurrency).unwrap(),
            hash: 0xcbf2_9ce4_8422_2325,
            ..Self::default()
        }
    }

    /// Adds to the trace.
    pub(crate) fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(pages) = &mut self.pages {
            pages.push(line);
        }
    }

    pub(crate) fn wrong(&mut self, now: u64, what: &str) {
        self.note(format!("{now} WRONG {what}"));
        self.violations.push(format!("at {now} ms: {what}"));
    }

    /// Whether this life's claim on the run is the current one, and holds.
    fn holds(&self, now: u64, who: Who, run: &str) -> Result<(), String> {
        match self.held.get(run) {
            Some(held) if held.who == who && held.end > now => Ok(()),
            held => Err(format!("under the lease {held:?}")),
        }
    }

    pub(crate) fn drained(&mut self, now: u64, node: usize, grace: Duration) {
        self.counts.drains += 1;
        self.note(format!("{now} node {node} is drained, {grace:?}"));
    }

    /// A life that ended in good order holds nothing of what it took since it was heard.
    pub(crate) fn has_let_go(&mut self, now: u64, who: Who, heard_since: u64) {
        let left: Vec<&String> = self
            .held
            .iter()
            .filter(|(_, held)| held.who == who && held.since >= heard_since)
            .map(|(run, _)| run)
            .collect();
        if !left.is_empty() {
            let what = format!("{who:?} was drained and still holds {left:?}");
            self.wrong(now, &what);
        }
    }

    pub(crate) fn turn_begins(&mut self, now: u64, who: Who, number: &str) {
        let Some(run) = self.numbers.get(number).map(|run| run.0.to_string()) else {
            return self.wrong(now, &format!("a turn of an unknown run {number:?}"));
        };
        self.note(format!("{now} {who:?} turn of {run}"));
        if let Err(why) = self.holds(now, who, &run) {
            self.wrong(now, &format!("{who:?} asks the model for {run} {why}"));
        }
    }

    pub(crate) fn call_begins(&mut self, now: u64, who: Who, run: RunId, call: &ToolCall, line: &str) {
        let run = run.0.to_string();
        let (key, replay) = (call.key, call.replay);
        self.counts.tool_calls += 1;
        self.note(format!("{now} {who:?} call {key} of {run}: {} {line}", call.name));
        if let Err(why) = self.holds(now, who, &run) {
            self.wrong(now, &format!("{who:?} calls {} for {run} {why}", call.name));
        }
        if !self.intents.contains(&key) {
            self.wrong(now, &format!("the call {key} of {run} leaves before its intent is committed"));
        }
        if self.finished.contains(&key) {
            self.wrong(now, &format!("the call {key} of {run} is made again after its result was committed"));
        }
        let new = Called { run: run.clone(), line: line.into(), replay, arrivals: 0, effects: 0 };
        let called = self.calls.entry(key).or_insert(new);
        called.arrivals += 1;
        if called.arrivals > 1 && replay == Replay::Never {
            self.wrong(now, &format!("the call {key} of {run}, not safe to repeat, is made again"));
        }
    }

    pub(crate) fn takes_effect(&mut self, now: u64, key: Uuid) {
        self.note(format!("{now} effect of {key}"));
        if let Some(called) = self.calls.get_mut(&key) {
            // A tool that is safe to repeat knows the key.
            called.effects = if called.replay == Replay::Safe { 1 } else { called.effects + 1 };
        }
    }

    pub(crate) fn has_effect(&self, key: Uuid) -> bool {
        self.calls.get(&key).is_some_and(|called| called.effects > 0)
    }
}
