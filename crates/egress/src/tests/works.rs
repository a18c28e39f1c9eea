//! URLs that must work, and that what is dialled for each is what was vetted.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::oracle::{forbidden, is_opened};
use super::server::{Server, answer};
use super::world::{Names, World, ips, opened};

/// What the operator opened.
const OPENED: &str = "127.0.0.0/8:9000,10.0.0.0/8,172.20.0.0/16:3000,192.168.7.9/32,fd00::/8,::1/128:9000";

/// What a name has, and the first of which is dialled.
const HOSTS: &[(&str, &[&str])] = &[
    ("hooks.slack.test", &["93.184.215.14"]),
    ("example.com", &["93.184.215.14", "2606:2800:220:1::1"]),
    ("six.example.com", &["2606:4700::1111"]),
    ("both.example.com", &["2606:4700::1111", "104.16.132.229"]),
    ("many.example.com", &["1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "149.112.112.112"]),
    ("same.example.com", &["1.1.1.1", "1.1.1.1", "::ffff:1.1.1.1"]),
    ("mapped.example.com", &["::ffff:93.184.215.14"]),
    ("translated.example.com", &["64:ff9b::5db8:d70e"]),
    ("xn--bcher-kva.example", &["93.184.215.14"]),
    ("xn--fsqu00a.xn--0zwm56d", &["93.184.215.14"]),
    ("xn--e1afmkfd.xn--p1ai", &["93.184.215.14"]),
    ("a--b.example.com", &["93.184.215.14"]),
    ("1password.example", &["93.184.215.14"]),
    ("3.example.com", &["93.184.215.14"]),
    ("127.0.0.1.example.com", &["93.184.215.14"]),
    ("localhost.example.com", &["93.184.215.14"]),
    ("mylocalhost.example", &["93.184.215.14"]),
    ("a.b.c.d.e.f.g.example.com", &["93.184.215.14"]),
    ("edge-first.example.com", &["1.0.0.0"]),
    ("edge-last.example.com", &["223.255.255.255"]),
    ("beside-ten.example.com", &["9.255.255.255", "11.0.0.0"]),
    ("beside-private.example.com", &["172.15.255.255", "172.32.0.0"]),
    ("beside-loopback.example.com", &["126.255.255.255", "128.0.0.0"]),
    ("single", &["93.184.215.14"]),
    // What is opened, by name.
    ("receiver", &["172.20.0.7"]),
    ("intranet.corp.test", &["10.1.2.3"]),
    ("both-ways.corp.test", &["10.1.2.3", "93.184.215.14"]),
    ("six.corp.test", &["fd00::7"]),
    ("here.test", &["127.0.0.1"]),
];

/// Each with the host as the certificate has it, and the address that is dialled.
const URLS: &[(&str, &str)] = &[
    ("https://hooks.slack.test/services/T0/B0/secret", "93.184.215.14:443"),
    ("https://example.com/", "93.184.215.14:443"),
    ("https://example.com", "93.184.215.14:443"),
    ("https://example.com:443/", "93.184.215.14:443"),
    ("https://example.com:8443/hook", "93.184.215.14:8443"),
    ("https://example.com:80/tls-here-too", "93.184.215.14:80"),
    ("https://EXAMPLE.com/Case?Q=1#fragment", "93.184.215.14:443"),
    ("https://example.com?query=only", "93.184.215.14:443"),
    ("https://example.com/a%20b/%00/%2e%2e/ä?ö=ü&x={}|^`'", "93.184.215.14:443"),
    ("https://example.com/?url=http://127.0.0.1/@localhost", "93.184.215.14:443"),
    ("https://example.com//double//slash", "93.184.215.14:443"),
    ("https://example.com/a/../b/./c", "93.184.215.14:443"),
    ("https://ex%61mple.com/", "93.184.215.14:443"),
    ("https://six.example.com/", "[2606:4700::1111]:443"),
    ("https://both.example.com/", "[2606:4700::1111]:443"),
    ("https://many.example.com/", "1.1.1.1:443"),
    ("https://same.example.com/", "1.1.1.1:443"),
    ("https://mapped.example.com/", "93.184.215.14:443"),
    ("https://translated.example.com/", "[64:ff9b::5db8:d70e]:443"),
    ("https://bücher.example/", "93.184.215.14:443"),
    ("https://xn--bcher-kva.example/", "93.184.215.14:443"),
    ("https://例子.测试/", "93.184.215.14:443"),
    ("https://пример.рф/", "93.184.215.14:443"),
    ("https://ｅｘａｍｐｌｅ.com/", "93.184.215.14:443"),
    ("https://a--b.example.com/", "93.184.215.14:443"),
    ("https://1password.example/", "93.184.215.14:443"),
    ("https://3.example.com/", "93.184.215.14:443"),
    ("https://127.0.0.1.example.com/", "93.184.215.14:443"),
    ("https://localhost.example.com/", "93.184.215.14:443"),
    ("https://mylocalhost.example/", "93.184.215.14:443"),
    ("https://a.b.c.d.e.f.g.example.com/", "93.184.215.14:443"),
    ("https://edge-first.example.com/", "1.0.0.0:443"),
    ("https://edge-last.example.com/", "223.255.255.255:443"),
    ("https://beside-ten.example.com/", "9.255.255.255:443"),
    ("https://beside-private.example.com/", "172.15.255.255:443"),
    ("https://beside-loopback.example.com/", "126.255.255.255:443"),
    ("https://single/", "93.184.215.14:443"),
    ("http://127.0.0.1:9000/hook", "127.0.0.1:9000"),
    ("http://127.1:9000/hook", "127.0.0.1:9000"),
    ("http://127.9.8.7:9000/", "127.9.8.7:9000"),
    ("http://[::ffff:127.0.0.1]:9000/", "127.0.0.1:9000"),
    ("http://[::1]:9000/", "[::1]:9000"),
    ("https://127.0.0.1:9000/", "127.0.0.1:9000"),
    ("http://10.255.255.255/", "10.255.255.255:80"),
    ("http://10.0.0.1:5678/", "10.0.0.1:5678"),
    ("https://10.0.0.1/", "10.0.0.1:443"),
    ("http://192.168.7.9:1/", "192.168.7.9:1"),
    ("http://[fd00::7]:8080/", "[fd00::7]:8080"),
    ("https://[fd00::7]/", "[fd00::7]:443"),
    ("http://receiver:3000/hook", "172.20.0.7:3000"),
    ("http://intranet.corp.test/", "10.1.2.3:80"),
    ("https://intranet.corp.test:9443/", "10.1.2.3:9443"),
    ("https://both-ways.corp.test/", "10.1.2.3:443"),
    ("http://six.corp.test/", "[fd00::7]:80"),
    ("http://here.test:9000/", "127.0.0.1:9000"),
];

fn resolved(name: &str) -> io::Result<Vec<IpAddr>> {
    let found = HOSTS.iter().find(|(known, _)| *known == name);
    found.map(|(_, addresses)| ips(addresses)).ok_or_else(|| io::Error::other(format!("no such name: {name}")))
}

#[tokio::test]
async fn each_of_them_is_answered_by_whom_it_names() {
    let mut names: Vec<_> = HOSTS.iter().map(|(name, _)| *name).collect();
    names.extend(["127.0.0.1", "10.0.0.1", "fd00::7"]);
    let server = Server::start(&names, |_| answer("200 OK", "", "here")).await;
    let world = World::with(&server, opened(OPENED), Names(resolved));
    for (url, dialled) in URLS {
        let reply = world.post(url).await.unwrap_or_else(|error| unreachable!("{url}: {error}"));
        assert_eq!(reply.status().as_u16(), 200);
        assert_eq!(reply.bytes().await.unwrap(), "here");
        let address: SocketAddr = dialled.parse().unwrap();
        assert_eq!(world.dialled(), [address], "{url}");
        assert!(!forbidden(address, OPENED));
        let seen = server.seen();
        assert_eq!(seen.len(), 1, "{url}");
        assert_eq!(seen[0].secure, url.starts_with("https:"), "{url}");
        let host = world.client.policy().check(url).unwrap();
        assert_eq!(seen[0].header("host").unwrap(), crate::urls::place(&host), "{url}");
        assert!(seen[0].head.starts_with("POST /") && seen[0].body == "{}", "{:?}", seen[0]);
    }
    assert!(URLS.len() >= 40);
    println!("{} URLs answered", URLS.len());
}

/// The same with nothing opened: what is open is open for that reason alone.
#[tokio::test(start_paused = true)]
async fn without_what_is_opened_only_the_public_ones_are_dialled() {
    let world = World::empty(crate::Policy::default(), Names(resolved));
    for (url, dialled) in URLS {
        let address: SocketAddr = dialled.parse().unwrap();
        let told = world.post(url).await.unwrap_err();
        let public = !is_opened(address, OPENED);
        assert_eq!(!world.dialled().is_empty(), public, "{url}: {told}");
    }
}

#[tokio::test]
async fn the_request_is_ours_but_for_what_was_given() {
    let server = Server::start(&[], |_| answer("410 Gone", "X-More: 1\r\n", "")).await;
    let world = World::with(&server, opened("10.0.0.0/8"), Names(resolved));
    let url = world.client.policy().check("http://intranet.corp.test:81/a?b=c#d").unwrap();
    let request = crate::Request::new(crate::Method::PUT, url).header("X-Signature", "v1,abc").unwrap();
    let request = request.header("User-Agent", "mine").unwrap().header("Content-Type", "application/json").unwrap();
    let reply = world.client.send(request.body(r#"{"a":1}"#)).await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["x-more"].as_bytes()), (410, b"1".as_slice()));
    let seen = server.seen().remove(0);
    assert_eq!(seen.head.lines().next(), Some("PUT /a?b=c HTTP/1.1"));
    for (name, value) in [
        ("host", Some("intranet.corp.test:81")),
        ("x-signature", Some("v1,abc")),
        ("user-agent", Some("mine")),
        ("content-type", Some("application/json")),
        ("content-length", Some("7")),
        ("connection", Some("close")),
        ("accept-encoding", Some("identity")),
        ("accept", Some("*/*")),
        ("cookie", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(seen.header(name), value, "{name}");
        assert!(seen.head.to_lowercase().matches(&format!("\r\n{name}:")).count() <= 1, "{name}");
    }
    assert_eq!(seen.body, r#"{"a":1}"#);
}

/// Another address of the same name is tried where one does not answer: each of them was vetted.
#[tokio::test]
async fn who_is_silent_leaves_time_for_the_next() {
    use futures_util::FutureExt as _;
    struct FirstSilent(SocketAddr);
    impl crate::parts::Dial for FirstSilent {
        fn dial(&self, address: SocketAddr) -> futures_util::future::BoxFuture<'_, io::Result<crate::parts::Dialled>> {
            async move {
                if address.ip().to_string() == "1.1.1.1" {
                    std::future::pending::<()>().await;
                }
                let stream = tokio::net::TcpStream::connect(self.0).await?;
                Ok(crate::parts::Dialled { stream, peer: address, local: "192.0.2.1:1".parse().unwrap() })
            }
            .boxed()
        }
    }
    let server = Server::start(&["many.example.com"], |_| answer("200 OK", "", "")).await;
    let parts = crate::parts::Parts {
        resolver: std::sync::Arc::new(Names(resolved)),
        dialler: std::sync::Arc::new(FirstSilent(server.address)),
        tls: super::world::tls(server.roots()),
    };
    let client = crate::Client::with_parts(crate::Policy::default(), parts);
    let url = client.policy().check("https://many.example.com/").unwrap();
    let request = crate::Request::new(crate::Method::GET, url).connect(std::time::Duration::from_secs(2));
    let begun = std::time::Instant::now();
    assert_eq!(client.send(request).await.unwrap().status().as_u16(), 200);
    assert!(begun.elapsed() < std::time::Duration::from_secs(2));
}
