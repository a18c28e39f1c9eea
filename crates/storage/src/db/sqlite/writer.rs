//! The one connection that writes, on its own thread, with group commit.
//!
//! Everything that waits is put into one transaction, because a commit costs a sync of the disk
//! whether it holds one job or a hundred. Each job has its own savepoint, always, even alone: a
//! job that errors or panics after its first insert is undone without its neighbours. Answers,
//! also bad ones, are given only after the commit: an error may rest on a neighbour's row.

use super::connect::for_writing;
use super::{at_once, control};
use crate::db::Settings;
use crate::db::error::StoreError;
use crate::db::tx::Tx;
use rusqlite::Connection;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait before their callers are made to wait with them.
const QUEUE: usize = 4_096;

/// The door to the writer's thread. The thread ends when the door is closed or dropped.
pub(in crate::db) struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Job(Box<dyn Job>),
    /// No more jobs; answered when the file is closed.
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Opens or creates the file, and starts the thread that has it.
    pub(in crate::db) fn start(settings: &Settings) -> Result<Self, StoreError> {
        let connection = for_writing(settings)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let thread = Thread { connection, waiting, settings: settings.clone(), closing: Vec::new() };
        thread::Builder::new()
            .name("errand-writer".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| StoreError::Setup(format!("no thread for the writer: {error}")))?;
        Ok(Writer { queue })
    }

    /// Queues a job and waits for the commit that holds it.
    pub(in crate::db) async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { job: Some(job), outcome: None, reply };
        if self.queue.send(Message::Job(Box::new(asked))).await.is_err() {
            return Err(StoreError::Closed.into());
        }
        answer.await.unwrap_or_else(|_dropped| Err(StoreError::Closed.into()))
    }

    /// How many jobs wait for the thread to look at them.
    #[cfg(test)]
    pub(in crate::db) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Lets the thread finish what is queued and close the file.
    pub(in crate::db) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            // An error means that the thread has ended in another way: closed as well.
            let _ended = closed.await;
        }
    }
}

/// A job whose types are forgotten, so that one queue holds them all.
trait Job: Send {
    /// Runs the statements, once. `false`: undo them.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Tells the caller, now that it is known whether the transaction was committed.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Asked<T, E, F> {
    job: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Asked<T, E, F>
where
    F: AsyncFnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(job) = self.job.take() else { return false };
        // Without the catch one bad job would end the thread, and with it every later write.
        // Unwind safe, because what the job touched is rolled back.
        let outcome = catch_unwind(AssertUnwindSafe(|| at_once(job(tx))))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(message(panic.as_ref())).into()));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Closed.into()),
            (Err(error), _) => Err(error.into()),
        };
        // The caller may have stopped waiting; what it asked for is done all the same.
        let _gone = self.reply.send(outcome);
    }
}

struct Thread {
    connection: Connection,
    waiting: mpsc::Receiver<Message>,
    settings: Settings,
    closing: Vec<oneshot::Sender<()>>,
}

impl Thread {
    fn run(mut self) {
        while let Some(message) = self.waiting.blocking_recv() {
            if let Some(first) = self.job(message)
                && self.batch(first).is_err()
            {
                return;
            }
        }
        // So that the next start, and a copy of the one file, find everything in it. If it fails
        // nothing is lost: the log is read at the next start.
        let shrunk = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
        if let Err(error) = shrunk {
            tracing::warn!(%error, "the write-ahead log stays beside the database");
        }
        drop(self.connection);
        for closing in self.closing {
            let _gone = closing.send(());
        }
    }

    /// The job in a message, if it is one. Closing refuses new messages; those already queued
    /// are still received.
    fn job(&mut self, message: Message) -> Option<Box<dyn Job>> {
        match message {
            Message::Job(job) => Some(job),
            Message::Close(reply) => {
                self.waiting.close();
                self.closing.push(reply);
                None
            }
        }
    }

    /// Commits `first` and whatever waits behind it, then answers all. An error means that the
    /// disk can no longer be trusted: write nothing more.
    fn batch(&mut self, first: Box<dyn Job>) -> Result<(), StoreError> {
        let mut jobs = vec![first];
        let committed = self.transaction(&mut jobs);
        let doubt = match &committed {
            Err(error) if error.durability_in_doubt() => Err(error.clone()),
            _ => Ok(()),
        };
        if let Err(error) = &doubt
            && !faults::sabotaged(faults::Sabotage::TrustDisk)
        {
            (self.settings.fatal)(error);
        }
        for job in jobs {
            job.answer(committed.clone());
        }
        doubt
    }

    fn transaction(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
        if let Err(error) = control(&self.connection, "BEGIN IMMEDIATE") {
            // Whoever waits now would only wait for the same thing, each a timeout longer.
            while let Some(job) = self.next(jobs.len()) {
                jobs.push(job);
            }
            return Err(error);
        }
        faults::point("sqlite.begun");
        let outcome = self.run_all(jobs).and_then(|()| self.commit(jobs));
        if outcome.is_err() && !self.connection.is_autocommit() {
            // Should this fail too, the next `BEGIN` does, and nothing is acknowledged.
            let _still_open = control(&self.connection, "ROLLBACK");
        }
        outcome
    }

    fn commit(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
        if faults::fails("sqlite.commit") {
            return Err(StoreError::Busy);
        }
        if faults::sabotaged(faults::Sabotage::AckBeforeCommit) {
            jobs.drain(..).for_each(|job| job.answer(Ok(())));
            thread::sleep(std::time::Duration::from_millis(10));
        }
        control(&self.connection, "COMMIT")?;
        faults::point("sqlite.committed");
        Ok(())
    }

    fn run_all(&mut self, jobs: &mut Vec<Box<dyn Job>>) -> Result<(), StoreError> {
        let mut started = 0;
        while let Some(job) = jobs.get_mut(started) {
            run_one(&mut self.connection, job.as_mut())?;
            faults::point("sqlite.ran");
            started += 1;
            jobs.extend(self.next(started));
        }
        Ok(())
    }

    /// The next waiting job, as long as the batch of `so_far` has room.
    fn next(&mut self, so_far: usize) -> Option<Box<dyn Job>> {
        while so_far < self.settings.batch {
            let message = self.waiting.try_recv().ok()?;
            if let Some(job) = self.job(message) {
                return Some(job);
            }
        }
        None
    }
}

/// Runs a job in its savepoint. An error here is one of the whole transaction.
fn run_one(connection: &mut Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    control(connection, "SAVEPOINT job")?;
    let mut tx = Tx::sqlite(connection);
    let keep = job.run(&mut tx);
    let fault = tx.fault();
    // SQLite gives up the whole transaction on some errors, such as a full disk.
    if connection.is_autocommit() {
        let ended = || StoreError::Sql("a job ended the transaction it shares".to_owned());
        return Err(fault.unwrap_or_else(ended));
    }
    if let Some(error) = fault.filter(StoreError::durability_in_doubt) {
        return Err(error);
    }
    if !keep {
        control(connection, "ROLLBACK TO job")?;
    }
    control(connection, "RELEASE job")
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message").to_owned()
}
