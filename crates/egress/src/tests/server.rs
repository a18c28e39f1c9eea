//! The test's own server on this machine. It speaks TLS with whoever begins with it, and does with each request what a script says: also what no
//! good server does.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::connect::Connection;

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) secure: bool,
    /// The request line and the headers, as they came.
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.clone().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// What is done with it.
pub(super) enum Script {
    /// This is sent, byte for byte.
    Say(String),
    /// The first is sent, and then the second again and again.
    Endless(&'static str, &'static str, Duration),
    /// Nothing, for ever.
    Hang,
}

/// A whole answer.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> Script {
    Script::Say(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

pub(super) fn redirect(status: u16, location: &str) -> Script {
    answer(&format!("{status} Elsewhere"), &format!("Location: {location}\r\n"), "not here")
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
    inside: Arc<Inside>,
    _serving: JoinSet<()>,
}

struct Inside {
    script: Box<dyn Fn(&Seen) -> Script + Send + Sync>,
    tls: Option<TlsAcceptor>,
    seen: Mutex<Vec<Seen>>,
    /// Bytes that endless answers got rid of.
    sent: AtomicU64,
}

impl Server {
    /// One that can prove to be each of `names`, if there are any.
    pub(super) async fn start(names: &[&str], script: impl Fn(&Seen) -> Script + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (certificate, tls) = if names.is_empty() {
            (None, None)
        } else {
            let (certificate, key) = certificate(names);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            let tls = tls.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
            (Some(certificate), Some(TlsAcceptor::from(Arc::new(tls))))
        };
        let inside = Inside { script: Box::new(script), tls, seen: Mutex::default(), sent: AtomicU64::new(0) };
        let inside = Arc::new(inside);
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, inside.clone()));
        Self { address, certificate, inside, _serving: serving }
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        if let Some(certificate) = &self.certificate {
            roots.add(certificate.clone()).unwrap();
        }
        roots
    }

    /// What came since it was last asked.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inside.seen.lock().unwrap())
    }

    pub(super) fn sent(&self) -> u64 {
        self.inside.sent.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, inside: Arc<Inside>) {
    // Ends with the server, and all its connections with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let inside = inside.clone();
        connections.spawn(async move {
            // The client may leave at any moment, and is right to.
            let _left = talk(stream, &inside).await;
        });
    }
}

async fn talk(stream: TcpStream, inside: &Inside) -> std::io::Result<()> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let secure = first == [0x16];
    let mut stream: Connection = match &inside.tls {
        Some(tls) if secure => Box::new(tls.accept(stream).await?),
        _ => Box::new(stream),
    };
    let mut came = Vec::new();
    let end = loop {
        if let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut came).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&came[..end]).into_owned();
    let mut seen = Seen { secure, head, body: String::new() };
    let length: usize = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while came.len() < end + length {
        if stream.read_buf(&mut came).await? == 0 {
            return Ok(());
        }
    }
    seen.body = String::from_utf8_lossy(&came[end..]).into_owned();
    inside.seen.lock().unwrap().push(seen.clone());
    match (inside.script)(&seen) {
        Script::Say(text) => stream.write_all(text.as_bytes()).await?,
        Script::Endless(first, again, pause) => {
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(again.as_bytes()).await?;
                stream.flush().await?;
                inside.sent.fetch_add(again.len() as u64, Ordering::SeqCst);
                if pause.is_zero() {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(pause).await;
                }
            }
        }
        Script::Hang => std::future::pending().await,
    }
    stream.shutdown().await
}

/// A certificate that is signed by itself, and its key.
fn certificate(names: &[&str]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let folder = tempfile::tempdir().unwrap();
    let kind = |name: &&str| if name.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
    let names: Vec<_> = names.iter().map(|name| format!("{}:{name}", kind(name))).collect();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={}", names.join(","))])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let certificate = CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap();
    (certificate, PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap())
}
