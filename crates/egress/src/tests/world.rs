//! A network of the test's own. Nothing outside of this machine is dialled, whatever the policy says.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;

use super::server::Server;
use crate::parts::{Dial, Dialled, Parts, Resolve};
use crate::{Answer, Client, Error, Method, Policy, Request};

/// What a test lets names resolve to.
pub(super) struct Names<F>(pub(super) F);

impl<F: Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync> Resolve for Names<F> {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let answer = (self.0)(name);
        async { answer }.boxed()
    }
}

/// Writes down what it is told to dial.
#[derive(Default)]
pub(super) struct Recorder {
    dialled: Mutex<Vec<SocketAddr>>,
    /// Where it connects to in place of all of them. Without it, it refuses.
    server: Option<SocketAddr>,
}

impl Dial for Recorder {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        self.dialled.lock().unwrap().push(address);
        async move {
            let Some(server) = self.server else { return Err(io::ErrorKind::ConnectionRefused.into()) };
            assert!(server.ip().is_loopback());
            let stream = TcpStream::connect(server).await?;
            Ok(Dialled { stream, peer: address, local: "192.0.2.1:40000".parse().unwrap() })
        }
        .boxed()
    }
}

/// A client, and what it did.
#[derive(Clone)]
pub(super) struct World {
    pub(super) client: Client,
    recorder: Arc<Recorder>,
    /// How long a connection may take to come about.
    patience: Duration,
}

impl World {
    /// One in which nobody answers.
    pub(super) fn empty(policy: Policy, resolver: impl Resolve + 'static) -> Self {
        Self::of(policy, resolver, None, RootCertStore::empty())
    }

    /// One in which `server` answers for everybody.
    pub(super) fn with(server: &Server, policy: Policy, resolver: impl Resolve + 'static) -> Self {
        Self::of(policy, resolver, Some(server.address), server.roots()).patient(Duration::from_secs(5))
    }

    fn of(policy: Policy, resolver: impl Resolve + 'static, server: Option<SocketAddr>, roots: RootCertStore) -> Self {
        let recorder = Arc::new(Recorder { server, ..Recorder::default() });
        let parts = Parts { resolver: Arc::new(resolver), dialler: recorder.clone(), tls: tls(roots) };
        Self { client: Client::with_parts(policy, parts), recorder, patience: Duration::from_millis(20) }
    }

    /// The same, with another time for a connection to come about.
    pub(super) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks as a webhook would, without following.
    pub(super) async fn post(&self, url: &str) -> Result<Answer, Error> {
        let url = self.client.policy().check(url)?;
        self.client.send(Request::new(Method::POST, url).connect(self.patience).body("{}")).await
    }

    /// Asks for a file.
    pub(super) async fn file(&self, url: &str) -> Result<Answer, Error> {
        let url = self.client.policy().check(url)?;
        self.client.send(Request::file(url).connect(self.patience)).await
    }

    /// What was dialled since it was last asked.
    pub(super) fn dialled(&self) -> Vec<SocketAddr> {
        std::mem::take(&mut self.recorder.dialled.lock().unwrap())
    }
}

pub(super) fn tls(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(tls.with_root_certificates(roots).with_no_client_auth())
}

pub(super) fn opened(ranges: &str) -> Policy {
    Policy::new(ranges.parse().unwrap())
}

pub(super) fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}
