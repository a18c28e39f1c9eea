//! URLs of users: whatever the text, whatever its name resolves to and whatever is opened, what is dialled is public or opened.
//!
//! An input is a number for what is opened, a number of addresses, these addresses with 16 bytes each, and the URL.

#![no_main]
#![expect(clippy::unwrap_used, reason = "what is opened is written here")]

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use egress::parts::{Dial, Dialled, Parts, Resolve};
use egress::{Client, Policy, Request};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use libfuzzer_sys::fuzz_target;
use rustls::{ClientConfig, RootCertStore};

/// What is forbidden, said in another way than in the policy: the one that the tests of `egress` have.
#[path = "../../crates/egress/src/tests/oracle.rs"]
mod oracle;

const OPENED: [&str; 4] = ["", "127.0.0.0/8:9000", "10.0.0.0/8,fd00::/8", "192.168.0.0/16:443,64:ff9b::/96:80"];

fuzz_target!(|bytes: &[u8]| {
    let [opened, count, rest @ ..] = bytes else { return };
    let opened = OPENED[usize::from(*opened) % OPENED.len()];
    let Some((addresses, text)) = rest.split_at_checked(usize::from(*count % 4) * 16) else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let addresses = addresses.chunks_exact(16).map(|bytes| address(bytes.try_into().unwrap())).collect();
    let recorder = Arc::new(Recorder::default());
    static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(tls);
    let parts = Parts { resolver: Arc::new(Names(addresses)), dialler: recorder.clone(), tls: Arc::clone(&TLS) };
    let client = Client::with_parts(Policy::new(opened.parse().unwrap()), parts);
    let Ok(url) = client.policy().check(text) else { return };
    assert!(url.username().is_empty() && url.password().is_none());
    let (secure, named) = (url.scheme() == "https", url.domain().is_some());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let answer = runtime.block_on(client.send(Request::file(url).connect(Duration::from_millis(20))));
    assert!(answer.is_err(), "nobody answers");
    for address in recorder.0.lock().unwrap().iter() {
        let public = !oracle::forbidden(*address, "") && secure && named;
        assert!(public || oracle::is_opened(*address, opened), "{text:?} led to {address}, opened {opened:?}");
    }
});

/// Four bytes before twelve that are zero are of IPv4.
fn address(bytes: [u8; 16]) -> IpAddr {
    match bytes {
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => IpAddr::from([a, b, c, d]),
        all => Ipv6Addr::from(all).into(),
    }
}

struct Names(Vec<IpAddr>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        ready(Ok(self.0.clone())).boxed()
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<SocketAddr>>);

impl Dial for Recorder {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        self.0.lock().unwrap().push(address);
        ready(Err(io::ErrorKind::ConnectionRefused.into())).boxed()
    }
}

fn tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}
