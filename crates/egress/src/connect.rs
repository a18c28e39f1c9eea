//! From a target to a connection: resolve, vet all, dial one of the vetted, look where it leads, TLS.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::Host;

use crate::client::said;
use crate::errors::{Blocked, Error};
use crate::parts::{Dialled, Parts};
use crate::policy::{Policy, Target};

/// Addresses of one name that are tried. All are vetted; who gives more wants us to knock on many doors.
const TRIES: usize = 4;

/// A connection that may be used.
pub(crate) type Connection = Box<dyn Duplex>;

/// Reads and writes.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// All that is needed on the way.
pub(crate) struct Way<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) parts: &'a Parts,
    pub(crate) target: &'a Target,
    pub(crate) deadline: Instant,
}

impl Way<'_> {
    /// Connects within `patience`. Takes exactly so long if it does not: what is forbidden, what refuses, and what is silent look the same.
    pub(crate) async fn open(&self, place: String, patience: Duration) -> Result<Connection, Error> {
        let until = self.within(patience);
        let dialled = match self.reach(until).await {
            Ok(dialled) => dialled,
            Err(why) => {
                sleep_until(until).await;
                return Err(Error::Blocked { place, why });
            }
        };
        if !self.target.secure {
            return Ok(Box::new(dialled.stream));
        }
        let name = match &self.target.host {
            Host::Domain(name) => ServerName::try_from(name.clone()),
            Host::Ipv4(address) => Ok(ServerName::IpAddress(IpAddr::V4(*address).into())),
            Host::Ipv6(address) => Ok(ServerName::IpAddress(IpAddr::V6(*address).into())),
        };
        let failed = |why: String| Error::Tls { place, why };
        let name = match name {
            Ok(name) => name,
            Err(flaw) => return Err(failed(said(&flaw))),
        };
        let shaken = TlsConnector::from(self.parts.tls.clone()).connect(name, dialled.stream);
        match timeout_at(self.within(patience), shaken).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(failed(said(&error))),
            Err(_) => Err(failed("it says nothing".into())),
        }
    }

    fn within(&self, patience: Duration) -> Instant {
        Instant::now().checked_add(patience).map_or(self.deadline, |until| until.min(self.deadline))
    }

    async fn reach(&self, until: Instant) -> Result<Dialled, Blocked> {
        let addresses = self.resolve(until).await?;
        let vetted = self.policy.vet(self.target, &addresses)?;
        #[cfg(test)]
        let vetted = self.sabotaged(vetted, until).await;
        let tried = vetted.len().min(TRIES);
        let mut failures = Vec::new();
        for (address, left) in vetted.into_iter().zip((1..=u32::try_from(tried).unwrap_or(1)).rev()) {
            // One that is silent leaves time for the others.
            let share = until.saturating_duration_since(Instant::now()) / left;
            match timeout(share, self.parts.dialler.dial(address)).await {
                Ok(Ok(dialled)) => {
                    self.policy.vet_connected(address, &dialled)?;
                    return Ok(dialled);
                }
                Ok(Err(error)) => failures.push(format!("{address}: {error}")),
                Err(_) => failures.push(format!("{address}: no answer")),
            }
        }
        Err(Blocked::Unreachable(failures.join("; ")))
    }

    /// All addresses of the target. One that is an address already is vetted like any other.
    async fn resolve(&self, until: Instant) -> Result<Vec<IpAddr>, Blocked> {
        let name = match &self.target.host {
            Host::Domain(name) => name,
            Host::Ipv4(address) => return Ok(vec![IpAddr::V4(*address)]),
            Host::Ipv6(address) => return Ok(vec![IpAddr::V6(*address)]),
        };
        match timeout_at(until, self.parts.resolver.resolve(name)).await {
            Ok(resolved) => resolved.map_err(|error| Blocked::Resolver(error.to_string())),
            Err(_) => Err(Blocked::Resolver("no answer".into())),
        }
    }
}

#[cfg(test)]
impl Way<'_> {
    /// Looks the name up a second time and dials what that says, as a client with a resolver of its own would.
    async fn sabotaged(&self, vetted: Vec<std::net::SocketAddr>, until: Instant) -> Vec<std::net::SocketAddr> {
        if self.policy.sabotage != Some(crate::tests::sabotage::Sabotage::ResolveAgain) {
            return vetted;
        }
        let again = self.resolve(until).await.unwrap_or_default();
        again.into_iter().map(|address| (address, self.target.port).into()).collect()
    }
}
