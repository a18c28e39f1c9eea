//! Which PostgreSQL servers are taken, and how they are reached.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use storage::{Db, Health, MIGRATIONS, Pooler, PostgresSettings, StoreError, Tx, work};
use testkit::chaos_proxy::{ChaosProxy, Direction, Upstream, Weather};
use testkit::postgres::{Bouncer, Cluster};

use crate::house::{Engine, House, at};

async fn refusal(settings: &[&str]) -> String {
    let cluster = Cluster::with(settings).unwrap();
    match Db::connect(cluster.url().parse().unwrap()).await {
        Err(StoreError::Setup(why)) => why,
        other => unreachable!("{settings:?}: {other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused_with_what_to_set() {
    let told = refusal(&["fsync=off", "synchronous_commit=off"]).await;
    assert!(told.contains("set fsync = on") && told.contains("set synchronous_commit = on"), "{told}");
    let told = refusal(&["full_page_writes=off"]).await;
    assert!(told.contains("set full_page_writes = on") && !told.contains("fsync"), "{told}");
}

/// A certificate for `localhost` that is signed by itself.
fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn tls_is_verified_and_never_given_up_for_less() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let mut cluster = Cluster::with_tcp(&[]).unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    cluster.use_certificate(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
    let port = cluster.address().unwrap().port();
    let base = format!("postgres://errand@localhost:{port}/errand");
    let connect = async |url: String| Db::connect(url.parse::<PostgresSettings>().unwrap()).await;
    let verified = connect(format!("{base}?sslmode=verify-full&sslrootcert={}", place("cert.pem"))).await.unwrap();
    let encrypted = "SELECT CAST(ssl AS TEXT) FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = verified.read::<_, StoreError, _>(async |tx| tx.row(encrypted, &[]).await).await.unwrap().unwrap();
    assert_eq!(row.text(0).unwrap(), "true");
    // Nobody vouches for it: not even what only asks for encryption gets through.
    let strange = connect(format!("{base}?sslmode=require")).await.unwrap_err();
    assert!(matches!(&strange, StoreError::Unreachable(why) if why.contains("certificate")), "{strange:?}");
    let plain = connect(format!("{base}?sslmode=disable")).await;
    assert!(plain.is_ok(), "{plain:?}");
}

/// A named one would stay behind in a session that the pooler gives to another node, which has its own of that name.
#[tokio::test]
async fn through_a_pooler_no_statement_has_a_name() {
    let cluster = Cluster::with(&["log_min_duration_statement=0"]).unwrap();
    let bouncer = Bouncer::start(&cluster).unwrap();
    let mut settings: PostgresSettings = cluster.url_at(bouncer.address(), "errand").parse().unwrap();
    settings.pooler = Pooler::Transaction;
    let db = Db::connect(settings).await.unwrap();
    db.migrate(MIGRATIONS, 0).await.unwrap();
    db.health().await.unwrap();
    db.read::<_, StoreError, _>(async |tx| tx.row("SELECT 1", &[]).await).await.unwrap();
    db.close().await;
    let log = cluster.log().unwrap();
    let parsed: Vec<_> = log.lines().filter_map(|line| Some(line.split_once("  parse ")?.1)).collect();
    assert!(parsed.len() > 3, "{log}");
    let named: Vec<_> = parsed.iter().filter(|statement| !statement.starts_with("<unnamed>: ")).collect();
    assert!(named.is_empty(), "{named:?}");
}

#[tokio::test]
async fn a_pooler_that_nobody_told_of_is_found_at_the_start() {
    let cluster = Cluster::start().unwrap();
    let bouncer = Bouncer::start(&cluster).unwrap();
    let settings: PostgresSettings = cluster.url_at(bouncer.address(), "errand").parse().unwrap();
    let refused = Db::connect(settings).await;
    assert!(
        matches!(&refused, Err(StoreError::Setup(why)) if why.contains("transaction_pooler = true")),
        "{refused:?}"
    );
}

/// A node that freezes says nothing more: not between the BEGIN and what it sets for the transaction, and not after a statement that failed, which
/// undoes what was set. Here it has every session of the pooler.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_node_left_open_behind_a_pooler_is_ended_by_the_server() {
    let cluster = Cluster::start().unwrap();
    let bouncer = Bouncer::start(&cluster).unwrap();
    let url = cluster.url_at(bouncer.address(), "errand");
    let mut settings: PostgresSettings = url.parse().unwrap();
    settings.pooler = Pooler::Transaction;
    let db = Db::connect(settings.clone()).await.unwrap();
    assert_eq!(ends_by_itself(&db).await, Some(false), "nobody has seen to it");
    let another = Db::connect(settings).await.unwrap();
    let both = tokio::join!(db.end_idle_sessions(), another.end_idle_sessions());
    assert_eq!(both, (Ok(()), Ok(())), "two nodes may start at once");
    bouncer.reconnect(&cluster).unwrap();
    let mut frozen = Vec::new();
    for open in
        ["BEGIN", "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SELECT 1 / 0", "BEGIN; SELECT 1"]
    {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(client.batch_execute(open).await.is_err(), open.ends_with('0'), "{open}");
        frozen.push(client);
    }
    let idle = "SELECT string_agg(state, ', ' ORDER BY state) FROM pg_stat_activity WHERE state LIKE 'idle in%'";
    let left = cluster.psql("errand", idle).unwrap();
    assert_eq!(left.trim(), "idle in transaction, idle in transaction, idle in transaction (aborted)");
    let began = Instant::now();
    // Whoever comes waits for a session until then; the pooler may have handed it one that was ended a moment before.
    while another.read::<_, StoreError, _>(async |tx| tx.row("SELECT 1", &[]).await).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(15), "nobody ends them");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(ends_by_itself(&another).await, Some(true));
    drop(frozen);
}

async fn ends_by_itself(db: &Db) -> Option<bool> {
    match db.health().await.unwrap() {
        Health::Postgres { ends_idle, .. } => ends_idle,
        other @ Health::Sqlite { .. } => unreachable!("{other:?}"),
    }
}

/// A frozen node holds what writers of the API wait for, on every connection that writes.
#[tokio::test(flavor = "multi_thread")]
async fn claims_renewals_and_lettings_go_wait_for_no_other_write() {
    let house = House::new(Engine::Postgres).await;
    house.run(house.team).await;
    let lease = house.claim_one(at(20)).await.lease;
    let (db, team) = (house.db.clone(), house.team);
    let blocked = (0..10).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let start = async move |tx: &mut Tx<'_>| {
                tx.exec("UPDATE teams SET run_count = run_count + 1 WHERE id = $1", &[team.0.into()]).await?;
                tx.row("SELECT 1 FROM (SELECT pg_sleep(2)) AS slept", &[]).await
            };
            db.write::<_, StoreError, _>(start).await.map(drop)
        })
    });
    let blocked: Vec<_> = blocked.collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    let lost = db.write_leases(async move |tx| work::renew(tx, &[lease], 5_000).await).await.unwrap();
    assert_eq!(lost, [], "it is renewed");
    db.write_leases(async move |tx| work::let_go(tx, lease, 0).await).await.unwrap();
    let wanted = house.claiming(at(30));
    let claimed = db.write_leases(async move |tx| work::claim(tx, wanted).await).await.unwrap();
    let took = began.elapsed();
    assert_eq!(claimed.len(), 1, "it was let go");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(blocked.iter().all(|write| !write.is_finished()), "all of them waited meanwhile");
}

#[tokio::test]
async fn a_user_who_may_make_no_tables_is_told_what_to_grant() {
    let cluster = Cluster::start().unwrap();
    cluster.psql("errand", "CREATE ROLE guest LOGIN").unwrap();
    let url = cluster.url().replacen("errand@", "guest@", 1);
    let db = Db::connect(url.parse().unwrap()).await.unwrap();
    let refused = db.migrate(MIGRATIONS, 0).await;
    assert!(matches!(&refused, Err(StoreError::Setup(why)) if why.contains("GRANT CREATE")), "{refused:?}");
}

/// A server that says nothing any more holds up nobody for longer than it takes to give it up.
#[tokio::test(flavor = "multi_thread")]
async fn writes_do_not_queue_for_a_server_that_hangs() {
    let cluster = Cluster::start().unwrap();
    let db = Db::connect(cluster.url().parse().unwrap()).await.unwrap();
    db.migrate(MIGRATIONS, 0).await.unwrap();
    let began = std::time::Instant::now();
    let writes = (0..40).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let sleep = "SELECT 1 FROM (SELECT pg_sleep(30)) AS slept";
            let written = db.write::<_, StoreError, _>(async move |tx| tx.row(sleep, &[]).await).await;
            (written.map(drop), began.elapsed())
        })
    });
    let mut taken_back = 0;
    for write in writes.collect::<Vec<_>>() {
        let (written, after) = write.await.unwrap();
        match written {
            Err(StoreError::Unreachable(_)) if after.as_secs() < 8 => taken_back += 1,
            // The server's own patience with a statement.
            Err(StoreError::Busy) => assert!(after.as_secs() < 22, "{after:?}"),
            other => panic!("{other:?} after {after:?}"),
        }
    }
    assert_eq!(taken_back, 37, "all but those that had a connection");
}

/// The way to the server is cut, the way back is not: it waits for the next statement of a transaction, ends the session, and says so in place of an
/// answer. That is no mistake of the statement.
#[tokio::test]
async fn a_session_that_the_server_ends_in_the_middle_is_a_server_that_cannot_be_reached() {
    let cluster = Cluster::with_tcp(&[]).unwrap();
    let proxy = ChaosProxy::start(Upstream::Tcp(cluster.address().unwrap())).await.unwrap();
    let port = proxy.address().port();
    let url = format!("postgres://errand@127.0.0.1:{port}/errand?sslmode=disable");
    let db = Db::connect(url.parse().unwrap()).await.unwrap();
    let proxy = std::sync::Arc::new(proxy);
    let weather = std::sync::Arc::clone(&proxy);
    let cut = async move |tx: &mut Tx<'_>| {
        tx.row("SELECT 1", &[]).await?;
        weather.set(Weather::OneWay(Direction::ToClient));
        tx.row("SELECT 2", &[]).await.map(drop)
    };
    let told = db.write::<_, StoreError, _>(cut).await.unwrap_err();
    assert!(matches!(&told, StoreError::Unreachable(why) if why.contains("25P03")), "{told:?}");
    proxy.set(Weather::Clear);
    assert!(db.read::<_, StoreError, _>(async |tx| tx.row("SELECT 3", &[]).await).await.is_ok());
}
