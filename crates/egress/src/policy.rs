//! Where a user's URL may lead.
//!
//! Two looks, both of them on every hop: [`Policy::check`] and `target` at the URL, before any name is resolved; `vet` at all addresses that
//! its name has, before any of them is dialled. `vet_connected` then looks at what the dialled one became. None of them asks the network.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use crate::addresses::{meant, special};
use crate::allow::Allow;
use crate::errors::{Blocked, Error, UrlFlaw};
use crate::parts::Dialled;
use crate::urls;

/// The ports of what nobody opened.
const PORTS: [u16; 3] = [443, 80, 8443];

/// The rules. What is not opened must be `https`, a name, at a usual port, and all its addresses public.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Allow,
    own: Vec<SocketAddr>,
    #[cfg(test)]
    pub(crate) sabotage: Option<crate::tests::sabotage::Sabotage>,
}

/// Where a URL leads, as far as it says itself.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Whether it is `https`.
    pub(crate) secure: bool,
    /// A name to resolve, or an address.
    pub(crate) host: Host<String>,
    /// Its port.
    pub(crate) port: u16,
}

impl Policy {
    /// The rules with what the operator opened.
    pub fn new(allow: Allow) -> Self {
        Self { allow, ..Self::default() }
    }

    /// Closes an address that stays closed whatever is opened: where this server listens, where it keeps its data. `0.0.0.0` and `::` mean
    /// all addresses of this machine.
    #[must_use]
    pub fn never(mut self, own: SocketAddr) -> Self {
        self.own.push(own);
        self
    }

    /// Reads a URL as a user wrote it and says at once what can be said without asking the network. For the moment at which it is given; the
    /// [client](crate::client::Client) looks again each time that it is used.
    ///
    /// # Errors
    /// [`Error::Url`], and [`Error::Blocked`] for an address in place of a name.
    pub fn check(&self, text: &str) -> Result<Url, Error> {
        let url = urls::parse(text)?;
        let target = self.target(&url)?;
        let address = match target.host {
            Host::Domain(_) => return Ok(url),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        self.vet(&target, &[address]).map_err(|why| Error::Blocked { place: urls::place(&url), why })?;
        Ok(url)
    }

    /// Where a URL leads, if it may be one at all.
    pub(crate) fn target(&self, url: &Url) -> Result<Target, UrlFlaw> {
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(UrlFlaw::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFlaw::UserInfo);
        }
        let host = urls::host(url)?;
        let port = url.port_or_known_default().unwrap_or_default();
        // What nothing is opened for can be refused in words that help.
        let opened = self.allow.opens_port(port);
        if !secure && !opened {
            return Err(UrlFlaw::Scheme);
        }
        if !PORTS.contains(&port) && !opened {
            return Err(UrlFlaw::Port(port));
        }
        Ok(Target { secure, host, port })
    }

    /// The addresses that may be dialled for a target: all that it has, or none.
    pub(crate) fn vet(&self, target: &Target, addresses: &[IpAddr]) -> Result<Vec<SocketAddr>, Blocked> {
        let mut vetted = Vec::new();
        for address in addresses {
            let address = SocketAddr::new(meant(*address), target.port);
            #[cfg(test)]
            if self.overlooks(vetted.len()) {
                vetted.push(address);
                continue;
            }
            self.vet_one(target, address)?;
            if !vetted.contains(&address) {
                vetted.push(address);
            }
        }
        if vetted.is_empty() { Err(Blocked::NoAddress) } else { Ok(vetted) }
    }

    fn vet_one(&self, target: &Target, address: SocketAddr) -> Result<(), Blocked> {
        if self.own.iter().any(|own| own.port() == address.port() && reaches(address.ip(), own.ip())) {
            return Err(Blocked::Own(address));
        }
        if self.allow.opens(address.ip(), address.port()) {
            return Ok(());
        }
        if !matches!(target.host, Host::Domain(_)) {
            return Err(Blocked::Literal(address));
        }
        if !target.secure {
            return Err(Blocked::PlainHttp(address));
        }
        if !PORTS.contains(&address.port()) {
            return Err(Blocked::Port(address));
        }
        match special(address.ip()) {
            Some(what) => Err(Blocked::NotPublic(address, what)),
            None => Ok(()),
        }
    }

    /// Whether a connection leads to where it was told to, and not to this machine by an address that looks public.
    pub(crate) fn vet_connected(&self, told: SocketAddr, dialled: &Dialled) -> Result<(), Blocked> {
        let peer = SocketAddr::new(meant(dialled.peer.ip()), dialled.peer.port());
        if peer != told {
            return Err(Blocked::Elsewhere(told, peer));
        }
        // The system gives a connection to one of its own addresses that address at both ends.
        if meant(dialled.local.ip()) == peer.ip() {
            if self.own.iter().any(|own| own.port() == peer.port() && own.ip().is_unspecified()) {
                return Err(Blocked::Own(peer));
            }
            if !self.allow.opens(peer.ip(), peer.port()) {
                return Err(Blocked::ThisMachine(peer));
            }
        }
        Ok(())
    }
}

/// Whether dialling `address` reaches who listens on `own`, at the same port, as far as the addresses tell.
fn reaches(address: IpAddr, own: IpAddr) -> bool {
    meant(own) == address || address.is_unspecified() || (own.is_unspecified() && address.is_loopback())
}
