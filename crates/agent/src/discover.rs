//! Which model there is, when nobody said so: the order of looking, and the look at the usual ports of this machine.
//!
//! The order: what `errand.toml` says, keys in the environment, a server that speaks OpenAI's language on the ports where Ollama,
//! llama.cpp and LM Studio listen, nothing. A found server must answer one tiny question before it is taken.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::providers::{NoClient, Providers, http};
use crate::settings::{ModelSettings, Origin};

/// The usual ports: Ollama, llama.cpp, LM Studio.
pub const USUAL_PORTS: [(u16, &str); 3] = [(11434, "Ollama"), (8080, "llama.cpp"), (1234, "LM Studio")];

/// A server on this machine answers a list at once, or is not what we look for.
const LIST_TIMEOUT: Duration = Duration::from_millis(300);
/// Time to load a model and say a word.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A list of models is small; anything longer is something else.
const BODY_MAX: usize = 1024 * 1024;

/// What came of looking.
#[derive(Debug)]
pub struct Found {
    /// The models; maybe none.
    pub providers: Providers,
    /// What was taken and why, in a line or more for the operator.
    pub said: String,
}

/// Takes the settings, or else looks at `ports` (usually [`USUAL_PORTS`]) but for `own_port`, which is this server's.
pub async fn discover(
    settings: ModelSettings,
    ports: &[(u16, &str)],
    own_port: Option<u16>,
) -> Result<Found, NoClient> {
    let origin = settings.services.values().map(|endpoint| endpoint.origin).find(|origin| *origin == Origin::File);
    let providers = Providers::new(settings)?;
    if !providers.is_empty() {
        let source = if origin.is_some() { "errand.toml" } else { "the environment" };
        let said = format!("Models from {source}: {}.", providers.describe());
        return Ok(Found { providers, said });
    }
    let client = http::near()?;
    let mut seen = Vec::new();
    for (port, server) in ports.iter().filter(|(port, _)| Some(*port) != own_port) {
        let base_url = format!("http://127.0.0.1:{port}/v1");
        match look(&client, &base_url).await {
            Ok(model) => {
                let said = format!(
                    "Model found on this machine: \"{model}\" at {base_url} ({server}'s port); it answers to every name."
                );
                return Ok(Found { providers: providers.with_stand_in(&base_url, &model), said: lines(seen, said) });
            }
            Err(Some(why)) => seen.push(format!("Passed over {base_url}: {why}.")),
            Err(None) => {}
        }
    }
    let said = "No model: no provider in errand.toml, no key in the environment, no local server. Jobs will fail with the ways to mend it.";
    Ok(Found { providers, said: lines(seen, said.to_owned()) })
}

fn lines(mut seen: Vec<String>, last: String) -> String {
    seen.push(last);
    seen.join("\n")
}

/// The first model of the server that answers; `None` as error where nobody listens.
async fn look(client: &reqwest::Client, base_url: &str) -> Result<String, Option<String>> {
    let list = client.get(format!("{base_url}/models")).send();
    let list = match timeout(LIST_TIMEOUT, async { body(list.await?).await }).await {
        Err(_) => return Err(Some("it did not list its models in time".to_owned())),
        Ok(Err(error)) if error.is_connect() => return Err(None),
        Ok(Err(_)) => return Err(Some("it does not speak HTTP as expected".to_owned())),
        Ok(Ok(list)) => list,
    };
    let list = list.ok_or_else(|| "its list of models is not one".to_owned())?;
    let model = list.pointer("/data/0/id").and_then(Value::as_str).ok_or_else(|| "it lists no model".to_owned())?;
    let question = json!({
        "model": model,
        "max_tokens": 8,
        "messages": [{ "role": "user", "content": "Answer with the word yes." }],
    });
    let asked = client.post(format!("{base_url}/chat/completions")).json(&question).send();
    let answer = match timeout(ANSWER_TIMEOUT, async { body(asked.await?).await }).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => None,
        Err(_) => {
            return Err(Some(format!("its model \"{model}\" did not answer within {} s", ANSWER_TIMEOUT.as_secs())));
        }
    };
    // A thinking model may spend its eight tokens without a word: a choice is answer enough.
    match answer.as_ref().and_then(|answer| answer.pointer("/choices/0/message")) {
        Some(_) => Ok(model.to_owned()),
        None => Err(Some(format!("its model \"{model}\" gave no answer to a test question"))),
    }
}

/// The JSON of a successful answer, if it is that and not too long.
async fn body(mut response: reqwest::Response) -> Result<Option<Value>, reqwest::Error> {
    if !response.status().is_success() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY_MAX {
            return Ok(None);
        }
    }
    Ok(serde_json::from_slice(&bytes).ok())
}
