//! What a team's files take up: a sum that is right whatever is noted, replaced and removed, and at the same moment.

use std::sync::Arc;

use domain::files::TeamFile;
use domain::{FileId, TeamId};
use storage::{Db, StoreError, files, quota, sandboxes};
use uuid::Uuid;

use crate::house::{Engine, House, at};

async fn note(db: &Db, team: TeamId, sandbox: &str, bytes: u64) {
    let sandbox = sandbox.to_owned();
    // PostgreSQL may undo one of two that stand in each other's way.
    while let Err(error) = {
        let sandbox = sandbox.clone();
        db.write(async move |tx| quota::note_sandbox(tx, team, &sandbox, bytes).await).await
    } {
        assert_eq!(error, StoreError::Busy);
    }
}

async fn used(house: &House, team: TeamId) -> u64 {
    house.db.read(async |tx| quota::used(tx, team).await).await.unwrap()
}

fn file(team: TeamId, id: u128, name: &str, size: u64) -> TeamFile {
    let (id, blob) = (FileId(Uuid::from_u128(id)), Uuid::from_u128(id + 1_000));
    TeamFile { id, team, name: name.into(), size, sha256: [7; 32], blob, created_at: at(1), updated_at: at(1) }
}

both!(a_team_is_charged_for_its_sandboxes_as_they_were_last_counted_and_for_its_files);
async fn a_team_is_charged_for_its_sandboxes_as_they_were_last_counted_and_for_its_files(engine: Engine) {
    let house = House::new(engine).await;
    let (db, team) = (&house.db, house.team);
    let (one, two) = (house.sandbox(team).await, house.sandbox(team).await);
    for (sandbox, bytes, sum) in
        [(&one, 10, 10), (&one, 30, 30), (&two, 5, 35), (&one, 30, 35), (&two, 0, 30), (&two, 5, 35)]
    {
        note(db, team, sandbox, bytes).await;
        assert_eq!(used(&house, team).await, sum);
    }
    assert_eq!(db.read(async |tx| quota::of_sandbox(tx, team, &one).await).await, Ok(30));
    let put = async |file: TeamFile| db.write(async move |tx| files::put(tx, &file).await).await.unwrap().id;
    let id = put(file(team, 1, "a", 5)).await;
    put(file(team, 2, "b", 100)).await;
    assert_eq!(used(&house, team).await, 140);
    put(file(team, 3, "a", 7)).await;
    assert_eq!(used(&house, team).await, 142, "replaced");
    let remove = async || db.write(async move |tx| files::delete(tx, team, id).await).await;
    assert_eq!((remove().await, remove().await), (Ok(true), Ok(false)));
    assert_eq!(used(&house, team).await, 135, "removed once");
    for _ in 0..2 {
        let gone = one.clone();
        db.write(async move |tx| sandboxes::delete(tx, team, &gone).await).await.unwrap();
        assert_eq!(used(&house, team).await, 105);
    }
    note(db, team, &one, 50).await;
    note(db, house.strangers, &two, 50).await;
    assert_eq!(
        (used(&house, team).await, used(&house, house.strangers).await),
        (105, 0),
        "what is not there, or another's"
    );
}

both!(what_is_noted_at_once_adds_up);
async fn what_is_noted_at_once_adds_up(engine: Engine) {
    let house = Arc::new(House::new(engine).await);
    let team = house.team;
    let sandboxes: Vec<_> = [house.sandbox(team).await, house.sandbox(team).await].into();
    let writers: Vec<_> = (0..24_u64)
        .map(|number| {
            let (house, sandboxes) = (Arc::clone(&house), sandboxes.clone());
            tokio::spawn(async move {
                for turn in 0..5 {
                    note(&house.db, team, &sandboxes[(number % 2) as usize], number * 7 + turn).await;
                    let file = file(team, u128::from(number * 10 + turn), "shared", number * 11 + turn);
                    let put = async || {
                        let file = file.clone();
                        house.db.write(async move |tx| files::put(tx, &file).await).await
                    };
                    while let Err(error) = put().await {
                        assert_eq!(error, StoreError::Busy);
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let sum = "SELECT CAST((SELECT sum(bytes) FROM sandboxes) + (SELECT sum(size) FROM files) AS BIGINT)";
    let parts = house.db.read(async |tx| tx.row(sum, &[]).await).await.unwrap().unwrap().u64(0).unwrap();
    assert_eq!(used(&house, team).await, parts);
}
