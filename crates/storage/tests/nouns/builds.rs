//! Builds: their numbers, and which one a run gets.

use std::sync::Arc;

use domain::AgentId;
use domain::builds::Build;
use storage::{agents, builds};

use crate::house::{Engine, House, at};

async fn page(house: &House, agent: AgentId, limit: u32, offset: u64) -> Option<(Vec<Build>, u64)> {
    house.db.read(async |tx| builds::page(tx, house.team, agent, limit, offset).await).await.unwrap()
}

both!(numbers_have_no_gap_and_no_duplicate_however_many_write_at_once);
async fn numbers_have_no_gap_and_no_duplicate_however_many_write_at_once(engine: Engine) {
    let house = Arc::new(House::new(engine).await);
    let agents = [house.agent(house.team, "one").await, house.agent(house.team, "two").await];
    let writers: Vec<_> = (0..50)
        .map(|turn| {
            let (house, agent) = (Arc::clone(&house), agents[turn % 2]);
            tokio::spawn(async move { house.build(house.team, agent).await.unwrap() })
        })
        .collect();
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    for agent in agents {
        let mut numbers: Vec<u32> =
            written.iter().filter(|build| build.agent == agent).map(|build| build.revision_number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=25).collect::<Vec<_>>());
        let (newest_first, total) = page(&house, agent, 100, 0).await.unwrap();
        let listed: Vec<u32> = newest_first.iter().map(|build| build.revision_number).collect();
        assert_eq!((listed, total), ((1..=25).rev().collect(), 25));
    }
}

both!(the_latest_is_the_one_with_the_highest_number_and_moves_the_assignment);
async fn the_latest_is_the_one_with_the_highest_number_and_moves_the_assignment(engine: Engine) {
    let house = House::new(engine).await;
    let (team, agent) = (house.team, house.agent(house.team, "one").await);
    let latest =
        async || house.db.read(async |tx| agents::get_with_build(tx, team, agent).await).await.unwrap().unwrap().1;
    assert_eq!(latest().await, None);
    house.build(team, agent).await.unwrap();
    let second = house.build(team, agent).await.unwrap();
    assert_eq!(latest().await, Some(second.clone()));
    let stored = house.db.read(async |tx| builds::get(tx, team, second.id).await).await.unwrap();
    assert_eq!(stored, Some(second));
    let moved = house.db.read(async |tx| agents::get(tx, team, agent).await).await.unwrap().unwrap();
    assert_eq!((moved.created_at, moved.updated_at), (at(0), at(5)));
}

both!(pages_meet_without_overlap);
async fn pages_meet_without_overlap(engine: Engine) {
    let house = House::new(engine).await;
    let agent = house.agent(house.team, "one").await;
    for _ in 0..5 {
        house.build(house.team, agent).await.unwrap();
    }
    let mut seen = Vec::new();
    for offset in [0, 2, 4, 6] {
        let (builds, total) = page(&house, agent, 2, offset).await.unwrap();
        assert_eq!(total, 5);
        seen.extend(builds.iter().map(|build| build.revision_number));
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}

both!(nobody_builds_for_an_assignment_that_is_not_theirs);
async fn nobody_builds_for_an_assignment_that_is_not_theirs(engine: Engine) {
    let house = House::new(engine).await;
    let agent = house.agent(house.team, "ours").await;
    assert_eq!(house.build(house.strangers, agent).await, None);
    assert_eq!(house.build(house.team, AgentId(house.id())).await, None);
    let next = house.build(house.team, agent).await.unwrap();
    assert_eq!(next.revision_number, 1, "a refused Build uses up no number");
}
