//! `errand serve`: starting, refusing to start, stopping.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use storage::{Db, Settings};

use crate::house::{KEY, Server, clean, errand, said};

/// The words of the refusal of a start with these arguments and variables.
fn refusal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    // One that is not refused would serve for ever.
    let mut command = clean("timeout");
    command.args(["20", env!("CARGO_BIN_EXE_errand"), "serve", "--listen", "127.0.0.1:0"]).args(arguments);
    let output = command.envs(variables.iter().copied()).current_dir(folder.path()).output().unwrap();
    let (code, out, err) = said(&output);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    err
}

fn key_of(greeting: &str) -> Option<&str> {
    greeting.split_whitespace().find(|word| word.starts_with("dv_"))
}

#[test]
fn the_first_start_makes_a_key_and_no_later_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Server::start_with(&data, &[]);
    let key = key_of(&first.printed).expect("a key").to_owned();
    assert!(first.raw("/v1/agents", &key).starts_with("HTTP/1.1 200"));
    let (early, _) = first.printed.split_once("  Models  ").unwrap();
    assert!(early.contains(&key) && early.contains(data.to_str().unwrap()), "not before the models: {}", first.printed);
    first.terminate();
    let second = Server::start_with(&data, &[]);
    assert_eq!(key_of(&second.printed), None);
    assert!(second.raw("/v1/agents", &key).starts_with("HTTP/1.1 200"));
}

#[test]
fn an_empty_variable_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let names =
        ["ERRAND_ROLE", "ERRAND_CONFIG", "ERRAND_DATABASE_URL", "ERRAND_LOG", "ERRAND_API_KEY", "ERRAND_EGRESS_ALLOW"];
    let server = Server::start_with(&folder.path().join("data"), &names.map(|name| (name, "")));
    assert!(key_of(&server.printed).is_some(), "{}", server.printed);
}

#[test]
fn a_server_whose_output_nobody_can_read_serves_and_a_hangup_does_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = errand(&["serve", "--data-dir", "data", "--listen", &free.to_string()]);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut server = command.current_dir(folder.path()).stdout(full()).stderr(full()).spawn().unwrap();
    let answers = || std::net::TcpStream::connect(free).is_ok();
    let began = Instant::now();
    while !answers() {
        assert!(server.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(20), "it ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    let told = clean("kill").args(["-HUP", &server.id().to_string()]).status().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (ended, goes_on) = (server.try_wait().unwrap(), answers());
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(told.success() && ended.is_none() && goes_on, "{ended:?}");
}

#[test]
fn it_is_ready_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    // The best of three: the machine that tests are run on has other things to do.
    let times = [0, 1, 2].map(|number| {
        let start = Instant::now();
        let server = Server::start(&folder.path().join(number.to_string()));
        let time = start.elapsed();
        drop(server);
        time
    });
    assert!(times.iter().min().unwrap() < &Duration::from_secs(1), "{times:?}");
}

#[test]
fn an_operators_own_key_is_valid_even_after_it_was_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    assert!(!server.printed.contains("dv_"), "{}", server.printed);
    assert!(server.raw("/v1/agents", KEY).starts_with("HTTP/1.1 200"));
    let data_dir = ["--data-dir", data.to_str().unwrap()];
    let keys = errand(&[&["keys", "list", "--json"], &data_dir[..]].concat()).output().unwrap();
    let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).unwrap();
    let id = keys["keys"][0]["id"].as_str().unwrap();
    assert!(errand(&[&["keys", "revoke", id], &data_dir[..]].concat()).output().unwrap().status.success());
    // A key that was found valid is trusted for a quarter of a second.
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.raw("/v1/agents", KEY).starts_with("HTTP/1.1 401"));
    server.terminate();
    let again = Server::start(&data);
    assert!(again.raw("/v1/agents", KEY).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_weak_key_is_refused_and_not_repeated() {
    let told = refusal(&[], &[("ERRAND_API_KEY", "hunter2")]);
    assert!(told.contains("ERRAND_API_KEY") && told.contains("too short") && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_second_server_on_the_folder_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let told = refusal(&["--data-dir", data.to_str().unwrap()], &[]);
    assert!(told.contains(&format!("process {}", server.pid())) && told.contains("--data-dir"), "{told}");
}

#[test]
fn a_second_server_on_the_database_is_told_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let usual = Server::start(&folder.path().join("usual"));
    let url = format!("sqlite:{}/errand.db", data("usual"));
    let told = refusal(&["--data-dir", &data("other"), "--database-url", &url], &[]);
    assert!(told.contains(&format!("process {}", usual.pid())) && told.contains("--database-url"), "{told}");

    // Neither has it in its data folder, and one comes to it over a link.
    std::fs::create_dir(data("elsewhere")).unwrap();
    let url = format!("sqlite:{}/errand.db", data("elsewhere"));
    let first = Server::start_with(&folder.path().join("first"), &[("ERRAND_DATABASE_URL", &url)]);
    std::fs::create_dir(data("links")).unwrap();
    std::os::unix::fs::symlink(data("elsewhere/errand.db"), data("links/errand.db")).unwrap();
    for there in ["elsewhere", "links"] {
        let url = format!("sqlite:{}/errand.db", data(there));
        let told = refusal(&["--data-dir", &data("second"), "--database-url", &url], &[]);
        assert!(told.contains(&format!("process {}", first.pid())), "{there}: {told}");
    }
}

#[test]
fn what_is_kept_is_its_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let start = |name: &str| {
        let log = folder.path().join(format!("{name}.log"));
        let server = Server::start_logging(&folder.path().join(name), &[], File::create(&log).unwrap());
        (server, std::fs::read_to_string(log).unwrap())
    };
    let (_private, told) = start("private");
    assert_eq!((mode(&folder.path().join("private")), told.as_str()), (0o700, ""));

    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, Permissions::from_mode(0o755)).unwrap();
    let (_shared, told) = start("shared");
    assert!(told.contains("WARN") && told.contains(&format!("chmod go= {}", shared.display())), "{told}");
    for file in ["errand.db", "errand.db-wal", "errand.db-shm"] {
        assert_eq!(mode(&shared.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let address = server.url.strip_prefix("http://").unwrap();
    let output = errand(&["serve", "--listen", address]).current_dir(folder.path()).output().unwrap();
    let (code, _, told) = said(&output);
    assert!(code == Some(1) && told.contains(address) && told.contains("--listen"), "{told}");
    assert!(!folder.path().join("errand-data").exists(), "a start that fails leaves nothing");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Server::start(&data).terminate();
    let db = Db::open(&Settings::new(data.join("errand.db"), std::sync::Arc::new(|| domain::Timestamp(0)))).unwrap();
    let newer = "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)";
    db.write(async move |tx| tx.exec(newer, &[]).await).await.unwrap();
    db.close().await;
    let data = data.to_str().unwrap();
    let told = refusal(&["--data-dir", data], &[]);
    assert!(told.contains("999 (later)") && told.contains("newer version"), "{told}");
    let (code, _, told) = said(&errand(&["keys", "list", "--data-dir", data]).output().unwrap());
    assert!(code == Some(1) && told.contains("newer version"), "{told}");
}

#[test]
fn a_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("notes.txt");
    std::fs::write(&foreign, "not a database, but somebody's notes\n".repeat(100)).unwrap();
    let url = format!("sqlite:{}", foreign.display());
    let told = refusal(&["--database-url", &url], &[]);
    assert!(told.contains("notes.txt"), "{told}");
    assert!(std::fs::read_to_string(&foreign).unwrap().starts_with("not a database"));
}

#[test]
fn settings_that_are_wrong_are_told_by_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my.toml");
    std::fs::write(&file, "[limits]\ntunrs = 3\n").unwrap();
    let file = file.to_str().unwrap();
    let told = refusal(&["--config", file], &[]);
    assert!(told.contains("my.toml") && told.contains("limits") && told.contains("tunrs"), "{told}");
    std::fs::write(file, "[providers.openai]\napi_key = sk-secret\n").unwrap();
    let told = refusal(&["--config", file], &[]);
    assert!(told.contains("my.toml: line 2, column 11") && !told.contains("sk-secret"), "{told}");
    assert!(refusal(&[], &[("ERRAND_CONFIG", "nowhere.toml")]).contains("nowhere.toml"));
    let told = refusal(&[], &[("ERRAND_DATABASE_URL", "mysql://me:secret@host/db")]);
    assert!(told.contains("sqlite:PATH") && !told.contains("secret"), "{told}");
    let told = refusal(&[], &[("ERRAND_EGRESS_ALLOW", "10.0.0.0/8,10.0.0.0/33")]);
    assert!(told.contains("ERRAND_EGRESS_ALLOW: item 2, `10.0.0.0/33`: `/33` is no length"), "{told}");
}

#[test]
fn what_is_opened_for_users_urls_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let variables = [("ERRAND_EGRESS_ALLOW", "127.0.0.0/8:9000,10.0.0.0/8"), ("ERRAND_LOG", "info")];
    let _server = Server::start_logging(&folder.path().join("data"), &variables, File::create(&log).unwrap());
    let told = std::fs::read_to_string(log).unwrap();
    assert!(told.contains("egress: opened 127.0.0.0/8:9000, 10.0.0.0/8"), "{told}");
}

#[test]
fn sigterm_ends_it_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let start = Instant::now();
    assert_eq!(server.terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(15));
    assert!(!data.join("errand.db-wal").exists(), "the database was closed");
}

#[test]
fn two_signals_at_once_are_one_telling_and_a_later_one_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    // Something that it waits for, in its good order.
    let mut slow = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "POST /v1/agents HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
    );
    slow.write_all(format!("{head}content-length: 100\r\n\r\n{{").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let pid = server.pid().to_string();
    let tell = || assert!(clean("kill").args(["-TERM", &pid]).status().unwrap().success());
    let both = format!("kill -TERM {pid}; kill -INT {pid}; sleep 0.05; kill -TERM {pid}");
    assert!(clean("sh").args(["-c", &both]).status().unwrap().success());
    std::thread::sleep(Duration::from_secs(1));
    tell();
    let start = Instant::now();
    assert_eq!(server.ended().code(), Some(1), "it was still waiting, and was told a second time");
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// A certificate for this machine that is signed by itself, in place of what was there.
fn certificate(folder: &Path, name: &str) {
    let mut made = clean("openssl");
    made.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder);
    let made = made.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_certificate_makes_it_https_and_sighup_reads_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let settings = |key: &str| {
        let text = format!("[server]\ntls_cert = \"{}\"\ntls_key = \"{}\"\n", place("cert.pem"), place(key));
        std::fs::write(place("errand.toml"), text).unwrap();
    };
    certificate(folder.path(), "first");
    settings("nowhere.pem");
    let told = refusal(&["--config", &place("errand.toml")], &[]);
    assert!(told.contains("nowhere.pem: ") && told.contains("tls_key"), "{told}");
    let looked = || {
        said(&errand(&["doctor", "--data-dir", &place("data"), "--config", &place("errand.toml")]).output().unwrap()).1
    };
    assert!(looked().contains("problem  tls            ") && looked().contains("nowhere.pem: "), "{}", looked());

    settings("key.pem");
    assert!(looked().contains("ok       tls            "), "{}", looked());
    let log = folder.path().join("log");
    let mut command = errand(&["serve", "--data-dir", &place("data"), "--config", &place("errand.toml")]);
    command
        .env("ERRAND_LISTEN", "127.0.0.1:0")
        .stdout(std::process::Stdio::piped())
        .stderr(File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let mut greeting = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    while !greeting.contains("  Models  ") {
        assert!(std::io::BufRead::read_line(&mut lines, &mut greeting).unwrap() > 0, "it ended: {greeting}");
    }
    let url = greeting.split_whitespace().find_map(|word| word.strip_suffix("/v1")).unwrap();
    let address = url.strip_prefix("https://").expect(url);
    let shown = || {
        let asked =
            clean("openssl").args(["s_client", "-connect", address]).stdin(std::process::Stdio::null()).output();
        String::from_utf8_lossy(&asked.unwrap().stdout).into_owned()
    };
    let is = |name: &str, shown: &str| shown.contains(&format!("CN={name}")) || shown.contains(&format!("CN = {name}"));
    assert!(is("first", &shown()));
    let hang_up = || clean("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    let logged = |words: &str| {
        let start = Instant::now();
        while !std::fs::read_to_string(&log).unwrap().contains(words) {
            assert!(start.elapsed() < Duration::from_secs(10), "never logged: {words}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    certificate(folder.path(), "second");
    assert!(hang_up().success());
    logged("the TLS certificate was read again");
    assert!(is("second", &shown()));
    std::fs::write(place("key.pem"), "nothing").unwrap();
    assert!(hang_up().success());
    logged("the TLS certificate stays as it was");
    assert!(is("second", &shown()));
    assert!(clean("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
