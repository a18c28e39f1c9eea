//! What people do while things break: they start Jobs, write to them, stop some, answer what they are asked, and remember what they were told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::{RunId, Timestamp};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::{Api, Started};
use crate::chance::Chance;
use crate::job::Kind;
use crate::streams::Followed;

/// One run in so many is followed from its start, and so is every one that takes long.
const FOLLOWED: usize = 8;
/// How long a start may take to be acknowledged: longer than any database here is gone.
const START: Duration = Duration::from_mins(2);

/// What was acknowledged: all of it must be there afterwards.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) runs: HashMap<RunId, Kind>,
    /// Starts that can be sent again, by their `Idempotency-Key`.
    pub(crate) starts: HashMap<String, Started>,
    /// Messages of each run, in the order of their acknowledgement.
    pub(crate) said: HashMap<RunId, Vec<String>>,
    /// Each is asked to stop once at most.
    pub(crate) stopped: HashMap<RunId, Stop>,
    /// Requests that somebody heard to be answered.
    pub(crate) answered: Vec<(RunId, String)>,
    /// Those who follow runs.
    pub(crate) readers: Mutex<JoinSet<Followed>>,
    /// What people could not bear, one sentence each.
    pub(crate) broken: Vec<String>,
}

/// What became of a request to stop, as far as whoever asked can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody answered: it may have been heard or not.
    Asked,
    /// The run is being stopped.
    Taken,
    /// It was over already, at this time at the latest.
    TooLate(Timestamp),
}

/// People at work. They stop when this is dropped.
pub(crate) struct Storm {
    starting: JoinHandle<()>,
    person: Person,
}

/// Somebody at work, who may ask others to help.
#[derive(Clone)]
struct Person {
    api: Api,
    chance: Arc<Chance>,
    told: Arc<Mutex<Told>>,
    others: Arc<Mutex<JoinSet<()>>>,
}

impl Storm {
    /// People who want `runs` runs, a moment between two of them, and answer questions until the end.
    pub(crate) fn begin(api: &Api, agent: &str, runs: usize, pause_ms: u64, chance: &Arc<Chance>) -> Self {
        let (api, chance) = (api.clone(), Arc::clone(chance));
        let person = Person { api, chance, told: Arc::default(), others: Arc::default() };
        person.others.lock().unwrap().spawn(person.clone().answer());
        Self { starting: tokio::spawn(person.clone().start(agent.to_owned(), runs, pause_ms)), person }
    }

    /// Whether runs are still wanted.
    pub(crate) fn goes_on(&self) -> bool {
        !self.starting.is_finished()
    }

    /// Waits for the last run to be accepted.
    pub(crate) async fn all_accepted(&self) {
        while self.goes_on() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; what was acknowledged. Those who follow a run go on until the judge asks them.
    pub(crate) async fn end(self) -> Told {
        // A message whose answer is on its way is heard of.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.starting.abort();
        let mut others = std::mem::take(&mut *self.person.others.lock().unwrap());
        others.abort_all();
        let mut ends = vec![self.starting.await];
        while let Some(end) = others.join_next().await {
            ends.push(end);
        }
        let mut told = std::mem::take(&mut *self.person.told.lock().unwrap());
        let broken = ends.into_iter().filter_map(Result::err).filter(|end| !end.is_cancelled());
        told.broken.extend(broken.map(|why| format!("somebody at work had to give up: {why}")));
        told
    }
}

impl Person {
    /// Each start has a key of its own, and is sent again with it until it is acknowledged.
    async fn start(self, agent: String, runs: usize, pause_ms: u64) {
        for number in 0..runs {
            let kind = match self.chance.below(20) {
                0 => Kind::Endless,
                1..=4 => Kind::Ask,
                _ => Kind::Steps,
            };
            let key = format!("start-{number}");
            let started = self.insist(&agent, kind, &key).await;
            let run = started.run;
            {
                let mut told = self.told.lock().unwrap();
                told.runs.insert(run, kind);
                told.starts.insert(key.clone(), started);
                if kind == Kind::Endless || number % FOLLOWED == 0 {
                    told.readers.get_mut().unwrap().spawn(self.api.clone().follow(run));
                }
            }
            match self.chance.below(20) {
                0..=2 => self.ask(self.clone().talk(run)),
                3 => self.ask(self.clone().stop(run, self.chance.millis(0, 400))),
                4 => self.ask(self.clone().again(agent.clone(), kind, key)),
                _ => {}
            }
            tokio::time::sleep(self.chance.millis(0, 2 * pause_ms)).await;
        }
    }

    /// Starts a run, however often it must be asked for.
    async fn insist(&self, agent: &str, kind: Kind, key: &str) -> Started {
        let began = Instant::now();
        loop {
            if let Some(started) = self.api.start_once(agent, kind, key).await {
                return started;
            }
            assert!(began.elapsed() < START, "{key} was not acknowledged within {START:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a start again that was acknowledged; nothing may come of it but the same answer.
    async fn again(self, agent: String, kind: Kind, key: String) {
        tokio::time::sleep(self.chance.millis(0, 1_000)).await;
        let Some(again) = self.api.start_once(&agent, kind, &key).await else { return };
        let mut told = self.told.lock().unwrap();
        if told.starts.get(&key) != Some(&again) {
            told.broken.push(format!("{key} was started again under the same Idempotency-Key, as {}", again.run));
        }
    }

    /// A few words, each after the one before was acknowledged.
    async fn talk(self, run: RunId) {
        for word in 0..=self.chance.below(3) {
            tokio::time::sleep(self.chance.millis(0, 200)).await;
            if let Some(id) = self.api.say(run, &format!("word {word}")).await {
                self.told.lock().unwrap().said.entry(run).or_default().push(id);
            }
        }
    }

    async fn stop(self, run: RunId, after: Duration) {
        tokio::time::sleep(after).await;
        // Whether it was heard or not: it may have been.
        self.told.lock().unwrap().stopped.insert(run, Stop::Asked);
        let heard = self.api.stop(run).await;
        self.told.lock().unwrap().stopped.insert(run, heard);
    }

    async fn answer(self) {
        loop {
            for run in self.api.with_status("waiting").await {
                if let Some(request) = self.api.approve(run).await {
                    self.told.lock().unwrap().answered.push((run, request));
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn ask(&self, what: impl Future<Output = ()> + Send + 'static) {
        self.others.lock().unwrap().spawn(what);
    }
}
