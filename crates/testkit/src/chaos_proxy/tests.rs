//! Both ends of a connection in one hand: what one sends through each weather, and what the other gets.

use std::io::ErrorKind;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::time::{sleep, timeout};

use super::*;

/// Long enough for anything that comes, short enough to wait for what does not.
const PATIENCE: Duration = Duration::from_millis(300);

struct Line {
    proxy: ChaosProxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

async fn line(weather: Weather) -> Line {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = ChaosProxy::start(Upstream::Tcp(listener.local_addr().unwrap())).await.unwrap();
    proxy.set(weather);
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    Line { proxy, listener, client, server }
}

async fn passes(from: &mut TcpStream, to: &mut (impl AsyncRead + Unpin), words: &str) {
    from.write_all(words.as_bytes()).await.unwrap();
    arrives(to, words).await;
}

async fn arrives(to: &mut (impl AsyncRead + Unpin), words: &str) {
    let mut got = vec![0; words.len()];
    timeout(Duration::from_secs(10), to.read_exact(&mut got)).await.expect("in time").unwrap();
    assert_eq!(str::from_utf8(&got).unwrap(), words);
}

async fn is_silent(stream: &mut TcpStream) {
    let mut byte = [0];
    let got = timeout(PATIENCE, stream.read(&mut byte)).await;
    assert!(got.is_err(), "{got:?}");
}

/// All that still comes, and how it ends.
async fn rest(stream: &mut TcpStream) -> (Vec<u8>, io::Result<usize>) {
    let mut all = Vec::new();
    let end = timeout(Duration::from_secs(10), stream.read_to_end(&mut all)).await.expect("an end");
    (all, end)
}

async fn is_reset(stream: &mut TcpStream) {
    let (_, end) = rest(stream).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn clear_weather_carries_both_ways_and_passes_on_each_end() {
    let Line { proxy, mut client, mut server, .. } = line(Weather::Clear).await;
    passes(&mut client, &mut server, "question").await;
    passes(&mut server, &mut client, "answer").await;
    assert_eq!(proxy.connections(), 1);
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut server).await.1.unwrap(), 0);
    passes(&mut server, &mut client, "a last word").await;
    drop(server);
    assert_eq!(rest(&mut client).await.1.unwrap(), 0);
    eventually("no connection is left", || proxy.connections() == 0).await;
}

#[tokio::test]
async fn it_stands_before_a_unix_socket_and_says_when_nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let proxy = ChaosProxy::start(Upstream::Unix(path.clone())).await.unwrap();
    is_reset(&mut TcpStream::connect(proxy.address()).await.unwrap()).await;
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    passes(&mut client, &mut server, "question").await;
    server.write_all(b"answer").await.unwrap();
    arrives(&mut client, "answer").await;
}

#[tokio::test]
async fn a_delay_is_paid_once_by_all_that_is_on_its_way() {
    let Line { proxy, mut client, mut server, .. } = line(Weather::Delay(PATIENCE)).await;
    let start = Instant::now();
    for word in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        client.write_all(word.as_bytes()).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    arrives(&mut server, "abcdefghij").await;
    let took = start.elapsed();
    assert!(took >= PATIENCE && took < PATIENCE * 5, "{took:?}");
    passes(&mut server, &mut client, "back").await;
    assert!(start.elapsed() >= PATIENCE * 2);
    server.write_all(b"soon").await.unwrap();
    proxy.set(Weather::Clear);
    let start = Instant::now();
    arrives(&mut client, "soon").await;
    assert!(start.elapsed() < PATIENCE, "what was held is let go");
}

#[tokio::test]
async fn a_throttle_lets_so_much_a_second_through() {
    let Line { proxy: _kept, mut client, mut server, .. } = line(Weather::Throttle(20_000)).await;
    let start = Instant::now();
    passes(&mut client, &mut server, &"x".repeat(10_000)).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
}

#[tokio::test]
async fn a_cut_comes_after_just_so_many_bytes_of_the_server() {
    let Line { proxy, mut client, mut server, listener } = line(Weather::Clear).await;
    passes(&mut server, &mut client, "these do not count").await;
    proxy.set(Weather::CutAfter(5));
    passes(&mut client, &mut server, "nor do these").await;
    server.write_all(b"0123456789").await.unwrap();
    let (got, _) = rest(&mut client).await;
    assert_eq!(got, b"01234");
    assert!(rest(&mut server).await.0.is_empty());

    proxy.set(Weather::CutAfter(0));
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    passes(&mut client, &mut server, "commit").await;
    is_silent(&mut client).await;
    server.write_all(b"done").await.unwrap();
    assert!(rest(&mut client).await.0.is_empty());
}

#[tokio::test]
async fn a_black_hole_holds_everything_and_gives_it_back_in_order() {
    let Line { proxy, mut client, mut server, listener } = line(Weather::Clear).await;
    passes(&mut client, &mut server, "before").await;
    proxy.set(Weather::BlackHole);
    client.write_all(b"one ").await.unwrap();
    server.write_all(b"back").await.unwrap();
    is_silent(&mut server).await;
    is_silent(&mut client).await;
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    other.write_all(b"hello").await.unwrap();
    assert!(timeout(PATIENCE, listener.accept()).await.is_err(), "the server hears of nobody");
    client.write_all(b"two").await.unwrap();
    proxy.set(Weather::Clear);
    arrives(&mut server, "one two").await;
    arrives(&mut client, "back").await;
    let (mut other_server, _) = timeout(Duration::from_secs(10), listener.accept()).await.unwrap().unwrap();
    arrives(&mut other_server, "hello").await;
}

#[tokio::test]
async fn a_black_hole_holds_what_is_in_the_air_already() {
    let Line { proxy, mut client, mut server, .. } = line(Weather::Delay(PATIENCE)).await;
    client.write_all(b"sent").await.unwrap();
    sleep(PATIENCE / 3).await;
    proxy.set(Weather::BlackHole);
    sleep(PATIENCE).await;
    is_silent(&mut server).await;
    proxy.set(Weather::Clear);
    arrives(&mut server, "sent").await;
}

#[tokio::test]
async fn whoever_sends_into_a_black_hole_feels_it() {
    let Line { mut client, proxy, .. } = line(Weather::Clear).await;
    proxy.set(Weather::BlackHole);
    sleep(Duration::from_millis(50)).await;
    let much = vec![b'x'; 64 * 1024 * 1024];
    assert!(timeout(PATIENCE * 3, client.write_all(&much)).await.is_err(), "somebody took 64 MiB");
}

#[tokio::test]
async fn one_way_is_open_and_the_other_catches_up() {
    for direction in [Direction::ToUpstream, Direction::ToClient] {
        let Line { proxy, client, server, .. } = line(Weather::OneWay(direction)).await;
        let (mut from, mut to) = if direction == Direction::ToUpstream { (client, server) } else { (server, client) };
        passes(&mut from, &mut to, "this way").await;
        to.write_all(b"not back").await.unwrap();
        is_silent(&mut from).await;
        passes(&mut from, &mut to, "still").await;
        proxy.set(Weather::Clear);
        arrives(&mut from, "not back").await;
    }
}

#[tokio::test]
async fn half_open_takes_the_server_away_and_leaves_the_client_in_the_dark() {
    let Line { proxy, mut client, mut server, .. } = line(Weather::Clear).await;
    passes(&mut client, &mut server, "before").await;
    proxy.set(Weather::HalfOpen);
    assert_eq!(rest(&mut server).await.1.unwrap(), 0);
    client.write_all(b"anyone?").await.unwrap();
    is_silent(&mut client).await;
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    is_silent(&mut other).await;
    assert_eq!(proxy.connections(), 2);
    proxy.set(Weather::Clear);
    is_reset(&mut client).await;
    is_reset(&mut other).await;
}

#[tokio::test]
async fn a_reset_reaches_everyone_even_if_it_is_over_at_once() {
    let Line { proxy, mut client, mut server, listener } = line(Weather::Clear).await;
    passes(&mut client, &mut server, "before").await;
    proxy.set(Weather::Reset);
    is_reset(&mut client).await;
    is_reset(&mut server).await;
    is_reset(&mut TcpStream::connect(proxy.address()).await.unwrap()).await;
    eventually("no connection is left", || proxy.connections() == 0).await;

    proxy.set(Weather::Clear);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    passes(&mut client, &mut server, "again").await;
    proxy.set(Weather::Reset);
    proxy.set(Weather::Clear);
    is_reset(&mut client).await;
}

#[tokio::test]
async fn every_third_byte_is_a_lie() {
    let Line { proxy: _kept, mut client, mut server, .. } = line(Weather::Corrupt(3)).await;
    client.write_all(b"abcd").await.unwrap();
    let mut got = [0; 7];
    server.read_exact(&mut got[..4]).await.unwrap();
    client.write_all(b"efg").await.unwrap();
    server.read_exact(&mut got[4..]).await.unwrap();
    assert_eq!(got, [b'a', b'b', !b'c', b'd', b'e', !b'f', b'g']);
}

#[tokio::test]
async fn its_end_is_the_end_of_its_connections() {
    let Line { proxy, mut client, mut server, .. } = line(Weather::Clear).await;
    let address = proxy.address();
    proxy.set(Weather::BlackHole);
    drop(proxy);
    assert_eq!(rest(&mut client).await.0, b"");
    assert_eq!(rest(&mut server).await.0, b"");
    assert!(TcpStream::connect(address).await.is_err());
}
