//! Sees every commit, right after it and before anybody else: triggers log what each transaction changed, and each change is judged by what the
//! book says was true before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::runs::Event;
use engine::Settings;
use serde_json::Value as Json;
use storage::{Db, Row, StoreError, Tx, Value, runs};
use uuid::Uuid;

use crate::book::{Book, Held};
use crate::node::Who;
use crate::plan::NODES;
use crate::sim::Sim;

const LOG: &str = "CREATE TABLE sim_log (n INTEGER PRIMARY KEY, what TEXT, run TEXT, a TEXT, b TEXT, c INTEGER)";
const TRIGGERS: [&str; 9] = [
    "CREATE TRIGGER l1 AFTER INSERT ON work BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('work', new.run_id, NULL, new.claim, new.due_at); END",
    "CREATE TRIGGER l2 AFTER UPDATE OF claim, due_at ON work BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('work', new.run_id, old.claim, new.claim, new.due_at); END",
    "CREATE TRIGGER l3 AFTER DELETE ON work BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('rest', old.run_id, old.claim, NULL, old.due_at); END",
    "CREATE TRIGGER l4 AFTER INSERT ON journal BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('journal', new.run_id, new.kind, new.body, new.seq); END",
    "CREATE TRIGGER l5 AFTER INSERT ON inbox BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('inbox', new.run_id, new.kind, new.body, new.id); END",
    "CREATE TRIGGER l6 AFTER INSERT ON outbox BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('outbox', new.run_id, new.event, NULL, new.seq); END",
    "CREATE TRIGGER l7 AFTER INSERT ON runs BEGIN INSERT INTO sim_log (what, run, a, b, c) \
     VALUES ('run', new.id, new.team_id, NULL, new.webhook_url IS NOT NULL); END",
    "CREATE TRIGGER l8 BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END",
    "CREATE TRIGGER l9 BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END",
];
const NEWS: &str = "SELECT n, what, run, a, b, c FROM sim_log WHERE n > $1 ORDER BY n";
const MOVING: &str = "SELECT count(*) FROM work";

/// The slow poll, and what a busy moment adds to it.
const MOST_WAITED: u64 = 3_000;

/// From now on everything is logged.
pub(crate) async fn begin(db: &Db) {
    let log = async |tx: &mut Tx<'_>| {
        tx.exec(LOG, &[]).await?;
        for trigger in TRIGGERS {
            tx.exec(trigger, &[]).await?;
        }
        Ok(())
    };
    db.write::<_, StoreError, _>(log).await.unwrap();
}

/// Whether nothing is to be done any more.
pub(crate) async fn at_rest(db: &Db) -> bool {
    let rows = db.read::<_, StoreError, _>(async |tx| tx.row(MOVING, &[]).await).await.unwrap();
    rows.unwrap().int(0).unwrap() == 0
}

/// One logged change.
struct Change {
    what: String,
    run: String,
    a: Option<String>,
    b: Option<String>,
    c: i64,
}

/// Looks at what was just committed by `who`.
pub(crate) async fn committed(sim: &Arc<Sim>, who: Who) {
    let seen = sim.book().seen;
    let look = async |tx: &mut Tx<'_>| {
        let rows = tx.rows(NEWS, &[Value::Int(seen)]).await?;
        Ok((rows, runs::stuck(tx).await?))
    };
    let (rows, stuck) = sim.db.read::<_, StoreError, _>(look).await.unwrap();
    let Some(last) = rows.last() else { return };
    let now = sim.now();
    let last = last.int(0).unwrap();
    let changes: Vec<Change> = rows.iter().map(read).collect();
    let rung: BTreeSet<&str> = changes
        .iter()
        .filter(|change| matches!(&*change.what, "inbox" | "work"))
        .map(|change| change.run.as_str())
        .collect();
    let sound = (0..NODES).filter_map(|node| sim.sound_since(node)).min();
    let unbound =
        sim.plan.settings == Settings { deaths: 1_000, lease_ms: sim.plan.settings.lease_ms, ..Settings::default() };
    {
        let mut book = sim.book();
        if let Some(sound) = sound.filter(|_| unbound) {
            in_time(&mut book, now, sound, &changes);
        }
        book.seen = last;
        book.counts.commits += 1;
        judge(&mut book, now, who, &changes);
        for (_, run) in stuck {
            book.wrong(now, &format!("{run} should be moving and nobody would ever claim it"));
        }
    }
    carry(sim, who, &rung);
}

fn read(row: &Row) -> Change {
    Change {
        what: row.text(1).unwrap(),
        run: row.text(2).unwrap(),
        a: row.opt_text(3).unwrap(),
        b: row.opt_text(4).unwrap(),
        c: row.int(5).unwrap(),
    }
}

/// Carries the rings of a commit to the other nodes: late, or never.
fn carry(sim: &Arc<Sim>, who: Who, rung: &BTreeSet<&str>) {
    let ids: Vec<Uuid> = rung.iter().map(|run| run.parse().unwrap()).collect();
    for other in (0..NODES).filter(|node| *node != who.node) {
        let late = match sim.chance.below(4) {
            0 => continue,
            1 => sim.chance.below(2_000),
            _ => 1,
        };
        let (there, ids) = (Arc::clone(sim), ids.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(late)).await;
            there.thaw(other).await;
            let bell = there.nodes[other].state().bell.clone();
            bell.ring_work();
            for run in ids {
                bell.ring_here(run);
            }
        });
    }
}

fn judge(book: &mut Book, now: u64, who: Who, changes: &[Change]) {
    let mut born: BTreeSet<&str> = BTreeSet::new();
    // What outsiders must be told by this very transaction, and what they are.
    let (mut due, mut told) = (BTreeSet::new(), BTreeSet::new());
    for Change { what, run, a, b, c } in changes {
        book.note(format!("{now} {who:?} {what} {run} {a:?} {b:?} {c}"));
        let kind = a.as_deref().unwrap_or_default();
        match &**what {
            "run" => {
                let run = book.told.entry(run.clone()).or_default();
                (run.team, run.webhook) = (kind.to_owned(), *c == 1);
            }
            "inbox" if kind == "message_received" => {
                let body: Json = serde_json::from_str(b.as_deref().unwrap()).unwrap();
                book.told.entry(run.clone()).or_default().messages.push(body["id"].as_str().unwrap().to_owned());
            }
            "inbox" if kind == "interrupted" => {
                book.stops.insert(run.clone());
            }
            "outbox" => {
                told.insert((run, *c, kind));
            }
            "journal" => {
                if kind == "created" {
                    born.insert(run);
                }
                let by_right = kind == "claimed"
                    || born.contains(&**run)
                    || book.held.get(run).is_some_and(|held| held.who == who);
                if !by_right {
                    book.wrong(now, &format!("{who:?} journals {kind} of {run}, held by {:?}", book.held.get(run)));
                }
                journaled(book, now, run, u64::try_from(*c).unwrap(), kind, b.as_deref().unwrap());
                let event = match kind {
                    "person_asked" => Some("human_request"),
                    "completed" => Some("run_completed"),
                    "failed" => Some("run_failed"),
                    "interrupted" => Some("run_interrupted"),
                    _ => None,
                };
                if Event::ends(kind) {
                    book.stops.remove(run);
                }
                due.extend(event.map(|event| (run, *c, event)));
            }
            _ => {}
        }
    }
    due.retain(|(run, ..)| book.told.get(*run).is_some_and(|run| run.webhook));
    if due != told {
        book.wrong(now, &format!("a transaction of {who:?} tells outsiders {told:?} instead of {due:?}"));
    }
    let mut claimed = BTreeMap::new();
    for change in changes.iter().filter(|change| matches!(&*change.what, "work" | "rest")) {
        leased(book, now, who, change, &mut claimed);
    }
    within_bounds(book, now, &claimed);
}

fn journaled(book: &mut Book, now: u64, run: &str, seq: u64, kind: &str, body: &str) {
    let last = book.ends_of_journals.insert(run.to_owned(), seq).unwrap_or(0);
    if seq != last + 1 {
        book.wrong(now, &format!("the journal of {run} goes from {last} to {seq}"));
    }
    let key = |pointer: &str| -> Uuid {
        let body: Json = serde_json::from_str(body).unwrap();
        body.pointer(pointer).unwrap().as_str().unwrap().parse().unwrap()
    };
    match kind {
        "tool_started" if !book.intents.insert(key("/call/key")) => {
            book.wrong(now, &format!("a call of {run} is started twice: {body}"));
        }
        "tool_finished" if !book.finished.insert(key("/key")) => {
            book.wrong(now, &format!("a call of {run} is finished twice: {body}"));
        }
        _ => {}
    }
}

/// What became of a claim: nobody but its holder may lengthen or end it while it holds, and nobody else may take it.
fn leased<'c>(book: &mut Book, now: u64, who: Who, change: &'c Change, claimed: &mut BTreeMap<&'c str, Held>) {
    let Change { run, a: before, b: after, c: due, .. } = change;
    let held = book.held.get(run).cloned();
    if held.as_ref().map(|held| &held.token) != before.as_ref() {
        book.wrong(now, &format!("{run} was held by {before:?}, but the book says {held:?}"));
    }
    if let Some(held) = &held
        && held.who != who
        && (after == before || after.is_none())
    {
        book.wrong(now, &format!("{who:?} lengthens or ends the lease of {:?} on {run}", held.who));
    }
    if let (Some(held), Some(after)) = (&held, after)
        && *after != held.token
    {
        book.counts.takeovers += 1;
        if held.end > now {
            book.wrong(now, &format!("{who:?} takes {run} from {:?}, who holds it until {}", held.who, held.end));
        }
    }
    book.due.remove(run);
    let Some(token) = after else {
        book.held.remove(run);
        if change.what == "work" {
            book.due.insert(run.clone(), u64::try_from(due - 1_764_000_000_000).unwrap_or(now));
        }
        return;
    };
    let end = now + book.lease_ms;
    if !u64::try_from(due - 1_764_000_000_000).is_ok_and(|due| due == end) {
        book.wrong(now, &format!("the lease of {who:?} on {run} ends at {due} and not {} ms from now", book.lease_ms));
    }
    let team = book.told.get(run).map(|run| run.team.clone()).unwrap_or_default();
    let since = held.filter(|held| held.token == *token).map_or(now, |held| held.since);
    let new = Held { token: token.clone(), who, since, end, team };
    if before.as_ref() != Some(token) {
        claimed.insert(run, new.clone());
    }
    book.held.insert(run.clone(), new);
}

/// Where nothing bounds what a node takes on, and one is sound, no run that is due is left lying.
fn in_time(book: &mut Book, now: u64, sound: u64, changes: &[Change]) {
    for change in changes.iter().filter(|change| change.what == "work" && change.b.is_some() && change.a != change.b) {
        let since = match book.held.get(&change.run) {
            Some(held) => Some(held.end),
            None => book.due.get(&change.run).copied(),
        };
        let waited = since.map_or(0, |since| now.saturating_sub(since.max(sound)));
        if waited > MOST_WAITED {
            book.wrong(now, &format!("{} was due for {waited} ms and nobody took it", change.run));
        }
    }
}

/// No claim makes a team's runs too many, unless they are to be stopped.
fn within_bounds(book: &mut Book, now: u64, claimed: &BTreeMap<&str, Held>) {
    if book.team_most == 0 {
        return;
    }
    let teams: BTreeSet<String> =
        claimed.iter().filter(|(run, _)| !book.stops.contains(**run)).map(|(_, held)| held.team.clone()).collect();
    for team in teams {
        let held = book.held.values().filter(|held| held.team == team && held.end > now).count();
        if held > book.team_most {
            book.wrong(now, &format!("{held} runs of the team {team} are held at once"));
        }
    }
}
