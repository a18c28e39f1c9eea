//! Those who use the API of the nodes: they start runs, write to them, stop them, answer what they ask, and remember what they were told of it.
//! Each request does what the server's handler of it does.

use std::sync::Arc;

use domain::human_requests::{Answer, Kind, Stage};
use domain::runs::{Event, Said};
use domain::sandboxes::Sandbox;
use domain::{RunId, TeamId, Timestamp};
use serde_json::Map;
use storage::runs::NewRun;
use storage::{Bell, Db, StoreError, Tx, human_requests, runs, sandboxes, work};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::model::KINDS;
use crate::plan::NODES;
use crate::sim::Sim;

/// They come one by one, while the storm lasts; answers those whose end may be waited for.
pub(crate) fn come(sim: &Arc<Sim>) -> Vec<JoinHandle<()>> {
    let mut clients = vec![];
    for number in 0..sim.plan.runs {
        let sim = Arc::clone(sim);
        clients.push(tokio::spawn(async move {
            sim.pause(sim.plan.storm_ms / 2).await;
            start(&sim, number).await;
        }));
    }
    for _request in 0..3 * sim.plan.runs {
        let sim = Arc::clone(sim);
        clients.push(tokio::spawn(async move {
            sim.pause(sim.plan.storm_ms).await;
            let run = {
                let book = sim.book();
                let some = sim.chance.index(book.accepted.len().max(1));
                book.accepted.get(some).copied()
            };
            let Some(run) = run else { return };
            match sim.chance.below(8) {
                0..=2 => say(&sim, run).await,
                3 | 4 => stop(&sim, run).await,
                _ => answer(&sim, run).await,
            }
        }));
    }
    clients
}

/// Answers whatever is still asked.
pub(crate) async fn answer_all(sim: &Arc<Sim>) {
    let all = sim.book().accepted.clone();
    for run in all {
        answer(sim, run).await;
    }
}

/// A node that is up, as its clients see it.
struct Door {
    db: Db,
    bell: Bell,
    now: Timestamp,
}

fn door(sim: &Sim) -> Option<Door> {
    let first = sim.chance.index(NODES);
    (0..NODES).map(|next| (first + next) % NODES).find_map(|node| {
        let state = sim.nodes[node].state();
        let now = Timestamp(sim.time().0 + sim.plan.skews[node]);
        Some(Door { db: state.db.clone()?, bell: state.bell.clone(), now })
    })
}

impl Door {
    async fn write<T: Send + 'static>(
        &self,
        run: RunId,
        job: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let held = async move |tx: &mut Tx<'_>| {
            work::hold(tx, run).await?;
            job(tx).await
        };
        let written = self.db.write(held).await?;
        self.bell.ring_work();
        self.bell.ring_run(run.0);
        Ok(written)
    }
}

fn team_of(sim: &Sim, run: RunId) -> Option<TeamId> {
    sim.book().told.get(&run.0.to_string()).and_then(|told| told.team.parse().ok()).map(TeamId)
}

async fn start(sim: &Arc<Sim>, number: u64) {
    let Some(door) = door(sim) else { return };
    let (now, id) = (door.now, RunId(sim.id(door.now)));
    let teams: Vec<TeamId> = sim.teams().collect();
    let team = sim.chance.pick(&teams);
    let (agent, build) = Sim::assignment(team);
    let kind = sim.chance.pick(&KINDS);
    let sandbox = Sandbox {
        id: format!("sbx_{}", id.0.simple()),
        team,
        created_at: now,
        expires_at: now.plus_ms(1_000 * 86_400_000),
    };
    let new = NewRun {
        id,
        agent,
        build,
        sandbox: sandbox.id.clone(),
        title: kind.into(),
        source: "api",
        webhook: sim.chance.one_in(2).then(|| ("https://example.com/hook".into(), "https://example.com".into())),
        message: Some(Said { id: sim.id(now), text: format!("{kind} {number}") }),
        created_at: now,
    };
    sim.book().numbers.insert(number.to_string(), id);
    let accept = async move |tx: &mut Tx<'_>| {
        sandboxes::insert(tx, &sandbox).await?;
        runs::insert(tx, team, new).await
    };
    if door.write(id, accept).await.is_ok() {
        let mut book = sim.book();
        book.counts.runs += 1;
        book.accepted.push(id);
    }
}

async fn say(sim: &Arc<Sim>, run: RunId) {
    let (Some(door), Some(team)) = (door(sim), team_of(sim, run)) else { return };
    let (now, id) = (door.now, sim.id(door.now));
    let tell = async move |tx: &mut Tx<'_>| {
        let takes = runs::get(tx, team, run).await?.is_some_and(|run| run.status.takes_messages());
        if takes {
            let said = Event::MessageReceived(Said { id, text: format!("news {id}") });
            runs::tell(tx, team, run, &said, now).await?;
        }
        Ok(takes)
    };
    if door.write(run, tell).await == Ok(true) {
        let mut book = sim.book();
        book.counts.messages += 1;
        book.told.entry(run.0.to_string()).or_default().acknowledged.insert(id.to_string());
    }
}

async fn stop(sim: &Arc<Sim>, run: RunId) {
    let (Some(door), Some(team)) = (door(sim), team_of(sim, run)) else { return };
    let now = door.now;
    let stop = async move |tx: &mut Tx<'_>| {
        let live = runs::get(tx, team, run).await?.is_some_and(|run| run.completed_at.is_none());
        if live {
            runs::tell(tx, team, run, &Event::Interrupted { by: "stop_request".into() }, now).await?;
        }
        Ok(live)
    };
    if door.write(run, stop).await == Ok(true) {
        let mut book = sim.book();
        book.counts.stops += 1;
        book.told.entry(run.0.to_string()).or_default().stopped = true;
    }
}

/// Answers what the run asks, if it does; often two do at once.
async fn answer(sim: &Arc<Sim>, run: RunId) {
    let (Some(door), Some(team)) = (door(sim), team_of(sim, run)) else { return };
    let asked = door.db.read::<_, StoreError, _>(async |tx| human_requests::pending(tx, team, run).await).await;
    let Ok(Some(asked)) = asked else { return };
    let person = async || {
        sim.pause(500).await;
        respond(sim, team, run, asked.request.id).await;
    };
    if sim.chance.one_in(2) {
        tokio::join!(biased; person(), person());
    } else {
        person().await;
    }
}

async fn respond(sim: &Arc<Sim>, team: TeamId, run: RunId, id: Uuid) {
    let Some(door) = door(sim) else { return };
    let (now, yes) = (door.now, sim.chance.one_in(2));
    let job = async move |tx: &mut Tx<'_>| {
        let (Some(row), Some(stored)) =
            (runs::get(tx, team, run).await?, human_requests::get(tx, team, run, id).await?)
        else {
            return Ok(false);
        };
        let inbox: Vec<Event> = runs::inbox(tx, run, 0).await?.into_iter().map(|(_, event)| event).collect();
        let stage = match (&stored.response, stored.closed_at) {
            (Some(_), _) => Stage::Answered,
            (None, Some(_)) => Stage::Overtaken,
            (None, None) => Stage::Open,
        };
        if stage.found(row.status, &inbox) != Stage::Open {
            return Ok(false);
        }
        let none = Map::new();
        let answers = (stored.request.kind == Kind::Question).then_some(&none);
        let response = stored
            .request
            .accept(Answer { approved: answers.is_none().then_some(yes), answers, ..Answer::default() })
            .unwrap();
        if !human_requests::answer(tx, team, run, id, &response.text(), now).await? {
            return Ok(false);
        }
        runs::tell(tx, team, run, &Event::PersonAnswered { request_id: id, response }, now).await?;
        Ok(true)
    };
    if door.write(run, job).await == Ok(true) {
        let mut book = sim.book();
        book.counts.answers += 1;
        *book.told.entry(run.0.to_string()).or_default().answered.entry(id).or_default() += 1;
    }
}
