//! The example of docs/mcp.md, as it stands there but for the folder: a server from npm, a call that is made at once, one that a person approves.

use std::path::Path;

use serde_json::Value;
use testkit::fake_provider::{FakeProvider, Reply};
use testkit::npm;

use crate::house::{Server, said};

/// What stands between the first fence of this kind and its end, after the heading of the example.
fn fenced(kind: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mcp.md")).unwrap();
    let (_, example) = page.split_once("## An example").unwrap();
    let (_, block) = example.split_once(&format!("```{kind}\n")).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_documentation_reads_at_once_and_asks_before_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().canonicalize().unwrap().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("report.txt"), "Forty-two crates of oranges.").unwrap();
    let shared = shared.to_str().unwrap().to_owned();
    let here = |text: String| text.replace("/srv/shared", &shared);

    // Installed by ./test, not fetched at this moment.
    let [node, program] = [npm::node(), npm::program("server-filesystem").unwrap()];
    let settings = here(fenced("toml"));
    let fetched = r#""npx", "--yes", "@modelcontextprotocol/server-filesystem""#;
    assert!(settings.contains(fetched), "{settings}");
    let installed = format!(r#""{}", "{}""#, node.display(), program.display());
    std::fs::write(folder.path().join("errand.toml"), settings.replace(fetched, &installed)).unwrap();
    let build = folder.path().join("build.json");
    std::fs::write(&build, here(fenced("json"))).unwrap();

    let place = shared.clone();
    let model = FakeProvider::with(move |asked| {
        let seen = asked.body.to_string();
        match asked.assistant_turns {
            0 => Reply::text("").call(
                "c1",
                "files__read_text_file",
                format!(r#"{{"path":"{place}/report.txt"}}"#).as_str(),
            ),
            1 if seen.contains("Forty-two crates") => Reply::text("").call(
                "c2",
                "files__write_file",
                format!(r#"{{"path":"{place}/summary.txt","content":"Oranges: 42 crates."}}"#).as_str(),
            ),
            _ => Reply::text("").call("c3", "finish", r#"{"result":"done"}"#),
        }
    });
    let model = model.await.unwrap();
    let server = Server::with_model(&folder.path().join("data"), &model);
    let made = server.json(&["agents", "create", "--name", "Summary", "--config", build.to_str().unwrap()]);
    let started = server.json(&["runs", "start", made["agent"]["id"].as_str().unwrap()]);
    let run = started["run"]["id"].as_str().unwrap();
    server.until_run(run, "waiting");

    let shown: Value = server.json(&["runs", "get", run]);
    let asked = &shown["pending_human_request"];
    assert_eq!(asked["type"], "approval");
    let words = asked["description"].as_str().unwrap();
    for part in ["Server: files", "Tool: write_file", "sha256:", "Oranges: 42 crates."] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let summary = Path::new(&shared).join("summary.txt");
    assert!(!summary.exists(), "nobody has approved it");
    let edited = format!(r#"{{"path":"{shared}/summary.txt","content":"Oranges: 42 crates, all good."}}"#);
    let (code, told, err) =
        said(&server.client(&["runs", "respond", run, "--approve", "--arguments", &edited]).output().unwrap());
    assert_eq!(code, Some(0), "{told}{err}");
    server.until_run(run, "completed");
    assert_eq!(std::fs::read_to_string(summary).unwrap(), "Oranges: 42 crates, all good.");
    let (_, transcript, _) = said(&server.client(&["runs", "follow", run]).output().unwrap());
    assert!(transcript.contains("approved, with") && transcript.contains("write_file"), "{transcript}");
}
