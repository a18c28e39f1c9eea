//! Whoever a server talks to, for a test that is no Rust: `.ci/schemathesis` starts the real program beside this one.
//!
//! Prints an `errand.toml` that leads to a model that first asks a person and then is done, to a receiver of webhooks at which nobody is any more
//! (so that there are dead letters), and, with the argument `postgres`, to a database of its own. All of it is there until standard input ends.

use std::io::{self, Read as _, Write as _};

use serde_json::json;
use testkit::fake_provider::{FakeProvider, Reply};
use testkit::hook::{Conduct, Hook};
use testkit::postgres::Cluster;

#[tokio::main]
async fn main() -> io::Result<()> {
    let cluster = match std::env::args().nth(1).as_deref() {
        None | Some("sqlite") => None,
        Some("postgres") => Some(Cluster::start()?),
        Some(other) => return Err(io::Error::other(format!("there is no store {other:?}: sqlite or postgres"))),
    };
    let model = FakeProvider::with(|asked| match asked.assistant_turns {
        0 => Reply::text("").call("call_1", "ask_person", json!({"kind": "approval", "title": "Go on?"})),
        _ => Reply::text("Done."),
    })
    .await?;
    let hook = Hook::start(|_, _| Conduct::Status(410))?;
    let database = cluster.as_ref().map(|cluster| format!("database_url = {:?}\n", cluster.url())).unwrap_or_default();
    let providers = [
        ("anthropic", model.url()),
        ("openai", model.openai_url()),
        ("gemini", model.url()),
        ("compatible", model.openai_url()),
    ];
    let providers: String = providers
        .map(|(name, url)| format!("[providers.{name}]\nbase_url = {url:?}\napi_key = \"sk-nobody\"\n"))
        .concat();
    let mut out = io::stdout().lock();
    writeln!(out, "[server]\n{database}requests_per_minute = 0\n{providers}[egress]\nallow = [\"127.0.0.0/8\"]")?;
    writeln!(out, "# hook = {}", hook.url("/gone"))?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
