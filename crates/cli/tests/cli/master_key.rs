//! The master key from outside: made at the first start, missed when it is gone, changed, given up; and what older versions left in clear.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use storage::{MIGRATIONS, StoreError, Tx};
use testkit::postgres::Cluster;

use crate::backup::{backup, database, restore, text};
use crate::house::{MASTER_KEY, Server, errand, said};

/// A command on a data folder, with these variables.
fn run(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    errand(arguments).args(["--data-dir", text(data)]).envs(variables.iter().copied()).output().unwrap()
}

fn printed(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let (code, out, err) = said(&run(data, arguments, variables));
    assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
    out
}

/// What it is refused with.
fn refusal(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let (code, out, err) = said(&run(data, arguments, variables));
    assert_eq!(code, Some(1), "{arguments:?}: {out}{err}");
    err
}

/// A fresh key in a file.
fn new_key(path: &Path) -> String {
    let (code, out, _) = said(&errand(&["master-key", "new", "--json"]).output().unwrap());
    assert_eq!(code, Some(0));
    let made: Value = serde_json::from_str(&out).unwrap();
    fs::write(path, made["key"].as_str().unwrap()).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// An Assignment whose tool has this header, by a client of the server; its id.
fn assignment(server: &Server, folder: &Path, header: &str) -> (Option<i32>, String) {
    let config = json!({"version": "v1", "data": {"model": "gpt-5", "input": "Go.", "tools": [{
        "type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp", "headers": {"Authorization": header}
    }]}});
    let file = folder.join("mcp.json");
    fs::write(&file, config.to_string()).unwrap();
    let (code, out, err) =
        said(&server.client(&["agents", "create", "--name", "W", "--config", text(&file), "--json"]).output().unwrap());
    let made: Value = serde_json::from_str(&out).unwrap_or(Value::Null);
    (code, made["agent"]["id"].as_str().map_or(err, str::to_owned))
}

/// Whether the stored header of that Assignment can still be referred to.
fn has_header(server: &Server, folder: &Path, agent: &str) -> bool {
    let file = folder.join("again.json");
    let shown: Value = serde_json::from_str(&server.body(&format!("/v1/agents/{agent}"))).unwrap();
    fs::write(&file, shown["build"]["config"].to_string()).unwrap();
    let arguments = ["builds", "create", agent, "--name", "again", "--config", text(&file)];
    let (code, out, err) = said(&server.client(&arguments).output().unwrap());
    assert!(code == Some(0) || err.contains("the real value of this header"), "{out}{err}");
    code == Some(0)
}

#[test]
fn it_is_made_beside_the_database_for_its_owner_and_missed_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = data.join("master.key");
    let server = Server::start(&data);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = printed(&data, &["webhooks", "secret"], &[]);
    let (_, agent) = assignment(&server, folder.path(), "Bearer s3cret");
    assert!(has_header(&server, folder.path(), &agent));
    server.terminate();

    let away = folder.path().join("away.key");
    fs::rename(&key, &away).unwrap();
    let listed: Value = serde_json::from_str(&printed(&data, &["master-key", "list", "--json"], &[])).unwrap();
    let id = listed["master_keys"][0]["id"].as_str().unwrap().to_owned();
    for arguments in [["serve"].as_slice(), &["webhooks", "secret"]] {
        let told = refusal(&data, arguments, &[("ERRAND_LISTEN", "127.0.0.1:0")]);
        assert!(told.contains(&id) && told.contains("put it back") && told.contains("forget --lost"), "{told}");
    }
    assert!(!key.exists(), "no other is made in its place");
    let (code, out, _) = said(&run(&data, &["doctor"], &[]));
    assert!(code == Some(1) && out.contains("problem  master key"), "{out}");

    // Named, it is as good there.
    let named = ("ERRAND_MASTER_KEY_FILE", text(&away));
    assert_eq!(printed(&data, &["webhooks", "secret"], &[named]), secret);
    let strange = folder.path().join("strange.key");
    let other = new_key(&strange);
    let told = refusal(&data, &["serve", "--master-key-file", text(&strange)], &[("ERRAND_LISTEN", "127.0.0.1:0")]);
    assert!(told.contains(&id) && told.contains(&other), "{told}");
    fs::write(&strange, "hunter2").unwrap();
    let told = refusal(&data, &["serve", "--master-key-file", text(&strange)], &[("ERRAND_LISTEN", "127.0.0.1:0")]);
    assert!(told.contains("44 characters") && told.contains("strange.key") && !told.contains("hunter2"), "{told}");
    let both = refusal(&data, &["serve"], &[named, MASTER_KEY]);
    assert!(both.contains("give one of them"), "{both}");
}

#[test]
fn a_lost_one_costs_the_secrets_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let (_, agent) = assignment(&server, folder.path(), "Bearer s3cret");
    let secret = printed(&data, &["webhooks", "secret"], &[]);
    fs::remove_file(data.join("master.key")).unwrap();
    let told = refusal(&data, &["master-key", "forget", "--lost"], &[]);
    assert!(told.contains(&format!("process {}", server.pid())), "{told}");
    server.terminate();
    let (code, _, err) = said(&run(&data, &["master-key", "forget"], &[]));
    assert!(code != Some(0) && err.contains("--lost"), "{err}");
    assert!(printed(&data, &["master-key", "forget", "--lost"], &[]).contains("of 1 Builds"));
    let server = Server::start(&data);
    assert!(!has_header(&server, folder.path(), &agent), "but the Assignment is there");
    assert_ne!(printed(&data, &["webhooks", "secret"], &[]), secret);
    assert_eq!(assignment(&server, folder.path(), "Bearer other").0, Some(0));
}

/// Changes the key while servers run; with `variables` they are on this store.
fn changes(folder: &Path, variables: &[(&str, &str)]) {
    let data = |number: usize| folder.join(format!("data-{number}"));
    let (old, new) = (folder.join("old.key"), folder.join("new.key"));
    let ids = [new_key(&old), new_key(&new)];
    let with = |key: &Path, more: &[(&'static str, &str)]| {
        let named = ("ERRAND_MASTER_KEY_FILE", text(key).to_owned());
        let more = more.iter().chain(variables).map(|(name, value)| (*name, (*value).to_owned()));
        std::iter::once(named).chain(more).map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>()
    };
    let api_key = ("ERRAND_API_KEY", crate::house::KEY);
    let start = |number: usize, key: &Path| {
        let variables = with(key, &[api_key]);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Server::start_with(&data(number), &variables)
    };
    let command = |key: &Path, arguments: &[&str]| {
        let variables = with(key, &[]);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        said(&run(&data(0), arguments, &variables))
    };
    let server = start(0, &old);
    let (_, agent) = assignment(&server, folder, "Bearer s3cret");
    let (_, secret, _) = command(&old, &["webhooks", "secret"]);
    assert!(secret.starts_with("whsec_"));

    // Before it was let in, it opens nothing.
    let (code, _, err) = command(&new, &["master-key", "only"]);
    assert!(code == Some(1) && err.contains(&ids[1]), "{err}");
    let (code, out, err) = command(&old, &["master-key", "add", text(&new)]);
    assert!(code == Some(0) && out.contains(&ids[1]), "{out}{err}");
    assert!(command(&old, &["master-key", "add", text(&new)]).1.contains("already"));
    assert!(has_header(&server, folder, &agent), "the server goes on with the old one");
    server.terminate();
    let server = start(0, &new);
    assert!(has_header(&server, folder, &agent));
    let (code, out, err) = command(&new, &["master-key", "only"]);
    assert!(code == Some(0) && out.contains("is the only master key now"), "{out}{err}");
    assert!(has_header(&server, folder, &agent), "and goes on with the new one");
    assert_eq!(command(&new, &["webhooks", "secret"]).1, secret);
    let (_, listed, _) = command(&new, &["master-key", "list"]);
    assert!(listed.contains(&ids[1]) && listed.contains("new.key") && !listed.contains(&ids[0]), "{listed}");
    let (code, _, err) = command(&old, &["webhooks", "secret"]);
    assert!(code == Some(1) && err.contains(&ids[0]) && err.contains(&ids[1]), "{err}");
    let listed = command(&old, &["master-key", "list"]).1;
    assert!(listed.contains("opens nothing here"), "{listed}");
}

#[test]
fn it_is_changed_beside_a_server_on_sqlite() {
    changes(tempfile::tempdir().unwrap().path(), &[]);
}

#[test]
fn it_is_changed_beside_a_server_on_postgres() {
    let cluster = Cluster::start().unwrap();
    changes(tempfile::tempdir().unwrap().path(), &[("ERRAND_DATABASE_URL", &cluster.url())]);
}

#[test]
fn nodes_on_postgres_need_one_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let (database, listen) = (("ERRAND_DATABASE_URL", url.as_str()), ("ERRAND_LISTEN", "127.0.0.1:0"));
    let data = |name: &str| folder.path().join(name);
    let told = refusal(&data("none"), &["serve"], &[database, listen]);
    assert!(told.contains("errand master-key new") && told.contains("ERRAND_MASTER_KEY_FILE"), "{told}");
    assert!(!data("none").exists(), "nothing was begun");
    let tables = cluster.psql("errand", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").unwrap();
    assert_eq!(tables.trim(), "0", "nothing was begun there either");
    let _first = Server::start_with(&data("first"), &[database, MASTER_KEY]);
    let _second = Server::start_with(&data("second"), &[database, MASTER_KEY]);
    let other = ("ERRAND_MASTER_KEY", "ab".repeat(32));
    let told = refusal(&data("third"), &["serve"], &[database, listen, (other.0, &other.1)]);
    assert!(told.contains("are sealed with the master key") && told.contains("the one at hand is"), "{told}");
}

#[test]
fn a_backup_is_restored_with_the_key_that_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved, again) = (folder.path().join("data"), folder.path().join("saved"), folder.path().join("again"));
    let server = Server::start(&data);
    let (_, agent) = assignment(&server, folder.path(), "Bearer s3cret");
    let (code, out, _) = said(&backup(&data, &saved));
    assert!(code == Some(0) && out.contains("which is not in it") && out.contains("data/master.key"), "{out}");
    server.terminate();
    let manifest: Value = serde_json::from_slice(&fs::read(saved.join("backup.json")).unwrap()).unwrap();
    let id = manifest["backup"]["master_keys"][0].as_str().unwrap().to_owned();

    let (code, out, _) = said(&restore(&saved, &again));
    assert!(code == Some(0) && out.contains(&id) && out.contains("not at hand"), "{out}");
    let told = refusal(&again, &["serve"], &[("ERRAND_LISTEN", "127.0.0.1:0")]);
    assert!(told.contains(&id), "{told}");
    let beside = folder.path().join("beside");
    let key = text(&data).to_owned() + "/master.key";
    let out = printed(&beside, &["restore", text(&saved), "--master-key-file", &key], &[]);
    assert!(!out.contains("not at hand"), "{out}");
    let server =
        Server::start_with(&beside, &[("ERRAND_API_KEY", crate::house::KEY), ("ERRAND_MASTER_KEY_FILE", &key)]);
    assert!(has_header(&server, folder.path(), &agent));
}

#[tokio::test]
async fn what_an_older_version_kept_in_clear_is_sealed_and_gone_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // As the version before made it.
    let server = Server::start(&data);
    let (_, agent) = assignment(&server, folder.path(), "Bearer s3cret");
    server.terminate();
    fs::remove_file(data.join("master.key")).unwrap();
    let db = database(&data);
    let canary = r#"{"crm":{"origin":"https://crm.example","headers":{"Authorization":"Bearer canary-in-clear"}}}"#;
    let undo = async move |tx: &mut Tx<'_>| {
        for sql in [
            "DROP INDEX outbox_due",
            "CREATE INDEX outbox_due ON outbox (origin, due_at) WHERE state = 'due'",
            "DROP TABLE pins",
            "DROP INDEX human_requests_expiring",
            "ALTER TABLE human_requests DROP COLUMN expires_at",
            "DROP TABLE data_keys",
            "DROP INDEX builds_in_clear",
            "ALTER TABLE builds DROP COLUMN sealed",
            "ALTER TABLE answers DROP COLUMN sealed",
            "ALTER TABLE sandboxes DROP COLUMN bytes",
            "ALTER TABLE teams DROP COLUMN file_bytes",
            "DELETE FROM settings",
            "DELETE FROM schema_migrations WHERE number > 3",
        ] {
            tx.exec(sql, &[]).await?;
        }
        tx.exec(
            "INSERT INTO settings (name, value) VALUES ('server_key', $1)",
            &[b"canary-of-the-servers-own-key-32".to_vec().into()],
        )
        .await?;
        tx.exec("UPDATE builds SET secrets = $1", &[canary.into()]).await
    };
    db.write::<_, StoreError, _>(undo).await.unwrap();
    db.close().await;
    assert_eq!(MIGRATIONS[3].number, 4);
    let whole = || -> Vec<u8> {
        let files = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
    };
    let holds = |wanted: &[u8]| whole().windows(wanted.len()).any(|window| window == wanted);
    assert!(holds(b"canary-in-clear") && holds(b"canary-of-the-servers-own-key"));
    let server = Server::start(&data);
    assert!(!holds(b"canary-in-clear") && !holds(b"canary-of-the-servers-own-key"), "in the file or its log");
    assert!(has_header(&server, folder.path(), &agent), "and can be used");
    server.terminate();
    assert!(!holds(b"canary-in-clear"));
}
