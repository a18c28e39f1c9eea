//! Which PostgreSQL servers are taken, and how they are reached.

use std::path::Path;
use std::process::Command;

use storage::{Db, MIGRATIONS, Pooler, PostgresSettings, StoreError};
use testkit::postgres::{Bouncer, Cluster};

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
    assert_eq!(taken_back, 36, "all but those that had a connection");
}
