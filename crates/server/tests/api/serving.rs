//! The server on a real socket: it answers, streams, and stops in good order.

use std::time::Duration;

use server::Door;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::house::{House, KEY};

#[tokio::test]
async fn a_stop_ends_open_streams_and_then_the_server() {
    let house = House::new().await;
    let run = house.run().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let told = async move {
        let _told = stopped.await;
    };
    let serving = tokio::spawn(server::serve(listener, house.app.clone(), Door::default(), told));

    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET /v1/runs/{run}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut seen = String::new();
    while !seen.contains("event: created") {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.expect("an answer");
        assert_ne!(length, 0, "ended early: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");

    stop.send(()).expect("a server that listens");
    let outcome = tokio::time::timeout(Duration::from_secs(5), serving).await.expect("it stops in time");
    outcome.expect("no panic");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("a whole answer");
    assert!(rest.ends_with("0\r\n\r\n"), "the stream was ended, not cut off: {rest:?}");
    assert!(!house.app.ready.load(std::sync::atomic::Ordering::Relaxed));
}
