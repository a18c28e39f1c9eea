//! The HTTP client of the API: one method a kind of request.
//!
//! Answers stay the text the server sent, so that `--json` can print them unchanged; [`Answer::read`] parses them for tables. The flags of
//! all client commands are in `client/options.rs`, what may go wrong in `client/failure.rs`. The event stream is opened here and read in
//! [`crate::follow`].

mod failure;
mod options;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use contract::errors::ErrorBody;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::failure::Failure;
pub(crate) use self::options::{Noun, Output, Page};
use crate::paint;

/// An open door to one server.
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    key: String,
}

/// What the server answered, word for word.
pub(crate) struct Answer(String);

impl Answer {
    /// The answer as a value.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_str(&self.0)
            .map_err(|error| anyhow::anyhow!("the answer is not what this version of errand expects: {error}"))
    }
}

impl Api {
    /// A door to the server at `base_url`.
    #[expect(clippy::disallowed_methods, reason = "whoever runs the command says where its server is")]
    pub(crate) fn new(base_url: &str, key: &str) -> anyhow::Result<Self> {
        let base = base(base_url)?;
        crate::wire::install_tls();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("errand/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            // What listens on this machine is not behind anybody's proxy.
            http = http.no_proxy();
        }
        Ok(Self { http: http.build()?, base, key: key.to_owned() })
    }

    /// `GET` of the path below `/v1`, whose parts are encoded here.
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<Answer> {
        self.text(self.request(Method::GET, path, query)?).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &[&str], body: &impl Serialize) -> anyhow::Result<Answer> {
        self.text(self.request(Method::POST, path, &[])?.json(body)).await
    }

    /// `POST` of a body, done once however often it is sent with this `Idempotency-Key`.
    pub(crate) async fn post_once(
        &self,
        path: &[&str],
        body: &impl Serialize,
        key: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.request(Method::POST, path, &[])?.json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.text(request).await
    }

    /// `POST` without a body.
    pub(crate) async fn post_nothing(&self, path: &[&str]) -> anyhow::Result<Answer> {
        self.text(self.request(Method::POST, path, &[])?).await
    }

    /// Sends a file into a sandbox.
    pub(crate) async fn upload(&self, sandbox: &str, path: &str, bytes: Vec<u8>) -> anyhow::Result<Answer> {
        let request = self.request(Method::POST, &["sandboxes", sandbox, "files"], &[("path", path.to_owned())])?;
        self.text(request.header(CONTENT_TYPE, "application/octet-stream").body(bytes)).await
    }

    /// Sends a file of the team.
    pub(crate) async fn push(&self, name: &str, bytes: Vec<u8>) -> anyhow::Result<Answer> {
        let request = self.request(Method::POST, &["files"], &[("path", name.to_owned())])?;
        self.text(request.header(CONTENT_TYPE, "application/octet-stream").body(bytes)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &[&str]) -> anyhow::Result<Answer> {
        self.text(self.request(Method::DELETE, path, &[])?).await
    }

    /// `GET` of a file.
    pub(crate) async fn download(&self, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<Vec<u8>> {
        let request = self.request(Method::GET, path, query)?;
        let bytes = self.send(request).await?.bytes().await;
        Ok(bytes.map_err(|error| self.unreachable(&error))?.to_vec())
    }

    /// Opens a run's event stream after the entry `after`.
    pub(crate) async fn events(&self, run: &str, after: u64) -> anyhow::Result<Response> {
        let request = self.request(Method::GET, &["runs", run, "events"], &[])?;
        Ok(self.send(request.header("last-event-id", after.to_string())).await?)
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<RequestBuilder> {
        let mut url = self.base.clone();
        if let Some(odd) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            anyhow::bail!("{odd:?} is not an id");
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url).bearer_auth(&self.key))
    }

    async fn text(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let text = self.send(request).await?.text().await;
        Ok(Answer(text.map_err(|error| self.unreachable(&error))?))
    }

    /// Sends it; again after a pause, if the key has made as many requests as it may this minute.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let again = request.try_clone();
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if let (StatusCode::TOO_MANY_REQUESTS, Some(again)) = (response.status(), again) {
            let pause = wait(&response);
            eprintln!("errand: the server takes no more requests with this key for {} s, waiting", pause.as_secs());
            tokio::time::sleep(pause).await;
            response = again.send().await.map_err(|error| self.unreachable(&error))?;
        }
        let status = response.status();
        if status.is_success() {
            // What the server took, but has something to say about.
            for warning in response.headers().get_all("x-errand-warning") {
                eprintln!("errand: warning: {}", paint::line(&String::from_utf8_lossy(warning.as_bytes()), 1000));
            }
            return Ok(response);
        }
        let body = response.text().await.unwrap_or_default();
        let message = match serde_json::from_str::<ErrorBody>(&body) {
            Ok(told) => paint::plain(&told.message.unwrap_or(told.error)),
            Err(_) => paint::line(&body, 200),
        };
        Err(match status {
            StatusCode::UNAUTHORIZED => Failure::Unauthorized(message),
            StatusCode::NOT_FOUND => Failure::NotFound(message),
            _ => Failure::Refused { status, message },
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Failure::Unreachable { base: self.base.to_string(), why: cause.to_string() }
    }
}

/// How long the server asks for patience; a minute at most.
fn wait(response: &Response) -> Duration {
    let text = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Duration::from_secs(text.and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 60))
}

/// The server's root: people give it with `/v1`, as the API's own examples do, or without.
fn base(given: &str) -> anyhow::Result<Url> {
    let trimmed = given.trim().trim_end_matches('/');
    let root = trimmed.strip_suffix("/v1").unwrap_or(trimmed);
    match Url::parse(root) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => anyhow::bail!("{given:?} is not the URL of a server; expected one such as http://127.0.0.1:8080"),
    }
}

/// Writes what was fetched into a file; without one, or into `-`, to standard output.
pub(crate) fn keep(bytes: &[u8], file: Option<&Path>) -> anyhow::Result<()> {
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => std::fs::write(file, bytes).with_context(|| file.display().to_string()),
        None => Ok(std::io::stdout().write_all(bytes)?),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(api: &Api, path: &[&str], query: &[(&str, String)]) -> String {
        api.request(Method::GET, path, query).unwrap().build().unwrap().url().to_string()
    }

    #[test]
    fn both_spellings_of_the_base_mean_the_same() {
        for given in ["http://host:1", "http://host:1/", "http://host:1/v1", "http://host:1/v1/"] {
            assert_eq!(url(&Api::new(given, "k").unwrap(), &["agents"], &[]), "http://host:1/v1/agents", "{given}");
        }
        assert_eq!(url(&Api::new("https://h/errand/v1", "k").unwrap(), &["a"], &[]), "https://h/errand/v1/a");
        for wrong in ["", "host:1", "ftp://host", "http://"] {
            assert!(Api::new(wrong, "k").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_people_type_cannot_leave_its_place_in_the_url() {
        let api = Api::new("http://host", "k").unwrap();
        assert_eq!(url(&api, &["runs", "../a/b?c#d"], &[]), "http://host/v1/runs/..%2Fa%2Fb%3Fc%23d");
        assert_eq!(
            url(&api, &["x"], &[("path", "/workspace/a&b c".to_owned())]),
            "http://host/v1/x?path=%2Fworkspace%2Fa%26b+c"
        );
        for odd in ["", ".", ".."] {
            assert!(api.request(Method::GET, &["runs", odd], &[]).is_err());
        }
    }
}
