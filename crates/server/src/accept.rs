//! The door: takes connections, as many as there is room for, and tells the others so at once.
//!
//! A refused connection is told 503 rather than left waiting: whoever asks can go elsewhere, and those inside are served as fast as before. Nothing
//! that the system answers ends the loop; what cannot be accepted now, since this process has too many open files, waits in the system's queue.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connections::{Way, turn_away, words};
use crate::errors::ApiError;
use crate::{Shared, Tls, router};

/// Refused connections that are spoken to at once; others are closed without a word. Each has an open file, too.
const TURNED_AWAY: usize = 32;
/// How long to wait before the system is asked again after it could not give a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the server is told to stop, then waits for the connections that there are.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<Tls>) {
    let gate = Arc::new(Gate::new(shared.limits.connections, shared.limits.per_address));
    let way = Arc::new(Way::new(Arc::clone(&shared), router::routes(Arc::clone(&shared))));
    let mut closing = shared.closing.subscribe();
    let mut troubled = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                troubled = false;
                admit(&gate, &way, &shared, tls.as_ref(), stream, address);
            }
            // The client was gone before it was its turn.
            Err(error) if is_clients(&error) => {}
            Err(error) => {
                if !troubled {
                    tracing::warn!(%error, "no connection can be accepted now; those that there are go on");
                }
                troubled = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // From now on the system refuses connections.
    drop(listener);
    gate.empty().await;
}

fn admit(
    gate: &Arc<Gate>,
    way: &Arc<Way>,
    shared: &Arc<Shared>,
    tls: Option<&Tls>,
    stream: TcpStream,
    address: SocketAddr,
) {
    // An event is a small packet of its own: it must not wait for the answer to the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    if let Some(seat) = gate.seat(address.ip()) {
        let (way, tls) = (Arc::clone(way), tls.map(Tls::acceptor));
        tokio::spawn(async move {
            way.serve(stream, tls).await;
            drop(seat);
        });
        return;
    }
    tracing::debug!(%address, "a connection too many");
    // A handshake is work, and without one there is nobody to speak to.
    if tls.is_none()
        && let Ok(place) = Arc::clone(&gate.turned_away).try_acquire_owned()
    {
        let said = words(&ApiError::TooManyConnections, shared.request_ids.next());
        tokio::spawn(async move {
            turn_away(stream, &said).await;
            drop(place);
        });
    }
}

fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Who is inside.
struct Gate {
    all: u32,
    places: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    per_address: usize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    fn new(connections: usize, per_address: usize) -> Self {
        let all = u32::try_from(connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            all,
            places: Arc::new(Semaphore::new(all as usize)),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            // Who may have all need not be counted.
            per_address: if per_address >= connections { 0 } else { per_address },
            addresses: Mutex::default(),
        }
    }

    fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let address = network(address);
        if self.per_address > 0 {
            let mut addresses = self.addresses();
            let inside = addresses.entry(address).or_default();
            if *inside >= self.per_address {
                return None;
            }
            *inside += 1;
        }
        Some(Seat { gate: Arc::clone(self), address, _place: place })
    }

    /// Waits until nobody is left.
    async fn empty(&self) {
        drop(self.places.acquire_many(self.all).await);
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place inside, given back when it is dropped.
struct Seat {
    gate: Arc<Gate>,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.gate.per_address > 0 {
            let mut addresses = self.gate.addresses();
            if let Some(inside) = addresses.get_mut(&self.address) {
                *inside -= 1;
                if *inside == 0 {
                    addresses.remove(&self.address);
                }
            }
        }
    }
}

/// What counts as one client: with IPv6 a whole network of /64, since that is what one gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let gate = Arc::new(Gate::new(3, 2));
        let [a, neighbour, b] = ["2001:db8::1", "2001:db8::ffff", "::ffff:10.0.0.1"].map(|text| text.parse().unwrap());
        let first = gate.seat(a).expect("room");
        let second = gate.seat(neighbour).expect("room");
        assert!(gate.seat(a).is_none(), "its share is used up");
        let third = gate.seat(b).expect("room for others");
        assert!(gate.seat("10.0.0.2".parse().unwrap()).is_none(), "full");
        drop((first, third));
        let again = gate.seat(a).expect("room again");
        drop((second, again));
        assert!(gate.addresses().is_empty());
    }
}
