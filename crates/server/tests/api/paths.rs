//! Nothing leaves a sandbox: every way to name a file, with paths of all kinds, on real files.
//!
//! A path is either refused, or it names something in the sandbox; what is beside the sandbox stays as it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::house::{House, KEY, request, text};

/// Paths that name nothing in a sandbox.
const OUTSIDE: [&str; 66] = [
    "..",
    "../",
    "../x",
    "../../x",
    "../../../../../../../../etc/passwd",
    "./../x",
    "in/..",
    "in/../../x",
    "in/../../../outside/secret",
    "in/./../../x",
    "in//../../x",
    "/..",
    "/../x",
    "/workspace/..",
    "/workspace/../x",
    "/workspace/../../outside/secret",
    "/workspace/in/../../x",
    "/workspace/./../x",
    "/workspace//../x",
    "/workspace/in/..",
    "/",
    "//",
    "/x",
    "//x",
    "//workspace/x",
    "/./workspace/x",
    "/etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd/x",
    "/dev/null",
    "/dev/stdin",
    "/sys/x",
    "/tmp/x",
    "/workspacex",
    "/workspacex/y",
    "/workspace2/x",
    "/workspace../x",
    "/Workspace/x",
    "/WORKSPACE/x",
    "/workspac/x",
    "\0",
    "x\0",
    "x\0.csv",
    "in/\0/x",
    "/workspace/\0",
    "x\ny",
    "x\r\ny",
    "x\ty",
    "x\u{1b}[2J",
    "x\u{7f}",
    "x\u{85}y",
    "..\\x",
    "in\\..\\..\\x",
    "C:\\x",
    "\\\\host\\share",
    "x\u{202e}gpj",
    "x\u{202a}y",
    "x\u{2066}y",
    "x\u{2069}y",
    "x\u{200e}y",
    "x\u{200f}y",
    "..\u{202e}",
    // Links and what is no file, that a tool has put into the sandbox.
    "link/x",
    "link/secret",
    "up/x",
];

/// Paths that look as if they would lead somewhere and are names like others.
const INSIDE: [&str; 34] = [
    "...",
    "..x",
    "x..",
    ".. ",
    " ..",
    ". .",
    ". .a/x",
    ".hidden",
    ".incoming",
    "in/.incoming",
    "~",
    "~root",
    "$HOME",
    "`id`",
    "$(id)",
    "-rf",
    "%2e%2e",
    "%2e%2e%2fx",
    "..%2fx",
    "%00",
    "%252e%252e%252fx",
    "CON",
    "NUL.txt",
    "aux.csv",
    "x:y",
    "C:",
    "x*?",
    "\u{ff0e}\u{ff0e}",
    "\u{2025}",
    "\u{2024}\u{2024}\u{2215}x",
    "x\u{301}",
    "\u{1f4c4}.csv",
    "workspace/x",
    "etc/passwd",
];

/// Everything beneath a folder and what is in it. Links are not followed.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = path.symlink_metadata().expect("an entry").file_type();
        if kind.is_dir() {
            found.extend(everything(&path));
        }
        let bytes = if kind.is_file() { fs::read(&path).expect("a file") } else { Vec::new() };
        found.push((path, bytes));
    }
    found.sort();
    found
}

fn encoded(path: &str) -> String {
    path.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

struct Place {
    house: House,
    /// Of the sandbox, in the API and on the disk.
    url: String,
    home: PathBuf,
    /// What lies beside it.
    outside: PathBuf,
}

impl Place {
    async fn new() -> Self {
        let house = House::new().await;
        let made = house.post("/v1/sandboxes", json!({})).await.success(201);
        let id = text(&made["sandbox_id"]);
        let (url, home) = (format!("/v1/sandboxes/{id}"), house.files().join(&id));
        let outside = house.files().with_file_name("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("secret"), "secret").expect("a file");
        house.post_bytes(KEY, &format!("{url}/files?path=in/a.csv"), "text/csv", "inside").await.success(201);
        for (name, target) in
            [("link", "../../outside"), ("up", ".."), ("file", "../../outside/secret"), ("self", "self")]
        {
            symlink(target, home.join(name)).expect("a link");
        }
        fs::hard_link(outside.join("secret"), home.join("hard")).expect("a link");
        Self { house, url, home, outside }
    }

    /// Tries a path in every place that takes one; the statuses: write, write by URL, read, list.
    async fn tried(&self, path: &str) -> [u16; 4] {
        let (url, named) = (&self.url, encoded(path));
        let written = self.house.post_bytes(KEY, &format!("{url}/files?path={named}"), "text/csv", "one").await.status;
        let asked = self.house.post(&format!("{url}/upload-urls"), json!({"path": path})).await;
        let sent = if asked.status == 200 {
            let target = text(&asked.json()["upload_url"]).replace("https://errand.example.com", "");
            let request = Request::builder().method("PUT").uri(target).body(Body::from("two")).expect("a request");
            self.house.send(request).await.status
        } else {
            asked.status
        };
        let read = request("GET", &format!("{url}/files/content?path={named}"), KEY).body(Body::empty());
        let read = self.house.send(read.expect("a request")).await.status;
        let listed = request("GET", &format!("{url}/files?path={named}"), KEY).body(Body::empty());
        [written, sent, read, self.house.send(listed.expect("a request")).await.status]
    }

    /// All but what is in the sandbox.
    fn beside(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = everything(&self.outside);
        let files = everything(&self.house.files());
        found.extend(files.into_iter().filter(|(path, _)| !path.starts_with(&self.home)));
        found
    }
}

#[tokio::test]
async fn what_leads_out_is_refused_everywhere() {
    let place = Place::new().await;
    let (within, beside) = (everything(&place.home), place.beside());
    let (long, deep) = ("n".repeat(256), "d/".repeat(40) + "x");
    let more = ["file", "self", "self/x", "hard", "up", "link", "in", &long, &format!("in/{long}"), &deep];
    for path in OUTSIDE.into_iter().chain(more) {
        let [written, sent, read, _] = place.tried(path).await;
        assert_eq!((written, sent), (400, 400), "{path:?}");
        assert!(matches!(read, 400 | 404), "{path:?}: {read}");
        assert_eq!(everything(&place.home), within, "{path:?}");
    }
    for path in OUTSIDE {
        let listed = request("GET", &format!("{}/files?path={}", place.url, encoded(path)), KEY).body(Body::empty());
        let listed = place.house.send(listed.expect("a request")).await.status;
        assert!(matches!(listed, 400 | 404), "{path:?} is listed: {listed}");
    }
    assert_eq!(place.beside(), beside);
}

#[tokio::test]
async fn what_only_looks_like_it_stays_inside() {
    let place = Place::new().await;
    let beside = place.beside();
    for path in INSIDE {
        let before = everything(&place.home).len();
        let [written, sent, read, _] = place.tried(path).await;
        assert_eq!((written, sent, read), (201, 200, 200), "{path:?}");
        assert_eq!(fs::read(place.home.join(path)).expect("it is there"), b"two", "{path:?}");
        assert!(everything(&place.home).len() > before, "{path:?} took another's place");
    }
    assert_eq!(place.beside(), beside);
}

/// A folder that becomes a link while files go into it: they land in the sandbox or nowhere.
#[tokio::test]
async fn a_folder_that_turns_into_a_link_leads_nowhere() {
    let place = Place::new().await;
    let (folder, home, outside) = (place.home.join("swap"), place.home.clone(), place.outside.clone());
    let swapping = std::thread::spawn(move || {
        let mut links = 0;
        for number in 0..300 {
            // The server may make the folder itself at any of these moments; then it is one more to put aside.
            drop(fs::create_dir(&folder));
            fs::rename(&folder, home.join(format!("aside{number}"))).expect("a folder put aside");
            let linked = symlink(&outside, &folder).is_ok();
            std::thread::yield_now();
            if linked {
                fs::remove_file(&folder).expect("the link");
                links += 1;
            }
        }
        links
    });
    let mut tried = 0;
    while !swapping.is_finished() {
        place.tried("swap/x").await;
        tried += 1;
    }
    let links = swapping.join().expect("the swapping");
    assert!(links > 100, "{links}");
    let names: Vec<_> = everything(&place.outside).into_iter().map(|(path, bytes)| (path, bytes.len())).collect();
    assert_eq!(names, [(place.outside.join("secret"), 6)], "after {tried} tries");
}
