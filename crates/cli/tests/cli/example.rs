//! The repository's own example script against the built binary, with a model that answers.

use testkit::fake_provider::{FakeProvider, Reply};

use crate::house::{KEY, Server, clean, said};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/first-job.sh");

#[tokio::test(flavor = "multi_thread")]
async fn the_first_job_script_runs_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let model = FakeProvider::with(|_| Reply::text("There are no invoices among my files.")).await.unwrap();
    let server = Server::with_model(&folder.path().join("data"), &model);
    let base_url = format!("{}/v1", server.url);
    let script = || {
        let mut script = clean("bash");
        script.arg(SCRIPT).env("BASE_URL", &base_url).env("PATIENCE", "30");
        script
    };
    let (code, out, err) = said(&script().env("API_KEY", KEY).output().unwrap());
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("Build 1") && out.contains("assistant: There are no invoices among my files."), "{out}");
    assert_eq!(server.json(&["runs", "list"])["data"][0]["status"], "completed");

    let (code, _, err) = said(&script().env("API_KEY", "dv_of_somebody_else").output().unwrap());
    assert!(code != Some(0) && err.contains("invalid_token"), "{err}");
    let (code, _, err) = said(&script().output().unwrap());
    assert!(code != Some(0) && err.contains("API_KEY"), "{err}");
}
