//! Plays a sequence on a store and on the model at once, and compares every answer and all that is left behind.

use domain::human_requests::{HumanRequest, Kind, Response};
use domain::runs::{Cause, Event, Said, Status};
use domain::sandboxes::Sandbox;
use domain::{RunId, Timestamp};
use proptest::sample::Index;
use storage::runs::{Commit, Committed, NewRun, Then};
use storage::work::{Claiming, Lease};
use storage::{StoreError, Tx, human_requests, runs, sandboxes, work};
use uuid::Uuid;

use crate::operation::{After, Operation, Step};
use crate::reference::{Answer, Model, Wanted};
use crate::store::{AGENT, BUILD, Engine, START, Store, expected, team};

/// A claim, as its worker knows it.
struct Worker {
    run: usize,
    lease: Lease,
    tail: (u64, u64),
    last: Option<(Commit, Wanted)>,
}

struct Player<'s> {
    store: &'s Store,
    model: Model,
    ids: Vec<(RunId, usize)>,
    workers: Vec<Worker>,
    drawn: u128,
    asked: Vec<Option<Uuid>>,
}

pub(crate) async fn play(store: &Store, sequence: &[Operation]) {
    store.empty().await;
    let model = Model { now: START, ..Model::default() };
    let mut player = Player { store, model, ids: vec![], workers: vec![], drawn: 1_000, asked: vec![] };
    for operation in sequence {
        player.operate(operation).await;
        assert_eq!(store.seen(&player.ids).await, expected(&player.model), "after {operation:?}");
    }
}

impl Player<'_> {
    fn id(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u128(self.drawn)
    }

    fn said(&mut self) -> Said {
        let id = self.id();
        Said { id, text: format!("news {id}") }
    }

    fn worker(&self, of: Index) -> Option<usize> {
        (!self.workers.is_empty()).then(|| of.index(self.workers.len()))
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl AsyncFnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.store.db.write(job).await.unwrap()
    }

    async fn operate(&mut self, operation: &Operation) {
        match *operation {
            Operation::Insert { team, webhook, message } => self.insert(team, webhook, message).await,
            Operation::Claim { most, stops_only, team_most, lease_ms, suspect_from, suspect } => {
                let (token, now) = (self.id(), Timestamp(self.model.now));
                let wanted = Claiming { token, now, lease_ms, most, stops_only, team_most, suspect_from, suspect };
                self.claim(wanted).await;
            }
            Operation::Commit { worker, step, lease, takes, overtaken } => {
                if let Some(worker) = self.worker(worker) {
                    let (commit, wanted) = self.step(worker, step, lease, takes, overtaken).await;
                    self.commit(worker, commit, wanted, false).await;
                }
            }
            Operation::Again { worker } => {
                if let Some(worker) = self.worker(worker)
                    && let Some((commit, wanted)) = self.workers[worker].last.clone()
                {
                    self.commit(worker, commit, wanted, true).await;
                }
            }
            Operation::Renew { worker, lease_ms } => {
                let Some(worker) = self.worker(worker) else { return };
                let Worker { lease, run, .. } = self.workers[worker];
                let lost = self.write(async move |tx| work::renew(tx, &[lease], lease_ms).await).await;
                assert_eq!(lost.is_empty(), self.model.renew(run, lease.claim, lease_ms), "renewing");
            }
            Operation::LetGo { worker, after_ms } => {
                let Some(worker) = self.worker(worker) else { return };
                let Worker { lease, run, .. } = self.workers[worker];
                self.write(async move |tx| work::let_go(tx, lease, after_ms).await).await;
                self.model.let_go(run, lease.claim, after_ms);
            }
            Operation::Clear { worker, attempt } => {
                let Some(worker) = self.worker(worker) else { return };
                let Worker { lease, run, .. } = self.workers[worker];
                self.write(async move |tx| work::clear(tx, lease, attempt).await).await;
                self.model.clear(run, lease.claim, attempt);
            }
            Operation::Tell { run, stop } if !self.ids.is_empty() => {
                let said = Event::MessageReceived(self.said());
                let event = if stop { Event::Interrupted { by: "stop_request".into() } } else { said };
                self.tell(run.index(self.ids.len()), event).await;
            }
            Operation::Answer { run } if !self.ids.is_empty() => self.answer(run.index(self.ids.len())).await,
            Operation::Pass { ms } => {
                self.model.now += i64::try_from(ms).unwrap();
                self.store.at(self.model.now).await;
            }
            Operation::FreeAll if self.store.engine != Engine::Postgres => {
                let freed = self.write(async |tx| work::free_all(tx).await).await;
                assert_eq!(freed, self.model.free_all(), "freed");
            }
            Operation::Unstick => {
                let stuck = self.store.db.read::<_, StoreError, _>(async |tx| runs::stuck(tx).await).await.unwrap();
                let known: Vec<_> = self.model.unstick().iter().map(|run| self.ids[*run].0).collect();
                assert_eq!(stuck.iter().map(|(_, run)| *run).collect::<Vec<_>>(), known, "stuck");
                for (team, run) in stuck {
                    self.write(async move |tx| runs::unstick(tx, team, run).await).await;
                }
            }
            Operation::Tell { .. } | Operation::Answer { .. } | Operation::FreeAll => {}
        }
    }

    async fn insert(&mut self, number: usize, webhook: bool, message: bool) {
        let (id, now, team) = (RunId(self.id()), Timestamp(self.model.now), team(number));
        let said = self.said();
        let mut events = vec![Event::Created { agent_id: AGENT.0, build_id: BUILD.0 }];
        events.extend(message.then(|| Event::MessageReceived(said.clone())));
        let sandbox = Sandbox { id: format!("sbx_{}", id.0.simple()), team, created_at: now, expires_at: now };
        let new = NewRun {
            id,
            agent: AGENT,
            build: BUILD,
            sandbox: sandbox.id.clone(),
            title: "a job".into(),
            source: "api",
            webhook: webhook.then(|| ("https://example.com/hook".into(), "https://example.com".into())),
            message: message.then_some(said),
            created_at: now,
        };
        let accept = async move |tx: &mut Tx<'_>| {
            sandboxes::insert(tx, &sandbox).await?;
            runs::insert(tx, team, new).await
        };
        let row = self.write(accept).await;
        self.model.insert(number, webhook, events);
        self.ids.push((id, number));
        self.asked.push(None);
        let earlier = self.ids.iter().filter(|(_, team)| *team == number).count() as u64;
        assert_eq!(row.number, earlier, "numbers count within the team");
    }

    async fn claim(&mut self, wanted: Claiming) {
        let claimed = self.write(async move |tx| work::claim(tx, wanted).await).await;
        let place = |id: RunId| self.ids.iter().position(|(known, _)| *known == id).unwrap();
        let chosen: Vec<usize> = claimed.iter().map(|claimed| place(claimed.lease.run)).collect();
        assert!(self.model.claim(&wanted, chosen.clone()), "{wanted:?} may not take {chosen:?}");
        for (claimed, run) in claimed.into_iter().zip(chosen) {
            let known = &self.model.runs[run];
            let shown = known.journal.iter().filter(|(_, event)| event.is_message()).count() as u64;
            let work = known.work.as_ref().unwrap();
            assert_eq!(claimed.tail, (known.journal.len() as u64, shown), "the tail of a claim");
            assert_eq!((claimed.attempt, claimed.webhook), (work.attempt, known.webhook), "a claim");
            self.workers.push(Worker { run, lease: claimed.lease, tail: claimed.tail, last: None });
        }
    }

    async fn step(
        &mut self,
        worker: usize,
        step: Step,
        after: After,
        takes: bool,
        overtaken: bool,
    ) -> (Commit, Wanted) {
        let (id, at) = (self.id(), Timestamp(self.model.now));
        let Worker { run, lease, tail, .. } = self.workers[worker];
        let inbox = self.store.db.read::<_, StoreError, _>(async |tx| runs::inbox(tx, lease.run, 0).await);
        let inbox = if takes { inbox.await.unwrap() } else { vec![] };
        let places = if takes { self.model.runs[run].inbox.iter().map(|(told, _)| *told).collect() } else { vec![] };
        let (ids, mut events): (Vec<i64>, Vec<Event>) = inbox.into_iter().unzip();
        let request = HumanRequest::new(id, Kind::Approval, "Go on?");
        let cause = Cause { code: "broken".into(), message: format!("because of {id}") };
        let (event, status) = match step {
            Step::Nothing => (None, Status::Running),
            Step::Note => (Some(Event::Noted { text: format!("note {id}") }), Status::Running),
            Step::Ask => (Some(Event::PersonAsked { request: request.clone() }), Status::Waiting),
            Step::Complete => (Some(Event::Completed { result: None }), Status::Completed),
            Step::Fail => (Some(Event::Failed { cause }), Status::Failed),
            Step::Interrupt => (Some(Event::Interrupted { by: "stop_request".into() }), Status::Interrupted),
        };
        events.extend(event);
        let asks = matches!(step, Step::Ask).then_some(request);
        // There is one open request at most.
        let overtaken = overtaken || asks.is_some();
        let then = match after {
            After::Hold(ms) => Then::Hold(ms),
            After::Sleep(ms) => Then::Sleep(ms),
            After::Release => Then::Release,
        };
        let seen = usize::try_from(tail.0).unwrap();
        let asks_id = asks.as_ref().map(|request| request.id);
        let wanted = Wanted {
            run,
            claim: lease.claim,
            seen,
            events: events.clone(),
            status,
            taken: places,
            asks: asks_id,
            overtaken,
            after,
            at,
        };
        let webhook = self.model.runs[run].webhook;
        (Commit { lease, tail, events, status, taken: ids, asked: asks, overtaken, webhook, then, now: at }, wanted)
    }

    async fn commit(&mut self, worker: usize, commit: Commit, wanted: Wanted, again: bool) {
        let step = commit.clone();
        let committed = self.write(async move |tx| runs::commit(tx, &step, again).await).await;
        let messages = commit.tail.1 + commit.events.iter().filter(|event| event.is_message()).count() as u64;
        let answer = match committed {
            Committed::Lost => Answer::Lost,
            Committed::Overtaken => Answer::Overtaken,
            Committed::Done { tail, due_again } => {
                assert_eq!(tail.1, messages, "the messages of a commit");
                self.workers[worker].tail = tail;
                Answer::Done { seq: usize::try_from(tail.0).unwrap(), due_again }
            }
        };
        assert_eq!(answer, self.model.commit(&wanted, again), "{commit:?}");
        if wanted.asks.is_some() {
            self.asked[wanted.run] = wanted.asks;
        }
        self.workers[worker].last = Some((commit, wanted));
    }

    async fn tell(&mut self, run: usize, event: Event) {
        let ((id, number), now, told) = (self.ids[run], Timestamp(self.model.now), event.clone());
        self.write(async move |tx| runs::tell(tx, team(number), id, &told, now).await).await;
        self.model.tell(run, event);
    }

    async fn answer(&mut self, run: usize) {
        let Some(request) = self.asked[run] else { return };
        let ((id, number), now) = (self.ids[run], Timestamp(self.model.now));
        let closes =
            async move |tx: &mut Tx<'_>| human_requests::answer(tx, team(number), id, request, "approved", now).await;
        let open = self.model.runs[run].request == Some(request);
        assert_eq!(self.write(closes).await, open, "whether an answer is in time");
        if open {
            self.model.runs[run].request = None;
            self.tell(run, Event::PersonAnswered { request_id: request, response: Response::Approved(true) }).await;
        }
    }
}
