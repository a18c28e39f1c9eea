//! API keys: found by their hash, refused as soon as they are revoked.

use domain::api_keys::{ApiKey, Scopes};
use domain::{ApiKeyId, TeamId};
use storage::{StoreError, api_keys};

use crate::house::{Engine, House, at};

async fn find(house: &House, hash: [u8; 32]) -> Option<(ApiKeyId, TeamId)> {
    let found = house.db.read(async |tx| api_keys::find(tx, hash).await).await.unwrap();
    found.map(|key| (key.id, key.team))
}

fn key(id: ApiKeyId, team: TeamId) -> ApiKey {
    ApiKey {
        id,
        team,
        name: "ci".into(),
        hash: [7; 32],
        scopes: "read,run".parse().unwrap(),
        requests_per_minute: Some(7),
        created_at: at(1),
        expires_at: Some(at(1_000)),
        last_used_at: None,
        revoked_at: None,
    }
}

both!(a_key_is_found_until_it_is_revoked_and_again_once_restored);
async fn a_key_is_found_until_it_is_revoked_and_again_once_restored(engine: Engine) {
    let house = House::new(engine).await;
    let (team, strangers, id) = (house.team, house.strangers, ApiKeyId(house.id()));
    let hash = [7; 32];
    let new = key(id, team);
    house.db.write(async move |tx| api_keys::insert(tx, &new).await).await.unwrap();
    assert_eq!(house.db.read(async |tx| api_keys::get(tx, team, id).await).await.unwrap(), Some(key(id, team)));
    assert_eq!(house.db.read(async |tx| api_keys::get(tx, strangers, id).await).await.unwrap(), None);
    assert_eq!(find(&house, hash).await, Some((id, team)));
    assert_eq!(find(&house, [8; 32]).await, None);

    let revoke =
        async |team| house.db.write(async move |tx| api_keys::revoke(tx, team, id, at(2)).await).await.unwrap();
    assert!(!revoke(strangers).await);
    assert_eq!(find(&house, hash).await, Some((id, team)));
    assert!(revoke(team).await);
    assert!(!revoke(team).await, "once");
    assert_eq!(find(&house, hash).await, None);
    let list = house.db.read(async |tx| api_keys::list(tx, team).await).await.unwrap();
    assert_eq!(list.iter().map(|key| key.revoked_at).collect::<Vec<_>>(), [Some(at(2))]);

    let restore = async |hash| house.db.write(async move |tx| api_keys::restore(tx, hash).await).await.unwrap();
    assert_eq!(restore([8; 32]).await, None);
    assert_eq!(restore(hash).await, Some((id, team)));
    assert_eq!(find(&house, hash).await, Some((id, team)));
    assert_eq!(restore(hash).await, None, "nothing to restore");
}

both!(the_same_secret_is_not_stored_twice);
async fn the_same_secret_is_not_stored_twice(engine: Engine) {
    let house = House::new(engine).await;
    let (first, second) = (key(ApiKeyId(house.id()), house.team), key(ApiKeyId(house.id()), house.strangers));
    house.db.write(async move |tx| api_keys::insert(tx, &first).await).await.unwrap();
    let refused = house.db.write(async move |tx| api_keys::insert(tx, &second).await).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
}

both!(use_and_end_are_noted_and_only_ever_move_one_way);
async fn use_and_end_are_noted_and_only_ever_move_one_way(engine: Engine) {
    let house = House::new(engine).await;
    let (team, strangers, id) = (house.team, house.strangers, ApiKeyId(house.id()));
    let new = ApiKey { scopes: Scopes::ALL, ..key(id, team) };
    house.db.write(async move |tx| api_keys::insert(tx, &new).await).await.unwrap();
    let times = async || {
        let key = house.db.read(async |tx| api_keys::get(tx, team, id).await).await.unwrap().unwrap();
        (key.last_used_at, key.expires_at)
    };
    for (used, noted) in [(5, 5), (3, 5), (9, 9)] {
        house.db.write(async move |tx| api_keys::used(tx, id, at(used)).await).await.unwrap();
        assert_eq!(times().await.0, Some(at(noted)));
    }
    let end = async |team, end| house.db.write(async move |tx| api_keys::end(tx, team, id, at(end)).await).await;
    assert_eq!(end(strangers, 10).await, Ok(false));
    assert_eq!(end(team, 2_000).await, Ok(false), "it ends earlier");
    assert_eq!(end(team, 500).await, Ok(true));
    assert_eq!(times().await.1, Some(at(500)));
}
