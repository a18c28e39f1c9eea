//! API keys: found by their hash, refused as soon as they are revoked.

use domain::api_keys::ApiKey;
use domain::{ApiKeyId, TeamId};
use storage::{StoreError, api_keys};

use crate::house::{Engine, House, at};

async fn find(house: &House, hash: [u8; 32]) -> Option<(ApiKeyId, TeamId)> {
    house.db.read(async |tx| api_keys::find(tx, hash).await).await.unwrap()
}

both!(a_key_is_found_until_it_is_revoked_and_again_once_restored);
async fn a_key_is_found_until_it_is_revoked_and_again_once_restored(engine: Engine) {
    let house = House::new(engine).await;
    let (team, strangers, id) = (house.team, house.strangers, ApiKeyId(house.id()));
    let hash = [7; 32];
    let key = ApiKey { id, team, name: "ci".into(), hash, created_at: at(1), revoked_at: None };
    house.db.write(async move |tx| api_keys::insert(tx, &key).await).await.unwrap();
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
    assert!(!restore([8; 32]).await);
    assert!(restore(hash).await);
    assert_eq!(find(&house, hash).await, Some((id, team)));
}

both!(the_same_secret_is_not_stored_twice);
async fn the_same_secret_is_not_stored_twice(engine: Engine) {
    let house = House::new(engine).await;
    let key = |id, team| ApiKey { id, team, name: "k".into(), hash: [7; 32], created_at: at(1), revoked_at: None };
    let (first, second) = (key(ApiKeyId(house.id()), house.team), key(ApiKeyId(house.id()), house.strangers));
    house.db.write(async move |tx| api_keys::insert(tx, &first).await).await.unwrap();
    let refused = house.db.write(async move |tx| api_keys::insert(tx, &second).await).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
}
