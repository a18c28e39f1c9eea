//! Secrets at rest: which key opens them, how another one comes into use, and what becomes of what older versions kept in clear.

use std::sync::Arc;

use domain::builds::{Defaults, Secrets, normalise};
use domain::master_key::{Place, Sealed};
use domain::{AgentId, BuildId, TeamId};
use serde_json::json;
use storage::answers::{self, Answer, Known, Once};
use storage::builds::{self, NewBuild};
use storage::master_keys::{self, Keyring};
use storage::{Db, StoreError, Tx, settings};

use crate::house::{Engine, House, at};

const URL: &str = "https://crm.example/mcp";

/// Header values as a config brings them.
fn secrets(value: &str) -> Secrets {
    let config = json!({"version": "v1", "data": {"model": "gpt-5", "input": "Go.", "tools": [{
        "type": "mcp", "server_label": "crm", "server_url": URL, "headers": {"Authorization": value}
    }]}});
    normalise(&config, "/config", &Defaults::default(), None).unwrap().secrets
}

async fn admit(db: &Db, keys: &Keyring) -> Result<(), StoreError> {
    let keys = keys.clone();
    db.write(async move |tx| master_keys::admit(tx, &keys).await).await
}

/// A new Build with this header value.
async fn build(house: &House, keys: &Keyring, agent: AgentId, value: &str) -> BuildId {
    let (team, id, keys, secrets) = (house.team, BuildId(house.id()), keys.clone(), secrets(value));
    let add = async move |tx: &mut Tx<'_>| {
        let sealed = builds::sealed(tx, &keys, (team, id), &secrets).await?;
        let (name, text) = ("build".to_owned(), "{}".to_owned());
        let new = NewBuild { id, agent, name, config: text.clone(), submitted: text, sealed, created_at: at(5) };
        builds::insert(tx, team, new).await
    };
    // Whoever seals at the moment at which the key changes is told to try again.
    loop {
        match house.db.write(add.clone()).await {
            Err(StoreError::Busy) => {}
            added => return added.unwrap().unwrap().id,
        }
    }
}

async fn value(house: &House, keys: &Keyring, agent: AgentId) -> Result<Option<String>, StoreError> {
    let (team, keys) = (house.team, keys.clone());
    let latest = house.db.read(async |tx| builds::latest_secrets(tx, &keys, team, agent).await).await?;
    Ok(latest.and_then(|secrets| secrets.get("crm", URL, "authorization").map(str::to_owned)))
}

async fn server_key(db: &Db, keys: &Keyring) -> [u8; 32] {
    let keys = keys.clone();
    db.write(async move |tx| settings::found_server_key(tx, &keys).await).await.unwrap()
}

async fn exec(db: &Db, sql: &'static str) {
    db.write::<_, StoreError, _>(async move |tx| tx.exec(sql, &[]).await).await.unwrap();
}

async fn seal_clear(db: &Db, keys: &Keyring) -> u64 {
    let mut sum = 0;
    loop {
        let keys = keys.clone();
        match db.write(async move |tx| master_keys::seal_clear(tx, &keys, 2).await).await.unwrap() {
            0 => return sum,
            more => sum += more,
        }
    }
}

/// Makes these keys the only ones; how many secrets were sealed anew.
async fn only(db: &Db, keys: &Keyring) -> u64 {
    let first = keys.clone();
    db.write(async move |tx| master_keys::only(tx, &first).await).await.unwrap();
    let mut sum = 0;
    loop {
        let keys = keys.clone();
        match db.write(async move |tx| master_keys::seal_anew(tx, &keys, 2).await).await.unwrap() {
            0 => return sum,
            more => sum += more,
        }
    }
}

async fn accept(db: &Db, keys: &Keyring, other: &Keyring) -> Result<bool, StoreError> {
    let (keys, other) = (keys.clone(), other.master.clone());
    db.write(async move |tx| master_keys::accept(tx, &keys, &other).await).await
}

/// The bytes that are stored, of every kind of secret.
async fn stored(db: &Db) -> Vec<Vec<u8>> {
    let read = async |tx: &mut Tx<'_>| {
        let mut all = Vec::new();
        for sql in [
            "SELECT sealed FROM builds WHERE sealed IS NOT NULL",
            "SELECT value FROM settings WHERE name LIKE 'server_key%'",
            "SELECT body FROM answers",
            "SELECT wrapped FROM data_keys",
        ] {
            for row in tx.rows(sql, &[]).await? {
                all.push(row.bytes(0)?);
            }
        }
        let clear = "SELECT secrets FROM builds WHERE secrets IS NOT NULL";
        for row in tx.rows(clear, &[]).await? {
            all.push(row.text(0)?.into_bytes());
        }
        Ok::<_, StoreError>(all)
    };
    db.read(read).await.unwrap()
}

fn holds(stored: &[Vec<u8>], secret: &[u8]) -> bool {
    stored.iter().any(|bytes| bytes.windows(secret.len()).any(|window| window == secret))
}

both!(the_first_key_founds_the_secrets_and_a_strange_one_is_refused_by_name);
async fn the_first_key_founds_the_secrets_and_a_strange_one_is_refused_by_name(engine: Engine) {
    let house = House::new(engine).await;
    let (ours, strange) = (House::keys(1), House::keys(2));
    let look = async |keys: &Keyring| house.db.read(async |tx| master_keys::check(tx, &keys.master).await).await;
    assert_eq!(look(&strange).await, Ok(()), "nothing is sealed yet");
    admit(&house.db, &ours).await.unwrap();
    admit(&house.db, &ours).await.unwrap();
    let told = [admit(&house.db, &strange).await, look(&strange).await].map(|refused| refused.unwrap_err().to_string());
    for told in told {
        assert!(told.contains(&ours.master.id()) && told.contains(&strange.master.id()), "{told}");
    }
    let accepted = house.db.read(async |tx| master_keys::accepted(tx).await).await.unwrap();
    assert_eq!(accepted.into_iter().map(|key| key.id).collect::<Vec<_>>(), [ours.master.id()]);
}

both!(of_many_nodes_that_start_at_once_with_different_keys_one_founds);
async fn of_many_nodes_that_start_at_once_with_different_keys_one_founds(engine: Engine) {
    let house = House::new(engine).await;
    let starting: Vec<_> = (1..=8)
        .map(|number| {
            let db = house.db.clone();
            tokio::spawn(async move { admit(&db, &House::keys(number)).await })
        })
        .collect();
    let mut began = 0;
    for start in starting {
        began += usize::from(start.await.unwrap().is_ok());
    }
    assert_eq!(began, 1);
}

both!(header_values_are_stored_sealed_for_their_build_alone);
async fn header_values_are_stored_sealed_for_their_build_alone(engine: Engine) {
    let house = House::new(engine).await;
    let keys = House::keys(1);
    admit(&house.db, &keys).await.unwrap();
    let agents = [house.agent(house.team, "one").await, house.agent(house.team, "two").await];
    for (agent, secret) in agents.into_iter().zip(["Bearer first", "Bearer second"]) {
        build(&house, &keys, agent, secret).await;
        assert_eq!(value(&house, &keys, agent).await.unwrap().as_deref(), Some(secret));
        assert!(!holds(&stored(&house.db).await, secret.as_bytes()));
    }
    assert_eq!(value(&house, &keys, house.agent(house.team, "none").await).await, Ok(None));
    // Whoever can write into the database cannot give one Build the secrets of another.
    exec(&house.db, "UPDATE builds SET sealed = (SELECT b.sealed FROM builds b ORDER BY b.id LIMIT 1)").await;
    let read = [value(&house, &keys, agents[0]).await, value(&house, &keys, agents[1]).await];
    assert_eq!(read.iter().filter(|read| read.is_ok()).count(), 1);
    assert!(read.iter().any(|read| matches!(read, Err(StoreError::Sealed(_)))), "{read:?}");
}

both!(another_key_comes_into_use_and_the_older_one_opens_nothing_any_more);
async fn another_key_comes_into_use_and_the_older_one_opens_nothing_any_more(engine: Engine) {
    let house = House::new(engine).await;
    let (db, old, new) = (&house.db, House::keys(1), House::keys(2));
    admit(db, &old).await.unwrap();
    let before = server_key(db, &old).await;
    let agents = [house.agent(house.team, "one").await, house.agent(house.team, "two").await];
    for agent in agents {
        build(&house, &old, agent, "Bearer first").await;
    }
    let once = Once { team: house.team, route: "POST /x".into(), key: "k".into() };
    let (keys, keeping) = (old.clone(), once.clone());
    let keep = async move |tx: &mut Tx<'_>| {
        let body = master_keys::seal(tx, &keys, keeping.place(), b"a url").await?.as_bytes().to_vec();
        let answer = Answer { status: 200, headers: "{}".into(), body, sealed: true };
        answers::keep(tx, &keeping, &[1; 32], &answer, at(1)).await
    };
    db.write::<_, StoreError, _>(keep).await.unwrap();

    assert!(accept(db, &new, &new).await.is_err(), "a key cannot let itself in");
    assert_eq!(accept(db, &old, &new).await, Ok(true));
    assert_eq!(accept(db, &old, &new).await, Ok(false));
    for keys in [&old, &new] {
        admit(db, keys).await.unwrap();
        assert_eq!(server_key(db, keys).await, before);
        assert_eq!(value(&house, keys, agents[0]).await.unwrap().as_deref(), Some("Bearer first"));
    }
    let sealed_before = stored(db).await;
    assert_eq!(only(db, &new).await, 4, "two Builds, an answer, the server's key");
    assert!(stored(db).await.iter().all(|bytes| !sealed_before.contains(bytes)), "everything is sealed anew");
    assert_eq!(server_key(db, &new).await, before);
    for agent in agents {
        assert_eq!(value(&house, &new, agent).await.unwrap().as_deref(), Some("Bearer first"));
    }
    let known = db.read(async |tx| answers::look(tx, &once, &[1; 32], at(2), false).await).await.unwrap();
    let Known::Answered(answer) = known else { unreachable!("{known:?}") };
    let (place, sealed) = (once.place(), Sealed::from_bytes(answer.body));
    let opened = db.read(async |tx| master_keys::open(tx, &new, place, &sealed).await).await.unwrap();
    assert_eq!(opened.as_slice(), b"a url");

    // A node that was not started with the new one says so, and seals nothing.
    assert!(matches!(value(&house, &old, agents[0]).await, Err(StoreError::Sealed(_))));
    let (keys, place) = (old.clone(), Place::Headers(TeamId(house.id()), BuildId(house.id())));
    let refused = db.write(async move |tx| master_keys::seal(tx, &keys, place, b"x").await).await;
    assert!(matches!(refused, Err(StoreError::Sealed(_))), "{refused:?}");
    assert!(admit(db, &old).await.is_err());
}

both!(what_is_sealed_while_the_key_changes_is_not_lost);
async fn what_is_sealed_while_the_key_changes_is_not_lost(engine: Engine) {
    let house = Arc::new(House::new(engine).await);
    let keys = House::keys(1);
    admit(&house.db, &keys).await.unwrap();
    let mut agents = Vec::new();
    for number in 0..6 {
        agents.push(house.agent(house.team, &format!("agent {number}")).await);
    }
    let writers: Vec<_> = agents
        .iter()
        .map(|agent| {
            let (house, keys, agent) = (Arc::clone(&house), keys.clone(), *agent);
            tokio::spawn(async move {
                for turn in 0..20 {
                    build(&house, &keys, agent, &format!("Bearer {turn}")).await;
                }
            })
        })
        .collect();
    for _ in 0..5 {
        only(&house.db, &keys).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    only(&house.db, &keys).await;
    for agent in agents {
        assert_eq!(value(&house, &keys, agent).await.unwrap().as_deref(), Some("Bearer 19"));
    }
    let rows = house.db.read(async |tx| tx.rows("SELECT number FROM data_keys", &[]).await).await.unwrap();
    assert_eq!(rows.len(), 1, "older data keys are forgotten");
}

#[tokio::test]
async fn a_key_is_not_forgotten_while_a_slow_transaction_seals_with_it() {
    let house = Arc::new(House::new(Engine::Postgres).await);
    let keys = House::keys(1);
    admit(&house.db, &keys).await.unwrap();
    let agent = house.agent(house.team, "one").await;
    let (team, id, sealing) = (house.team, BuildId(house.id()), keys.clone());
    let (sealed, is_sealed) = tokio::sync::oneshot::channel();
    let slow = async move |tx: &mut Tx<'_>| {
        let sealed_now = builds::sealed(tx, &sealing, (team, id), &secrets("Bearer slow")).await?;
        sealed.send(()).unwrap();
        tx.row("SELECT 1 FROM (SELECT pg_sleep(0.4)) AS slept", &[]).await?;
        let (name, text) = ("build".to_owned(), "{}".to_owned());
        let new =
            NewBuild { id, agent, name, config: text.clone(), submitted: text, sealed: sealed_now, created_at: at(5) };
        builds::insert(tx, team, new).await
    };
    let db = house.db.clone();
    let writing = tokio::spawn(async move { db.write(slow).await });
    is_sealed.await.unwrap();
    only(&house.db, &keys).await;
    writing.await.unwrap().unwrap().unwrap();
    assert_eq!(value(&house, &keys, agent).await.unwrap().as_deref(), Some("Bearer slow"));
}

both!(what_an_older_version_kept_in_clear_is_sealed);
async fn what_an_older_version_kept_in_clear_is_sealed(engine: Engine) {
    let house = House::new(engine).await;
    let (db, keys) = (&house.db, House::keys(1));
    let mut agents = Vec::new();
    for number in 0..5 {
        let agent = house.agent(house.team, &format!("agent {number}")).await;
        house.build(house.team, agent).await.unwrap();
        agents.push(agent);
    }
    let json = serde_json::to_string(&secrets("Bearer clear")).unwrap();
    let (team, url) = (house.team, br#"{"upload_url":"https://h/v1/uploads/clear"}"#.to_vec());
    let leave = async move |tx: &mut Tx<'_>| {
        tx.exec("UPDATE builds SET secrets = $1", &[json.into()]).await?;
        tx.exec("INSERT INTO settings (name, value) VALUES ('server_key', $1)", &[vec![7_u8; 32].into()]).await?;
        let once = Once { team, route: "POST /v1/sandboxes/sbx_1/upload-urls".into(), key: "k".into() };
        let answer = Answer { status: 200, headers: "{}".into(), body: url, sealed: false };
        answers::keep(tx, &once, &[1; 32], &answer, at(1)).await
    };
    db.write::<_, StoreError, _>(leave).await.unwrap();
    assert!(holds(&stored(db).await, b"clear"));

    admit(db, &keys).await.unwrap();
    assert_eq!(value(&house, &keys, agents[0]).await.unwrap().as_deref(), Some("Bearer clear"), "until then, too");
    assert_eq!(seal_clear(db, &keys).await, 7);
    assert_eq!(seal_clear(db, &keys).await, 0);
    let stored = stored(db).await;
    assert!(!holds(&stored, b"clear") && !holds(&stored, &[7; 32]));
    for agent in agents {
        assert_eq!(value(&house, &keys, agent).await.unwrap().as_deref(), Some("Bearer clear"));
    }
    assert_eq!(server_key(db, &keys).await, [7; 32]);
    let traces = async || db.read(async |tx| settings::has_traces(tx).await).await.unwrap();
    assert!(traces().await);
    db.write(async |tx| settings::forget_traces(tx).await).await.unwrap();
    assert!(!traces().await);
}

both!(a_lost_key_costs_the_secrets_and_nothing_else);
async fn a_lost_key_costs_the_secrets_and_nothing_else(engine: Engine) {
    let house = House::new(engine).await;
    let (db, lost, fresh) = (&house.db, House::keys(1), House::keys(2));
    admit(db, &lost).await.unwrap();
    server_key(db, &lost).await;
    let agent = house.agent(house.team, "one").await;
    build(&house, &lost, agent, "Bearer first").await;
    assert_eq!(db.write(async |tx| master_keys::forget(tx).await).await, Ok(1));
    admit(db, &fresh).await.unwrap();
    server_key(db, &fresh).await;
    assert_eq!(value(&house, &fresh, agent).await, Ok(None));
    build(&house, &fresh, agent, "Bearer second").await;
    assert_eq!(value(&house, &fresh, agent).await.unwrap().as_deref(), Some("Bearer second"));
    let (page, total) = db.read(async |tx| builds::page(tx, house.team, agent, 10, 0).await).await.unwrap().unwrap();
    assert_eq!((page.len(), total), (2, 2));
}
