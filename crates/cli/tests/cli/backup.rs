//! `errand backup` and `errand restore` as files and refusals: what is written, what is not taken, what is not written over. What becomes of Jobs is
//! in `restore.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use domain::Timestamp;
use serde_json::Value;
use storage::{Db, MIGRATIONS, Settings};

use crate::house::{Server, config_file, errand, said};

pub(crate) fn backup(data: &Path, folder: &Path) -> Output {
    errand(&["backup", folder.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]).output().unwrap()
}

pub(crate) fn restore(folder: &Path, data: &Path) -> Output {
    errand(&["restore", folder.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]).output().unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Opens the database of a server that is not running.
pub(crate) fn database(data: &Path) -> Db {
    let clock = Arc::new(|| Timestamp(i64::MAX / 2));
    Db::open(&Settings::new(data.join("errand.db"), clock)).unwrap()
}

/// A small backup, with a file in it.
fn small(folder: &Path) -> PathBuf {
    let (data, saved) = (folder.join("data"), folder.join("saved"));
    let server = Server::start(&data);
    let sandbox = server.json(&["sandboxes", "create"])["sandbox_id"].as_str().unwrap().to_owned();
    let config = config_file(folder);
    server.json(&["sandboxes", "upload", &sandbox, &config, "--path", "in/config.json"]);
    assert_eq!(said(&backup(&data, &saved)).0, Some(0));
    saved
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The one uploaded file in a backup.
fn uploaded(saved: &Path) -> PathBuf {
    let sandbox = fs::read_dir(saved.join("sandboxes")).unwrap().next().unwrap().unwrap().path();
    sandbox.join("in/config.json")
}

type Alter = fn(&Path);

#[test]
fn an_altered_backup_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let saved = small(folder.path());
    let alterations: [(&str, &str, Alter); 8] = [
        ("database", "errand.db", |saved| flip(&saved.join("errand.db"), 5_000)),
        ("end", "errand.db", |saved| {
            let file = fs::OpenOptions::new().write(true).open(saved.join("errand.db")).unwrap();
            file.set_len(file.metadata().unwrap().len() - 4_096).unwrap();
        }),
        ("file", "sandboxes", |saved| flip(&uploaded(saved), 3)),
        ("gone", "sandboxes", |saved| fs::remove_file(uploaded(saved)).unwrap()),
        ("more", "sandboxes", |saved| fs::write(uploaded(saved).with_file_name("more"), "").unwrap()),
        ("manifest", "backup.json", |saved| flip(&saved.join("backup.json"), 60)),
        ("unfinished", "not finished", |saved| fs::remove_file(saved.join("backup.json")).unwrap()),
        ("halved", "errand.db", |saved| fs::remove_file(saved.join("errand.db")).unwrap()),
    ];
    for (name, told, alter) in alterations {
        let (altered, data) = (folder.path().join(name), folder.path().join(format!("{name}-data")));
        copy(&saved, &altered);
        alter(&altered);
        let (code, out, err) = said(&restore(&altered, &data));
        assert!(code == Some(1) && out.is_empty() && err.contains(told), "{name}: {out}{err}");
        let left: Vec<_> = fs::read_dir(&data)
            .map(|entries| {
                entries.map(|entry| entry.unwrap().file_name()).filter(|name| name != "server.lock").collect()
            })
            .unwrap_or_default();
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    // The one that was not altered is whole, and a restore that was killed is in nobody's way.
    let whole = folder.path().join("whole");
    fs::create_dir_all(whole.join("sandboxes.restoring/sbx_old")).unwrap();
    fs::write(whole.join("errand.db.restoring"), "half").unwrap();
    // No server begins with nothing where something was to be brought back.
    for command in ["serve", "doctor"] {
        let tried = errand(&[command, "--data-dir", text(&whole)]).env("ERRAND_LISTEN", "127.0.0.1:0").output();
        let (code, out, err) = said(&tried.unwrap());
        assert_eq!(code, Some(1), "{command}: {out}{err}");
        assert!(format!("{out}{err}").contains("of a restore that did not end"), "{command}: {out}{err}");
        assert!(!whole.join("errand.db").exists());
    }
    let (code, _, err) = said(&restore(&saved, &whole));
    assert_eq!(code, Some(0), "{err}");
    let mut names: Vec<_> = fs::read_dir(&whole).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["errand.db", "sandboxes", "server.lock"]);
    assert!(!whole.join("sandboxes/sbx_old").exists());
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let saved = small(folder.path());
    let data = folder.path().join("data");
    let (code, _, err) = said(&restore(&saved, &data));
    assert!(code == Some(1) && err.contains("errand.db is there already") && err.contains("--data-dir"), "{err}");

    let running = Server::start(&folder.path().join("running"));
    let (code, _, err) = said(&restore(&saved, &folder.path().join("running")));
    assert!(code == Some(1) && err.contains(&format!("process {}", running.pid())), "{err}");

    let mixed = folder.path().join("mixed");
    fs::create_dir_all(mixed.join("sandboxes/sbx_mine")).unwrap();
    let (code, _, err) = said(&restore(&saved, &mixed));
    assert!(code == Some(1) && err.contains("sandboxes holds files already"), "{err}");

    let (code, _, err) = said(&backup(&data, &saved));
    assert!(code == Some(1) && err.contains("not empty"), "{err}");
    let among = data.join("sandboxes/saved");
    let (code, _, err) = said(&backup(&data, &among));
    assert!(code == Some(1) && err.contains("among the sandboxes"), "{err}");
    let (code, _, err) = said(&backup(&folder.path().join("nowhere"), &folder.path().join("new")));
    assert!(code == Some(1) && err.contains("no database there") && !folder.path().join("new").exists(), "{err}");
}

#[test]
fn a_backup_is_its_owners_only_and_told_as_json() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let saved = small(folder.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&saved), mode(&saved.join("sandboxes"))), (0o700, 0o700));
    for file in [saved.join("errand.db"), saved.join("backup.json"), uploaded(&saved)] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    let names: Vec<_> = fs::read_dir(&saved).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let json = ["backup", text(&empty), "--json", "--data-dir", text(&folder.path().join("data"))].map(str::to_owned);
    let output = errand(&json.each_ref().map(String::as_str)).output().unwrap();
    let told: Value = serde_json::from_str(&said(&output).1).unwrap();
    assert_eq!(told["backup"]["format"], 1);
    assert_eq!(told["backup"]["sandboxes"]["files"], 1);
    let again = folder.path().join("again");
    let output = errand(&["restore", text(&empty), "--json", "--data-dir", text(&again)]).output().unwrap();
    let told: Value = serde_json::from_str(&said(&output).1).unwrap();
    assert_eq!(told["runs"]["held"], 0);
}

#[test]
fn postgres_has_its_own_means() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://me:secret@127.0.0.1:1/db";
    let saved = folder.path().join("saved");
    let output = errand(&["backup", text(&saved)]).env("ERRAND_DATABASE_URL", url).output().unwrap();
    let (code, _, err) = said(&output);
    assert!(code == Some(1) && err.contains("pg_dump") && err.contains("base backups"), "{err}");
    assert!(!err.contains("secret") && !saved.exists());
}

#[tokio::test]
async fn a_newer_schema_is_saved_as_it_is_and_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let db = database(&folder.path().join("data"));
    let newer = "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)";
    db.write(async move |tx| tx.exec(newer, &[]).await).await.unwrap();
    db.close().await;
    let later = folder.path().join("later");
    assert_eq!(said(&backup(&folder.path().join("data"), &later)).0, Some(0), "what is there is saved as it is");
    let (code, _, err) = said(&restore(&later, &folder.path().join("again")));
    assert!(code == Some(1) && err.contains("newer"), "{err}");
    assert!(!folder.path().join("again").exists());
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let (data, saved, again) = (folder.path().join("data"), folder.path().join("saved"), folder.path().join("again"));
    fs::create_dir(&data).unwrap();
    let db = database(&data);
    db.migrate(&MIGRATIONS[..1], 0).await.unwrap();
    db.close().await;
    assert_eq!(said(&backup(&data, &saved)).0, Some(0));
    let (code, _, err) = said(&restore(&saved, &again));
    assert_eq!(code, Some(0), "{err}");
    let db = database(&again);
    assert_eq!(db.require_schema(MIGRATIONS).await, Ok(()));
    db.close().await;
}

#[test]
fn what_is_in_a_bucket_is_in_no_backup_and_settings_must_say_the_same_as_it() {
    let folder = tempfile::tempdir().unwrap();
    let of_a_folder = small(folder.path());
    let settings = folder.path().join("s3.toml");
    fs::write(&settings, "[sandboxes.s3]\nbucket = \"b\"\nprefix = \"jobs\"\n").unwrap();
    // Neither command asks the bucket for anything, so neither needs its credentials.
    let with = |command: &[&str]| said(&errand(&[command, &["--config", text(&settings)]].concat()).output().unwrap());
    let (of_a_bucket, again) = (folder.path().join("of-a-bucket"), folder.path().join("again"));
    let (code, out, err) = with(&["backup", text(&of_a_bucket), "--data-dir", text(&folder.path().join("data"))]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(
        out.contains("not in it: they are in the bucket b/jobs") && !of_a_bucket.join("sandboxes").exists(),
        "{out}"
    );

    let (code, _, err) = said(&restore(&of_a_bucket, &again));
    assert!(code == Some(1) && err.contains("in the bucket b/jobs, and the settings name a folder"), "{err}");
    let (code, _, err) = with(&["restore", text(&of_a_folder), "--data-dir", text(&again)]);
    assert!(code == Some(1) && err.contains("restore without [sandboxes.s3]"), "{err}");
    let (code, out, err) = with(&["restore", text(&of_a_bucket), "--data-dir", text(&again)]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(again.join("errand.db").exists() && !again.join("sandboxes").exists());
}
