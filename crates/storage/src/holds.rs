//! Holds: what a restored backup does to runs that would go on by themselves, although what they were about to do may have been done since.
//!
//! For the restore only, which has the database for itself before any server sees it. What a held run may do is for [`domain::runs`] to say.

use domain::Timestamp;
use domain::builds::Config;
use domain::human_requests::HumanRequest;
use domain::limits::Limits;
use domain::runs::{Event, Rules, Run};
use domain::{RunId, TeamId};
use uuid::Uuid;

use crate::db::{StoreError, Tx};
use crate::runs::{Commit, Committed, Then};
use crate::work::{self, Seized};
use crate::{builds, journal, runs};

/// What became of a run that had work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It asks a person whether to go on.
    Asks,
    /// It waits or has ended, as its journal says, and has nothing to do by itself. So has one whose stop was under way: it is stopped now.
    Rests,
    /// What is stored of it cannot be read. It stays due: the server gives it up and says so, and does nothing else for it.
    Unreadable,
}

/// Takes everything that waits in the run's inbox, and then holds it with `request`. `token` is a fresh one.
pub async fn hold(
    tx: &mut Tx<'_>,
    run: RunId,
    request: HumanRequest,
    token: Uuid,
    now: Timestamp,
) -> Result<Hold, StoreError> {
    work::hold(tx, run).await?;
    let Some(seized) = work::seize(tx, run, token).await? else { return Ok(Hold::Rests) };
    match settle(tx, &seized, request, now).await {
        Err(StoreError::Corrupt { what }) => {
            tracing::warn!(%run, what, "the run cannot be read");
            work::let_go(tx, seized.lease, 0).await?;
            Ok(Hold::Unreadable)
        }
        settled => settled,
    }
}

async fn settle(tx: &mut Tx<'_>, seized: &Seized, request: HumanRequest, now: Timestamp) -> Result<Hold, StoreError> {
    let lease = seized.lease;
    let rules = rules(tx, lease.team, seized).await?;
    let (mut run, _) = Run::replay(rules, journal::replay(tx, lease.run).await?)
        .map_err(|refused| StoreError::Corrupt { what: format!("journal of {}: {refused}", lease.run) })?;
    let asked_before = run.pending_request().map(|request| request.id);
    let (mut taken, mut events) = (Vec::new(), Vec::new());
    loop {
        let more = runs::inbox(tx, lease.run, taken.last().copied().unwrap_or(0)).await?;
        if more.is_empty() {
            break;
        }
        for (id, event) in more {
            taken.push(id);
            events.push(event);
        }
    }
    // The hold comes last: a message that was already there is no answer to it.
    events.push(Event::Held { request });
    let (step, _left_out) = run.advance(now, events);
    let pending = run.pending_request();
    let asks = step.events.iter().any(|event| matches!(event, Event::Held { .. }));
    let commit = Commit {
        lease,
        tail: seized.tail,
        overtaken: asked_before.is_some() && pending.map(|request| request.id) != asked_before,
        asked: pending.filter(|request| asked_before != Some(request.id)).cloned(),
        events: step.events,
        status: run.status(),
        taken,
        webhook: seized.webhook,
        then: Then::Release,
        now,
    };
    match runs::commit(tx, &commit, false).await? {
        Committed::Done { .. } => Ok(if asks { Hold::Asks } else { Hold::Rests }),
        // Nobody else is there to take the run or to write to it.
        Committed::Lost | Committed::Overtaken => Err(StoreError::Locked(format!(
            "somebody else works on {}: a restored database must not be in use yet",
            lease.run
        ))),
    }
}

/// What its journal was written under. The operator's limits do not change the state; here they must not end the run either.
async fn rules(tx: &mut Tx<'_>, team: TeamId, seized: &Seized) -> Result<Rules, StoreError> {
    let corrupt = |what: String| StoreError::Corrupt { what };
    let build = builds::get(tx, team, seized.build).await?;
    let build = build.ok_or_else(|| corrupt(format!("build {} is gone", seized.build)))?;
    let config: Config =
        serde_json::from_str(&build.config_json).map_err(|error| corrupt(format!("builds.config: {error}")))?;
    let limits = Limits {
        turns: u32::MAX,
        tool_calls: u32::MAX,
        output_bytes: u64::MAX,
        wall_ms: u64::MAX,
        tool_ms: u64::MAX,
        model_tries: u32::MAX,
        repairs: u32::MAX,
        approval_ms: u64::MAX,
    };
    Ok(Rules { limits, json_object: config.wants_json_object() })
}
