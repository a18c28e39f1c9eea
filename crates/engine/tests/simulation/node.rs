//! A node: an engine with a bell and a clock of its own, and what happens to it. Each start is a new life; a life that was abandoned is never
//! heard of again.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use agent::tools::pdf::PdfReader;
use agent::workspace::Workspaces;
use domain::{Ambient, Timestamp};
use engine::{Engine, LETTING_GO, Parts};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use storage::{Bell, Db, StoreError, Weather};
use uuid::Uuid;

use crate::model::Scripted;
use crate::sim::Sim;
use crate::tools::Tools;
use crate::watch;

/// One life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) node: usize,
    pub(crate) life: u32,
}

/// What the way to the store is like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sky {
    Clear,
    /// Each transaction waits up to so many milliseconds, before and after.
    Slow(u64),
    /// One in so many goes wrong.
    Rough(u64),
    /// The disk is full.
    Full,
    /// No answer ever comes; a caller is told after so many milliseconds.
    Cut(u64),
}

pub(crate) struct Node(Mutex<State>);

pub(crate) struct State {
    pub(crate) engine: Option<Engine>,
    pub(crate) who: Who,
    pub(crate) bell: Bell,
    pub(crate) db: Option<Db>,
    /// Nothing moves before then.
    pub(crate) frozen_until: u64,
    pub(crate) sky: Sky,
    pub(crate) sky_until: u64,
    /// Since when it is up, and all that it asked for in worse times has come back.
    pub(crate) sound_since: u64,
    /// Since when nothing that it asks for is refused, however long it takes.
    pub(crate) heard_since: u64,
    /// Transactions in this millisecond: a loop that never waits would stop the time.
    burst: (u64, u32),
}

impl Node {
    pub(crate) fn new(node: usize) -> Self {
        Self(Mutex::new(State {
            engine: None,
            who: Who { node, life: 0 },
            bell: Bell::default(),
            db: None,
            frozen_until: 0,
            sky: Sky::Clear,
            sky_until: 0,
            sound_since: 0,
            heard_since: 0,
            burst: (0, 0),
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Sim {
    /// A new life of this node.
    pub(crate) fn start(self: &Arc<Self>, node: usize) {
        let mut state = self.nodes[node].state();
        state.who.life += 1;
        state.sound_since = state.sound_since.max(self.now());
        let who = state.who;
        state.bell = Bell::default();
        let db = self.db.under(Arc::new(Under { sim: Arc::clone(self), who }));
        state.db = Some(db.clone());
        let parts = Parts {
            db,
            bell: state.bell.clone(),
            ambient: Arc::new(Here { sim: Arc::clone(self), node }),
            model: Arc::new(Scripted { sim: Arc::clone(self), who }),
            workspaces: Workspaces::new("no-files-here".into()),
            mcp: None,
            more_tools: Some(Arc::new(Tools { sim: Arc::clone(self), who })),
            pdf: PdfReader::new("no-pdf-here".into()),
            limits: self.plan.limits.clone(),
            settings: self.plan.settings.clone(),
            meters: engine::Meters::default(),
        };
        drop(state);
        let engine = Engine::start(parts);
        self.nodes[node].state().engine = Some(engine);
    }

    /// As `kill -9`.
    pub(crate) fn crash(&self, node: usize) {
        let mut state = self.nodes[node].state();
        if let Some(engine) = state.engine.take() {
            state.db = None;
            engine.abandon();
            drop(state);
            let mut book = self.book();
            book.counts.crashes += 1;
            book.note(format!("{} node {node} dies", self.now()));
        }
    }

    /// As `SIGTERM`.
    pub(crate) async fn drain(&self, node: usize, grace: Duration) {
        let engine = self.nodes[node].state().engine.take();
        if let Some(engine) = engine {
            let began = self.now();
            self.book().drained(began, node, grace);
            engine.drain(grace).await;
            let (who, heard_since, sound_since) = {
                let mut state = self.nodes[node].state();
                state.db = None;
                (state.who, state.heard_since, state.sound_since)
            };
            let took = Duration::from_millis(self.now() - began);
            if took >= grace + LETTING_GO {
                // It did not wait for ever, and it had a reason to wait that long.
                if took > grace + LETTING_GO || sound_since <= began {
                    self.book().wrong(self.now(), &format!("{who:?} took {took:?} to be drained"));
                }
            } else if heard_since <= began {
                self.book().has_let_go(self.now(), who, heard_since);
            }
        }
    }

    /// Waits while this node is frozen.
    pub(crate) async fn thaw(&self, node: usize) {
        loop {
            let until = self.nodes[node].state().frozen_until;
            match until.saturating_sub(self.now()) {
                0 => return,
                left => tokio::time::sleep(Duration::from_millis(left)).await,
            }
        }
    }

    /// Since when this node has been working undisturbed, if it is.
    pub(crate) fn sound_since(&self, node: usize) -> Option<u64> {
        let state = self.nodes[node].state();
        (state.engine.is_some() && state.sound_since <= self.now()).then_some(state.sound_since)
    }

    fn sky(&self, node: usize) -> Sky {
        let state = self.nodes[node].state();
        if self.now() < state.sky_until { state.sky } else { Sky::Clear }
    }

    /// A pause of up to so many milliseconds.
    pub(crate) async fn pause(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.chance.below(most + 1))).await;
    }
}

/// What a life sees of the store.
struct Under {
    sim: Arc<Sim>,
    who: Who,
}

impl Weather for Under {
    fn before(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.on_the_way().boxed()
    }

    fn after(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.on_the_way_back().boxed()
    }
}

impl Under {
    async fn on_the_way(&self) -> Result<(), StoreError> {
        let (sim, node) = (&self.sim, self.who.node);
        self.count();
        sim.thaw(node).await;
        match sim.sky(node) {
            Sky::Clear if sim.chance.one_in(6) => sim.pause(3).await,
            Sky::Clear => {}
            Sky::Slow(most) => sim.pause(most).await,
            Sky::Rough(times) => {
                sim.pause(20).await;
                if sim.chance.one_in(times) {
                    let errors = [
                        StoreError::Busy,
                        StoreError::Unreachable("a storm".into()),
                        StoreError::InDoubt("a storm, before the commit".into()),
                    ];
                    return Err(errors[sim.chance.index(errors.len())].clone());
                }
            }
            Sky::Full => return Err(StoreError::Full),
            Sky::Cut(told_after) => {
                tokio::time::sleep(Duration::from_millis(told_after)).await;
                return Err(StoreError::Unreachable("cut off".into()));
            }
        }
        sim.thaw(node).await;
        Ok(())
    }

    async fn on_the_way_back(&self) -> Result<(), StoreError> {
        let (sim, node) = (&self.sim, self.who.node);
        watch::committed(sim, self.who).await;
        match sim.sky(node) {
            Sky::Clear | Sky::Full => {}
            Sky::Slow(most) => sim.pause(most).await,
            Sky::Rough(times) => {
                if sim.chance.one_in(times) {
                    sim.pause(200).await;
                    return Err(StoreError::InDoubt("a storm, after the commit".into()));
                }
            }
            Sky::Cut(told_after) => {
                tokio::time::sleep(Duration::from_millis(told_after)).await;
                return Err(StoreError::InDoubt("cut off".into()));
            }
        }
        sim.thaw(node).await;
        Ok(())
    }

    fn count(&self) {
        let now = self.sim.now();
        let mut state = self.sim.nodes[self.who.node].state();
        let before = if state.burst.0 == now { state.burst.1 } else { 0 };
        state.burst = (now, before + 1);
        assert!(before < 20_000, "node {} never waits, and time stands still", self.who.node);
    }
}

/// A node's own clock: its steady time is true, its time of day may be wrong.
struct Here {
    sim: Arc<Sim>,
    node: usize,
}

impl Ambient for Here {
    fn now(&self) -> Timestamp {
        Timestamp(self.sim.time().0 + self.sim.plan.skews[self.node])
    }

    fn steady_ms(&self) -> u64 {
        self.sim.now()
    }

    fn id(&self, at: Timestamp) -> Uuid {
        self.sim.id(at)
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.sim.chance.draw().to_le_bytes()[0]);
    }
}
