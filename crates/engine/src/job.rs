//! One run from claim to release: the loop of take the inbox, decide, commit, act.
//!
//! Nothing acts before its commit; nothing is committed without the lease. The decisions are [`domain::runs::Run`]'s, the waiting is in
//! `wait.rs`.

mod calls;

use std::sync::Arc;
use std::time::Duration;

use agent::models::TurnRequest;
use agent::tools::{self, Toolbox};
use agent::workspace::Workspace;
use domain::RunId;
use domain::runs::{Effect, Event, Refused, Rules, Run, Status};
use domain::turns::Line;
use faults::{Sabotage, sabotaged};
use futures_util::FutureExt as _;
use storage::bell::RunWatch;
use storage::runs::{self, Commit, Committed, Then};
use storage::work::{self, Claimed};
use storage::{StoreError, journal};

use crate::files::{self, NotPlaced};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::remote::Remote;
use crate::shop::Shop;
use crate::wait::{Waited, wait};
use crate::{leases, quota, span, unreadable};

/// Journals longer than this are read on the blocking pool: folding them takes milliseconds.
const LONG: u64 = 200;

/// After a trouble of the store that passes, before the next try.
const RETRY: Duration = Duration::from_millis(300);

/// Moves a claimed run as far as it goes, then lets go of it.
pub(crate) async fn drive(shop: &Shop, claimed: Claimed, placed: bool) {
    if claimed.attempt > shop.parts.settings.deaths && !sabotaged(Sabotage::ForgetDeaths) {
        // Not even read: reading it may be what kills.
        return unreadable::quarantine(shop, &claimed).await;
    }
    faults::point("job.load");
    let mut tries = shop.outage.tries();
    let loaded = loop {
        match Job::load(shop, claimed.clone(), placed).await {
            Err(error) if error.passes() && shop.goes_on() => {
                tries.failed(claimed.lease.run, "a run cannot be read now", &error);
                tokio::time::sleep(RETRY).await;
            }
            loaded => break loaded,
        }
    };
    if loaded.is_ok() {
        tries.worked();
    }
    drop(tries);
    let outcome = match loaded {
        Ok((mut job, due)) => {
            let outcome = job.work(due).await;
            job.leave();
            outcome
        }
        Err(StoreError::Corrupt { what }) => unreadable::give_up(shop, &claimed, what).await,
        Err(error) => Err(error),
    };
    quota::note(&shop.parts.db, &shop.parts.workspaces, claimed.lease.team, claimed.sandbox.clone()).await;
    if let Err(error) = outcome {
        unreadable::leave_alone(shop, claimed.lease, &error).await;
    }
}

struct Job<'s> {
    shop: &'s Shop,
    claimed: Claimed,
    plan: Arc<Plan>,
    workspace: Workspace,
    /// Whether it has taken the files from earlier workers.
    entered: bool,
    tools: Toolbox,
    /// The tools of MCP servers.
    remote: Remote,
    /// What readers of the transcript are told with the next commit.
    notes: Vec<Event>,
    run: Run,
    news: RunWatch,
    /// Whether it has a place to work in. Without one it may only end.
    placed: bool,
    /// What came of a call that was made too early, in a build that does so on purpose.
    early: Option<Waited<Event>>,
}

/// Whether the run is still ours to move.
enum Going {
    On(Effect),
    LetGo,
}

impl<'s> Job<'s> {
    /// Rebuilds the run from its journal; answers what is due.
    async fn load(shop: &'s Shop, claimed: Claimed, placed: bool) -> Result<(Self, Effect), StoreError> {
        let news = shop.parts.bell.watch_run(claimed.lease.run.0);
        let plan = shop.plan(claimed.lease.team, claimed.build).await?;
        let (run, due) = replay(shop, &claimed, &plan).await?;
        span::enter_round(run.round());
        let lease = claimed.lease;
        let files = &shop.parts.workspaces;
        let workspace = if sabotaged(Sabotage::FenceFiles) {
            files.open(&claimed.sandbox)
        } else {
            // Every claim is an entry of the journal, so a later one has a higher number.
            files.open_for(&claimed.sandbox, lease.run.0, lease.claim, claimed.tail.0)
        };
        let workspace = quota::bounded(shop, lease.team, &claimed.sandbox, workspace).await?;
        let tools = Toolbox::new(workspace.clone(), shop.parts.pdf.clone());
        let remote = Remote::load(shop, lease, &plan).await?;
        let mut job = Self {
            shop,
            claimed,
            plan,
            workspace,
            entered: false,
            tools,
            remote,
            notes: vec![],
            run,
            news,
            placed,
            early: None,
        };
        job.notes = job.first_notes();
        Ok((job, due.unwrap_or(Effect::Wait)))
    }

    async fn work(&mut self, due: Effect) -> Result<(), StoreError> {
        faults::point("job.loaded");
        let (mut events, mut due) = (vec![], due);
        loop {
            let Going::On(next) = self.commit(events, due).await? else { return Ok(()) };
            // A call whose intent is written is made, whoever waits for the end: letting go now would leave its outcome unknown for nothing.
            let ends = !self.placed || self.shop.pace.now() != Pace::Work;
            if ends && !matches!(next, Effect::CallTool(_)) {
                return self.let_go().await;
            }
            // What a server's tool brings may become files.
            if matches!(&next, Effect::CallTool(call) if tools::uses_files(&call.name) || call.target.is_some()) {
                self.enter().await;
            }
            // Nothing leaves under a lease that may be over before it arrives. Whoever claims the run next finds it due as it is.
            let lease = self.claimed.lease;
            if matches!(next, Effect::CallModel { .. } | Effect::CallTool(_))
                && !self.shop.may_act(lease)
                && !leases::renew_one(self.shop, lease).await
            {
                tracing::warn!("the lease cannot be renewed in time: its worker stops before the next step");
                // It may be renewed all the same, and late: then nobody would have the run for as long as it holds.
                return self.let_go().await;
            }
            let waited = match next {
                Effect::CallModel { turn } => self.think(turn).await,
                Effect::CallTool(call) => match self.early.take() {
                    Some(early) => early,
                    None => self.use_tool(&call).await,
                },
                Effect::Then(event) => Waited::Done(event),
                // Nothing to do by itself: the commit that said so has let go already.
                Effect::Sleep(_) | Effect::Wait => return Ok(()),
            };
            (events, due) = match waited {
                Waited::Done(event) => (vec![event], Effect::Wait),
                // The inbox has it.
                Waited::Stop => (vec![], Effect::Wait),
                // After whatever is in the inbox, so that the cause comes last.
                Waited::TimeUp => (vec![], Effect::Then(self.run.time_up())),
                Waited::Drain => return self.let_go().await,
            };
        }
    }

    async fn think(&mut self, turn: u32) -> Waited<Event> {
        let plan = Arc::clone(&self.plan);
        // Once the model has answered, the files are its to change.
        if !plan.files.is_empty() && !self.run.lines().iter().any(|line| matches!(line, Line::Assistant { .. })) {
            self.enter().await;
            let (lease, left) = (self.claimed.lease, self.run.wall_left_ms(self.shop.now()));
            let placing = files::place(self.shop, lease, &plan.files, &self.workspace);
            match wait(self.shop, lease.run, &mut self.news, left, placing).await {
                Waited::Done(Ok(())) => {}
                Waited::Done(Err(NotPlaced::Because(cause))) => return Waited::Done(Event::Failed { cause }),
                Waited::Stop => return Waited::Stop,
                Waited::TimeUp => return Waited::TimeUp,
                // It lets go.
                Waited::Done(Err(NotPlaced::LeaseEnds)) | Waited::Drain => return Waited::Drain,
            }
        }
        let lease = self.claimed.lease;
        let left = self.run.wall_left_ms(self.shop.now());
        let pinning = self.remote.pin(self.shop, lease, &plan).boxed();
        match wait(self.shop, lease.run, &mut self.news, left, pinning).await {
            Waited::Done(Ok(notes)) => self.notes.extend(notes),
            // What they offer is asked for again at the next turn.
            Waited::Done(Err(error)) => tracing::warn!(%error, "what MCP servers offer cannot be kept or read now"),
            Waited::Stop => return Waited::Stop,
            Waited::TimeUp => return Waited::TimeUp,
            Waited::Drain => return Waited::Drain,
        }
        let request = TurnRequest {
            model: &plan.model,
            instructions: &plan.instructions,
            seed: &plan.seed,
            lines: self.run.lines(),
            tools: self.remote.specs(self.shop.specs(plan.json_object)),
            sampling: &plan.sampling,
            json_object: plan.json_object,
            turn,
            people: self.run.people(),
            pictures: &self.workspace,
        };
        faults::point("model.before");
        let calling = self.shop.parts.model.turn(request);
        let waited =
            wait(self.shop, self.claimed.lease.run, &mut self.news, self.run.wall_left_ms(self.shop.now()), calling)
                .await;
        faults::point("model.after");
        waited.map(|answered| match answered {
            Ok(answer) => Event::Replied { turn, reply: self.reply(answer) },
            Err(failure) => Event::TurnFailed { turn, failure, spread_permille: self.shop.parts.ambient.permille() },
        })
    }

    /// What is still being written does not arrive any more. Nobody waits for that.
    fn leave(self) {
        if self.entered {
            tokio::task::spawn_blocking(move || self.workspace.leave());
        }
    }

    /// What readers should know before the first turn: what the Build names and this version does not serve. A run that crashed in its first
    /// turn has said it already; one that a restore held before it could is about to begin now.
    fn first_notes(&self) -> Vec<Event> {
        let begins = match self.run.status() {
            Status::Starting => true,
            Status::Waiting => !self.run.lines().iter().any(|line| matches!(line, Line::Assistant { .. })),
            _ => false,
        };
        if !begins || self.run.noted() {
            return vec![];
        }
        let settings = self.shop.parts.model.notes(&self.plan.model, &self.plan.sampling);
        let unserved = self.plan.unserved.iter().map(String::as_str);
        unserved.chain(settings.iter().map(String::as_str)).map(|text| Event::Noted { text: text.to_owned() }).collect()
    }

    /// Decides on `events` and whatever is in the inbox, and commits them with all that follows. `due` is what there was to do; it stands
    /// unless the events change it.
    async fn commit(&mut self, events: Vec<Event>, due: Effect) -> Result<Going, StoreError> {
        let (asked_before, round_before) = (self.run.pending_request().map(|request| request.id), self.run.round());
        let (mut next, mut all, mut taken) = (due, vec![], vec![]);
        let mut events = [std::mem::take(&mut self.notes), events].concat();
        loop {
            for (id, event) in self.inbox(&taken).await? {
                taken.push(id);
                events.push(event);
            }
            let now = self.shop.now();
            let (step, refused) = self.run.advance(now, events);
            for refused in refused {
                tracing::debug!(%refused, "left out");
            }
            if self.run.round() != round_before {
                span::enter_round(self.run.round());
            }
            all.extend(step.events);
            next = step.next.unwrap_or(next);
            let then = match &next {
                Effect::Sleep(until) => Then::Sleep(until.ms_since(now)),
                Effect::Wait => Then::Release,
                Effect::Then(_) | Effect::CallModel { .. } | Effect::CallTool(_) => {
                    Then::Hold(self.shop.parts.settings.lease_ms)
                }
            };
            if all.is_empty() && taken.is_empty() && matches!(then, Then::Hold(_)) {
                return Ok(Going::On(next));
            }
            faults::point("job.decided");
            let request = self.run.pending_request();
            let commit = Arc::new(Commit {
                lease: self.claimed.lease,
                tail: self.claimed.tail,
                overtaken: asked_before.is_some() && request.map(|request| request.id) != asked_before,
                asked: request.filter(|request| asked_before != Some(request.id)).cloned(),
                events: all,
                status: self.run.status(),
                taken,
                webhook: self.claimed.webhook,
                then,
                now,
            });
            if let (true, Effect::CallTool(call)) = (sabotaged(Sabotage::ResultBeforeIntent), &next) {
                self.early = Some(self.use_tool(call).await);
            }
            match write(self.shop, &commit).await? {
                Committed::Done { tail, due_again } => {
                    faults::point("job.committed");
                    span::ended(self.shop, &commit, Some(&self.plan), round_before, self.run.round());
                    if commit.webhook && sabotaged(Sabotage::OutboxOutside) {
                        tokio::time::sleep(Duration::from_millis(60)).await;
                        let told =
                            async move |tx: &mut storage::Tx<'_>| storage::sabotage::tell_outside(tx, &commit).await;
                        self.shop.parts.db.write::<_, StoreError, _>(told).await?;
                    }
                    self.claimed.tail = tail;
                    self.shop.parts.bell.ring_run(self.claimed.lease.run.0);
                    if self.claimed.webhook {
                        self.shop.parts.bell.ring_outbox();
                    }
                    if due_again || matches!(then, Then::Sleep(_)) {
                        self.shop.parts.bell.ring_work();
                    }
                    return Ok(if matches!(then, Then::Hold(_)) { Going::On(next) } else { Going::LetGo });
                }
                Committed::Overtaken => {
                    // The writer may still hold its half for a moment.
                    let step = Arc::unwrap_or_clone(commit);
                    (all, taken, events) = (step.events, step.taken, vec![]);
                    self.make_way(&mut all, &taken).await?;
                }
                Committed::Lost => {
                    self.shop.parts.meters.lease_lost();
                    tracing::warn!("lease lost: nothing was written, its worker stops");
                    return Ok(Going::LetGo);
                }
            }
        }
    }

    /// A stop was acknowledged while the end of the run was decided and not yet written: it takes that end's place.
    async fn make_way(&mut self, decided: &mut Vec<Event>, taken: &[i64]) -> Result<(), StoreError> {
        let news = self.inbox(taken).await?;
        let end = decided.iter().rposition(|event| matches!(event, Event::Completed { .. } | Event::Failed { .. }));
        let Some(end) = end.filter(|_| news.iter().any(|(_, event)| matches!(event, Event::Interrupted { .. }))) else {
            return Ok(());
        };
        decided.remove(end);
        // The state has the end in it; the journal does not.
        let (mut run, _due) = loop {
            match replay(self.shop, &self.claimed, &self.plan).await {
                Err(error) if error.passes() && self.shop.goes_on() => tokio::time::sleep(RETRY).await,
                read => break read?,
            }
        };
        for event in &*decided {
            let applied = run.apply(self.shop.now(), event);
            run = applied.map_err(|refused| corrupt(self.claimed.lease.run, refused))?.0;
        }
        self.run = run;
        Ok(())
    }

    /// What came in behind what is `taken` already, in the order it came.
    async fn inbox(&self, taken: &[i64]) -> Result<Vec<(i64, Event)>, StoreError> {
        let (run, after) = (self.claimed.lease.run, taken.last().copied().unwrap_or(0));
        let mut tries = self.shop.outage.tries();
        loop {
            match self.shop.parts.db.read(async |tx| runs::inbox(tx, run, after).await).await {
                Err(error) if error.passes() && self.shop.goes_on() => {
                    tries.failed(run, "what was said to a run cannot be read now", &error);
                    tokio::time::sleep(RETRY).await;
                }
                read => {
                    if read.is_ok() {
                        tries.worked();
                    }
                    return read;
                }
            }
        }
    }

    /// Lets go of a run in the middle, for another process or the next start to go on with.
    async fn let_go(&self) -> Result<(), StoreError> {
        faults::point("job.letting_go");
        if sabotaged(Sabotage::KeepLeases) {
            return Ok(());
        }
        let lease = self.claimed.lease;
        self.shop.parts.db.write_leases(async move |tx| work::let_go(tx, lease, 0).await).await?;
        self.shop.parts.bell.ring_work();
        Ok(())
    }
}

/// The run that its journal amounts to, and what is due.
async fn replay(shop: &Shop, claimed: &Claimed, plan: &Plan) -> Result<(Run, Option<Effect>), StoreError> {
    let run = claimed.lease.run;
    let entries = if claimed.tail.0 > LONG {
        loop {
            match shop.parts.db.read_slow(async move |tx| journal::replay(tx, run).await).await {
                // Long lists have all places at the moment; the lease is renewed meanwhile.
                Err(StoreError::Busy) if shop.goes_on() => {}
                read => break read?,
            }
        }
    } else {
        shop.parts.db.read(async |tx| journal::replay(tx, run).await).await?
    };
    let rules = Rules { limits: shop.parts.limits.clone(), json_object: plan.json_object };
    Run::replay(rules, entries).map_err(|refused| corrupt(run, refused))
}

fn corrupt(run: RunId, refused: Refused) -> StoreError {
    StoreError::Corrupt { what: format!("journal of {run}: {refused}") }
}

/// Commits a step, however often it takes: what was done outside must not be forgotten because the store was away for a while. The lease decides
/// whether it still may.
pub(crate) async fn write(shop: &Shop, commit: &Arc<Commit>) -> Result<Committed, StoreError> {
    let (mut again, mut tries) = (false, shop.outage.tries());
    loop {
        let (step, asked) = (Arc::clone(commit), shop.parts.ambient.steady_ms());
        match shop.parts.db.write(async move |tx| runs::commit(tx, &step, again).await).await {
            Err(error) if error.passes() && shop.goes_on() => {
                tries.failed(commit.lease.run, "a step cannot be committed now", &error);
                again |= matches!(error, StoreError::InDoubt(_));
                tokio::time::sleep(RETRY).await;
            }
            Ok(done) => {
                tries.worked();
                if matches!((&done, commit.then), (Committed::Done { .. }, Then::Hold(_))) {
                    shop.renewed(commit.lease, asked);
                }
                return Ok(done);
            }
            Err(error) => return Err(error),
        }
    }
}
