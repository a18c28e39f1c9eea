//! The model's idea of a commit: fence, inbox, journal, row, lease and request, all or nothing.

use domain::runs::Event;

use super::{Answer, Model, Wanted, Work};
use crate::operation::After;

impl Model {
    pub(crate) fn commit(&mut self, step: &Wanted, again: bool) -> Answer {
        let (now, seq) = (self.now, step.seen + step.events.len());
        let Wanted { run, claim, .. } = *step;
        let written = |model: &Self| {
            let entry = step.events.last().map(|event| (step.at, event.clone()));
            entry.is_some() && model.runs[run].journal.get(seq - 1) == entry.as_ref()
        };
        if again && written(self) {
            return match step.after {
                After::Hold(ms) if !self.renew(run, claim, ms) => Answer::Lost,
                _ => Answer::Done { seq, due_again: true },
            };
        }
        let run = &mut self.runs[run];
        let seen = step.taken.last().copied().unwrap_or(0);
        if step.status.is_terminal() && !step.events.is_empty() && run.inbox.iter().any(|(id, _)| *id > seen) {
            return Answer::Overtaken;
        }
        let stopped = run.stop_waits();
        let Some(work) = run.held_by(claim) else { return Answer::Lost };
        match step.after {
            After::Hold(ms) => {
                work.due = now + i64::try_from(ms).unwrap();
                work.if_carried(now);
            }
            After::Sleep(ms) => {
                let due = if stopped { 0 } else { now + i64::try_from(ms).unwrap() };
                (work.due, work.claim, work.attempt) = (due, None, 0);
            }
            After::Release => run.work = None,
        }
        run.inbox.retain(|(id, _)| !step.taken.contains(id));
        let due_again = !matches!(step.after, After::Hold(_)) && !run.inbox.is_empty();
        if due_again {
            let due = if run.stop_waits() { 0 } else { now };
            match &mut run.work {
                Some(work) => work.due = due,
                None => run.work = Some(Work { due, claim: None, attempt: 0, probations: 0, claimed_at: 0 }),
            }
        }
        for event in &step.events {
            run.journal.push((step.at, event.clone()));
            run.prompts += u64::from(matches!(event, Event::MessageReceived(_)));
            let told = match event {
                Event::PersonAsked { .. } => Some("human_request"),
                Event::Completed { .. } => Some("run_completed"),
                Event::Failed { .. } => Some("run_failed"),
                Event::Interrupted { .. } => Some("run_interrupted"),
                _ => None,
            };
            let seq = run.journal.len() as u64;
            run.outbox.extend(told.filter(|_| run.webhook).map(|told| (seq, told)));
        }
        (run.status, run.ended) = (step.status, step.status.is_terminal());
        if step.overtaken {
            run.request = None;
        }
        if step.asks.is_some() {
            run.request = step.asks;
        }
        Answer::Done { seq, due_again }
    }
}
