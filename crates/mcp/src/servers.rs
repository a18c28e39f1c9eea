//! Which servers there are, and the way to one.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use egress::{HeaderName, HeaderValue};
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion};
use rmcp::service::{ClientInitializeError, RunningService, serve_client};
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig, StreamableHttpError,
};
use rmcp::{RoleClient, Service};
use serde::Deserialize;

use crate::failure::Failure;
use crate::http::{Http, MOST};
use crate::session::Session;
use crate::sse::OldSse;
use crate::stdio;

/// What a `server_url` begins with that names one of the operator's servers.
const OWN: &str = "errand://mcp/";

/// Section `[mcp.NAME]` of errand.toml: a server that the operator knows. Either a `command` or a `url`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Known {
    /// A program of this machine and its arguments. No shell looks at them.
    pub command: Vec<String>,
    /// The program's environment, beside `PATH`, `HOME` and `LANG`.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: Option<PathBuf>,
    /// Where a server is that runs elsewhere.
    pub url: Option<String>,
    /// Its tools that may be called again after a crash, as nobody else may say of them.
    pub repeatable: Vec<String>,
}

impl Known {
    /// Whether it is a server at all.
    ///
    /// # Errors
    /// What is missing, or is too much.
    pub fn check(&self) -> Result<(), &'static str> {
        match (&self.url, self.command.is_empty()) {
            (None, true) => Err("expected command, a program with its arguments, or url"),
            (Some(_), false) => Err("expected either command or url, not both"),
            (Some(_), true) if !self.env.is_empty() || self.folder.is_some() => Err("env and folder go with command"),
            _ => Ok(()),
        }
    }
}

/// Where a Build says that a server is.
#[derive(Clone)]
pub struct Place {
    /// Its `server_url`.
    pub url: String,
    /// Header values in clear, for that URL's origin only.
    pub headers: Vec<(String, String)>,
}

/// The way to all servers.
#[derive(Clone)]
pub struct Servers {
    http: Http,
    known: BTreeMap<String, Known>,
    /// How long a server may take to be ready.
    opening: Duration,
}

impl Servers {
    /// Servers elsewhere are reached by `client`; `known` are those of errand.toml. One request takes `total` at most, and so does getting ready.
    pub fn new(client: egress::Client, known: BTreeMap<String, Known>, total: Duration) -> Self {
        Self { http: Http { client, total }, known, opening: total.min(Duration::from_secs(30)) }
    }

    /// Whether the operator says that a call of this tool may be made again after a crash. Nobody else may: not the server, not the Build.
    pub fn may_repeat(&self, server_url: &str, tool: &str) -> bool {
        let named = server_url.strip_prefix(OWN).and_then(|name| self.known.get(name));
        let mut same = self.known.values().filter(|known| known.url.as_deref() == Some(server_url));
        let says = |known: &Known| known.repeatable.iter().any(|name| name == tool);
        named.is_some_and(says) || same.any(says)
    }

    /// Opens a session of its own: no two Jobs share one.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&self, place: &Place) -> Result<Session, Failure> {
        match tokio::time::timeout(self.opening, self.ready(place)).await {
            Ok(opened) => opened,
            Err(_late) => Err(Failure::before("mcp_timed_out", "the server was not ready in time")),
        }
    }

    async fn ready(&self, place: &Place) -> Result<Session, Failure> {
        let Some(name) = place.url.strip_prefix(OWN) else { return self.elsewhere(place).await };
        let unknown = || format!("errand.toml has no section [mcp.{name}]");
        let known = self.known.get(name).ok_or_else(|| Failure::before("mcp_unknown", unknown()))?;
        if let Some(url) = &known.url {
            return self.elsewhere(&Place { url: url.clone(), headers: place.headers.clone() }).await;
        }
        let (program, pipes) = stdio::start(known)?;
        let service = serve_client(ours(), pipes).await.map_err(|error| Failure::of_opening(&error))?;
        Ok(Session::new(service, Some(program)))
    }

    async fn elsewhere(&self, place: &Place) -> Result<Session, Failure> {
        self.http.client.policy().check(&place.url).map_err(|error| Failure::of_egress(&error))?;
        let headers = headers(&place.headers)?;
        let mut config = StreamableHttpClientTransportConfig::with_uri(place.url.as_str())
            .custom_headers(headers.clone())
            .reinit_on_expired_session(false)
            .max_sse_event_size(usize::try_from(MOST).unwrap_or(usize::MAX));
        config.allow_stateless = true;
        let transport = StreamableHttpClientTransport::with_client(self.http.clone(), config);
        match serve_client(ours(), transport).await {
            Ok(service) => Ok(Session::new(service, None)),
            // An old server has nothing to say to a POST there.
            Err(error) if refuses_posts(&error) => self.ready_by_sse(place, headers, &error).await,
            Err(error) => Err(Failure::of_opening(&error)),
        }
    }

    async fn ready_by_sse(
        &self,
        place: &Place,
        headers: HashMap<HeaderName, HeaderValue>,
        first: &ClientInitializeError,
    ) -> Result<Session, Failure> {
        // What was wrong with the newer way is what helps, if the older does not work either.
        let Ok(transport) = OldSse::open(self.http.clone(), &place.url, headers).await else {
            return Err(Failure::of_opening(first));
        };
        let service: RunningService<RoleClient, _> =
            serve_client(ours(), transport).await.map_err(|error| Failure::of_opening(&error))?;
        Ok(Session::new(service, None))
    }
}

/// Who we are, and that a server may ask nothing of us: no sampling, no elicitation, no roots.
fn ours() -> impl Service<RoleClient> + Clone {
    ClientConfig::new(ClientCapabilities::default(), Implementation::new("errand", env!("CARGO_PKG_VERSION")))
        .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
}

fn headers(given: &[(String, String)]) -> Result<HashMap<HeaderName, HeaderValue>, Failure> {
    let read = |(name, value): &(String, String)| {
        let unfit =
            || Failure::before("mcp_header", format!("the header {name:?} of the Build's config cannot be sent"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unfit())?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    given.iter().map(read).collect()
}

fn refuses_posts(error: &ClientInitializeError) -> bool {
    let ClientInitializeError::TransportError { error, .. } = error else { return false };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error.error);
    while let Some(error) = cause {
        if let Some(StreamableHttpError::HttpStatus(status)) =
            error.downcast_ref::<StreamableHttpError<egress::Error>>()
        {
            return matches!(status.status, 400 | 404 | 405 | 501);
        }
        cause = error.source();
    }
    false
}
