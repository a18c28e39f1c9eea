//! What the client asks of the machine: a resolver, a dialler, TLS. Tests put their own in place; everybody else has [`Parts::real`].

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Names that are being resolved at once. The system resolves on threads that others need, too, and a slow name server holds one for long.
const RESOLVING: usize = 64;

/// Says which addresses a name has.
pub trait Resolve: Send + Sync {
    /// All addresses of `name`.
    ///
    /// # Errors
    /// Those of the resolver; nothing is dialled then.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Opens connections.
pub trait Dial: Send + Sync {
    /// A connection to `address`, which has been vetted, and to nothing else.
    ///
    /// # Errors
    /// Those of the system.
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>>;
}

/// A connection, and where it leads.
#[derive(Debug)]
pub struct Dialled {
    /// The connection.
    pub stream: TcpStream,
    /// Its other end, as the connection itself says.
    pub peer: SocketAddr,
    /// Its end here.
    pub local: SocketAddr,
}

/// What a client is made of.
#[derive(Clone)]
pub struct Parts {
    /// Resolves names.
    pub resolver: Arc<dyn Resolve>,
    /// Opens connections.
    pub dialler: Arc<dyn Dial>,
    /// Whom to trust.
    pub tls: Arc<ClientConfig>,
}

/// This machine has no certificates to trust, or no TLS.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS for what users' URLs name: {0}")]
pub struct NoTls(#[from] rustls::Error);

impl Parts {
    /// The machine's resolver, its network, and the certificates that it trusts.
    ///
    /// # Errors
    /// When it trusts none.
    pub fn real() -> Result<Self, NoTls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Nothing of one request serves another, which may be another team's.
        tls.resumption = Resumption::disabled();
        Ok(Self { resolver: Arc::new(SystemResolver::default()), dialler: Arc::new(Tcp), tls: Arc::new(tls) })
    }
}

/// The resolver of the system, with its `hosts` file and whatever else it is set up with.
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(RESOLVING)))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async {
            let permit = self.0.clone().acquire_owned().await.map_err(io::Error::other)?;
            let name = name.to_owned();
            let resolving = tokio::task::spawn_blocking(move || {
                // Given back when the thread is free again, also if nobody waits for it any more.
                let _permit = permit;
                let addresses = (name.as_str(), 0).to_socket_addrs()?;
                Ok(addresses.map(|address| address.ip()).collect())
            });
            resolving.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

/// The network.
pub struct Tcp;

impl Dial for Tcp {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Dialled { peer: stream.peer_addr()?, local: stream.local_addr()?, stream })
        }
        .boxed()
    }
}
