//! One direction of one connection: reads ahead a little, holds what the weather holds, writes what it lets through.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Direction, Sky, Weather};

/// Read at once.
const PIECE: usize = 16 * 1024;
/// Read ahead at most: enough that a delay is a delay and not a bandwidth.
const HELD: usize = 256 * 1024;

/// The connection is to be closed, on both sides.
#[derive(Debug)]
pub(super) struct Cut;

/// Carries from `from` to `to` until the end of the one is passed on or the other takes no more.
pub(super) async fn pump(
    direction: Direction,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut sky: watch::Receiver<Sky>,
) -> Result<(), Cut> {
    let mut buffer = vec![0; PIECE];
    let mut held = Held::default();
    let mut weather = sky.borrow_and_update().weather;
    let mut left = allowance(weather, direction);
    loop {
        if left == Some(0) && held.bytes > 0 {
            return Err(Cut);
        }
        let passes = weather.passes(direction);
        tokio::select! {
            changed = sky.changed() => {
                changed.map_err(|_gone| Cut)?;
                weather = sky.borrow_and_update().weather;
                left = allowance(weather, direction);
            }
            read = from.read(&mut buffer), if passes && held.wants_more() => {
                // A reset says no more than an end here: what was sent before it is still delivered.
                held.push(&buffer[..read.unwrap_or(0)], weather);
            }
            written = held.send(&mut to, weather, left), if passes && !held.pieces.is_empty() => {
                let Ok(bytes @ 1..) = written else { return Ok(()) };
                held.sent(bytes, weather);
                left = left.map(|left| left - bytes as u64);
                if left == Some(0) {
                    return Err(Cut);
                }
            }
        }
    }
}

fn allowance(weather: Weather, direction: Direction) -> Option<u64> {
    match weather {
        Weather::CutAfter(bytes) if direction == Direction::ToClient => Some(bytes),
        _ => None,
    }
}

/// What was read and not yet written. The end is a piece too, an empty one, so that it is late like all others.
struct Held {
    pieces: VecDeque<Piece>,
    bytes: usize,
    ended: bool,
    /// Read since the connection's start.
    read: u64,
    /// When a throttle lets the next piece through.
    free: Instant,
}

struct Piece {
    arrived: Instant,
    bytes: Vec<u8>,
    /// Of which so many are written.
    sent: usize,
}

impl Default for Held {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, ended: false, read: 0, free: Instant::now() }
    }
}

impl Held {
    fn wants_more(&self) -> bool {
        !self.ended && self.bytes < HELD
    }

    fn push(&mut self, bytes: &[u8], weather: Weather) {
        let mut bytes = bytes.to_vec();
        if let Weather::Corrupt(every) = weather {
            let numbered = (self.read + 1..).zip(&mut bytes);
            numbered.filter(|(number, _)| number.is_multiple_of(every)).for_each(|(_, byte)| *byte = !*byte);
        }
        self.read += bytes.len() as u64;
        self.bytes += bytes.len();
        self.ended = bytes.is_empty();
        self.pieces.push_back(Piece { arrived: Instant::now(), bytes, sent: 0 });
    }

    /// Writes of the first piece what may be written, when it may; 0 says that the end was passed on. May be dropped at any point.
    async fn send(&self, to: &mut (impl AsyncWrite + Unpin), weather: Weather, left: Option<u64>) -> io::Result<usize> {
        let Some(piece) = self.pieces.front() else { return std::future::pending().await };
        let (due, most) = match weather {
            Weather::Delay(time) => (piece.arrived + time, usize::MAX),
            // In twenty steps a second, so that it flows and does not gush.
            Weather::Throttle(rate) => (self.free, usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1)),
            _ => (piece.arrived, usize::MAX),
        };
        if due > Instant::now() {
            sleep_until(due).await;
        }
        let rest = &piece.bytes[piece.sent..];
        if rest.is_empty() {
            return to.shutdown().await.map(|()| 0);
        }
        let most = most.min(left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX)));
        to.write(&rest[..most.min(rest.len())]).await
    }

    fn sent(&mut self, bytes: usize, weather: Weather) {
        if let Weather::Throttle(rate) = weather {
            self.free = Instant::now() + Duration::from_secs(bytes as u64) / rate.max(1);
        }
        self.bytes -= bytes;
        if let Some(piece) = self.pieces.front_mut() {
            piece.sent += bytes;
            if piece.sent == piece.bytes.len() {
                self.pieces.pop_front();
            }
        }
    }
}
