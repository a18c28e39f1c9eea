//! Webhooks on their way out: what is due is claimed, sent, and what came of it is written down.
//!
//! What is to be sent was written with what it tells of (`storage/webhooks.rs`), so that nothing is lost with a server; a try that a server did not
//! live to write down is made again, with the same id and the same bytes. What a team has for one origin is a line of its own with a few places and no
//! more, and all lines of a team together have a share of all places: a receiver that hangs holds up its own line, and a team with many of them
//! holds up itself. How deliveries are signed and when they are tried again is `domain::webhooks`.

mod attempt;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Ambient, TeamId};
use egress::Client;
use storage::webhooks::{self, Due, Line};
use storage::{Bell, Db, StoreError, Tx};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::Meters;

/// Deliveries of one line at once.
const PER_LINE: usize = 4;
/// Of one team.
const PER_TEAM: usize = IN_ALL / 4;
/// Deliveries at once.
const IN_ALL: usize = 256;
/// How long a claim holds, in milliseconds: beyond the longest try and what it takes to write down what came of it.
const LEASE_MS: u64 = 20_000;
/// The slow poll: how late a second try is noticed, or what another node left.
const POLL: Duration = Duration::from_secs(10);
/// After a database error, before the next look.
const PAUSE: Duration = Duration::from_secs(1);

/// What deliveries need of the rest of the program.
#[derive(Clone)]
pub struct Deliveries {
    /// Where the outbox is.
    pub db: Db,
    /// Rung when something is put into it.
    pub bell: Bell,
    /// Time, tokens, jitter.
    pub ambient: Arc<dyn Ambient>,
    /// The way out.
    pub client: Client,
    /// The server's own key, from which teams' secrets come.
    pub key: [u8; 32],
    /// What is counted.
    pub meters: Meters,
}

/// Deliveries at work.
pub struct Delivering {
    shared: Arc<Shared>,
    looking: JoinHandle<()>,
}

struct Shared {
    parts: Deliveries,
    /// Deliveries under way, by line.
    under_way: Mutex<HashMap<Line, usize>>,
    /// A delivery has ended.
    ended: Notify,
    stop: Notify,
}

impl Deliveries {
    /// Begins to deliver.
    pub fn start(self) -> Delivering {
        let shared =
            Arc::new(Shared { parts: self, under_way: Mutex::default(), ended: Notify::new(), stop: Notify::new() });
        let looking = tokio::spawn(Arc::clone(&shared).keep_delivering());
        Delivering { shared, looking }
    }
}

impl Delivering {
    /// Waits until the deliverer ends by itself, which it does only when it breaks; nobody delivers then.
    pub async fn failed(&mut self) -> JoinError {
        match (&mut self.looking).await {
            Err(broken) => broken,
            // It was told to.
            Ok(()) => std::future::pending().await,
        }
    }

    /// Claims nothing more and waits until what is under way has ended; what has not within `grace` is tried again by whoever comes.
    pub async fn drain(self, grace: Duration) {
        self.shared.stop.notify_one();
        // Late or broken: the claims end by themselves.
        let _ = tokio::time::timeout(grace, self.looking).await;
    }
}

impl Shared {
    async fn keep_delivering(self: Arc<Self>) {
        let mut tries = JoinSet::new();
        loop {
            let pause = match self.look().await {
                Ok((due, pause)) => {
                    for (line, due) in due {
                        let shared = Arc::clone(&self);
                        tries.spawn(async move {
                            attempt::make(&shared.parts, &due).await;
                            shared.leave(&line);
                        });
                    }
                    pause
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    PAUSE
                }
            };
            while tries.try_join_next().is_some() {}
            tokio::select! {
                biased;
                () = self.stop.notified() => break,
                () = self.ended.notified() => {}
                () = self.parts.bell.outbox() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while tries.join_next().await.is_some() {}
    }

    /// Claims what is due and has room, each with its line; and how long to wait before the next look, if nothing happens meanwhile.
    async fn look(&self) -> Result<(Vec<(Line, Due)>, Duration), StoreError> {
        let parts = &self.parts;
        let look = async |tx: &mut Tx<'_>| Ok((webhooks::lines(tx).await?, webhooks::next_ms(tx).await?));
        let (lines, next) = parts.db.read::<_, StoreError, _>(look).await?;
        let pause = next.map_or(POLL, |ms| POLL.min(Duration::from_millis(ms)));
        let wanted = room(lines, &self.under_way());
        if wanted.is_empty() {
            return Ok((Vec::new(), pause));
        }
        let token = parts.ambient.id(parts.ambient.now());
        let claim = async move |tx: &mut Tx<'_>| {
            let mut claimed = Vec::new();
            for (line, most) in wanted {
                let most = u32::try_from(most).unwrap_or(1);
                for mut due in webhooks::claim(tx, token, LEASE_MS, &line, most).await? {
                    if due.body.is_none() {
                        let body = attempt::body(&due)?;
                        webhooks::settle_body(tx, (due.id, due.claim), &body).await?;
                        due.body = Some(body);
                    }
                    claimed.push((line.clone(), due));
                }
            }
            Ok::<_, StoreError>(claimed)
        };
        let claimed = parts.db.write(claim).await?;
        let mut under_way = self.under_way();
        for (line, _) in &claimed {
            *under_way.entry(line.clone()).or_default() += 1;
        }
        let pause = if claimed.is_empty() { pause } else { Duration::ZERO };
        Ok((claimed, pause))
    }

    fn leave(&self, line: &Line) {
        let mut under_way = self.under_way();
        if let Some(count) = under_way.get_mut(line) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(line);
            }
        }
        self.ended.notify_one();
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Line, usize>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many more of each line may be under way beside those that are: what has been due the longest comes first.
fn room(lines: Vec<Line>, under_way: &HashMap<Line, usize>) -> Vec<(Line, usize)> {
    let mut left = IN_ALL.saturating_sub(under_way.values().sum());
    let mut teams: HashMap<TeamId, usize> = HashMap::new();
    for (line, count) in under_way {
        *teams.entry(line.team).or_default() += count;
    }
    let room = lines.into_iter().map(|line| {
        let (own, team) = (under_way.get(&line).copied().unwrap_or(0), teams.entry(line.team).or_default());
        let most = PER_LINE.saturating_sub(own).min(PER_TEAM.saturating_sub(*team)).min(left);
        *team += most;
        left -= most;
        (line, most)
    });
    room.filter(|(_, most)| *most > 0).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn line(team: u128, origin: usize) -> Line {
        Line { team: TeamId(Uuid::from_u128(team)), origin: format!("https://{origin}.example") }
    }

    #[test]
    fn a_line_has_four_places_and_a_team_a_quarter_of_all() {
        let lines: Vec<_> = (0..80).map(|origin| line(1, origin)).chain([line(2, 0)]).collect();
        let given = room(lines.clone(), &HashMap::new());
        assert_eq!(given.len(), 17, "{given:?}");
        assert!(given.iter().all(|(_, most)| *most == PER_LINE));
        assert_eq!(given[16].0, line(2, 0));
        // With all of its places taken, a team gets none, and another one still does.
        let full: HashMap<_, _> = given.into_iter().filter(|(line, _)| line.team == lines[0].team).collect();
        assert_eq!(room(lines, &full), [(line(2, 0), PER_LINE)]);
        let three = HashMap::from([(line(2, 0), 3)]);
        assert_eq!(room(vec![line(2, 0), line(2, 1)], &three), [(line(2, 0), 1), (line(2, 1), 4)]);
        // There are no more than all.
        let many = (0..10).flat_map(|team| (0..20).map(move |origin| line(team, origin)));
        let given = room(many.collect(), &HashMap::new());
        assert_eq!(given.iter().map(|(_, most)| most).sum::<usize>(), IN_ALL);
    }
}
