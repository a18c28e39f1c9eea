//! Where writing transactions run: on one thread of their own, side by side.
//!
//! A job ends whether or not its caller still waits, as on SQLite, and what it holds need not travel between threads. There is no group commit
//! here: the server gathers the syncs of all sessions by itself.

use std::any::Any;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;

use super::connect::{LONG_DEADLINE, Pooler, PostgresSettings};
use super::trouble::{doubtful, lost};
use super::{Access, begin};
use crate::db::error::StoreError;
use crate::db::tx::Tx;

/// Jobs that may wait before their callers are made to wait with them.
const QUEUE: usize = 4_096;

/// The door to the thread, which ends when the door is closed or dropped.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    patience: Duration,
}

type Job = Box<dyn FnOnce(Pool, Pooler) -> LocalBoxFuture<'static, ()> + Send>;

enum Message {
    Job(Job),
    /// No more jobs; answered when those that were asked for have ended.
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread with up to `places` connections, for which a job waits `patience` at most.
    pub(super) fn start(
        name: &str,
        settings: &PostgresSettings,
        places: usize,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (pool, pooler) = (settings.pool(places)?, settings.pooler);
        let failed = |error| StoreError::Setup(format!("no thread for the database: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || LocalSet::new().block_on(&runtime, serve(waiting, pool, pooler, places)))
            .map_err(failed)?;
        Ok(Self { queue, patience })
    }

    /// Queues a job and waits for its commit, which must come within `deadline` of its beginning. A job that cannot begin in time is
    /// taken back.
    pub(super) async fn write<T, E, F>(&self, job: F, deadline: Duration) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, mut answer) = oneshot::channel();
        // Whoever takes the job out decides: the thread that it is done, the caller that it never is.
        let slot = Arc::new(Mutex::new(Some(job)));
        let own = Arc::clone(&slot);
        let job: Job = Box::new(move |pool, pooler| {
            let job = take(&slot);
            Box::pin(async move {
                let Some(job) = job else { return };
                let reply = Cell::new(Some(reply));
                // The caller may have stopped waiting; what it asked for is done all the same.
                let answer = |outcome| drop(reply.take().map(|reply| reply.send(outcome)));
                answer(transact(&pool, pooler, job, deadline, &answer).await);
            })
        });
        let queued = async {
            self.queue.send(Message::Job(job)).await.map_err(|_| StoreError::Closed)?;
            Ok::<_, StoreError>((&mut answer).await)
        };
        let answered = match tokio::time::timeout(self.patience, queued).await {
            Ok(answered) => answered?,
            Err(_late) if take(&own).is_some() => {
                let why = "no connection to the database came free in time";
                return Err(StoreError::Unreachable(why.to_owned()).into());
            }
            Err(_late) => answer.await,
        };
        answered.unwrap_or_else(|_dropped| Err(StoreError::Closed.into()))
    }

    /// Lets the thread finish what was asked for.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            // An error means that the thread has ended in another way: closed as well.
            let _ended = closed.await;
        }
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

async fn serve(mut waiting: mpsc::Receiver<Message>, pool: Pool, pooler: Pooler, places: usize) {
    let free = Arc::new(Semaphore::new(places));
    let mut closing = Vec::new();
    while let Some(message) = waiting.recv().await {
        match message {
            Message::Job(job) => {
                // Never closed, so there is always a place in the end.
                let place = Arc::clone(&free).acquire_owned().await;
                let running = job(pool.clone(), pooler);
                tokio::task::spawn_local(async move {
                    running.await;
                    drop(place);
                });
            }
            Message::Close(reply) => {
                waiting.close();
                closing.push(reply);
            }
        }
    }
    drop(free.acquire_many(u32::try_from(places).unwrap_or(u32::MAX)).await);
    pool.close();
    for reply in closing {
        let _gone = reply.send(());
    }
}

/// `answer` is for whoever has one before the end: nobody, unless sabotaged, and even then nobody who would not start without it.
async fn transact<T, E, F>(
    pool: &Pool,
    pooler: Pooler,
    job: F,
    deadline: Duration,
    answer: &dyn Fn(Result<T, E>),
) -> Result<T, E>
where
    F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
    E: From<StoreError>,
{
    let mut client = pool.get().await.map_err(|error| lost(&error))?;
    let committing = Cell::new(false);
    let answer = (deadline < LONG_DEADLINE).then_some(answer);
    let done = tokio::time::timeout(deadline, on(&mut client, pooler, job, &committing, answer)).await;
    done.unwrap_or_else(|_late| {
        // It may answer at any later time: nobody may have it again.
        drop(Object::take(client));
        let why = "the database did not answer in time".to_owned();
        Err(if committing.get() { StoreError::InDoubt(why) } else { StoreError::Unreachable(why) }.into())
    })
}

async fn on<T, E, F>(
    client: &mut Object,
    pooler: Pooler,
    job: F,
    committing: &Cell<bool>,
    answer: Option<&dyn Fn(Result<T, E>)>,
) -> Result<T, E>
where
    F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E>,
    E: From<StoreError>,
{
    let begun = begin(client, Access::Write, pooler).await?;
    faults::point("postgres.begun");
    let mut tx = Tx::postgres(&begun);
    // Unwind safe, because what the job touched is rolled back.
    let outcome = AssertUnwindSafe(job(&mut tx)).catch_unwind().await;
    let fault = tx.fault();
    let done = match outcome {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            // Whoever hears of the error may come again at once: what it had locked is free by then. Where this fails, dropping it does the same later.
            let _ = begun.transaction.rollback().await;
            return Err(error);
        }
        Err(panic) => return Err(StoreError::Panicked(message(panic.as_ref())).into()),
    };
    if let Some(error) = fault {
        // After a failed statement the server rolls back whatever the commit says: a job that overlooked it must not believe in it.
        return Err(error.into());
    }
    faults::point("postgres.ran");
    if faults::fails("postgres.commit") {
        return Err(StoreError::Unreachable("a fault that was asked for".into()).into());
    }
    committing.set(true);
    if let Some(answer) = answer.filter(|_| crate::sabotage::answers_early(4)) {
        answer(Ok(done));
        tokio::time::sleep(Duration::from_millis(60)).await;
        let ended = begun.transaction.commit().await;
        // It was answered already: nobody hears this.
        return Err(ended.map_or_else(|error| doubtful(&error), |()| StoreError::Closed).into());
    }
    begun.transaction.commit().await.map_err(|error| doubtful(&error))?;
    faults::point("postgres.committed");
    Ok(done)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message").to_owned()
}
