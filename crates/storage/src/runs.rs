//! Runs: the row that readers see, and the one commit that moves a run.
//!
//! [`commit`] is called only by the worker that holds the lease; everybody else writes to the inbox with [`tell`]. Nothing here decides.

use domain::human_requests::HumanRequest;
use domain::limits::SAID_MAX;
use domain::runs::{Event, Said, Status};
use domain::{AgentId, BuildId, RunId, TeamId, Timestamp};
use faults::{Sabotage, sabotaged};

use crate::db::{Row, StoreError, Tx, Value, params};
use crate::work::Lease;
use crate::{human_requests, journal, sabotage, work};

const NUMBER: &str = "UPDATE teams SET run_count = run_count + 1 WHERE id = $1 RETURNING run_count";
const INSERT: &str = "INSERT INTO runs (team_id, id, agent_id, build_id, sandbox_id, number, title, source, webhook_url, webhook_origin, \
    status, prompt_count, last_seq, message_count, created_at, updated_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', $11, $12, $13, $14, $14)";
const GET: &str = "SELECT id, agent_id, build_id, sandbox_id, number, title, source, status, prompt_count, last_seq, message_count, \
    created_at, updated_at, started_at, completed_at FROM runs WHERE team_id = $1 AND id = $2";
const MOVE: &str = "UPDATE runs SET status = $3, prompt_count = prompt_count + $4, last_seq = $5, message_count = $6, updated_at = $7, \
    completed_at = $8 WHERE team_id = $1 AND id = $2";
const TELL: &str = "INSERT INTO inbox (run_id, kind, body) VALUES ($1, $2, $3)";
const TOLD: &str = "UPDATE runs SET status = 'pending', updated_at = $3, completed_at = NULL \
    WHERE team_id = $1 AND id = $2 AND status IN ('waiting', 'completed', 'interrupted')";
const SAY: &str =
    "UPDATE runs SET said_bytes = said_bytes + $3 WHERE team_id = $1 AND id = $2 AND said_bytes + $3 <= $4";
const INBOX: &str = "SELECT id, body FROM inbox WHERE run_id = $1 AND id > $2 ORDER BY id LIMIT 100";
const INBOX_IDS: &str = "SELECT id FROM inbox WHERE run_id = $1 AND id > $2 ORDER BY id";
const STOP: &str = "SELECT 1 FROM inbox WHERE run_id = $1 AND kind = 'interrupted' LIMIT 1";
const WRITTEN: &str = "SELECT 1 FROM journal WHERE run_id = $1 AND seq = $2 AND at = $3 AND body = $4";
const STUCK: &str = "SELECT team_id, id FROM runs WHERE status IN ('pending', 'starting', 'running') \
    AND NOT EXISTS (SELECT 1 FROM work WHERE work.run_id = runs.id) ORDER BY id LIMIT 100";
const TELL_OUTSIDE: &str = "INSERT INTO outbox (team_id, run_id, seq, event, at, origin) \
    SELECT team_id, id, CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS BIGINT), COALESCE(webhook_origin, '') \
    FROM runs WHERE team_id = $1 AND id = $2";
const NEWS: &str = "SELECT 1 FROM inbox WHERE run_id = $1 AND id > $2 LIMIT 1";
const TAKE: &str = "DELETE FROM inbox WHERE id = $1";

// A parameter that may be null says its type, or PostgreSQL could not tell. With an Assignment given, its own index serves the list; a condition that may be null could not use it.
macro_rules! filter {
    ($agent:literal) => {
        concat!(
            "WHERE r.team_id = $1 AND ",
            $agent,
            " AND (CAST($3 AS TEXT) IS NULL OR r.status IN ($3, $4)) AND (CAST($5 AS TEXT) IS NULL OR r.source = $5) \
             AND (CAST($6 AS TEXT) IS NULL OR lower(r.title) LIKE $6 ESCAPE '!') AND (CAST($7 AS BIGINT) IS NULL OR r.created_at >= $7)"
        )
    };
}

macro_rules! page {
    ($agent:literal, $order:literal) => {
        concat!(
            "SELECT r.id, r.agent_id, r.build_id, r.sandbox_id, r.number, r.title, r.source, r.status, r.prompt_count, r.last_seq, \
             r.message_count, r.created_at, r.updated_at, r.started_at, r.completed_at, a.name \
             FROM runs r JOIN agents a ON a.team_id = r.team_id AND a.id = r.agent_id ",
            filter!($agent),
            " ORDER BY r.id ",
            $order,
            " LIMIT $8 OFFSET $9"
        )
    };
}

macro_rules! count {
    ($agent:literal) => {
        concat!("SELECT count(*) FROM runs r ", filter!($agent))
    };
}

/// Statements by whether an Assignment is given, then by order.
const PAGES: [[&str; 2]; 2] = [
    [page!("CAST($2 AS TEXT) IS NULL", "DESC"), page!("CAST($2 AS TEXT) IS NULL", "ASC")],
    [page!("r.agent_id = $2", "DESC"), page!("r.agent_id = $2", "ASC")],
];
const COUNTS: [&str; 2] = [count!("CAST($2 AS TEXT) IS NULL"), count!("r.agent_id = $2")];
const TOTAL: &str = "SELECT run_count FROM teams WHERE id = $1";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[
    NUMBER,
    INSERT,
    GET,
    MOVE,
    TELL,
    TELL_OUTSIDE,
    TOLD,
    SAY,
    WRITTEN,
    STUCK,
    INBOX,
    INBOX_IDS,
    STOP,
    NEWS,
    TAKE,
    TOTAL,
    PAGES[0][0],
    PAGES[0][1],
    PAGES[1][0],
    PAGES[1][1],
    COUNTS[0],
    COUNTS[1],
];

/// A run that was just accepted.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Its Assignment.
    pub agent: AgentId,
    /// The Build it stays pinned to.
    pub build: BuildId,
    /// Its file area.
    pub sandbox: String,
    /// One line for lists.
    pub title: String,
    /// Where it came from: `api`.
    pub source: &'static str,
    /// Whom to call back: the URL, and its scheme, host and port.
    pub webhook: Option<(String, String)>,
    /// The first message.
    pub message: Option<Said>,
    /// When.
    pub created_at: Timestamp,
}

/// A run as readers see it.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// Its Assignment.
    pub agent: AgentId,
    /// Its Build.
    pub build: BuildId,
    /// Its file area.
    pub sandbox: String,
    /// Its number within the team.
    pub number: u64,
    /// One line for lists.
    pub title: String,
    /// Where it came from.
    pub source: String,
    /// What it does, for readers.
    pub status: Status,
    /// Messages people sent it.
    pub prompt_count: u64,
    /// The newest entry of its journal.
    pub last_seq: u64,
    /// Messages in its transcript.
    pub message_count: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended; none while it goes on.
    pub completed_at: Option<Timestamp>,
}

/// Which runs a list shows. An empty filter is the cheap one.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this Assignment.
    pub agent: Option<AgentId>,
    /// In this status, or in either of the two.
    pub status: Option<(Status, Status)>,
    /// From this source.
    pub source: Option<String>,
    /// With this text in the title, in any case.
    pub search: Option<String>,
    /// Accepted then or later.
    pub since: Option<Timestamp>,
}

/// What a worker has to write at once. See [`commit`].
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its right to do so.
    pub lease: Lease,
    /// Where the journal ended: last `seq`, number of messages.
    pub tail: (u64, u64),
    /// What is new.
    pub events: Vec<Event>,
    /// What the run does now.
    pub status: Status,
    /// Inbox rows that are in `events` now, or were refused.
    pub taken: Vec<i64>,
    /// The request that `events` opens.
    pub asked: Option<HumanRequest>,
    /// Whether `events` closes an open request that nobody answered.
    pub overtaken: bool,
    /// Whether somebody outside wants to know how it goes on.
    pub webhook: bool,
    /// What becomes of the lease.
    pub then: Then,
    /// The time of all this.
    pub now: Timestamp,
}

/// What becomes of a lease after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Kept and renewed for so many milliseconds.
    Hold(u64),
    /// Let go; the run is due again after so many milliseconds, or sooner if its inbox gets something.
    Sleep(u64),
    /// Let go; only its inbox makes it due again.
    Release,
}

/// Accepts a run: its row, the first entries of its journal, its work. Ring the bell after the commit.
pub async fn insert(tx: &mut Tx<'_>, team: TeamId, new: NewRun) -> Result<RunRow, StoreError> {
    let mut events = vec![Event::Created { agent_id: new.agent.0, build_id: new.build.0 }];
    let prompts = u32::from(new.message.is_some());
    events.extend(new.message.map(Event::MessageReceived));
    let (last_seq, message_count) = (events.len() as u64, u64::from(prompts));
    journal::append(tx, new.id, (0, 0), &events, new.created_at).await?;
    work::wake(tx, team, new.id, false).await?;
    // Last, since the team's other runs wait for this number until the commit.
    let number = match tx.row(NUMBER, &params![team]).await? {
        Some(row) => row.u64(0)?,
        None => {
            return Err(StoreError::Corrupt { what: format!("team {team} is gone") });
        }
    };
    let (webhook_url, webhook_origin) = new.webhook.unzip();
    let values = params![
        team,
        new.id,
        new.agent,
        new.build,
        &new.sandbox,
        as_int(number)?,
        &new.title,
        new.source,
        webhook_url,
        webhook_origin,
        prompts,
        as_int(last_seq)?,
        as_int(message_count)?,
        new.created_at
    ];
    tx.exec(INSERT, &values).await?;
    faults::point("run.inserted");
    Ok(RunRow {
        id: new.id,
        agent: new.agent,
        build: new.build,
        sandbox: new.sandbox,
        number,
        title: new.title,
        source: new.source.into(),
        status: Status::Pending,
        prompt_count: prompts.into(),
        last_seq,
        message_count,
        created_at: new.created_at,
        updated_at: new.created_at,
        started_at: None,
        completed_at: None,
    })
}

/// One run of the team.
pub async fn get(tx: &mut Tx<'_>, team: TeamId, id: RunId) -> Result<Option<RunRow>, StoreError> {
    tx.row(GET, &params![team, id]).await?.as_ref().map(read).transpose()
}

/// A page of the team's runs with the names of their Assignments, and how many there are in all. With a filter this scans: use
/// [`crate::Db::read_slow`].
pub async fn page(
    tx: &mut Tx<'_>,
    team: TeamId,
    filter: &Filter,
    newest_first: bool,
    limit: u32,
    offset: u64,
) -> Result<(Vec<(RunRow, String)>, u64), StoreError> {
    let mut values = filter.values(team);
    let of_agent = usize::from(filter.agent.is_some());
    let total = if filter.is_empty() {
        tx.row(TOTAL, &params![team]).await?
    } else {
        tx.row(COUNTS[of_agent], &values).await?
    };
    let total = total.map_or(Ok(0), |row| row.u64(0))?;
    values.extend(params![limit, i64::try_from(offset).unwrap_or(i64::MAX)]);
    let rows = tx.rows(PAGES[of_agent][usize::from(!newest_first)], &values).await?;
    let page = rows.iter().map(|row| Ok((read(row)?, row.text(15)?))).collect::<Result<_, StoreError>>()?;
    Ok((page, total))
}

/// Puts something into a run's inbox and makes the run due. Ring the bell after the commit. False: people have said as much to the run as it can keep,
/// so the transaction must not commit.
pub async fn tell(
    tx: &mut Tx<'_>,
    team: TeamId,
    run: RunId,
    event: &Event,
    now: Timestamp,
) -> Result<bool, StoreError> {
    work::hold(tx, run).await?;
    tx.exec(TELL, &params![run, event.kind(), journal::json(event)?]).await?;
    faults::point("run.told");
    // A stop goes before all other work: it needs no place to run in.
    work::wake(tx, team, run, matches!(event, Event::Interrupted { .. })).await?;
    // The run's row after its work, in the order in which claims and commits take the two, so that nobody waits in a circle.
    tx.exec(TOLD, &params![team, run, now]).await?;
    faults::point("run.woken");
    let Event::MessageReceived(said) = event else { return Ok(true) };
    let values = params![team, run, as_int(said.text.len() as u64)?, as_int(SAID_MAX as u64)?];
    Ok(tx.exec(SAY, &values).await? > 0)
}

/// What waits in a run's inbox behind `after` (0: from the beginning), oldest first, with the ids to take it by; a hundred at most.
pub async fn inbox(tx: &mut Tx<'_>, run: RunId, after: i64) -> Result<Vec<(i64, Event)>, StoreError> {
    let rows = tx.rows(INBOX, &params![run, after]).await?;
    rows.iter().map(|row| Ok((row.int(0)?, journal::read_event("an inbox entry", row.text_ref(1)?)?))).collect()
}

/// The ids of everything behind `after` in a run's inbox, whether or not it can be read.
pub async fn inbox_ids(tx: &mut Tx<'_>, run: RunId, after: i64) -> Result<Vec<i64>, StoreError> {
    tx.rows(INBOX_IDS, &params![run, after]).await?.iter().map(|row| row.int(0)).collect()
}

/// What became of a commit.
#[derive(Debug)]
pub enum Committed {
    /// The lease was lost. Nothing was written, and the worker must stop at once.
    Lost,
    /// The run would have ended, but something came into its inbox that the worker has not seen. Nothing was written: take that too.
    Overtaken,
    /// Written.
    Done {
        /// The journal's new end: last `seq`, number of messages.
        tail: (u64, u64),
        /// The run was let go but is due again at once: ring for work.
        due_again: bool,
    },
}

/// Runs of all teams that should be moving and that nobody would ever claim, a hundred at most. There are none, unless something is wrong.
pub async fn stuck(tx: &mut Tx<'_>) -> Result<Vec<(TeamId, RunId)>, StoreError> {
    tx.rows(STUCK, &[]).await?.iter().map(|row| Ok((TeamId(row.uuid(0)?), RunId(row.uuid(1)?)))).collect()
}

/// Makes such a run due.
pub async fn unstick(tx: &mut Tx<'_>, team: TeamId, run: RunId) -> Result<(), StoreError> {
    work::hold(tx, run).await?;
    work::wake(tx, team, run, false).await
}

/// Whether a stop waits in a run's inbox.
pub async fn stop_wanted(tx: &mut Tx<'_>, run: RunId) -> Result<bool, StoreError> {
    Ok(tx.row(STOP, &params![run]).await?.is_some())
}

/// Writes one step of a run: journal, row, inbox, requests and lease, all or nothing. `again`: it was tried before, and nobody knows what came of it.
pub async fn commit(tx: &mut Tx<'_>, step: &Commit, again: bool) -> Result<Committed, StoreError> {
    let Lease { team, run, .. } = step.lease;
    work::hold(tx, run).await?;
    if again && written(tx, step).await? {
        // It is written, but the lease that came with it counts from then and may be another's by now.
        if let Then::Hold(lease_ms) = step.then
            && !work::renew(tx, &[step.lease], lease_ms).await?.is_empty()
        {
            return Ok(Committed::Lost);
        }
        let messages = step.events.iter().filter(|event| event.is_message()).count() as u64;
        let tail = (step.tail.0 + step.events.len() as u64, step.tail.1 + messages);
        // Whether something came in is not known any more: one look too many does no harm.
        return Ok(Committed::Done { tail, due_again: true });
    }
    let seen = step.taken.last().copied().unwrap_or(0);
    if step.status.is_terminal() && !step.events.is_empty() && tx.row(NEWS, &params![run, seen]).await?.is_some() {
        return Ok(Committed::Overtaken);
    }
    // The fence comes before all else that is written: whoever lost the lease has written nothing.
    let Some(due_again) = work::settle(tx, step.lease, step.then, &step.taken).await? else {
        return Ok(Committed::Lost);
    };
    faults::point("commit.fenced");
    let tail = if sabotaged(Sabotage::FenceJournal) { sabotage::tail(tx, step).await? } else { step.tail };
    let first = tail.0;
    let tail = journal::append(tx, run, tail, &step.events, step.now).await?;
    faults::point("commit.journaled");
    if step.webhook && !sabotaged(Sabotage::OutboxOutside) {
        tell_outside(tx, step, first).await?;
    }
    let prompts = step.events.iter().filter(|event| matches!(event, Event::MessageReceived(_))).count();
    let ended = step.status.is_terminal().then_some(step.now);
    let values = params![
        team,
        run,
        step.status.word(),
        as_int(prompts as u64)?,
        as_int(tail.0)?,
        as_int(tail.1)?,
        step.now,
        ended
    ];
    tx.exec(MOVE, &values).await?;
    faults::point("commit.moved");
    if step.overtaken {
        human_requests::close(tx, team, run, step.now).await?;
    }
    if let Some(request) = &step.asked {
        human_requests::insert(tx, team, run, request, step.now).await?;
        faults::point("commit.asked");
    }
    Ok(Committed::Done { tail, due_again })
}

/// Whether this very step is in the journal already. Only the holder of the lease could have put it there, and this is the holder.
async fn written(tx: &mut Tx<'_>, step: &Commit) -> Result<bool, StoreError> {
    let Some(last) = step.events.last() else { return Ok(false) };
    let seq = as_int(step.tail.0 + step.events.len() as u64)?;
    let values = params![step.lease.run, seq, step.now, journal::json(last)?];
    Ok(tx.row(WRITTEN, &values).await?.is_some())
}

/// Writes down what somebody outside is to be told of a step whose first entry comes after `seq`.
pub(crate) async fn tell_outside(tx: &mut Tx<'_>, step: &Commit, seq: u64) -> Result<(), StoreError> {
    let Lease { team, run, .. } = step.lease;
    for (seq, event) in (seq + 1..).zip(&step.events) {
        if let Some(told) = told_outside(event) {
            tx.exec(TELL_OUTSIDE, &params![team, run, as_int(seq)?, told, step.now]).await?;
        }
    }
    Ok(())
}

/// What somebody outside is told of an event (contract 2.12).
pub(crate) fn told_outside(event: &Event) -> Option<&'static str> {
    match event {
        Event::PersonAsked { .. } | Event::Held { .. } => Some("human_request"),
        Event::Completed { .. } => Some("run_completed"),
        Event::Failed { .. } => Some("run_failed"),
        Event::Interrupted { .. } => Some("run_interrupted"),
        _ => None,
    }
}

/// Forgets inbox rows that have been journaled.
pub(crate) async fn take(tx: &mut Tx<'_>, taken: &[i64]) -> Result<(), StoreError> {
    for id in taken {
        tx.exec(TAKE, &params![*id]).await?;
    }
    Ok(())
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.agent.is_none()
            && self.status.is_none()
            && self.source.is_none()
            && self.search.is_none()
            && self.since.is_none()
    }

    fn values(&self, team: TeamId) -> Vec<Value> {
        let (status, or_status) = self.status.map(|(one, other)| (one.word(), other.word())).unzip();
        params![team, self.agent, status, or_status, self.source.as_ref(), self.search.as_deref().map(like), self.since]
            .into()
    }
}

/// A LIKE pattern for "contains", with its wildcards disarmed. ASCII case only, as the database's own `lower`.
fn like(text: &str) -> String {
    let plain = text.to_ascii_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{plain}%")
}

fn read(row: &Row) -> Result<RunRow, StoreError> {
    Ok(RunRow {
        id: RunId(row.uuid(0)?),
        agent: AgentId(row.uuid(1)?),
        build: BuildId(row.uuid(2)?),
        sandbox: row.text(3)?,
        number: row.u64(4)?,
        title: row.text(5)?,
        source: row.text(6)?,
        status: Status::from_word(row.text_ref(7)?)
            .ok_or_else(|| StoreError::Corrupt { what: "runs.status: no such status".into() })?,
        prompt_count: row.u64(8)?,
        last_seq: row.u64(9)?,
        message_count: row.u64(10)?,
        created_at: row.time(11)?,
        updated_at: row.time(12)?,
        started_at: row.opt_time(13)?,
        completed_at: row.opt_time(14)?,
    })
}

fn as_int(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::Corrupt { what: "a count beyond 63 bits".into() })
}
