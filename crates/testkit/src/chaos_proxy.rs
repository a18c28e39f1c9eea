//! A network between a client and one server whose weather changes at run time: slow, cut, one-way, dead, lying.
//!
//! It carries bytes and knows no protocol, so a database driver, an HTTP client and a test see the same failures. Where the weather lets nothing
//! through, nothing is read either: whoever sends feels it, as with a real partition, and what was on its way arrives in order once it
//! clears.
//!
//! Here: the door and the life of one connection. Next: `chaos_proxy/pump.rs` for one direction of it.

mod pump;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::pump::pump;

/// A running proxy. Its connections end when this is dropped.
#[derive(Debug)]
pub struct ChaosProxy {
    address: SocketAddr,
    sky: watch::Sender<Sky>,
    /// Each connection holds one more of it.
    open: Arc<()>,
    accepting: JoinHandle<()>,
}

/// What it stands in front of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a socket, as PostgreSQL has one.
    Unix(PathBuf),
}

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the client sends.
    ToUpstream,
    /// What the server sends.
    ToClient,
}

/// What happens to bytes. It holds for all connections, those that are there and those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    Clear,
    /// They arrive so much later, in each direction.
    Delay(Duration),
    /// So many a second pass, for each connection in each direction.
    Throttle(u32),
    /// So many more pass from the server on each connection, then both sides of it are closed. With 0 the server's next word is lost: it has
    /// done what it was asked, and nobody hears of it.
    CutAfter(u64),
    /// None passes and none is read. New connections are accepted, and the server hears of them when it clears.
    BlackHole,
    /// They pass in this direction; the other one is a black hole.
    OneWay(Direction),
    /// The server's side is closed, the client's stays open and silent. When the weather changes the client is reset, as by a host that came back
    /// and knows nothing of the connection.
    HalfOpen,
    /// All connections are torn down with a reset, new ones too.
    Reset,
    /// Every n-th byte of a direction, counted from the connection's start, is inverted.
    Corrupt(u64),
}

#[derive(Debug, Clone, Copy)]
struct Sky {
    weather: Weather,
    /// How often connections were broken: one that looks up late must not miss it.
    breaks: u64,
}

impl ChaosProxy {
    /// Starts on any free port of this machine, in clear weather.
    pub async fn start(upstream: Upstream) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sky, seen) = watch::channel(Sky { weather: Weather::Clear, breaks: 0 });
        let open = Arc::new(());
        let accepting = tokio::spawn(accept(listener, upstream, seen, Arc::downgrade(&open)));
        Ok(Self { address, sky, open, accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather. A break (`Reset`, `HalfOpen`) reaches each connection, however soon the next change comes; setting `CutAfter` again
    /// counts again.
    pub fn set(&self, weather: Weather) {
        self.sky.send_modify(|sky| {
            sky.weather = weather;
            sky.breaks += u64::from(weather.breaks());
        });
    }

    /// How many clients it holds, silent ones included.
    pub fn connections(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Weather {
    fn breaks(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Reset)
    }

    fn passes(self, direction: Direction) -> bool {
        match self {
            Self::BlackHole | Self::HalfOpen | Self::Reset => false,
            Self::OneWay(open) => open == direction,
            _ => true,
        }
    }
}

/// The connections are tasks of this one, so that they end with it.
async fn accept(listener: TcpListener, upstream: Upstream, sky: watch::Receiver<Sky>, open: Weak<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else {
                    // Out of descriptors, most likely; without a pause this would spin until there are some.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let Some(held) = open.upgrade() else { return };
                let (upstream, sky) = (upstream.clone(), sky.clone());
                connections.spawn(async move {
                    connection(client, &upstream, sky).await;
                    drop(held);
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// The life of one connection, from accepted to closed.
async fn connection(mut client: TcpStream, upstream: &Upstream, sky: watch::Receiver<Sky>) {
    let born = sky.borrow().breaks;
    let mut server = None;
    let broken = tokio::select! {
        biased;
        () = until(&sky, |sky| sky.breaks != born || sky.weather.breaks()) => true,
        carried = carry(&mut client, &mut server, upstream, &sky) => carried.is_err(),
    };
    if !broken {
        return;
    }
    let half_open = sky.borrow().weather == Weather::HalfOpen;
    if let Some(Server::Tcp(server)) = &server
        && !half_open
    {
        let _already_closed = server.set_zero_linger();
    }
    drop(server);
    until(&sky, |sky| sky.weather != Weather::HalfOpen).await;
    let _already_closed = client.set_zero_linger();
}

/// Waits for such a sky; at the end of the proxy, no longer.
async fn until(sky: &watch::Receiver<Sky>, holds: impl FnMut(&Sky) -> bool) {
    let mut sky = sky.clone();
    // What this gives holds a lock on the sky: not to be kept.
    drop(sky.wait_for(holds).await);
}

/// The server's side of a connection.
enum Server {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects and carries until both directions have ended. An error says that there is no server.
async fn carry(
    client: &mut TcpStream,
    server: &mut Option<Server>,
    upstream: &Upstream,
    sky: &watch::Receiver<Sky>,
) -> io::Result<()> {
    until(sky, |sky| sky.weather != Weather::BlackHole).await;
    client.set_nodelay(true)?;
    match server.insert(connect(upstream).await?) {
        Server::Tcp(server) => both_ways(client, server, sky).await,
        Server::Unix(server) => both_ways(client, server, sky).await,
    }
    Ok(())
}

async fn connect(upstream: &Upstream) -> io::Result<Server> {
    match upstream {
        Upstream::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            Ok(Server::Tcp(server))
        }
        Upstream::Unix(path) => UnixStream::connect(path).await.map(Server::Unix),
    }
}

async fn both_ways(
    client: &mut TcpStream,
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
    sky: &watch::Receiver<Sky>,
) {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = tokio::io::split(server);
    // A direction that ends leaves the other one open, until it ends too or is cut.
    let _over_or_cut = tokio::try_join!(
        pump(Direction::ToUpstream, from_client, to_server, sky.clone()),
        pump(Direction::ToClient, from_server, to_client, sky.clone()),
    );
}

#[cfg(test)]
mod tests;
