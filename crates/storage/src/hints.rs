//! Rings on their way between the nodes of one PostgreSQL: `LISTEN` and `NOTIFY` on a connection of their own.
//!
//! Hints only. They leave after the commit that they are about, gathered for a few milliseconds, because a `NOTIFY` within a transaction makes
//! all commits of the database wait for each other. What is lost, behind a pooler or while the connection is away, is found by the slow polls.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use crate::bell::{Bell, Rings};
use crate::db::{Db, Pooler, PostgresSettings, StoreError};

const CHANNEL: &str = "errand";
const LISTEN: &str = "LISTEN errand";
const NOTIFY: &str = "SELECT pg_notify($1, $2)";
const OWN: &str = "SELECT pg_backend_pid()";
/// Rings gather for so long: a burst of commits is one notification.
const GATHER: Duration = Duration::from_millis(2);
/// How long the server may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(10);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// A connection that says nothing for so long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(20);
/// Runs named in one notification, which may hold 8,000 bytes.
const RUNS: usize = 200;

/// Carries rings both ways until it is dropped. Returns at once where there are no other nodes, or no way to reach them.
pub async fn carry(db: Db, bell: Bell) {
    let Some(settings) = db.server() else { return };
    if settings.pooler == Pooler::Transaction {
        tracing::info!("behind a transaction pooler news of other nodes come by polling only");
        return;
    }
    let mut quiet = false;
    loop {
        let Err(error) = connected(settings, &bell).await;
        bell.carry(false);
        if !std::mem::replace(&mut quiet, true) {
            tracing::warn!(%error, "news of other nodes come by polling only, until the database is reached again");
        }
        tokio::time::sleep(PAUSE).await;
        quiet = quiet && matches!(error, StoreError::Unreachable(_));
    }
}

async fn connected(settings: &PostgresSettings, bell: &Bell) -> Result<std::convert::Infallible, StoreError> {
    let (client, mut connection) = settings.alone().await?;
    let failed = |error: tokio_postgres::Error| StoreError::Unreachable(error.to_string());
    let (heard, mut hearing) = tokio::sync::mpsc::unbounded_channel();
    // The connection moves only while it is polled, also for our own statements.
    let driving = async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(note) = message.map_err(failed)? {
                // The receiver goes only when all of this does.
                let _gone = heard.send((note.process_id(), note.payload().to_owned()));
            }
        }
        Err::<std::convert::Infallible, _>(StoreError::Unreachable("the database closed the connection".into()))
    };
    let talking = async {
        client.batch_execute(LISTEN).await.map_err(failed)?;
        let own: i32 = client.query_one(OWN, &[]).await.map_err(failed)?.get(0);
        bell.carry(true);
        // Whatever was rung while nobody listened.
        bell.ring_all_here();
        loop {
            tokio::select! {
                note = hearing.recv() => match note {
                    Some((from, payload)) if from != own => ring(bell, &payload),
                    Some(_) => {}
                    None => return Err(StoreError::Closed),
                },
                rings = bell.outgoing() => {
                    tokio::time::sleep(GATHER).await;
                    tell(&client, bell, rings).await.map_err(failed)?;
                }
                () = tokio::time::sleep(QUIET) => {
                    let alive = tokio::time::timeout(ANSWER, client.batch_execute("")).await;
                    alive.map_err(|_| StoreError::Unreachable("the listening connection does not answer".into()))?.map_err(failed)?;
                }
            }
        }
    };
    let (driving, talking) = (pin!(driving), pin!(talking));
    tokio::select! {
        ended = driving => ended,
        ended = talking => ended,
    }
}

async fn tell(client: &Client, bell: &Bell, mut rings: Rings) -> Result<(), tokio_postgres::Error> {
    // What was rung while these gathered goes with them.
    rings.merge(bell.gathered());
    let runs: Vec<String> = rings.runs.iter().map(|run| run.simple().to_string()).collect();
    let mut work = rings.work;
    let mut batches = runs.chunks(RUNS);
    loop {
        let batch = batches.next().unwrap_or_default();
        if batch.is_empty() && !work {
            return Ok(());
        }
        let payload = format!("{} {}", if std::mem::take(&mut work) { "work" } else { "-" }, batch.join(","));
        client.query_one(NOTIFY, &[&CHANNEL, &payload]).await?;
    }
}

/// What another node rang. A payload that is not ours rings nothing.
fn ring(bell: &Bell, payload: &str) {
    let (work, runs) = payload.split_once(' ').unwrap_or((payload, ""));
    if work == "work" {
        bell.ring_work_here();
    }
    for run in runs.split(',').filter_map(|run| Uuid::try_parse(run).ok()) {
        bell.ring_here(run);
    }
}
