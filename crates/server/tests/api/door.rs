//! A server on a real socket for the tests of what stands before the API, and a client that says just the bytes that it is told to say.

use std::time::{Duration, Instant};

use serde_json::Value;
use server::{App, Door, Limits, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinHandle;

use crate::house::{House, KEY};

/// Short times, each far from the others.
pub(crate) fn quick() -> Limits {
    let ms = Duration::from_millis;
    Limits {
        head: ms(400),
        keep_alive: ms(900),
        body_idle: ms(400),
        body: ms(1_500),
        body_rate: 1_024,
        stall: ms(500),
        request: Duration::from_secs(20),
        ..Limits::default()
    }
}

/// A server, until it is dropped.
pub(crate) struct Open {
    pub(crate) house: House,
    pub(crate) address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Open {
    pub(crate) async fn with(limits: Limits, tls: Option<Tls>) -> Self {
        Self::of(limits, tls, |_| {}).await
    }

    /// The same of an `App` that is changed before.
    pub(crate) async fn of(limits: Limits, tls: Option<Tls>, change: impl FnOnce(&mut App)) -> Self {
        let mut house = House::new().await;
        house.restart(change);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let door = Door { limits, tls };
        let serving = tokio::spawn(server::serve(listener, house.app.clone(), door, std::future::pending()));
        Self { house, address, serving }
    }

    pub(crate) async fn quick() -> Self {
        Self::with(quick(), None).await
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Everything that is answered to these bytes until the server closes.
    pub(crate) async fn told(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.say(bytes).await;
        client.rest().await
    }

    /// That a usual request is still answered.
    pub(crate) async fn is_well(&self) {
        let answer = self.told(get("/v1/agents", "connection: close\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(address: impl ToSocketAddrs) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    /// Says it, as far as it is listened to.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// Everything until the server closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), self.0.read_to_end(&mut bytes)).await;
        let said = String::from_utf8_lossy(&bytes).into_owned();
        // A reset is an end as well.
        let _ = read.unwrap_or_else(|_| panic!("never closed: {said:?}"));
        said
    }

    /// One answer with a length.
    pub(crate) async fn answer(&mut self) -> String {
        let (mut said, mut bytes) = (String::new(), [0; 4096]);
        loop {
            if let Some((head, body)) = said.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if length.is_none_or(|length| body.len() >= length.parse().expect("a number")) {
                    return said;
                }
            }
            match self.0.read(&mut bytes).await {
                Ok(some @ 1..) => said += &String::from_utf8_lossy(&bytes[..some]),
                ended => panic!("{ended:?} after {said:?}"),
            }
        }
    }
}

/// A request with our key. `more` are whole lines.
pub(crate) fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n{more}\r\n")
}

/// The head of a request with a JSON body.
pub(crate) fn post(path: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n{more}\r\n"
    )
}

/// Holds that this is one whole answer with the API's error body, an id, and all that makes it harmless.
#[track_caller]
pub(crate) fn is_refusal(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "expected {status}: {answer}");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    for line in [
        "content-type: application/json",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-frame-options: DENY",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.lines().any(|said| said == line), "{line}: {answer}");
    }
    assert_eq!(head.matches("x-request-id: ").count(), 1, "{answer}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let fields: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!((fields, &body["error"]), (vec!["error", "message"], &Value::from(code)));
}

/// How long something takes, which must be no less than the first and less than the second, in milliseconds.
pub(crate) async fn within<T>(least: u64, most: u64, doing: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = doing.await;
    let took = began.elapsed();
    assert!((Duration::from_millis(least)..Duration::from_millis(most)).contains(&took), "took {took:?}");
    done
}

/// The cryptography of this process, as the program chooses it at its start.
pub(crate) fn install_tls() {
    // An error only means that it was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
