//! What users are told, and how long it takes, says nothing about our network. What operators read says everything.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustls::RootCertStore;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::world::{Names, ips, opened, tls};
use crate::parts::{Dial, Dialled, Parts, Resolve, SystemResolver, Tcp};
use crate::{Client, Error, Method, Policy, Request, urls};

/// Refuses what ends in 1, is silent about what ends in 2.
struct Moody;

impl Dial for Moody {
    fn dial(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        async move {
            if address.ip().to_string().ends_with('1') {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            std::future::pending().await
        }
        .boxed()
    }
}

/// Names of all kinds; one of them is never resolved.
struct Slow;

impl Resolve for Slow {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move {
            match name {
                "refuses.example" => Ok(ips(&["1.1.1.1"])),
                "silent.example" => Ok(ips(&["1.1.1.2"])),
                "many-silent.example" => Ok(ips(&["1.1.1.2", "1.1.2.2", "1.1.3.2", "1.1.4.2", "1.1.5.2", "1.1.6.2"])),
                "inside.example" => Ok(ips(&["10.0.0.1"])),
                "nobody.example" => Ok(Vec::new()),
                "slow.example" => std::future::pending().await,
                _ => Err(io::Error::other("no such name")),
            }
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn blocked_refused_silent_and_unknown_look_the_same() {
    let parts = Parts { resolver: Arc::new(Slow), dialler: Arc::new(Moody), tls: tls(RootCertStore::empty()) };
    let client = Client::with_parts(opened("172.16.0.0/12"), parts);
    let mut reasons = Vec::new();
    for host in [
        "refuses.example",
        "silent.example",
        "many-silent.example",
        "inside.example",
        "nobody.example",
        "slow.example",
        "unknown.example",
        "127.0.0.1",
        "172.16.0.1",
        "172.16.0.2",
    ] {
        // Also one that was opened when it was given, and is not any more.
        let url = urls::parse(&format!("https://{host}/secret-path")).unwrap();
        let begun = Instant::now();
        let error = client.send(Request::new(Method::POST, url.clone())).await.unwrap_err();
        let took = begun.elapsed();
        assert!((5_000..5_010).contains(&took.as_millis()), "{host} took {took:?}");
        assert_eq!(
            (error.code(), error.for_user().as_str()),
            ("blocked_address", "the address is blocked or cannot be reached")
        );
        let told = error.to_string();
        assert!(told.starts_with(&format!("{host}: ")) && !told.contains("secret"), "{told}");
        reasons.push(told);
        // A shorter time for all of it is the same for all of them, too.
        let begun = Instant::now();
        client.send(Request::new(Method::POST, url).total(Duration::from_secs(1))).await.unwrap_err();
        assert!((1_000..1_010).contains(&begun.elapsed().as_millis()), "{host}");
    }
    let distinct: std::collections::HashSet<_> = reasons.iter().map(|told| told.split_once(": ").unwrap().1).collect();
    assert!(distinct.len() >= 9, "an operator can tell them apart: {reasons:#?}");
    assert_eq!(reasons[2].matches("no answer").count(), 4, "{}", reasons[2]);
}

/// Leads elsewhere than it was told.
struct Liar {
    peer: &'static str,
    local: &'static str,
}

impl Dial for Liar {
    fn dial(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Dialled>> {
        async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let stream = TcpStream::connect(listener.local_addr()?).await?;
            Ok(Dialled { stream, peer: self.peer.parse().unwrap(), local: self.local.parse().unwrap() })
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_connection_is_looked_at_again() {
    for (peer, local, told) in [
        ("127.0.0.1:443", "192.0.2.1:4", "8.8.8.8:443 was dialled, and 127.0.0.1:443 answered"),
        ("8.8.8.8:444", "192.0.2.1:4", "8.8.8.8:443 was dialled, and 8.8.8.8:444 answered"),
        ("8.8.8.8:443", "8.8.8.8:4", "8.8.8.8:443 is an address of this very machine"),
        ("[::ffff:8.8.8.8]:443", "[::ffff:8.8.8.8]:4", "8.8.8.8:443 is an address of this very machine"),
    ] {
        let resolver = Arc::new(Names(|_: &str| Ok(ips(&["8.8.8.8"]))));
        let parts = Parts { resolver, dialler: Arc::new(Liar { peer, local }), tls: tls(RootCertStore::empty()) };
        let client = Client::with_parts(Policy::default(), parts);
        let url = client.policy().check("https://public.example/").unwrap();
        let request = Request::new(Method::GET, url).connect(Duration::from_millis(20));
        let error = client.send(request).await.unwrap_err();
        assert!(error.code() == "blocked_address" && error.to_string().contains(told), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_itself_stays_closed_whatever_is_opened() {
    let own = ["127.0.0.1:8080", "0.0.0.0:9090", "10.0.0.5:5432", "[::1]:7070"];
    let policy = own.iter().fold(opened("0.0.0.0/0,::/0"), |policy, own| policy.never(own.parse().unwrap()));
    let parts = Parts { resolver: Arc::new(Slow), dialler: Arc::new(Moody), tls: tls(RootCertStore::empty()) };
    let client = Client::with_parts(policy, parts);
    let reason = async |url: &str| {
        let url = urls::parse(url).unwrap();
        client.send(Request::new(Method::GET, url)).await.unwrap_err().to_string()
    };
    for url in [
        "http://127.0.0.1:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "http://0.0.0.0:8080/",
        "http://127.7.7.7:9090/",
        "http://[::1]:9090/",
        "http://10.0.0.5:5432/",
        "http://[::1]:7070/",
    ] {
        assert!(reason(url).await.contains("this server's own"), "{url}");
    }
    for url in ["http://127.0.0.1:8081/", "http://127.0.0.2:8080/", "http://10.0.0.1:9090/", "http://10.0.0.5:5433/"] {
        assert!(reason(url).await.contains("cannot be reached"), "{url}");
    }
}

/// Nobody that this machine trusts vouches for the test's server.
#[tokio::test]
async fn the_real_parts_refuse_a_certificate_that_nobody_vouches_for() {
    let server = super::server::Server::start(&["127.0.0.1"], |_| super::server::answer("200 OK", "", "here")).await;
    let client = Client::new(opened("127.0.0.0/8")).unwrap();
    let url = client.policy().check(&format!("https://{}/", server.address)).unwrap();
    let refused = client.send(Request::new(Method::GET, url)).await.unwrap_err();
    assert!(refused.code() == "tls_failed" && refused.to_string().contains("certificate"), "{refused}");
    assert_eq!(server.seen().len(), 0);
}

/// The parts that are used in earnest, on this machine.
#[tokio::test]
async fn the_real_parts_reach_this_machine_when_it_is_opened() {
    let server = super::server::Server::start(&[], |_| super::server::answer("200 OK", "", "here")).await;
    let address = server.address;
    let resolved = SystemResolver::default().resolve("localhost").await.unwrap();
    assert!(!resolved.is_empty() && resolved.iter().all(IpAddr::is_loopback), "{resolved:?}");
    let parts =
        |resolver: Arc<dyn Resolve>| Parts { resolver, dialler: Arc::new(Tcp), tls: tls(RootCertStore::empty()) };
    let client = Client::with_parts(opened("127.0.0.0/8"), parts(Arc::new(SystemResolver::default())));
    let url = client.policy().check(&format!("http://{address}/")).unwrap();
    assert_eq!(client.send(Request::new(Method::GET, url.clone())).await.unwrap().bytes().await.unwrap(), "here");
    let listening = opened("127.0.0.0/8").never(SocketAddr::new("0.0.0.0".parse().unwrap(), address.port()));
    let client = Client::with_parts(listening, parts(Arc::new(SystemResolver::default())));
    let request = Request::new(Method::GET, url).connect(Duration::from_millis(50));
    assert!(matches!(client.send(request).await, Err(Error::Blocked { .. })));
    assert_eq!(server.seen().len(), 1);
}
