//! Finds runs that are due and gives each a task of its own.
//!
//! A bell says when to look; a slow poll behind it finds what no bell was rung for: a pause that is over, a lease that ran out.

use std::sync::Arc;
use std::time::Duration;

use storage::StoreError;
use storage::work::{self, Claimed, Claiming, Lease};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;
use tracing::field::Empty;
use uuid::Uuid;

use crate::job;
use crate::pace::Pace;
use crate::probation::{LOOK, Watch};
use crate::shop::{Held, Shop, lock};

/// Runs claimed in one transaction: enough to fill a commit, few enough not to hold others up.
const BATCH: u32 = 64;
/// The slow poll: how late work of another node is found where no bell reaches.
const POLL: Duration = Duration::from_secs(2);
/// The same where bells reach, and one may be lost.
const POLL_CARRIED: Duration = Duration::from_secs(5);
/// The next look after one that found something due and got none of it.
const HELD_BACK: Duration = Duration::from_millis(200);
/// After a database error, before the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Claims until the process drains.
pub(crate) async fn keep_claiming(shop: Arc<Shop>) {
    let (mut failing, mut others_first) = (false, false);
    loop {
        let places = tokio::select! {
            biased;
            () = shop.pace.until(|pace| pace != Pace::Work) => return,
            places = shop.take_places(BATCH) => places,
            // All places are taken, but a stop needs none.
            () = shop.parts.bell.work() => None,
        };
        let trial = on_probation(&shop).await;
        let alone = trial == Trial::Goes;
        others_first |= trial == Trial::Over;
        let places = if alone { None } else { places };
        let (has_room, suspect) = (places.is_some(), !others_first);
        // Not in the select: a claim whose answer nobody waits for would hold its runs for a whole lease.
        let idle = match look(&shop, places, suspect).await {
            Ok(idle) => {
                others_first &= !has_room;
                if std::mem::take(&mut failing) {
                    tracing::info!("claiming works again");
                }
                idle
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "claiming failed; it is tried again every second");
                }
                // No ring makes the store better.
                tokio::select! {
                    biased;
                    () = shop.pace.until(|pace| pace != Pace::Work) => return,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        let idle = if alone { LOOK } else { idle };
        if idle.is_zero() {
            continue;
        }
        tokio::select! {
            biased;
            () = shop.pace.until(|pace| pace != Pace::Work) => return,
            () = shop.parts.bell.work() => {}
            () = tokio::time::sleep(idle) => {}
        }
    }
}

/// Whether a run is tried alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    Nobody,
    /// One is, so nothing else is begun here.
    Goes,
    /// Not any more: what is not suspected of anything comes next.
    Over,
}

/// Looks how the trial stands. A run that has come through is cleared.
async fn on_probation(shop: &Shop) -> Trial {
    let holds = |lease: Lease| lock(&shop.held).get(&lease.run).is_some_and(|held| held.lease == lease);
    match shop.probation.look(shop.parts.ambient.steady_ms(), holds) {
        Watch::Nobody => Trial::Nobody,
        Watch::Goes => Trial::Goes,
        Watch::Ended => Trial::Over,
        Watch::CameThrough(lease) => {
            let attempt = shop.suspect_from();
            let cleared = shop.parts.db.write_leases(async move |tx| work::clear(tx, lease, attempt).await);
            if let Err(error) = cleared.await {
                tracing::warn!(run = %lease.run, %error, "a run that came through its probation is not cleared");
            }
            Trial::Over
        }
    }
}

/// Claims what is due, one run a place, also a suspect if `suspect` says so; answers how long nothing will be, unless the bell rings. Without places
/// only runs that are to be stopped are claimed: they end at once.
async fn look(
    shop: &Arc<Shop>,
    mut places: Option<OwnedSemaphorePermit>,
    suspect: bool,
) -> Result<Duration, StoreError> {
    faults::point("claims.look");
    let poll = if shop.parts.bell.is_carried() { POLL_CARRIED } else { POLL };
    let Some(due) = shop.parts.db.read(async |tx| work::next_due(tx).await).await? else { return Ok(poll) };
    let is_due = if places.is_some() { due.in_ms == 0 } else { due.stop };
    if !is_due {
        // Where places are short, a free one is what to wait for, and `take_places` does.
        return Ok(if places.is_some() { Duration::from_millis(due.in_ms).min(poll) } else { Duration::ZERO });
    }
    let (now, settings) = (shop.now(), &shop.parts.settings);
    let wanted = Claiming {
        token: shop.parts.ambient.id(now),
        now,
        lease_ms: settings.lease_ms,
        most: places.as_ref().map_or(BATCH, |places| u32::try_from(places.num_permits()).unwrap_or(1)),
        stops_only: places.is_none(),
        suspect_from: shop.suspect_from(),
        suspect,
        team_most: (settings.team_concurrency > 0).then_some(settings.team_concurrency),
    };
    let began = shop.parts.ambient.steady_ms();
    let claimed = match shop.parts.db.write_leases(async move |tx| work::claim(tx, wanted).await).await {
        Err(StoreError::InDoubt(why)) => {
            give_back(shop, wanted.token, why).await;
            return Ok(Duration::ZERO);
        }
        claimed => claimed?,
    };
    faults::point("claims.claimed");
    let none = claimed.is_empty();
    for claimed in claimed {
        begin(shop, claimed, places.as_mut().and_then(|places| places.split(1)), began);
        faults::point("claims.begun");
    }
    // What is due may be held back by its team's bound, or be another node's by now; or it is a suspect, whose turn comes now.
    Ok(if none && suspect { HELD_BACK } else { Duration::ZERO })
}

/// Lets go of whatever was claimed with this token: nobody knows whether anything was, so nobody would work on it until the leases end.
async fn give_back(shop: &Shop, token: Uuid, why: String) {
    tracing::warn!(why, "nobody knows what was claimed: it is given back");
    loop {
        match shop.parts.db.write_leases(async move |tx| work::give_back(tx, token).await).await {
            Ok(0) => return,
            Ok(_) => return shop.parts.bell.ring_work(),
            Err(error) if error.passes() && shop.goes_on() => tokio::time::sleep(PAUSE).await,
            Err(error) => return tracing::error!(%error, "giving back failed: the leases will run out"),
        }
    }
}

fn begin(shop: &Arc<Shop>, claimed: Claimed, place: Option<OwnedSemaphorePermit>, claimed_at: u64) {
    let lease = claimed.lease;
    let until = claimed_at.saturating_add(shop.parts.settings.lease_ms);
    if let Some(times) = claimed.probation {
        shop.probation.begin(lease, shop.parts.ambient.steady_ms(), times);
    }
    if let Some(since) = claimed.fresh_since {
        shop.parts.meters.dispatched(Duration::from_millis(shop.now().ms_since(since)));
    }
    // All that is logged on the way is logged as this run's.
    let span = tracing::error_span!("run", team = %lease.team, run = %lease.run, round = Empty);
    let shop_of_run = Arc::clone(shop);
    let placed = place.is_some();
    let place = place.or_else(|| shop.stand());
    let mut held = lock(&shop.held);
    let driving = async move {
        job::drive(&shop_of_run, claimed, placed).await;
        let mut held = lock(&shop_of_run.held);
        if held.get(&lease.run).is_some_and(|held| held.lease == lease) {
            held.remove(&lease.run);
        }
        drop(place);
    };
    let task = tokio::spawn(driving.instrument(span));
    // After a pause longer than the lease, this process may claim a run that a task of its own still works on.
    if let Some(late) = held.insert(lease.run, Held { lease, task: task.abort_handle(), missed: false, until }) {
        late.task.abort();
    }
}
