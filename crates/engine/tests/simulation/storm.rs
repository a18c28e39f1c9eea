//! The faults: what happens to nodes and to their way to the store, one thing after the other or several at once.

use std::sync::Arc;
use std::time::Duration;

use crate::node::Sky;
use crate::plan::NODES;
use crate::sim::Sim;

/// Faults until the storm is over; then all is mended.
pub(crate) async fn rage(sim: &Arc<Sim>) {
    let mut coming_back = vec![];
    while sim.now() < sim.plan.storm_ms {
        sim.pause(sim.plan.calm_ms).await;
        let node = sim.chance.index(NODES);
        let lease = sim.plan.settings.lease_ms;
        match sim.chance.below(13) {
            0 | 1 => coming_back.push(crash(sim, node)),
            2 if sim.chance.one_in(2) => coming_back.extend((0..NODES).map(|node| crash(sim, node))),
            3 | 4 => freeze(sim, node, sim.chance.between(100, 3 * lease)),
            5 => {
                let told_after = sim.chance.pick(&[10, 1_000, 40_000]);
                weather(sim, node, Sky::Cut(told_after), 3 * lease);
            }
            6 => weather(sim, node, Sky::Slow(sim.chance.between(10, lease)), 4 * lease),
            7 => weather(sim, node, Sky::Rough(sim.chance.between(2, 6)), 2 * lease),
            8 => {
                let sky = sim.chance.pick(&[Sky::Full, Sky::Rough(3), Sky::Cut(500), Sky::Slow(2_000)]);
                (0..NODES).for_each(|node| weather(sim, node, sky, 20_000));
            }
            9 | 10 => coming_back.push(drain(sim, node)),
            // A node that is stopped while it does not move, and wakes up when others have its runs.
            11 => {
                freeze(sim, node, sim.chance.between(lease, 3 * lease));
                sim.pause(lease / 2).await;
                coming_back.push(drain(sim, node));
            }
            // One that is stopped while its store takes its time.
            12 => {
                weather(sim, node, Sky::Slow(sim.chance.between(10, lease)), 4 * lease);
                sim.pause(lease / 2).await;
                coming_back.push(drain(sim, node));
            }
            _ => {}
        }
    }
    for node in &sim.nodes {
        let mut state = node.state();
        (state.sky, state.sky_until, state.frozen_until) = (Sky::Clear, 0, 0);
    }
    for back in coming_back {
        back.await.unwrap();
    }
}

fn freeze(sim: &Sim, node: usize, ms: u64) {
    let until = sim.now() + ms;
    let mut state = sim.nodes[node].state();
    state.frozen_until = state.frozen_until.max(until);
    state.sound_since = state.sound_since.max(until + 1_000);
    state.heard_since = state.heard_since.max(until + 1_000);
    drop(state);
    let mut book = sim.book();
    book.counts.freezes += 1;
    book.note(format!("{} node {node} freezes until {until}", sim.now()));
}

fn weather(sim: &Sim, node: usize, sky: Sky, most_ms: u64) {
    let until = sim.now() + sim.chance.between(100, most_ms);
    let mut state = sim.nodes[node].state();
    (state.sky, state.sky_until) = (sky, until);
    // What was asked for before may still be on its way.
    let late = match sky {
        Sky::Cut(late) | Sky::Slow(late) => 2 * late,
        Sky::Clear | Sky::Rough(_) | Sky::Full => 1_000,
    };
    state.sound_since = state.sound_since.max(until + late);
    if !matches!(sky, Sky::Slow(_)) {
        state.heard_since = state.heard_since.max(until + late);
    }
    drop(state);
    let mut book = sim.book();
    book.counts.cuts += u64::from(matches!(sky, Sky::Cut(_)));
    book.note(format!("{} node {node} {sky:?} until {until}", sim.now()));
}

/// Kills the node, and starts it again after a while.
fn crash(sim: &Arc<Sim>, node: usize) -> tokio::task::JoinHandle<()> {
    sim.crash(node);
    let sim = Arc::clone(sim);
    tokio::spawn(async move {
        sim.pause(sim.chance.pick(&[10, 5_000, 60_000])).await;
        again(&sim, node);
    })
}

/// Drains the node, and starts it again after a while.
fn drain(sim: &Arc<Sim>, node: usize) -> tokio::task::JoinHandle<()> {
    let (sim, grace) = (Arc::clone(sim), Duration::from_millis(sim.chance.below(10_000)));
    tokio::spawn(async move {
        sim.drain(node, grace).await;
        sim.pause(sim.chance.pick(&[10, 5_000, 30_000])).await;
        again(&sim, node);
    })
}

/// Starts a node, unless somebody else has.
fn again(sim: &Arc<Sim>, node: usize) {
    let up = sim.nodes[node].state().db.is_some();
    if !up {
        sim.start(node);
    }
}
