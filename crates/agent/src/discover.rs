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
/// Time to load a model and say a word, for all models of a server that are tried.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// As many models of one server are tried.
const TRIES: usize = 4;
/// Parts of the names of models that embed or sort and do not answer. They are tried last: names lie.
const MUTE: [&str; 4] = ["embed", "bge-", "minilm", "rerank"];
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
                    "Model found on this machine: {model:?} at {base_url} ({server}'s port); it answers to every name."
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
    let models = list(client, base_url).await?;
    let asking = async {
        for model in &models {
            if answers(client, base_url, model).await {
                return Some(model.clone());
            }
        }
        None
    };
    let tried = models.join("\", \"");
    match timeout(ANSWER_TIMEOUT, asking).await {
        Ok(Some(model)) => Ok(model),
        Ok(None) => Err(Some(format!("of its models, \"{tried}\" gave no answer to a test question"))),
        Err(_) => {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Err(Some(format!("of its models, \"{tried}\" did not answer a test question within {seconds} s")))
        }
    }
}

/// The models to try, best first; at least one.
async fn list(client: &reqwest::Client, base_url: &str) -> Result<Vec<String>, Option<String>> {
    let list = client.get(format!("{base_url}/models")).send();
    let list = match timeout(LIST_TIMEOUT, async { body(list.await?).await }).await {
        Err(_) => return Err(Some("it did not list its models in time".to_owned())),
        Ok(Err(error)) if error.is_connect() => return Err(None),
        Ok(Err(_)) => return Err(Some("it does not speak HTTP as expected".to_owned())),
        Ok(Ok(list)) => list,
    };
    let list = list.ok_or_else(|| "its list of models is not one".to_owned())?;
    let rows = list["data"].as_array().map_or(&[][..], Vec::as_slice);
    let mut models: Vec<_> = rows.iter().filter_map(|row| row["id"].as_str()).map(str::to_owned).collect();
    if models.is_empty() {
        return Err(Some("it lists no model".to_owned()));
    }
    models.sort_by_key(|model| MUTE.iter().any(|mute| model.to_lowercase().contains(mute)));
    models.truncate(TRIES);
    Ok(models)
}

/// Whether the model says anything at all.
async fn answers(client: &reqwest::Client, base_url: &str, model: &str) -> bool {
    let question = json!({
        "model": model,
        "max_tokens": 8,
        "messages": [{ "role": "user", "content": "Answer with the word yes." }],
    });
    let asked = client.post(format!("{base_url}/chat/completions")).json(&question).send();
    let answer = async { body(asked.await?).await }.await.ok().flatten();
    // A thinking model may spend its eight tokens without a word: a choice is answer enough.
    answer.is_some_and(|answer| answer.pointer("/choices/0/message").is_some())
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
