//! The client as the official conformance suite wants it: a program that is given the URL of a server, and the name of a scenario in
//! `MCP_CONFORMANCE_SCENARIO`. See `tests/conformance.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use egress::{Client, Policy};
use mcp::{Failure, Place, Servers};
use serde_json::{Map, json};

const TIME: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), String> {
    let url = std::env::args().next_back().ok_or("give the URL of a server")?;
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO").map_err(|error| format!("the scenario: {error}"))?;
    let ours: egress::Allow = "127.0.0.0/8,::1/128".parse().map_err(|error| format!("{error}"))?;
    let client = Client::new(Policy::new(ours)).map_err(|error| error.to_string())?;
    // The suite says `localhost`, which is no name that a user's URL may have.
    let place = Place { url: url.replace("//localhost", "//127.0.0.1"), headers: vec![] };
    let servers = Servers::new(client, BTreeMap::new(), TIME);
    let failed = |failure: Failure| failure.to_string();
    let session = servers.open(&place).await.map_err(failed)?;
    let offer = session.tools().await.map_err(failed)?;
    let call = match scenario.as_str() {
        "tools_call" => Some(("add_numbers", json!({"a": 5, "b": 3}))),
        "sse-retry" => Some(("test_reconnection", json!({}))),
        _ => None,
    };
    if let Some((tool, arguments)) = call {
        if !offer.tools.iter().any(|offered| offered.name == tool) {
            return Err(format!("{tool} is not offered"));
        }
        let arguments: Map<_, _> = arguments.as_object().cloned().unwrap_or_default();
        let results = session.call(tool, &arguments, TIME).await.map_err(failed)?;
        println!("{results:?}");
    }
    Ok(())
}
