//! One run from claim to release: the loop of take the inbox, decide, commit, act.
//!
//! Nothing acts before its commit; nothing is committed without the lease. The decisions are [`domain::runs::Run`]'s, the waiting is here.

use std::sync::Arc;
use std::time::Duration;

use agent::models::{Answer, TurnRequest};
use agent::tools::{self, Toolbox};
use agent::workspace::Workspace;
use domain::runs::{Cause, Effect, Event, Rules, Run, Status, Step};
use domain::turns::{Outcome, Reply, ToolCall};
use storage::bell::RunWatch;
use storage::runs::{self, Commit, Committed, Then};
use storage::work::{self, Claimed};
use storage::{StoreError, journal};

use crate::plan::Plan;
use crate::shop::{Pace, Shop};

/// How long a run that could not be worked on is left alone, in milliseconds.
const LEFT_ALONE_MS: u64 = 60_000;

/// Moves a claimed run as far as it goes, then lets go of it.
pub(crate) async fn drive(shop: &Shop, claimed: Claimed) {
    let lease = claimed.lease;
    let outcome = match Job::load(shop, claimed).await {
        Ok((job, due)) => job.work(due).await,
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::error!(run = %lease.run, %error, "the run is left alone for a minute");
        let due = shop.now().plus_ms(LEFT_ALONE_MS);
        if let Err(error) = shop.parts.db.write(async move |tx| work::let_go(tx, lease, due).await).await {
            tracing::error!(run = %lease.run, %error, "letting go failed: the lease will run out");
        }
    }
}

struct Job<'s> {
    shop: &'s Shop,
    claimed: Claimed,
    plan: Arc<Plan>,
    workspace: Workspace,
    tools: Toolbox,
    run: Run,
    news: RunWatch,
}

/// Why waiting for a model or a tool ended.
enum Waited<T> {
    Done(T),
    /// Somebody wants the run stopped.
    Stop,
    /// The run's time is used up.
    TimeUp,
    /// The process drains and waits no longer.
    Drain,
}

/// Whether the run is still ours to move.
enum Going {
    On(Effect),
    LetGo,
}

impl<'s> Job<'s> {
    /// Rebuilds the run from its journal; answers what is due.
    async fn load(shop: &'s Shop, claimed: Claimed) -> Result<(Self, Effect), StoreError> {
        let news = shop.parts.bell.watch_run(claimed.lease.run.0);
        let plan = shop.plan(claimed.lease.team, claimed.build).await?;
        let run = claimed.lease.run;
        let entries = shop.parts.db.read(async |tx| journal::replay(tx, run).await).await?;
        let rules = Rules { limits: shop.parts.limits.clone(), json_object: plan.json_object };
        let (run, due) = Run::replay(rules, entries)
            .map_err(|refused| StoreError::Corrupt { what: format!("journal of {run}: {refused}") })?;
        let workspace = shop.parts.workspaces.open(&claimed.sandbox);
        let tools = Toolbox::new(workspace.clone(), shop.parts.pdf.clone());
        Ok((Self { shop, claimed, plan, workspace, tools, run, news }, due.unwrap_or(Effect::Wait)))
    }

    async fn work(mut self, due: Effect) -> Result<(), StoreError> {
        let mut due = due;
        if self.run.status() == Status::Starting {
            due = match self.say_what_is_not_served(due).await? {
                Going::On(due) => due,
                Going::LetGo => return Ok(()),
            };
        }
        loop {
            let going = match due {
                Effect::Then(event) => self.commit_events(vec![event], Effect::Wait, vec![]).await?,
                other => self.take_inbox(other).await?,
            };
            let Going::On(next) = going else { return Ok(()) };
            if *self.shop.pace.borrow() != Pace::Work {
                return self.let_go().await;
            }
            let event = match next {
                Effect::CallModel { turn } => self.think(turn).await,
                Effect::CallTool(call) => self.use_tool(&call).await,
                // Nothing to do by itself: the commit that said so has let go already.
                Effect::Then(_) | Effect::Sleep(_) | Effect::Wait => return Ok(()),
            };
            due = match event {
                Waited::Done(event) => match self.commit_events(vec![event], Effect::Wait, vec![]).await? {
                    Going::On(due) => due,
                    Going::LetGo => return Ok(()),
                },
                Waited::Stop => Effect::Wait,
                Waited::TimeUp => Effect::Then(Event::Failed { cause: time_up(self.shop) }),
                Waited::Drain => return self.let_go().await,
            };
        }
    }

    /// Journals whatever came in, in the order it came. What no longer fits (a second stop) is dropped.
    async fn take_inbox(&mut self, due: Effect) -> Result<Going, StoreError> {
        let run = self.claimed.lease.run;
        let inbox = self.shop.parts.db.read(async |tx| runs::inbox(tx, run).await).await?;
        if inbox.is_empty() && !matches!(due, Effect::Wait | Effect::Sleep(_)) {
            return Ok(Going::On(due));
        }
        let (taken, events) = inbox.into_iter().unzip();
        self.commit_events(events, due, taken).await
    }

    async fn think(&mut self, turn: u32) -> Waited<Event> {
        let plan = Arc::clone(&self.plan);
        let request = TurnRequest {
            model: &plan.model,
            instructions: &plan.instructions,
            seed: &plan.seed,
            lines: self.run.lines(),
            tools: tools::specs(plan.json_object),
            sampling: &plan.sampling,
            json_object: plan.json_object,
            turn,
            people: self.run.people(),
            pictures: &self.workspace,
        };
        let calling = self.shop.parts.model.turn(request);
        let waited =
            wait(self.shop, &self.claimed, &mut self.news, self.run.wall_left_ms(self.shop.now()), calling).await;
        waited.map(|answered| match answered {
            Ok(answer) => Event::Replied { turn, reply: self.reply(answer) },
            Err(failure) => Event::TurnFailed { turn, failure, spread_permille: self.shop.parts.ambient.permille() },
        })
    }

    async fn use_tool(&mut self, call: &ToolCall) -> Waited<Event> {
        let left = self.run.wall_left_ms(self.shop.now());
        let waited = wait(self.shop, &self.claimed, &mut self.news, left, self.tools.call(call)).await;
        waited.map(|outcome: Outcome| Event::ToolFinished { key: call.key, outcome })
    }

    /// Gives each call the key under which it is journaled, and what may be done with it after a crash.
    fn reply(&self, answer: Answer) -> Reply {
        let now = self.shop.now();
        let calls = answer.calls.into_iter().map(|call| ToolCall {
            key: self.shop.parts.ambient.id(now),
            replay: tools::replay(&call.name),
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        });
        Reply {
            text: answer.text,
            calls: calls.collect(),
            stop: answer.stop,
            model: answer.model,
            usage: answer.usage,
            carry: answer.carry,
        }
    }

    async fn say_what_is_not_served(&mut self, due: Effect) -> Result<Going, StoreError> {
        let webhook = "A webhook_url was given. It is stored, but this version does not call it.";
        let unserved = self.plan.unserved.iter().map(String::as_str);
        let notes: Vec<Event> = unserved
            .chain(self.claimed.webhook.then_some(webhook))
            .map(|text| Event::Noted { text: text.to_owned() })
            .collect();
        // A run that crashed in its first turn has said it already.
        if notes.is_empty() || self.run.noted() {
            return Ok(Going::On(due));
        }
        self.commit_events(notes, due, vec![]).await
    }

    /// Decides on `events` and commits them with all that follows. `due` is what there was to do; it stands unless the events change it.
    async fn commit_events(&mut self, events: Vec<Event>, due: Effect, taken: Vec<i64>) -> Result<Going, StoreError> {
        let now = self.shop.now();
        let asked_before = self.run.pending_request().map(|request| request.id);
        let mut step = Step { events: vec![], next: None };
        for event in events {
            match self.run.advance(now, event) {
                Ok(more) => {
                    step.events.extend(more.events);
                    step.next = more.next.or(step.next);
                }
                Err(refused) => tracing::info!(run = %self.claimed.lease.run, %refused, "dropped"),
            }
        }
        let next = step.next.unwrap_or(due);
        let then = match &next {
            Effect::Sleep(until) => Then::Sleep(*until),
            Effect::Wait => Then::Release,
            Effect::Then(_) | Effect::CallModel { .. } | Effect::CallTool(_) => Then::Hold(self.shop.lease_end(now)),
        };
        let asked = self.run.pending_request().filter(|request| asked_before != Some(request.id)).cloned();
        let commit = Commit {
            lease: self.claimed.lease,
            tail: self.claimed.tail,
            overtaken: asked_before.is_some() && self.run.pending_request().map(|request| request.id) != asked_before,
            asked,
            events: step.events,
            status: self.run.status(),
            taken,
            then,
            now,
        };
        let committed = self.shop.parts.db.write(async move |tx| runs::commit(tx, commit).await).await?;
        let Some(Committed { tail, due_again }) = committed else {
            tracing::warn!(run = %self.claimed.lease.run, "lease lost: nothing was written, its worker stops");
            return Ok(Going::LetGo);
        };
        self.claimed.tail = tail;
        self.shop.parts.bell.ring_run(self.claimed.lease.run.0);
        if due_again || matches!(then, Then::Sleep(_)) {
            self.shop.parts.bell.ring_work();
        }
        Ok(if matches!(then, Then::Hold(_)) { Going::On(next) } else { Going::LetGo })
    }

    /// Lets go of a run in the middle, for another process or the next start to go on with.
    async fn let_go(&self) -> Result<(), StoreError> {
        let (lease, now) = (self.claimed.lease, self.shop.now());
        self.shop.parts.db.write(async move |tx| work::let_go(tx, lease, now).await).await
    }
}

impl<T> Waited<T> {
    fn map<U>(self, done: impl FnOnce(T) -> U) -> Waited<U> {
        match self {
            Self::Done(value) => Waited::Done(done(value)),
            Self::Stop => Waited::Stop,
            Self::TimeUp => Waited::TimeUp,
            Self::Drain => Waited::Drain,
        }
    }
}

/// Waits for `doing`, but not longer than the run has, nor past a stop or the end of a drain.
async fn wait<T>(
    shop: &Shop,
    claimed: &Claimed,
    news: &mut RunWatch,
    left_ms: u64,
    doing: impl Future<Output = T>,
) -> Waited<T> {
    let mut pace = shop.pace.clone();
    tokio::select! {
        biased;
        value = doing => Waited::Done(value),
        () = stop_wanted(shop, claimed, news) => Waited::Stop,
        _ = pace.wait_for(|pace| *pace == Pace::DropStep) => Waited::Drain,
        () = tokio::time::sleep(Duration::from_millis(left_ms)) => Waited::TimeUp,
    }
}

/// Returns once the inbox holds a stop. Messages do not interrupt a turn: they are heard at the next one.
async fn stop_wanted(shop: &Shop, claimed: &Claimed, news: &mut RunWatch) {
    let run = claimed.lease.run;
    loop {
        news.changed().await;
        match shop.parts.db.read(async |tx| runs::inbox(tx, run).await).await {
            Ok(inbox) if inbox.iter().any(|(_, event)| matches!(event, Event::Interrupted { .. })) => {
                return;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%run, %error, "the inbox could not be read"),
        }
    }
}

fn time_up(shop: &Shop) -> Cause {
    let limit = shop.parts.limits.wall_ms;
    Cause {
        code: "limit_reached".into(),
        message: format!(
            "The Job reached its limit wall_ms = {limit}. Raise it in errand.toml, section [limits], or give the Job less to do."
        ),
    }
}
