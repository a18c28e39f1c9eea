//! Closed loops: so many connections, each sending its next request when the last one is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::child::Child;
use crate::http::Connection;

/// How long a load runs unmeasured first: connections, caches and statements are then warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// What is sent and what must come back. Connection number i sends request number i, over and over, beginning again after the last.
pub(crate) struct Load {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) expected: u16,
    pub(crate) connections: usize,
}

/// What a load came to.
pub(crate) struct Measured {
    /// Requests answered.
    pub(crate) ops: u32,
    /// From the first sent to the last answered.
    pub(crate) wall: Duration,
    /// CPU of the server process meanwhile.
    pub(crate) cpu: Duration,
    /// CPU of the database's own processes meanwhile; nothing where it has none.
    pub(crate) database_cpu: Duration,
    /// Of each answer, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Measured {
    /// Answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        f64::from(self.ops) / self.wall.as_secs_f64()
    }

    /// Microseconds of the server's CPU for one answer.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(self.ops)
    }

    /// What every steady row shows beside its value.
    pub(crate) fn beside(&self) -> Vec<(&'static str, f64)> {
        [vec![("ops_per_s", self.per_second())], self.latencies()].concat()
    }

    /// How long an answer took.
    pub(crate) fn latencies(&self) -> Vec<(&'static str, f64)> {
        let latency = |share| millis(percentile(&self.latencies, share));
        vec![("p50_ms", latency(50)), ("p99_ms", latency(99))]
    }
}

/// When a loop ends.
enum Until {
    Time(Instant),
    /// So many requests are left to be begun.
    Left(AtomicU32),
}

impl Until {
    fn another(&self) -> bool {
        match self {
            Self::Time(end) => Instant::now() < *end,
            Self::Left(left) => {
                left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            }
        }
    }
}

/// Loads `child` for a while.
pub(crate) async fn steady(child: &Child, load: Load, time: Duration) -> anyhow::Result<Measured> {
    let load = Arc::new(load);
    drive(child.address, Arc::clone(&load), Until::Time(Instant::now() + WARM_UP)).await?;
    let (cpu, database_cpu, began) = (child.cpu()?, child.database_cpu()?, Instant::now());
    let mut latencies = drive(child.address, load, Until::Time(began + time)).await?;
    let (wall, cpu) = (began.elapsed(), child.cpu()?.saturating_sub(cpu));
    let database_cpu = child.database_cpu()?.saturating_sub(database_cpu);
    latencies.sort_unstable();
    Ok(Measured { ops: u32::try_from(latencies.len())?, wall, cpu, database_cpu, latencies })
}

/// Sends exactly `count` requests.
pub(crate) async fn burst(address: SocketAddr, load: Load, count: u32) -> anyhow::Result<()> {
    drive(address, Arc::new(load), Until::Left(AtomicU32::new(count))).await.map(drop)
}

async fn drive(address: SocketAddr, load: Arc<Load>, until: Until) -> anyhow::Result<Vec<Duration>> {
    let until = Arc::new(until);
    let mut loops = JoinSet::new();
    for number in 0..load.connections {
        let (load, until) = (Arc::clone(&load), Arc::clone(&until));
        loops.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let request = &load.requests[number % load.requests.len()];
            let mut latencies = Vec::new();
            while until.another() {
                let sent = Instant::now();
                connection.ask(request, load.expected).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = loops.join_next().await {
        latencies.extend(ended??);
    }
    Ok(latencies)
}

/// The value that `share` of a hundred do not exceed, of sorted values; zero of none.
pub(crate) fn percentile(sorted: &[Duration], share: usize) -> Duration {
    let place = (sorted.len() * share).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    percentile(&values, 50)
}

/// As a number to print.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 50), Duration::from_millis(100));
        assert_eq!(percentile(&values, 99), Duration::from_millis(198));
        assert_eq!(percentile(&values[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn a_counted_loop_ends_at_its_count() {
        let until = Until::Left(AtomicU32::new(2));
        assert_eq!([until.another(), until.another(), until.another()], [true, true, false]);
    }
}
