//! The wall between teams: whatever one has, another does not see, count or touch.

use storage::runs::{Filter, Then};
use storage::{agents, builds, human_requests, journal, runs, sandboxes, teams};

use std::collections::HashMap;

use domain::TeamId;
use storage::work::{self, Claiming};

use crate::house::{Engine, House, at, request, step};

both!(a_stranger_sees_nothing_of_anything);
async fn a_stranger_sees_nothing_of_anything(engine: Engine) {
    let house = House::new(engine).await;
    let run = house.run(house.team).await;
    let claimed = house.claim_one(at(20)).await;
    let asked = request(house.id());
    let mut step = step(&claimed, vec![], domain::runs::Status::Waiting, Then::Release, at(30));
    step.asked = Some(asked.clone());
    house.commit(step).await.unwrap();

    let (strangers, keys) = (house.strangers, House::keys(1));
    let checked = house.db.read(async |tx| {
        assert!(agents::get(tx, strangers, run.agent).await?.is_none());
        assert_eq!(agents::page(tx, strangers, 10, 0).await?, (vec![], 0));
        assert!(builds::get(tx, strangers, run.build).await?.is_none());
        assert!(agents::get_with_build(tx, strangers, run.agent).await?.is_none());
        assert!(builds::page(tx, strangers, run.agent, 10, 0).await?.is_none());
        assert!(builds::latest_secrets(tx, &keys, strangers, run.agent).await?.is_none());
        assert!(sandboxes::get(tx, strangers, &run.sandbox).await?.is_none());
        assert!(runs::get(tx, strangers, run.id).await?.is_none());
        for filter in [Filter::default(), Filter { agent: Some(run.agent), ..Filter::default() }] {
            let (page, total) = runs::page(tx, strangers, &filter, true, 10, 0).await?;
            assert_eq!((page.len(), total), (0, 0));
        }
        assert!(journal::after(tx, strangers, run.id, 0, 10).await?.is_empty());
        assert!(journal::messages(tx, strangers, run.id, 10, 0).await?.is_empty());
        assert!(human_requests::pending(tx, strangers, run.id).await?.is_none());
        assert!(human_requests::get(tx, strangers, run.id, asked.id).await?.is_none());
        // The same questions have answers for the team itself.
        assert!(human_requests::get(tx, house.team, run.id, asked.id).await?.is_some());
        assert!(agents::get_with_build(tx, house.team, run.agent).await?.is_some_and(|(_, build)| build.is_some()));
        assert!(sandboxes::get(tx, house.team, &run.sandbox).await?.is_some());
        Ok::<_, storage::StoreError>(())
    });
    checked.await.unwrap();
}

both!(a_run_cannot_point_at_what_another_team_has);
async fn a_run_cannot_point_at_what_another_team_has(engine: Engine) {
    let house = House::new(engine).await;
    let theirs = house.run(house.strangers).await;
    let (team, id) = (house.team, domain::RunId(house.id()));
    let new = storage::runs::NewRun {
        id,
        agent: theirs.agent,
        build: theirs.build,
        sandbox: theirs.sandbox,
        title: "stolen".into(),
        source: "api",
        webhook: None,
        message: None,
        created_at: at(10),
    };
    let refused = house.db.write(async move |tx| runs::insert(tx, team, new).await).await;
    assert!(matches!(refused, Err(storage::StoreError::Constraint(_))), "{refused:?}");
    assert!(house.db.read(async |tx| runs::get(tx, team, id).await).await.unwrap().is_none());
}

both!(each_team_counts_its_own_runs);
async fn each_team_counts_its_own_runs(engine: Engine) {
    let house = House::new(engine).await;
    let mut numbers = Vec::new();
    for team in [house.team, house.strangers, house.team] {
        numbers.push(house.run(team).await.number);
    }
    assert_eq!(numbers, [1, 1, 2]);
    let first = house.db.read(async |tx| teams::first(tx).await).await.unwrap();
    assert_eq!(first, Some(house.team));
}

both!(nodes_that_claim_for_bounded_teams_at_once_never_wait_in_a_circle);
async fn nodes_that_claim_for_bounded_teams_at_once_never_wait_in_a_circle(engine: Engine) {
    const MOST: u32 = 6;
    let house = House::new(engine).await;
    let mut all = vec![house.team, house.strangers];
    for _ in 0..6 {
        let team = TeamId(house.id());
        house.db.write(async move |tx| teams::insert(tx, team, "more", at(0)).await).await.unwrap();
        all.push(team);
    }
    for team in &all {
        let agent = house.agent(*team, "worker").await;
        let build = house.build(*team, agent).await.unwrap().id;
        for _ in 0..2 * MOST {
            house.run_of(*team, agent, build, "a job", at(10)).await;
        }
    }
    let nodes = (0..12).map(|_| {
        let (db, tokens) = (house.db.clone(), (0..8).map(|_| house.id()).collect::<Vec<_>>());
        tokio::spawn(async move {
            let mut claimed = Vec::new();
            for token in tokens {
                // Spread over all bits, as real ones are: with them the order of the teams is drawn.
                let token =
                    uuid::Uuid::from_u128(token.as_u128().wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
                let wanted = Claiming {
                    token,
                    now: at(20),
                    lease_ms: 60_000,
                    most: 5,
                    stops_only: false,
                    team_most: Some(MOST),
                    suspect_from: 1_000,
                    suspect: true,
                };
                claimed.extend(db.write(async move |tx| work::claim(tx, wanted).await).await.unwrap());
            }
            claimed
        })
    });
    let mut held: HashMap<TeamId, u32> = HashMap::new();
    for node in nodes.collect::<Vec<_>>() {
        for claimed in node.await.unwrap() {
            *held.entry(claimed.lease.team).or_default() += 1;
        }
    }
    assert_eq!(held.len(), all.len());
    assert!(held.values().all(|held| *held <= MOST), "{held:?}");
}
