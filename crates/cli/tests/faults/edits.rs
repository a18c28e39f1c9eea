//! People whose Jobs edit a large file again and again, so that whatever happens to a worker happens to it between reading and replacing. Each edit
//! adds a line of its own: the file says which of them were made, and a worker that comes back too late takes away what its successor added.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::RunId;
use testkit::checker::ledger_violations;
use tokio::task::JoinSet;

use crate::api::Api;
use crate::job::{BOOK, BOOK_PATH, Kind, MARK};

/// Jobs at a time.
const EDITORS: usize = 4;
/// How large the file is at first, in bytes: large enough to take a while.
const SIZE: usize = 4 * 1024 * 1024;
/// What it is full of.
const FILLER: &str = "nothing of interest stands in this line of the book, nor in the next\n";

/// People at work.
pub(crate) struct Editors {
    working: JoinSet<Vec<RunId>>,
    enough: Arc<AtomicBool>,
}

impl Editors {
    /// A few people, each of whom starts a Job, waits for its end and starts the next one.
    pub(crate) async fn begin(api: &Api) -> Self {
        let mut book = FILLER.repeat(SIZE / FILLER.len());
        book.push_str(MARK);
        api.put_file(BOOK, book).await;
        let agent = api.create_editor().await;
        let enough = Arc::new(AtomicBool::new(false));
        let mut working = JoinSet::new();
        for editor in 0..EDITORS {
            working.spawn(work(api.clone(), agent.clone(), editor, Arc::clone(&enough)));
        }
        Self { working, enough }
    }

    /// Ends it once their last Jobs are over; what is wrong with the files, and how many Jobs there were.
    pub(crate) async fn judge(self, api: &Api) -> (usize, Vec<String>) {
        self.enough.store(true, Ordering::Relaxed);
        let runs: Vec<RunId> = self.working.join_all().await.into_iter().flatten().collect();
        (runs.len(), misprints(api, &runs).await)
    }
}

/// What is wrong with the books of these runs.
pub(crate) async fn misprints(api: &Api, runs: &[RunId]) -> Vec<String> {
    let mut wrong = Vec::new();
    for run in runs {
        let (seen, book) = (api.look(*run).await, api.file_of(*run, BOOK_PATH).await);
        wrong.extend(ledger_violations(&seen, &book).into_iter().map(|wrong| format!("{run}: {wrong}")));
    }
    wrong
}

async fn work(api: Api, agent: String, editor: usize, enough: Arc<AtomicBool>) -> Vec<RunId> {
    let mut runs = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let key = format!("editor-{editor}-{}", runs.len());
        if let Some(started) = api.start_once(&agent, Kind::Edits, &key).await {
            api.over(started.run).await;
            runs.push(started.run);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    runs
}
