//! `errand keys`, beside a running server.

use crate::house::{Server, errand, said};

#[test]
fn a_key_works_from_its_making_to_its_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let keys = |arguments: &[&str]| {
        let output = errand(&[&["keys"], arguments].concat()).env("ERRAND_DATA_DIR", &data).output().unwrap();
        said(&output)
    };

    let (code, made, _) = keys(&["create", "--name", "a script", "--json"]);
    assert_eq!(code, Some(0));
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(key.starts_with("dv_") && key.len() == 67, "256 bits in hex");
    assert!(server.raw("/v1/agents", key).starts_with("HTTP/1.1 200"));

    let (_, listed, _) = keys(&["list"]);
    assert!(listed.contains(id) && listed.contains("a script") && !listed.contains(key), "{listed}");

    assert_eq!(keys(&["revoke", id]).0, Some(0));
    // A key that was found valid is trusted for a quarter of a second.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(server.raw("/v1/agents", key).starts_with("HTTP/1.1 401"));
    let (code, _, told) = keys(&["revoke", id]);
    assert!(code == Some(3) && told.contains(id), "{told}");
    assert_eq!(keys(&["revoke", "no-uuid"]).0, Some(1));
    assert_ne!(keys(&["list", "--json"]).1.find("revoked_at\":\"2"), None);
}

#[test]
fn without_a_database_it_says_how_there_comes_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, told) = said(&errand(&["keys", "list"]).current_dir(folder.path()).output().unwrap());
    assert!(code == Some(1) && told.contains("errand serve"), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}
