//! Clients that hold on to what they can get, against the real program: connections that say nothing, drip or never read, and too many of them.
//!
//! What slow clients may cost is measured on a small scale each time. `ERRAND_SLOW_HTTP=full` makes it 1,000 connections for a minute; a build with
//! `--release` is what the numbers are for.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::house::{KEY, Server};

/// What the 99th of 100 requests of others may take.
const SLOWEST: Duration = Duration::from_millis(250);
/// What the memory of the process may grow by, in KiB, for a thousand connections and for the few of a small run alike.
const GROWTH_KIB: usize = 64 * 1024;
/// How often a slow client says something.
const DRIP: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_slow_down_nobody_else() {
    let full = std::env::var("ERRAND_SLOW_HTTP").is_ok_and(|value| value == "full");
    let (connections, time) = if full { (1_000, 60) } else { (300, 8) };
    server::raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("errand.toml");
    std::fs::write(&settings, "[server]\nrequests_per_minute = 0\n").unwrap();
    let variables = [("ERRAND_API_KEY", KEY), ("ERRAND_CONFIG", settings.to_str().unwrap())];
    let server = Server::start_with(&folder.path().join("data"), &variables);
    let address = address(&server);

    probe(address, Instant::now() + Duration::from_secs(1)).await;
    let before = resident_kib(server.pid());
    let until = Instant::now() + Duration::from_secs(time);
    let open = Arc::new(AtomicUsize::new(0));
    let slow: Vec<_> = (0..connections)
        .map(|number| {
            let open = Arc::clone(&open);
            tokio::spawn(async move {
                while Instant::now() < until {
                    // One that was closed comes again.
                    if tokio::time::timeout_at(until.into(), be_slow(number, address, &open)).await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        })
        .collect();
    let most = tokio::spawn({
        let (pid, open) = (server.pid(), Arc::clone(&open));
        async move {
            let (mut most, mut widest) = (0, 0);
            while Instant::now() < until {
                most = most.max(resident_kib(pid));
                widest = widest.max(open.load(Ordering::Relaxed));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (most, widest)
        }
    });
    let mut times = probe(address, until).await;
    let (most, widest) = most.await.unwrap();
    for one in slow {
        one.await.unwrap();
    }
    let after = probe(address, Instant::now() + Duration::from_secs(1)).await;
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    let grown = most.saturating_sub(before);
    eprintln!(
        "slow-http: {widest} slow connections for {time} s; {} GETs, p50 {:?}, p99 {:?}, slowest {:?}; memory {before} KiB and {grown} KiB more",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
    assert!(widest >= connections * 9 / 10, "only {widest} were open at once");
    assert!(at(99) <= SLOWEST, "p99 {:?}", at(99));
    assert!(grown <= GROWTH_KIB, "{grown} KiB more");
    assert!(!after.is_empty());
}

/// One slow connection of one of four kinds, until the server closes it.
async fn be_slow(kind: usize, address: SocketAddr, open: &AtomicUsize) {
    /// Counts a connection as long as it is there.
    struct Counted<'a>(&'a AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let socket = TcpSocket::new_v4().unwrap();
    if kind % 4 == 3 {
        socket.set_recv_buffer_size(4_096).unwrap();
    }
    let Ok(mut stream) = socket.connect(address).await else { return };
    open.fetch_add(1, Ordering::Relaxed);
    let _counted = Counted(open);
    let head = format!("host: h\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n");
    let (said, drips) = match kind % 4 {
        0 => (String::new(), false),
        1 => ("GET /v1/agents HTTP/1.1\r\nx: ".to_owned(), true),
        2 => (format!("POST /v1/agents HTTP/1.1\r\n{head}content-length: 1000000\r\n\r\n{{"), true),
        _ => (format!("GET /v1/documentation/json HTTP/1.1\r\n{head}\r\n").repeat(32), true),
    };
    if stream.write_all(said.as_bytes()).await.is_err() {
        return;
    }
    if drips {
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(DRIP).await;
        }
    } else {
        // Until it is closed.
        let _ = stream.read(&mut [0; 64]).await;
    }
}

/// Asks all the while, each second time on a new connection; how long each answer took.
async fn probe(address: SocketAddr, until: Instant) -> Vec<Duration> {
    let mut kept = TcpStream::connect(address).await.unwrap();
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        ask(&mut kept).await;
        times.push(began.elapsed());
        let began = Instant::now();
        ask(&mut TcpStream::connect(address).await.unwrap()).await;
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    times
}

async fn ask(stream: &mut TcpStream) {
    let request = format!("GET /v1/agents HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut bytes) = (Vec::new(), [0; 4_096]);
    while !answer.ends_with(b"}") {
        let length = stream.read(&mut bytes).await.unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&bytes[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

fn address(server: &Server) -> SocketAddr {
    server.url.strip_prefix("http://").unwrap().parse().unwrap()
}

fn resident_kib(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// What one connection is told; silence becomes an error after a while.
fn told(stream: &mut BlockingStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    write!(stream, "GET /v1/agents HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n\r\n")?;
    let mut bytes = [0; 4_096];
    let length = stream.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

#[test]
fn connections_never_take_the_files_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let to = File::create(&log).unwrap();
    let server = Server::start_with_files(110, &folder.path().join("data"), &[("ERRAND_API_KEY", KEY)], to);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("110 open files") && log.contains("room for 46 connections instead of 4096"), "{log}");
    let address = address(&server);
    let mut idle: Vec<_> = (0..200).map(|_| BlockingStream::connect(address).unwrap()).collect();
    // Whoever is in is served, store and all; whoever is not is told so or closed, and nobody waits.
    std::thread::sleep(Duration::from_millis(500));
    assert!(told(&mut idle[0]).unwrap().starts_with("HTTP/1.1 200"));
    let late = BlockingStream::connect(address).and_then(|mut late| told(&mut late));
    assert!(late.as_ref().map_or(true, |said| said.is_empty() || said.starts_with("HTTP/1.1 503")), "{late:?}");
    idle.clear();
    std::thread::sleep(Duration::from_secs(3));
    assert!(told(&mut BlockingStream::connect(address).unwrap()).unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn it_outlives_the_want_of_open_files() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    let address = address(&server);
    let mut inside = BlockingStream::connect(address).unwrap();
    assert!(told(&mut inside).unwrap().starts_with("HTTP/1.1 200"));
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let usual = getrlimit(Resource::Nofile).maximum;
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count() as u64;
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(open), maximum: usual }).unwrap();
    // The system takes the connections, and the server cannot.
    let mut waiting: Vec<_> = (0..5).map(|_| BlockingStream::connect(address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let said = told(&mut inside).unwrap();
    assert!(said.starts_with("HTTP/1.1 200") || said.starts_with("HTTP/1.1 503"), "{said}");
    prlimit(pid, Resource::Nofile, Rlimit { current: usual, maximum: usual }).unwrap();
    for late in &mut waiting {
        assert!(told(late).unwrap().starts_with("HTTP/1.1 200"));
    }
}
