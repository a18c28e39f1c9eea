//! Team files: sent, listed, replaced, removed, and nobody else's.

use std::fs;
use std::sync::Arc;

use agent::workspace::{Quota, Workspaces};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::house::{Answer, House, KEY, OTHER_KEY, request, text};

async fn push(house: &House, key: &str, name: &str, bytes: &str) -> Answer {
    house.post_bytes(key, &format!("/v1/files?path={name}"), "application/octet-stream", bytes.to_owned()).await
}

async fn remove(house: &House, key: &str, name: &str) -> Answer {
    house.send(request("DELETE", &format!("/v1/files/{name}"), key).body(Body::empty()).expect("a request")).await
}

async fn names(house: &House, key: &str) -> Vec<String> {
    let listed = house.get_as(key, "/v1/files").await.success(200);
    listed["files"].as_array().expect("files").iter().map(|file| text(&file["name"])).collect()
}

/// Bytes of team files on the disk.
fn stored(house: &House) -> Vec<Vec<u8>> {
    let areas = fs::read_dir(house.files()).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let areas = areas.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("team_")));
    let files = areas.flat_map(|area| fs::read_dir(area).expect("a folder").collect::<Vec<_>>());
    let mut bytes: Vec<_> = files.map(|file| fs::read(file.expect("an entry").path()).expect("a file")).collect();
    bytes.sort();
    bytes
}

#[tokio::test]
async fn a_file_is_kept_replaced_and_removed_with_its_bytes() {
    let house = House::new().await;
    let first = push(&house, KEY, "in/a.csv", "one").await.success(201)["file"].take();
    assert_eq!((&first["name"], &first["size_bytes"]), (&json!("in/a.csv"), &json!(3)));
    assert_eq!(first["sha256"], "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    house.ambient.advance_ms(1_000);
    let second = push(&house, KEY, "/workspace/in/a.csv", "two!").await.success(201)["file"].take();
    assert_eq!(
        (&second["id"], &second["created_at"], &second["size_bytes"]),
        (&first["id"], &first["created_at"], &json!(4))
    );
    assert_ne!(second["updated_at"], first["updated_at"]);
    assert_eq!(stored(&house), [b"two!"]);
    push(&house, KEY, "b.csv", "b").await.success(201);
    assert_eq!(names(&house, KEY).await, ["b.csv", "in/a.csv"]);
    let page = house.get("/v1/files?limit=1&offset=1").await.success(200);
    assert_eq!((&page["files"][0]["name"], &page["total"]), (&json!("in/a.csv"), &json!(2)));

    assert_eq!(remove(&house, KEY, "in%2Fa.csv").await.success(200), json!({"removed": true}));
    remove(&house, KEY, "in%2Fa.csv").await.refusal(404, "not_found");
    remove(&house, KEY, &text(&first["id"])).await.refusal(404, "not_found");
    assert_eq!((names(&house, KEY).await, stored(&house)), (vec!["b.csv".to_owned()], vec![b"b".to_vec()]));
}

#[tokio::test]
async fn a_file_is_fetched_by_its_id_or_its_name() {
    let house = House::new().await;
    let id = text(&push(&house, KEY, "in/a.csv", "one").await.success(201)["file"]["id"]);
    for called in [id.as_str(), "in%2Fa.csv"] {
        let got = house.get(&format!("/v1/files/{called}/content")).await;
        assert_eq!((got.status, &got.body[..]), (200, &b"one"[..]));
        assert_eq!(got.header("content-type"), Some("text/csv; charset=utf-8"));
        assert_eq!(got.header("content-disposition"), Some("attachment; filename*=UTF-8''a.csv"));
        house.get_as(OTHER_KEY, &format!("/v1/files/{called}/content")).await.refusal(404, "not_found");
    }
    push(&house, KEY, "in/a.csv", "two").await.success(201);
    assert_eq!(&house.get(&format!("/v1/files/{id}/content")).await.body[..], b"two");
    remove(&house, KEY, &id).await.success(200);
    house.get(&format!("/v1/files/{id}/content")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn teams_have_their_own_and_see_no_others() {
    let house = House::new().await;
    let ours = text(&push(&house, KEY, "a.csv", "ours").await.success(201)["file"]["id"]);
    let theirs = text(&push(&house, OTHER_KEY, "a.csv", "theirs").await.success(201)["file"]["id"]);
    assert_ne!(ours, theirs);
    remove(&house, OTHER_KEY, &ours).await.refusal(404, "not_found");
    remove(&house, OTHER_KEY, "a.csv").await.success(200);
    assert_eq!((names(&house, KEY).await, names(&house, OTHER_KEY).await), (vec!["a.csv".to_owned()], vec![]));
    assert_eq!(stored(&house), [b"ours"]);
    // Their area is no sandbox.
    let area = format!("team_{}", house.team.0.simple());
    house.get(&format!("/v1/sandboxes/{area}/files")).await.refusal(404, "not_found");
    let (agent, _) = house.agent().await;
    let asked = json!({"agent_id": agent, "sandbox_id": area});
    house.post("/v1/runs", asked).await.refusal(404, "not_found");
}

#[tokio::test]
async fn sent_twice_with_one_idempotency_key_it_is_kept_once() {
    let house = House::new().await;
    let send = async |body: &'static str| {
        let asked = request("POST", "/v1/files?path=a", KEY).header("idempotency-key", "k");
        house.send(asked.body(Body::from(body)).expect("a request")).await
    };
    let first = send("one").await.success(201);
    push(&house, KEY, "a", "other").await.success(201);
    let again = send("one").await;
    assert_eq!((again.header("idempotent-replayed"), again.success(201)), (Some("true"), first));
    send("two").await.refusal(422, "idempotency_key_reused");
    assert_eq!(stored(&house), [b"other"]);
}

#[tokio::test]
async fn names_and_sizes_that_are_refused() {
    let house = House::new().await;
    for name in ["..", "../a", "/etc/passwd", "a%00", "a%5Cb", "in/", "/workspace", ""] {
        push(&house, KEY, name, "x").await.refusal(400, "invalid_request");
    }
    let deep = "d/".repeat(31) + "f";
    push(&house, KEY, &deep, "x").await.refusal(400, "invalid_request");
    house.post_bytes(KEY, "/v1/files", "text/csv", "x").await.refusal(400, "invalid_request");
    let large = vec![0; domain::sandboxes::FILE_MAX + 1];
    house.post_bytes(KEY, "/v1/files?path=a", "text/csv", large).await.refusal(413, "payload_too_large");
    assert_eq!((names(&house, KEY).await, stored(&house)), (vec![], Vec::<Vec<u8>>::new()));
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nx\r\n--b--\r\n";
    let sent: Value = house.post_bytes(KEY, "/v1/files", "multipart/form-data; boundary=b", form).await.success(201);
    assert_eq!(sent["file"]["name"], "a.csv");
    let long = format!("--b\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n{}\r\n{form}", "p".repeat(17_000));
    let told = house.post_bytes(KEY, "/v1/files", "multipart/form-data; boundary=b", long).await;
    assert!(told.refusal(400, "invalid_request").starts_with("path: "));
}

/// From now on the files of a team may have so many bytes.
fn bounded(house: &mut House, team_bytes: u64) {
    let folder = house.files();
    house.restart(|app| app.files = Arc::new(Workspaces::with_quota(folder, Quota { team_bytes, ..Quota::default() })));
}

#[tokio::test]
async fn the_files_of_a_team_take_up_so_much_and_no_more() {
    let mut house = House::new().await;
    bounded(&mut house, 100);
    let sandbox = text(&house.post("/v1/sandboxes", json!({})).await.success(201)["sandbox_id"]);
    let files = format!("/v1/sandboxes/{sandbox}/files");
    let upload = async |house: &House, name: &str, size: usize| {
        house.post_bytes(KEY, &format!("{files}?path={name}"), "text/csv", "x".repeat(size)).await
    };
    let url =
        house.post(&format!("/v1/sandboxes/{sandbox}/upload-urls"), json!({"path": "/workspace/u"})).await.success(200);
    let url = text(&url["upload_url"]).strip_prefix("https://errand.example.com").expect("an origin").to_owned();
    let put = async |house: &House, size: usize| {
        let request = Request::builder().method("PUT").uri(&url).header("content-length", size.to_string());
        house.send(request.body(Body::from("x".repeat(size))).expect("a request")).await
    };
    push(&house, KEY, "a", &"x".repeat(40)).await.success(201);
    upload(&house, "b", 30).await.success(201);
    put(&house, 20).await.success(200);
    for told in [push(&house, KEY, "c", &"x".repeat(11)).await, upload(&house, "c", 11).await, put(&house, 11).await] {
        let told = told.refusal(413, "team_full");
        assert!(
            told.contains("100 bytes in all") && told.contains("they have 90") && told.contains("DELETE /v1/files"),
            "{told}"
        );
    }
    push(&house, OTHER_KEY, "c", &"x".repeat(90)).await.success(201);
    upload(&house, "c", 10).await.success(201);
    upload(&house, "d", 1).await.refusal(413, "team_full");
    remove(&house, KEY, "a").await.success(200);
    upload(&house, "d", 40).await.success(201);
    upload(&house, "e", 1).await.refusal(413, "team_full");
    // What takes another's place gives its room back, once it is there.
    bounded(&mut house, 101);
    upload(&house, "d", 1).await.success(201);
    upload(&house, "e", 39).await.success(201);
    bounded(&mut house, 0);
    upload(&house, "f", 500).await.success(201);
}

#[tokio::test]
async fn files_that_come_at_once_go_beyond_it_by_one_each_at_most_and_nothing_comes_after_them() {
    let mut house = House::new().await;
    bounded(&mut house, 100);
    let house = Arc::new(house);
    let coming = (0..6).map(|number| {
        let house = Arc::clone(&house);
        tokio::spawn(async move { push(&house, KEY, &format!("f{number}"), &"x".repeat(40)).await.status })
    });
    let coming: Vec<_> = coming.collect();
    let mut came = 0;
    for file in coming {
        came += usize::from(file.await.expect("an answer") == 201);
    }
    assert!((2..=6).contains(&came), "{came}");
    push(&house, KEY, "more", &"x".repeat(40)).await.refusal(413, "team_full");
}
