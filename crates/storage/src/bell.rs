//! Waking up: "there is work" and "something happened to this run".
//!
//! A ring says only *look again*: it carries nothing, may come for nothing, and may be lost on its way to other nodes, so behind every wait
//! stands a slow poll. Ring after the commit, never before. What is there to be seen is in the noun files; how rings travel between nodes
//! is in `hints.rs`.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uuid::Uuid;

/// The one bell of the process. Clones ring the same.
#[derive(Clone, Default)]
pub struct Bell(Arc<Inner>);

#[derive(Default)]
struct Inner {
    work: Notify,
    outbox: Notify,
    runs: Mutex<HashMap<Uuid, Watched>>,
    /// Whether somebody carries rings to other nodes.
    carried: AtomicBool,
    outgoing: Mutex<Rings>,
    out: Notify,
}

/// Rings on their way to other nodes; many of one kind are one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rings {
    pub(crate) work: bool,
    pub(crate) runs: BTreeSet<Uuid>,
}

/// A run that somebody watches. A watcher costs about 100 bytes here, not the half kilobyte of a
/// `watch` channel: there may be ten thousand.
struct Watched {
    line: Arc<Line>,
    watchers: u32,
}

#[derive(Default)]
struct Line {
    rings: AtomicU64,
    rung: Notify,
}

impl Bell {
    /// Says that a run can be claimed. Wakes one who waits in [`Bell::work`], or the next to come, on every node.
    pub fn ring_work(&self) {
        self.ring_work_here();
        self.send(|rings| rings.work = true);
    }

    /// Waits for work; returns at once if it was rung since the last return. Rings that nobody
    /// waited for count as one: whoever wakes looks until there is nothing left.
    pub async fn work(&self) {
        self.0.work.notified().await;
    }

    /// Says that somebody outside is to be told something. Wakes one who waits in [`Bell::outbox`] here; other nodes are not told, since whoever
    /// writes into the outbox also delivers.
    pub fn ring_outbox(&self) {
        self.0.outbox.notify_one();
    }

    /// Waits for something in the outbox; returns at once if it was rung since the last return.
    pub async fn outbox(&self) {
        self.0.outbox.notified().await;
    }

    /// Says that something about `run` was committed. Wakes its watchers, and no others, on every node.
    pub fn ring_run(&self, run: Uuid) {
        self.ring_here(run);
        self.send(|rings| {
            rings.runs.insert(run);
        });
    }

    /// The same on this node only, for whoever heard of it from another.
    pub fn ring_here(&self, run: Uuid) {
        let line = self.0.runs().get(&run).map(|watched| Arc::clone(&watched.line));
        if let Some(line) = line {
            line.ring();
        }
    }

    pub(crate) fn ring_work_here(&self) {
        self.0.work.notify_one();
    }

    /// Wakes everybody here: rings may have been missed.
    pub(crate) fn ring_all_here(&self) {
        self.ring_work_here();
        let lines: Vec<_> = self.0.runs().values().map(|watched| Arc::clone(&watched.line)).collect();
        for line in lines {
            line.ring();
        }
    }

    /// Whether rings travel between nodes at this moment: then the polls behind them may be slower.
    pub fn is_carried(&self) -> bool {
        self.0.carried.load(Ordering::Relaxed)
    }

    /// Whether rings are kept for [`Bell::outgoing`].
    pub(crate) fn carry(&self, carried: bool) {
        self.0.carried.store(carried, Ordering::Relaxed);
        if !carried {
            *self.0.outgoing() = Rings::default();
        }
    }

    /// Waits for rings that other nodes should hear.
    pub(crate) async fn outgoing(&self) -> Rings {
        loop {
            let rings = self.gathered();
            if rings != Rings::default() {
                return rings;
            }
            self.0.out.notified().await;
        }
    }

    /// Those that wait to be carried, perhaps none.
    pub(crate) fn gathered(&self) -> Rings {
        std::mem::take(&mut *self.0.outgoing())
    }

    fn send(&self, note: impl FnOnce(&mut Rings)) {
        if self.0.carried.load(Ordering::Relaxed) {
            note(&mut self.0.outgoing());
            self.0.out.notify_one();
        }
    }

    /// Watches `run` from now on. Watch first, then read, then wait: nothing falls in between.
    pub fn watch_run(&self, run: Uuid) -> RunWatch {
        let mut runs = self.0.runs();
        let watched = runs.entry(run).or_insert_with(|| Watched { line: Arc::default(), watchers: 0 });
        watched.watchers += 1;
        let line = Arc::clone(&watched.line);
        let seen = line.rings.load(Ordering::Acquire);
        RunWatch { bell: Arc::clone(&self.0), run, line, seen }
    }
}

impl Rings {
    pub(crate) fn merge(&mut self, others: Rings) {
        self.work |= others.work;
        self.runs.extend(others.runs);
    }
}

impl Line {
    fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Release);
        self.rung.notify_waiters();
    }
}

/// Somebody's interest in one run; it ends when this is dropped.
pub struct RunWatch {
    bell: Arc<Inner>,
    run: Uuid,
    line: Arc<Line>,
    seen: u64,
}

impl RunWatch {
    /// Waits for a ring since watching began or since the last return of this; several count as
    /// one. Dropping the wait half-way loses nothing.
    pub async fn changed(&mut self) {
        self.changed_across(|| {}).await;
    }

    /// [`RunWatch::changed`], with something done in the gap where a ring could be lost: so that
    /// a test can ring exactly there.
    async fn changed_across(&mut self, gap: impl Fn()) {
        loop {
            // In this order: a ring after this line wakes the wait, one before it is counted.
            let rung = self.line.rung.notified();
            gap();
            let rings = self.line.rings.load(Ordering::Acquire);
            if rings != self.seen {
                self.seen = rings;
                return;
            }
            rung.await;
        }
    }
}

impl Drop for RunWatch {
    fn drop(&mut self) {
        let mut runs = self.bell.runs();
        if let Some(watched) = runs.get_mut(&self.run) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                runs.remove(&self.run);
            }
        }
    }
}

impl Inner {
    fn outgoing(&self) -> MutexGuard<'_, Rings> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<Uuid, Watched>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::mem::size_of;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;
    use tokio::time::timeout;

    const RUN: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    /// Whether a wait is over, asked once.
    fn over(wait: impl Future<Output = ()>) -> bool {
        poll(&mut pin!(wait))
    }

    fn poll(wait: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        pin!(wait).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let bell = Bell::default();
        bell.ring_work();
        assert!(over(bell.work()) && !over(bell.work()));
        let mut watch = bell.watch_run(RUN);
        bell.ring_run(RUN);
        bell.ring_run(RUN);
        assert!(over(watch.changed()) && !over(watch.changed()));
    }

    #[test]
    fn a_ring_during_the_wait_ends_it() {
        let bell = Bell::default();
        let mut watch = bell.watch_run(RUN);
        let mut wait = pin!(watch.changed());
        assert!(!poll(&mut wait));
        bell.ring_run(RUN);
        assert!(poll(&mut wait));
    }

    #[test]
    fn a_wait_given_up_loses_no_ring() {
        let bell = Bell::default();
        let mut watch = bell.watch_run(RUN);
        {
            let mut wait = pin!(watch.changed());
            assert!(!poll(&mut wait));
            bell.ring_run(RUN);
        }
        assert!(over(watch.changed()));
    }

    #[test]
    fn only_the_watchers_of_the_run_wake_and_all_of_them() {
        let bell = Bell::default();
        let (mut one, mut two) = (bell.watch_run(RUN), bell.watch_run(RUN));
        let mut other = bell.watch_run(OTHER);
        bell.ring_run(RUN);
        assert!(over(one.changed()) && over(two.changed()) && !over(other.changed()));
    }

    #[test]
    fn a_dropped_watch_leaves_nothing_behind() {
        let bell = Bell::default();
        let first = bell.watch_run(RUN);
        drop(bell.watch_run(RUN));
        assert_eq!(bell.0.runs().len(), 1);
        drop(first);
        assert_eq!(bell.0.runs().len(), 0);
        bell.ring_run(RUN);
        assert!(!over(bell.watch_run(RUN).changed()));
    }

    #[test]
    fn a_watch_is_small() {
        // A map may be half empty just after it grew, and an `Arc` has two counts.
        let slot = 2 * (size_of::<(Uuid, Watched)>() + 1);
        let all = slot + size_of::<Line>() + 2 * size_of::<usize>() + size_of::<RunWatch>();
        assert!(all < 300, "{all} bytes");
    }

    #[test]
    fn no_ring_falls_between_looking_and_waiting() {
        let bell = Bell::default();
        let mut watch = bell.watch_run(RUN);
        let rung = Cell::new(false);
        let ring_once = || {
            if !rung.replace(true) {
                bell.ring_run(RUN);
            }
        };
        assert!(over(watch.changed_across(ring_once)));
        assert!(!over(watch.changed()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_rings_from_another_thread_are_each_heard() {
        let bell = Bell::default();
        let mut watch = bell.watch_run(RUN);
        let (heard, hearing) = mpsc::channel();
        let ringing = tokio::task::spawn_blocking(move || {
            for _ in 0..1_000 {
                bell.ring_run(RUN);
                hearing.recv().unwrap();
            }
        });
        for _ in 0..1_000 {
            timeout(Duration::from_secs(10), watch.changed()).await.unwrap();
            heard.send(()).unwrap();
        }
        ringing.await.unwrap();
    }
}
