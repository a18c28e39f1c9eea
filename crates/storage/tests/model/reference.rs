//! The model: what each operation answers and leaves behind, as simply as it can be said. Runs are numbered as they were accepted; tokens, ids and
//! texts are those that the player draws.

use std::collections::BTreeMap;

use domain::Timestamp;
use domain::runs::{Event, Status};
use storage::work::Claiming;
use uuid::Uuid;

use crate::operation::After;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Work {
    pub(crate) due: i64,
    pub(crate) claim: Option<Uuid>,
    pub(crate) attempt: u32,
    pub(crate) probations: u32,
    pub(crate) claimed_at: i64,
}

/// All that is known of a run.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) team: usize,
    pub(crate) webhook: bool,
    pub(crate) status: Status,
    pub(crate) started: bool,
    pub(crate) ended: bool,
    pub(crate) prompts: u64,
    pub(crate) journal: Vec<(Timestamp, Event)>,
    /// With the order in which it came, over all runs.
    pub(crate) inbox: Vec<(u64, Event)>,
    pub(crate) request: Option<Uuid>,
    pub(crate) outbox: Vec<(u64, &'static str)>,
    pub(crate) work: Option<Work>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: i64,
    pub(crate) told: u64,
    pub(crate) runs: Vec<Known>,
}

/// A step as its worker has it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) run: usize,
    pub(crate) claim: Uuid,
    /// The entries that its worker knows.
    pub(crate) seen: usize,
    pub(crate) events: Vec<Event>,
    pub(crate) status: Status,
    /// What of the inbox it takes.
    pub(crate) taken: Vec<u64>,
    pub(crate) asks: Option<Uuid>,
    pub(crate) overtaken: bool,
    pub(crate) after: After,
    pub(crate) at: Timestamp,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Lost,
    Overtaken,
    Done { seq: usize, due_again: bool },
}

impl Work {
    /// After five minutes with one worker it begins anew.
    fn if_carried(&mut self, now: i64) {
        if self.claimed_at <= now - 300_000 {
            (self.attempt, self.probations) = (1, 0);
        }
    }
}

impl Known {
    pub(crate) fn stop_waits(&self) -> bool {
        self.inbox.iter().any(|(_, event)| matches!(event, Event::Interrupted { .. }))
    }

    fn held_by(&mut self, claim: Uuid) -> Option<&mut Work> {
        self.work.as_mut().filter(|work| work.claim == Some(claim))
    }

    fn wake(&mut self, due: i64) {
        match &mut self.work {
            None => self.work = Some(Work { due, claim: None, attempt: 0, probations: 0, claimed_at: 0 }),
            Some(work) if work.claim.is_none() => work.due = work.due.min(due),
            Some(_) => {}
        }
    }
}

impl Model {
    pub(crate) fn insert(&mut self, team: usize, webhook: bool, events: Vec<Event>) {
        let journal: Vec<_> = events.into_iter().map(|event| (Timestamp(self.now), event)).collect();
        let mut run = Known {
            team,
            webhook,
            status: Status::Pending,
            started: false,
            ended: false,
            prompts: journal.len() as u64 - 1,
            journal,
            inbox: vec![],
            request: None,
            outbox: vec![],
            work: None,
        };
        run.wake(self.now);
        self.runs.push(run);
    }

    /// Whether `chosen` may be taken, as the first runs in line of all that `may`; takes them.
    fn take(&mut self, chosen: &[usize], most: u32, wanted: &Claiming, may: impl Fn(&Known, &Work) -> bool) -> bool {
        let lines = |(_, run): &(usize, &Known)| run.work.as_ref().filter(|work| may(run, work)).map(|work| work.due);
        let mut due: Vec<i64> = self.runs.iter().enumerate().filter_map(|run| lines(&run)).collect();
        due.sort_unstable();
        due.truncate(most as usize);
        let mut got: Vec<i64> = chosen.iter().filter_map(|run| lines(&(*run, &self.runs[*run]))).collect();
        got.sort_unstable();
        for run in chosen {
            let run = &mut self.runs[*run];
            if let Some(work) = &mut run.work {
                work.due = self.now + i64::try_from(wanted.lease_ms).unwrap();
                (work.claim, work.claimed_at) = (Some(wanted.token), self.now);
                work.attempt += 1;
                let event = Event::Claimed { attempt: work.attempt };
                run.journal.push((wanted.now, event));
            }
            if !run.ended {
                run.status = if run.started { Status::Running } else { Status::Starting };
            }
            run.started = true;
        }
        got == due && got.len() == chosen.len()
    }

    /// Judges a claim that took these, in any order: stops first, then one suspect, or each team its share.
    pub(crate) fn claim(&mut self, wanted: &Claiming, mut chosen: Vec<usize>) -> bool {
        let now = self.now;
        let mut pick = |test: &mut dyn FnMut(usize) -> bool| -> Vec<usize> {
            let (yes, no) = chosen.iter().partition(|run| test(**run));
            chosen = no;
            yes
        };
        let stops = pick(&mut |run| self.runs[run].work.as_ref().is_some_and(|work| work.due <= 0));
        let mut right = self.take(&stops, wanted.most, wanted, |_, work| work.due <= 0);
        let mut left = wanted.most - u32::try_from(stops.len()).unwrap();
        if wanted.stops_only || left == 0 {
            return right && chosen.is_empty();
        }
        let due = |work: &Work| work.due <= now;
        let mut teams: Vec<usize> = vec![];
        for team in 0..crate::operation::TEAMS {
            if self.runs.iter().any(|run| run.team == team && run.work.as_ref().is_some_and(due)) {
                teams.push(team);
            }
        }
        if wanted.suspect {
            let from = wanted.suspect_from;
            for team in teams.clone() {
                let may = move |run: &Known, work: &Work| run.team == team && work.due <= now && work.attempt >= from;
                if self.room(team, wanted) == 0
                    || !self.runs.iter().any(|run| run.work.as_ref().is_some_and(|w| may(run, w)))
                {
                    continue;
                }
                right &= self.take(&chosen, 1, wanted, may) && chosen.len() == 1;
                for run in chosen {
                    self.runs[run].work.as_mut().unwrap().probations += 1;
                }
                return right;
            }
        }
        let turn = usize::try_from(wanted.token.as_u128() % teams.len().max(1) as u128).unwrap();
        teams.rotate_left(turn);
        let share = left.div_ceil(u32::try_from(teams.len()).unwrap().max(1));
        // The answer does not say in which round a run was taken, but how many its team gets in both is known, and those are its first.
        let mut gets: BTreeMap<usize, u32> = BTreeMap::new();
        for most in [share, left] {
            for team in &teams {
                let waiting = |run: &&Known| {
                    run.team == *team
                        && run.work.as_ref().is_some_and(|work| due(work) && work.attempt < wanted.suspect_from)
                };
                let waiting = u32::try_from(self.runs.iter().filter(waiting).count()).unwrap();
                let had = gets.entry(*team).or_default();
                let room = self.room(*team, wanted).saturating_sub(*had);
                let more = most.min(left).min(room).min(waiting - *had);
                *had += more;
                left -= more;
            }
            if left == 0 || teams.len() < 2 {
                break;
            }
        }
        for (team, most) in gets {
            let (of_team, others) = chosen.into_iter().partition(|run| self.runs[*run].team == team);
            chosen = others;
            let may = |run: &Known, work: &Work| run.team == team && due(work) && work.attempt < wanted.suspect_from;
            right &= self.take(&of_team, most, wanted, may);
        }
        right && chosen.is_empty()
    }

    fn room(&self, team: usize, wanted: &Claiming) -> u32 {
        let holds = |run: &&Known| {
            run.team == team && run.work.as_ref().is_some_and(|work| work.claim.is_some() && work.due > self.now)
        };
        let held = u32::try_from(self.runs.iter().filter(holds).count()).unwrap();
        wanted.team_most.map_or(u32::MAX, |most| most.saturating_sub(held))
    }

    pub(crate) fn renew(&mut self, run: usize, claim: Uuid, lease_ms: u64) -> bool {
        let end = self.now + i64::try_from(lease_ms).unwrap();
        self.runs[run].held_by(claim).map(|work| work.due = end).is_some()
    }

    pub(crate) fn let_go(&mut self, run: usize, claim: Uuid, after_ms: u64) -> bool {
        let run = &mut self.runs[run];
        let due = if run.stop_waits() { 0 } else { self.now + i64::try_from(after_ms).unwrap() };
        run.held_by(claim).map(|work| (work.due, work.claim, work.attempt) = (due, None, 0)).is_some()
    }

    pub(crate) fn clear(&mut self, run: usize, claim: Uuid, attempt: u32) {
        let now = self.now;
        if let Some(work) = self.runs[run].held_by(claim) {
            work.attempt = work.attempt.min(attempt);
            work.if_carried(now);
        }
    }

    pub(crate) fn tell(&mut self, run: usize, event: Event) {
        self.told += 1;
        let (now, told, run) = (self.now, self.told, &mut self.runs[run]);
        run.wake(if matches!(event, Event::Interrupted { .. }) { 0 } else { now });
        run.inbox.push((told, event));
        if matches!(run.status, Status::Waiting | Status::Completed | Status::Interrupted) {
            (run.status, run.ended) = (Status::Pending, false);
        }
    }

    pub(crate) fn free_all(&mut self) -> u64 {
        let mut freed = 0;
        for run in &mut self.runs {
            let due = if run.stop_waits() { 0 } else { self.now };
            if let Some(work) = run.work.as_mut().filter(|work| work.claim.is_some()) {
                (work.due, work.claim) = (due, None);
                freed += 1;
            }
        }
        freed
    }

    pub(crate) fn unstick(&mut self) -> Vec<usize> {
        let stuck = |run: &Known| {
            run.work.is_none() && matches!(run.status, Status::Pending | Status::Starting | Status::Running)
        };
        let all: Vec<usize> = (0..self.runs.len()).filter(|run| stuck(&self.runs[*run])).collect();
        for run in &all {
            self.runs[*run].wake(self.now);
        }
        all
    }
}

#[path = "step.rs"]
mod step;
