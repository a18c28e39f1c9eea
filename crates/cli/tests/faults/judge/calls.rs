//! The calls of one run: what its journal says against what the ledger wrote down.

use std::collections::HashMap;

use domain::runs::Event;
use domain::turns::Outcome;
use testkit::ledger::Entry;
use uuid::Uuid;

use super::Lines;

/// The journal's calls against the ledger's: what was done is what the journal says that was done.
pub(super) fn wrong(events: &Lines, ledger: &[&Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut calls: HashMap<Uuid, Call> = HashMap::new();
    let mut claims = 0;
    for (_, _, event) in events {
        match event {
            Event::Claimed { .. } => claims += 1,
            Event::ToolStarted { call } => drop(calls.insert(call.key, Call { claim: claims, outcome: None })),
            Event::ToolFinished { key, outcome } => {
                let Some(call) = calls.get_mut(key) else { continue };
                call.outcome = Some((outcome, claims > call.claim));
            }
            _ => {}
        }
    }
    let mut arrived: HashMap<Uuid, Vec<&Entry>> = HashMap::new();
    for entry in ledger {
        arrived.entry(entry.key).or_default().push(entry);
    }
    for (key, call) in &calls {
        let arrivals = arrived.remove(key).unwrap_or_default();
        let effects = arrivals.iter().filter(|entry| entry.applied).count();
        if !call.fits(&arrivals, effects) {
            wrong.push(format!("the call {key} had {effects} effects; the journal says {:?}", call.outcome));
        }
    }
    let unknown = arrived.values().flatten();
    wrong.extend(unknown.map(|entry| format!("the ledger has {} without an intent in the journal", entry.line)));
    wrong
}

/// A call whose intent is journaled.
struct Call<'e> {
    /// Under which claim of the run.
    claim: usize,
    /// What came of it, and whether another worker than the one that began it says so.
    outcome: Option<(&'e Outcome, bool)>,
}

impl Call<'_> {
    fn fits(&self, arrivals: &[&Entry], effects: usize) -> bool {
        let safe = arrivals.iter().all(|entry| entry.safe);
        match self.outcome {
            // Only the ledger's own answers have an entry; others called nobody.
            Some((Outcome::Ok(value), _)) => effects == usize::from(value.get("entry").is_some()),
            // What timed out may have happened, and so may what an earlier worker began.
            Some((Outcome::Error(why), again)) if safe => effects == 0 || again || why.starts_with("tool_timeout"),
            Some((Outcome::Error(_) | Outcome::Skipped(_) | Outcome::Image(_), _)) => effects == 0,
            Some((Outcome::Unknown, _)) => effects <= 1,
            // A call that is cut off has an outcome before the run ends.
            None => arrivals.is_empty(),
        }
    }
}
