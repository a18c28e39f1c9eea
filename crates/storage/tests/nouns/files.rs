//! Team files: names, ids, and whose they are.

use domain::files::TeamFile;
use domain::{FileId, TeamId};
use storage::files;
use uuid::Uuid;

use crate::house::{Engine, House, at};

fn file(team: TeamId, id: u128, name: &str, time: i64) -> TeamFile {
    let (id, blob) = (FileId(Uuid::from_u128(id)), Uuid::from_u128(id + 1_000));
    TeamFile { id, team, name: name.into(), size: 5, sha256: [7; 32], blob, created_at: at(time), updated_at: at(time) }
}

both!(a_file_is_found_by_id_and_by_name_and_only_by_its_team);
async fn a_file_is_found_by_id_and_by_name_and_only_by_its_team(engine: Engine) {
    let house = House::new(engine).await;
    let (ours, theirs) = (house.team, house.strangers);
    let put = async |file: TeamFile| house.db.write(async move |tx| files::put(tx, &file).await).await.unwrap();
    let find = async |team, name: &str| house.db.read(async |tx| files::find(tx, team, name).await).await.unwrap();
    let first = put(file(ours, 1, "in/a.csv", 10)).await;
    assert_eq!(first, file(ours, 1, "in/a.csv", 10));
    assert_eq!(find(ours, "in/a.csv").await.as_ref(), Some(&first));
    assert_eq!(find(ours, &first.id.to_string()).await.as_ref(), Some(&first));
    for nothing in ["a.csv", "", "in/A.csv", "in/a.csv ", &FileId(Uuid::from_u128(2)).to_string()] {
        assert_eq!(find(ours, nothing).await, None, "{nothing:?}");
    }
    for name in ["in/a.csv", &first.id.to_string()] {
        assert_eq!(find(theirs, name).await, None);
    }
    // A name that looks like an id is found where no file has that id.
    let odd = put(file(ours, 3, &FileId(Uuid::from_u128(9)).to_string(), 10)).await;
    assert_eq!(find(ours, &odd.name).await.as_ref(), Some(&odd));
    // Replaced it keeps id and beginning, and another team's of that name is another file.
    put(file(theirs, 4, "in/a.csv", 11)).await;
    let again = put(file(ours, 5, "in/a.csv", 20)).await;
    assert_eq!((again.id, again.created_at, again.updated_at), (first.id, at(10), at(20)));
    assert_ne!(again.blob, first.blob);
    let has = async |team, blob| house.db.read(async |tx| files::has_blob(tx, team, blob).await).await.unwrap();
    assert_eq!(
        (has(ours, first.blob).await, has(ours, again.blob).await, has(theirs, again.blob).await),
        (false, true, false)
    );

    let list =
        async |team, limit, offset| house.db.read(async |tx| files::list(tx, team, limit, offset).await).await.unwrap();
    let names = |(rows, total): (Vec<TeamFile>, u64)| (rows.into_iter().map(|row| row.name).collect::<Vec<_>>(), total);
    assert_eq!(names(list(ours, 10, 0).await), (vec![odd.name.clone(), "in/a.csv".into()], 2));
    assert_eq!(names(list(ours, 1, 1).await), (vec!["in/a.csv".into()], 2));
    assert_eq!(names(list(theirs, 10, 0).await), (vec!["in/a.csv".into()], 1));
    let delete = async |team, id| house.db.write(async move |tx| files::delete(tx, team, id).await).await.unwrap();
    assert!(!delete(theirs, again.id).await);
    assert!(delete(ours, again.id).await && !delete(ours, again.id).await);
    assert_eq!(find(ours, "in/a.csv").await, None);
    let after = house.db.read(async |tx| files::teams(tx, TeamId(Uuid::nil()), 10).await).await.unwrap();
    assert!(after.contains(&ours) && after.contains(&theirs));
}

both!(of_those_who_put_one_name_at_once_one_is_there);
async fn of_those_who_put_one_name_at_once_one_is_there(engine: Engine) {
    let house = House::new(engine).await;
    let team = house.team;
    let putting: Vec<_> = (1..=20)
        .map(|number| {
            let db = house.db.clone();
            tokio::spawn(async move {
                let file = file(team, number, "a", 1);
                db.write(async move |tx| files::put(tx, &file).await).await.unwrap()
            })
        })
        .collect();
    let mut ids = Vec::new();
    for put in putting {
        ids.push(put.await.unwrap().id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one id for one name");
}
