//! The HTTP clients that models are called with.
//!
//! Both clients refuse redirects, so that a key never follows one to another host, and compressed answers, so that a small answer cannot
//! unpack into a large one.

use std::time::Duration;

use reqwest::redirect;

use crate::settings::Endpoint;

/// Connecting is quick or broken.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One client for the world, one for this machine.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// Goes through `HTTPS_PROXY` and its relatives where the operator set them.
    far: reqwest::Client,
    /// Never asks a proxy: it would look for the address on its own machine.
    near: reqwest::Client,
}

impl Clients {
    pub(super) fn new() -> Result<Self, NoClient> {
        Ok(Self { far: build(builder())?, near: near()? })
    }

    pub(super) fn for_endpoint(&self, endpoint: &Endpoint) -> &reqwest::Client {
        if is_near(endpoint) { &self.near } else { &self.far }
    }
}

/// A client for this machine.
pub(crate) fn near() -> Result<reqwest::Client, NoClient> {
    build(builder().no_proxy())
}

/// There is no talking to models on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client for models: {0}")]
pub struct NoClient(String);

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, NoClient> {
    builder.build().map_err(|error| NoClient(error.to_string()))
}

#[expect(clippy::disallowed_methods, reason = "where models are is the operator's to say, not a user's")]
fn builder() -> reqwest::ClientBuilder {
    // Installed once in a process; later attempts fail harmlessly.
    let _already = rustls::crypto::ring::default_provider().install_default();
    // A connection each: an answer that stalls on its way holds up no other.
    reqwest::Client::builder()
        .http1_only()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_gzip()
}

/// Whether the endpoint is on this machine.
fn is_near(endpoint: &Endpoint) -> bool {
    let url = reqwest::Url::parse(&endpoint.base_url).ok();
    match url.as_ref().and_then(reqwest::Url::host_str) {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}
