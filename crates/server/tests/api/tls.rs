//! TLS that ends at the server, with certificates made on the spot.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use server::Tls;

use crate::door::{Open, get, quick, within};
use crate::house::KEY;

/// A certificate for `localhost` that is signed by itself, and its key.
fn certificate(folder: &Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}-key.pem")));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (cert, key)
}

/// What a client that trusts just `cert` is answered to a `GET`, and what it was shown.
fn ask(open: &Open, cert: &Path, arguments: &[&str]) -> (bool, String) {
    send(open, cert, arguments, &get("/v1/agents", "connection: close\r\n"))
}

fn send(open: &Open, cert: &Path, arguments: &[&str], request: &str) -> (bool, String) {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-verify_return_error", "-ign_eof", "-connect", &open.address.to_string(), "-CAfile"]);
    client.arg(cert).args(arguments);
    client
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut client = client.spawn().expect("openssl");
    let mut input = client.stdin.take().expect("a pipe");
    // It may have ended already.
    let _ = std::io::Write::write_all(&mut input, request.as_bytes());
    let output = client.wait_with_output().expect("an end");
    drop(input);
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_what_is_in_its_files_and_reads_them_again() {
    crate::door::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path(), "first");
    let tls = Tls::read(&cert, &key).expect("a certificate");
    let open = Open::with(quick(), Some(tls.clone())).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let (fine, said) = ask(&open, &cert, &[version, "-alpn", "h2,http/1.1"]);
        assert!(fine && said.contains("HTTP/1.1 200") && said.contains("ALPN protocol: http/1.1"), "{said}");
    }
    assert!(!ask(&open, &cert, &["-tls1_1"]).1.contains("HTTP/1.1 200"));

    let (newer, newer_key) = certificate(folder.path(), "second");
    std::fs::copy(&newer, &cert).expect("a copy");
    let wrong = tls.reload().expect_err("the key is another's");
    assert!(wrong.contains("do not go together"), "{wrong}");
    std::fs::copy(&newer_key, &key).expect("a copy");
    tls.reload().expect("a new certificate");
    let (fine, said) = ask(&open, &newer, &[]);
    assert!(fine && said.contains("CN=second") | said.contains("CN = second"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_shakes_no_hand_is_let_go() {
    crate::door::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path(), "first");
    let open = Open::with(quick(), Some(Tls::read(&cert, &key).expect("a certificate"))).await;
    let mut silent = open.connect().await;
    assert_eq!(within(350, 3_000, silent.rest()).await, "");
    // And one that speaks plainly gets no plain answer.
    let told = tokio::time::timeout(Duration::from_secs(3), open.told(get("/healthz", ""))).await.expect("an end");
    assert!(!told.contains("HTTP"), "{told}");
    assert!(ask(&open, &cert, &[]).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_urls_of_a_server_with_tls_lead_to_it_by_https() {
    crate::door::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path(), "first");
    let tls = Tls::read(&cert, &key).expect("a certificate");
    let open = Open::of(quick(), Some(tls), |app| app.upload_urls.public_url = None).await;
    let sandbox = open.house.post("/v1/sandboxes", serde_json::json!({})).await.success(201);
    let path = format!("/v1/sandboxes/{}/upload-urls", sandbox["sandbox_id"].as_str().expect("an id"));
    let body = r#"{"path": "a"}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: errand.example:8443\r\nauthorization: Bearer {KEY}\r\nx-forwarded-proto: ftp\r\n\
        content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let (fine, said) = send(&open, &cert, &[], &request);
    assert!(fine && said.contains("\"https://errand.example:8443/v1/uploads/"), "{said}");
}

#[test]
fn what_is_wrong_is_said_with_the_file() {
    crate::door::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = certificate(folder.path(), "first");
    let (_, other_key) = certificate(folder.path(), "second");
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "secret\n").expect("a file");
    let nowhere = folder.path().join("nowhere.pem");
    for (cert, key, parts) in [
        (&nowhere, &key, ["nowhere.pem: ", "No such file"]),
        (&cert, &nowhere, ["nowhere.pem: ", "No such file"]),
        (&broken, &key, ["broken.pem: ", "no certificate"]),
        (&cert, &broken, ["broken.pem: ", "no "]),
        (&cert, &cert, ["first.pem: ", "no "]),
        (&key, &key, ["first-key.pem: ", "no certificate"]),
        (&cert, &other_key, ["second-key.pem", "do not go together"]),
    ] {
        let wrong = Tls::read(cert, key).expect_err("something is wrong");
        assert!(parts.iter().all(|part| wrong.contains(part)) && !wrong.contains("secret"), "{wrong}");
    }
}
