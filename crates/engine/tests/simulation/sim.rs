//! One simulation: its time, its database, its nodes, and the book of all that happened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::agents::Agent;
use domain::{AgentId, BuildId, TeamId, Timestamp};
use serde_json::json;
use storage::builds::NewBuild;
use storage::{Clock, Db, MIGRATIONS, StoreError, Tx, agents, builds, teams};
use tokio::time::Instant;
use uuid::Uuid;

use crate::book::Book;
use crate::chance::Chance;
use crate::node::Node;
use crate::plan::{NODES, Plan};
use crate::{clients, judge, storm, watch};

/// When every simulation begins.
const START: Timestamp = Timestamp(1_764_000_000_000);

pub(crate) struct Sim {
    pub(crate) chance: Chance,
    pub(crate) plan: Plan,
    /// In fair weather, for whoever watches.
    pub(crate) db: Db,
    pub(crate) nodes: [Node; NODES],
    began: Instant,
    drawn: AtomicU64,
    book: Mutex<Book>,
}

impl Sim {
    /// Lets the seed's whole time pass; answers what was seen.
    pub(crate) async fn run(seed: u64) -> Book {
        let chance = Chance::new(seed);
        let plan = Plan::draw(&chance);
        let began = Instant::now();
        let clock: Clock = Arc::new(move || START.plus_ms(passed(began)));
        let db = Db::in_memory(&clock).unwrap();
        let nodes = std::array::from_fn(Node::new);
        let book = Mutex::new(Book::new(&plan));
        let sim = Arc::new(Self { chance, plan, db, nodes, began, drawn: AtomicU64::new(0), book });
        sim.furnish().await;
        watch::begin(&sim.db).await;
        for node in 0..NODES {
            sim.start(node);
        }
        let clients = clients::come(&sim);
        storm::rage(&sim).await;
        for client in clients {
            client.await.unwrap();
        }
        sim.calm_down().await;
        judge::all(&sim).await;
        let mut book = sim.book();
        book.counts.simulated_ms = sim.now();
        std::mem::take(&mut *book)
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        passed(self.began)
    }

    /// The time by the database's clock.
    pub(crate) fn time(&self) -> Timestamp {
        START.plus_ms(self.now())
    }

    /// An id that nobody else has, in this simulation and in its repetition.
    pub(crate) fn id(&self, at: Timestamp) -> Uuid {
        let mut count = [0; 10];
        count[2..].copy_from_slice(&self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(at.0).unwrap(), &count).into_uuid()
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    pub(crate) fn teams(&self) -> impl Iterator<Item = TeamId> {
        (1..=self.plan.teams as u128).map(|team| TeamId(Uuid::from_u128(team)))
    }

    pub(crate) fn assignment(team: TeamId) -> (AgentId, BuildId) {
        (AgentId(Uuid::from_u128(team.0.as_u128() + 100)), BuildId(Uuid::from_u128(team.0.as_u128() + 200)))
    }

    async fn furnish(&self) {
        self.db.migrate(MIGRATIONS, START.0).await.unwrap();
        for team in self.teams() {
            let (agent, build) = Self::assignment(team);
            let assignment = Agent { id: agent, team, name: "worker".into(), created_at: START, updated_at: START };
            let new = NewBuild {
                id: build,
                agent,
                name: "build".into(),
                config: json!({ "version": "v1", "data": { "model": "scripted", "input": "Do it.", "files": [], "skills": [] } })
                    .to_string(),
                submitted: "{}".into(),
                sealed: None,
                created_at: START,
            };
            let furnish = async move |tx: &mut Tx<'_>| {
                teams::insert(tx, team, "team", START).await?;
                agents::insert(tx, &assignment).await?;
                builds::insert(tx, team, new).await
            };
            self.db.write::<_, StoreError, _>(furnish).await.unwrap();
        }
    }

    /// Waits until every run is at rest, answers what is still asked, and waits again; then drains all nodes.
    async fn calm_down(self: &Arc<Self>) {
        // Twenty minutes between the clocks of two nodes may make one of them wait that much longer, several times.
        const PATIENCE: u64 = 4 * 3_600_000;
        for _round in 0..4 {
            let until = self.now() + PATIENCE;
            while !watch::at_rest(&self.db).await && self.now() < until {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            if self.chance.one_in(2) {
                break;
            }
            clients::answer_all(self).await;
        }
        let until = self.now() + PATIENCE;
        while !watch::at_rest(&self.db).await && self.now() < until {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        for node in 0..NODES {
            self.drain(node, Duration::from_secs(5)).await;
        }
    }
}

fn passed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap()
}
