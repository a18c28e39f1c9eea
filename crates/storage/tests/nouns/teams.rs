//! The wall between teams: whatever one has, another does not see, count or touch.

use storage::runs::{Filter, Then};
use storage::{agents, builds, human_requests, journal, runs, sandboxes, teams};

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

    let strangers = house.strangers;
    let checked = house.db.read(async |tx| {
        assert!(agents::get(tx, strangers, run.agent).await?.is_none());
        assert_eq!(agents::page(tx, strangers, 10, 0).await?, (vec![], 0));
        assert!(builds::get(tx, strangers, run.build).await?.is_none());
        assert!(agents::get_with_build(tx, strangers, run.agent).await?.is_none());
        assert!(builds::page(tx, strangers, run.agent, 10, 0).await?.is_none());
        assert!(builds::latest_secrets(tx, strangers, run.agent).await?.is_none());
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
