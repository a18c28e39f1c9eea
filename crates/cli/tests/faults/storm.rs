//! What people do while things break: they start Jobs, write to them, stop some, answer what they are asked, and remember what they were told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{RunId, Timestamp};

use crate::api::Api;
use crate::chance::Chance;
use crate::job::Kind;

/// What was acknowledged: all of it must be there afterwards.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) runs: HashMap<RunId, Kind>,
    /// Messages of each run, in the order of their acknowledgement.
    pub(crate) said: HashMap<RunId, Vec<String>>,
    /// Each is asked to stop once at most.
    pub(crate) stopped: HashMap<RunId, Stop>,
    /// Requests that somebody heard to be answered.
    pub(crate) answered: Vec<(RunId, String)>,
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
    told: Arc<Mutex<Told>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Storm {
    /// People who want `runs` runs, a moment between two of them, and answer questions until the end.
    pub(crate) fn begin(api: &Api, agent: &str, runs: usize, pause_ms: u64, chance: &Arc<Chance>) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let starting = start(api.clone(), agent.to_owned(), runs, pause_ms, Arc::clone(chance), Arc::clone(&told));
        let answering = answer(api.clone(), Arc::clone(&told));
        Self { told, tasks: vec![tokio::spawn(starting), tokio::spawn(answering)] }
    }

    /// How many runs were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.told.lock().unwrap().runs.len()
    }

    /// Waits for the last run to be accepted.
    pub(crate) async fn all_accepted(&self, runs: usize) {
        while self.accepted() < runs {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; what was acknowledged.
    pub(crate) async fn end(self) -> Told {
        // A message whose answer is on its way is heard of.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

async fn start(api: Api, agent: String, runs: usize, pause_ms: u64, chance: Arc<Chance>, told: Arc<Mutex<Told>>) {
    while told.lock().unwrap().runs.len() < runs {
        let kind = match chance.below(20) {
            0 => Kind::Endless,
            1..=4 => Kind::Ask,
            _ => Kind::Steps,
        };
        let Some(run) = api.start_run(&agent, kind).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        told.lock().unwrap().runs.insert(run, kind);
        match chance.below(20) {
            0..=2 => drop(tokio::spawn(talk(api.clone(), run, Arc::clone(&chance), Arc::clone(&told)))),
            3 => drop(tokio::spawn(stop(api.clone(), run, chance.millis(0, 400), Arc::clone(&told)))),
            _ => {}
        }
        tokio::time::sleep(chance.millis(0, 2 * pause_ms)).await;
    }
}

/// A few words, each after the one before was acknowledged.
async fn talk(api: Api, run: RunId, chance: Arc<Chance>, told: Arc<Mutex<Told>>) {
    for word in 0..=chance.below(3) {
        tokio::time::sleep(chance.millis(0, 200)).await;
        if let Some(id) = api.say(run, &format!("word {word}")).await {
            told.lock().unwrap().said.entry(run).or_default().push(id);
        }
    }
}

async fn stop(api: Api, run: RunId, after: Duration, told: Arc<Mutex<Told>>) {
    tokio::time::sleep(after).await;
    // Whether it was heard or not: it may have been.
    told.lock().unwrap().stopped.insert(run, Stop::Asked);
    let heard = api.stop(run).await;
    told.lock().unwrap().stopped.insert(run, heard);
}

async fn answer(api: Api, told: Arc<Mutex<Told>>) {
    loop {
        for run in api.with_status("waiting").await {
            if let Some(request) = api.approve(run).await {
                told.lock().unwrap().answered.push((run, request));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
