//! What was changed through the API: each start once for its `Idempotency-Key`, and with a row in the audit chain, which holds.

use std::collections::{BTreeMap, HashMap};

use domain::RunId;
use domain::audit::{BEGINNING, Entry, hash};
use serde_json::Value;
use storage::{Db, StoreError, audit, teams};

use crate::api::{Listed, Started};
use crate::storm::Told;

/// Rows of an audit chain that are read at once.
const PAGE: u32 = 1_000;
/// All starts of these suites have a key.
const ANSWERS: &str = "SELECT key, body FROM answers WHERE route = 'POST /v1/runs'";

/// What is wrong, one sentence each.
pub(super) async fn wrong(db: &Db, told: &Told, listed: &[Listed]) -> Vec<String> {
    let mut wrong = Vec::new();
    let kept = answers(db).await;
    for (key, Started { run, answer }) in &told.starts {
        if kept.get(key) != Some(answer) {
            let kept = kept.get(key).map(|kept| String::from_utf8_lossy(kept));
            wrong.push(format!("{run}: was started as {key}, which would now be answered {kept:?}"));
        }
    }
    let mut rows: HashMap<String, Vec<Entry>> = HashMap::new();
    for entry in chains(db, &mut wrong).await {
        if entry.what == "run.start" {
            rows.entry(entry.object.clone()).or_default().push(entry);
        }
    }
    let mut keys: HashMap<RunId, usize> = HashMap::new();
    for answer in kept.values() {
        *keys.entry(run_in(answer)).or_default() += 1;
    }
    for Listed { id, .. } in listed {
        let times = keys.get(id).copied().unwrap_or(0);
        if times != 1 {
            wrong.push(format!("{id}: is what {times} Idempotency-Keys stand for"));
        }
        let times = rows.get(&id.to_string()).map_or(0, Vec::len);
        if times != 1 {
            wrong.push(format!("{id}: its start has {times} rows in the audit chain"));
        }
    }
    for Started { run, answer } in told.starts.values() {
        let row = rows.get(&run.to_string()).and_then(|rows| rows.first());
        if row.is_some_and(|row| row.after != Some(hash(answer))) {
            wrong.push(format!("{run}: the audit chain has another start of it than was acknowledged"));
        }
    }
    wrong
}

/// What is kept for each key.
async fn answers(db: &Db) -> BTreeMap<String, Vec<u8>> {
    let rows = db.read::<_, StoreError, _>(async |tx| tx.rows(ANSWERS, &[]).await).await.unwrap();
    rows.iter().map(|row| (row.text(0).unwrap(), row.bytes(1).unwrap())).collect()
}

fn run_in(answer: &[u8]) -> RunId {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    answer["run"]["id"].as_str().unwrap().parse().unwrap()
}

/// All rows of all chains, each held against the one before.
async fn chains(db: &Db, wrong: &mut Vec<String>) -> Vec<Entry> {
    let mut all = Vec::new();
    for team in db.read(async |tx| teams::all(tx).await).await.unwrap() {
        let mut last = (0, BEGINNING);
        loop {
            let page = db.read(async |tx| audit::page(tx, team.id, last.0, PAGE).await).await.unwrap();
            if page.is_empty() {
                break;
            }
            for entry in page {
                if !entry.follows(last) {
                    wrong.push(format!("row {} of the audit chain does not follow row {}", entry.seq, last.0));
                }
                last = (entry.seq, entry.hash);
                all.push(entry);
            }
        }
    }
    all
}
