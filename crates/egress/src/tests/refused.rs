//! URLs that must not get anywhere, each with the code that its user is told.

use std::io;
use std::net::IpAddr;

use super::oracle::forbidden;
use super::world::{Names, World, ips, opened};
use crate::Policy;

/// How the rows ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// URLs that were tried.
    pub(super) rows: usize,
    /// Addresses that were dialled and may not be.
    pub(super) forbidden: usize,
    /// Rows that did not end as the table says.
    pub(super) wrong: Vec<String>,
}

/// Tries all of them under a policy that opens nothing.
pub(super) async fn walk(policy: Policy) -> Tally {
    let world = World::empty(policy, Names(resolved));
    let mut tally = Tally::default();
    let long = [format!("https://{}.example/", "a".repeat(64)), format!("https://{}example/", "abcdefg.".repeat(32))];
    let larger = format!("https://public.example/{}", "a".repeat(8_192));
    let more = long.iter().chain([&larger]).map(|url| ("invalid_url", url.as_str()));
    for (code, url) in ROWS.iter().flat_map(|(code, urls)| urls.iter().map(|url| (*code, *url))).chain(more) {
        let told = world.post(url).await.map_or_else(|error| error.code(), |_| "an answer");
        let dialled = world.dialled();
        tally.rows += 1;
        tally.forbidden += dialled.iter().filter(|address| forbidden(**address, "")).count();
        if told != code || !dialled.is_empty() {
            tally.wrong.push(format!("{url:?}: {told}, dialled {dialled:?}"));
        }
    }
    tally
}

#[tokio::test(start_paused = true)]
async fn nothing_is_dialled_for_any_of_them() {
    let tally = walk(Policy::default()).await;
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert_eq!(tally.forbidden, 0);
    assert!(tally.rows >= 120, "{}", tally.rows);
    println!("{} URLs refused", tally.rows);
}

/// The text looks as if it led inward, and leads to the public host that the parser sees: that one is dialled, and no other.
#[tokio::test(start_paused = true)]
async fn what_only_looks_bad_leads_where_it_says() {
    let world = World::empty(Policy::default(), Names(resolved));
    for url in [
        "https://public.example/?@127.0.0.1/",
        "https://public.example#@127.0.0.1/",
        "https://public.example/@127.0.0.1",
        "https://public.example/https://127.0.0.1/",
        "https://public.example/..//127.0.0.1/%00%0d%0a",
        "https://127.0.0.1.public.example/",
        "https://localhost.public.example/",
        "https://0x7f-1.public.example/",
    ] {
        assert_eq!(world.post(url).await.unwrap_err().code(), "blocked_address", "{url}");
        assert_eq!(world.dialled(), ["93.184.215.14:443".parse().unwrap()], "{url}");
    }
}

/// What is opened is opened alone: not its neighbours, not its port elsewhere, not `http` elsewhere.
#[tokio::test(start_paused = true)]
async fn beside_what_is_opened_all_stays_closed() {
    let world = World::empty(opened("10.0.0.0/8,127.0.0.0/8:9000,192.168.1.1/32:443"), Names(resolved));
    for url in [
        "http://public.example/",
        "https://public.example:22/",
        "http://public.example:9000/",
        "http://11.0.0.0/",
        "https://9.255.255.255/",
        "https://8.8.8.8/",
        "http://127.0.0.1:9001/",
        "http://127.0.0.1/",
        "http://192.168.1.1/",
        "https://192.168.1.0/",
        "http://[::1]:9000/",
        "https://[64:ff9b::a00:1]/",
        "https://[::10.0.0.1]/",
        "http://router.example/",
        "http://metadata.google.internal/",
        "https://mixed.example:9000/",
        // One of the addresses is opened, the other is not, or not for this.
        "https://opened-and-closed.example/",
        "http://opened-and-public.example/",
        "https://opened-and-public.example:9000/",
    ] {
        assert_eq!(world.post(url).await.unwrap_err().code(), "blocked_address", "{url}");
        assert_eq!(world.dialled(), [], "{url}");
    }
    for url in ["http://localhost:9000/", "http://user@10.0.0.1/", "http://10.0.0.1\\@b/", "ftp://10.0.0.1/"] {
        assert_eq!(world.post(url).await.unwrap_err().code(), "invalid_url", "{url}");
        assert_eq!(world.dialled(), [], "{url}");
    }
}

fn resolved(name: &str) -> io::Result<Vec<IpAddr>> {
    let inward = INWARD.iter().find(|(known, _)| *known == name);
    match inward {
        Some((_, ["none"])) => Ok(Vec::new()),
        Some((_, ["fails"])) => Err(io::Error::other("no such name")),
        Some((_, ["hundred"])) => Ok([vec![ips(&["93.184.215.14"])[0]; 99], ips(&["10.0.0.1"])].concat()),
        Some((_, addresses)) => Ok(ips(addresses)),
        // Whatever a parser makes of a strange text is found here, and would be dialled.
        None => Ok(ips(&["93.184.215.14"])),
    }
}

/// Names that resolve inward.
const INWARD: &[(&str, &[&str])] = &[
    ("metadata.google.internal", &["169.254.169.254"]),
    ("metadata", &["169.254.169.254"]),
    ("instance-data.ec2.internal", &["169.254.169.254"]),
    ("169.254.169.254.nip.io", &["169.254.169.254"]),
    ("127.0.0.1.nip.io", &["127.0.0.1"]),
    ("127-0-0-1.sslip.io", &["127.0.0.1"]),
    ("localtest.me", &["127.0.0.1", "::1"]),
    ("lvh.me", &["127.0.0.1"]),
    ("mapped.example", &["::ffff:127.0.0.1"]),
    ("mapped-metadata.example", &["::ffff:a9fe:a9fe"]),
    ("translated.example", &["64:ff9b::169.254.169.254"]),
    ("translated-loopback.example", &["64:ff9b::7f00:1"]),
    ("translated-here.example", &["64:ff9b:1::8.8.8.8"]),
    ("compatible.example", &["::127.0.0.1"]),
    ("siit.example", &["::ffff:0:127.0.0.1"]),
    ("six-to-four.example", &["2002:7f00:1::"]),
    ("teredo.example", &["2001:0:7f00:1::80ff:fffe"]),
    ("loopback-six.example", &["::1"]),
    ("unique-local.example", &["fd00:ec2::254"]),
    ("link-local.example", &["fe80::1"]),
    ("site-local.example", &["fec0::1"]),
    ("multicast-six.example", &["ff02::1"]),
    ("documentation-six.example", &["2001:db8::1"]),
    ("unspecified.example", &["0.0.0.0"]),
    ("unspecified-six.example", &["::"]),
    ("broadcast.example", &["255.255.255.255"]),
    ("multicast.example", &["239.255.255.250"]),
    ("azure.example", &["168.63.129.16"]),
    ("alibaba.example", &["100.100.100.200"]),
    ("oracle.example", &["192.0.0.192"]),
    ("host.docker.internal", &["172.17.0.1"]),
    ("kubernetes.default.svc", &["10.96.0.1"]),
    ("router.example", &["192.168.1.1"]),
    ("benchmark.example", &["198.18.0.1"]),
    ("mixed.example", &["93.184.215.14", "127.0.0.1"]),
    ("mixed-first.example", &["127.0.0.1", "93.184.215.14"]),
    ("mixed-six.example", &["2606:4700::1111", "10.0.0.1"]),
    ("mixed-families.example", &["93.184.215.14", "::ffff:10.0.0.1"]),
    ("opened-and-closed.example", &["10.0.0.1", "127.0.0.1"]),
    ("opened-and-public.example", &["10.0.0.1", "93.184.215.14"]),
    ("hundred.example", &["hundred"]),
    ("none.example", &["none"]),
    ("fails.example", &["fails"]),
];

/// By the code of the refusal.
const ROWS: &[(&str, &[&str])] = &[
    // Schemes, and what has none.
    (
        "invalid_url",
        &[
            "http://public.example/",
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://localhost/",
            "file:///etc/passwd",
            "file://127.0.0.1/etc/passwd",
            "ftp://127.0.0.1/",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "dict://127.0.0.1:11211/stat",
            "ldap://127.0.0.1/",
            "sftp://127.0.0.1/",
            "ws://127.0.0.1/",
            "wss://127.0.0.1/",
            "jar:https://127.0.0.1!/",
            "view-source:https://127.0.0.1/",
            "blob:https://127.0.0.1/1",
            "data:text/plain,x",
            "javascript:alert(1)",
            "about:blank",
            "mailto:a@127.0.0.1",
            "unix:/var/run/docker.sock",
            "https+unix://%2Fvar%2Frun%2Fdocker.sock/",
            "//127.0.0.1/",
            "127.0.0.1",
            "public.example",
            "/path",
            "",
            "https:",
            "https://",
            "https://:443/",
            "https://?x",
        ],
    ),
    // The one address in all the ways that it was ever written, and others that are nobody's to reach.
    (
        "blocked_address",
        &[
            "https://127.0.0.1/",
            "https://127.0.0.1:8443/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://017700000001/",
            "https://0x7f.0.0.1/",
            "https://0X7F.0X0.0X0.0X1/",
            "https://0177.0.0.1/",
            "https://0177.0.0.0x1/",
            "https://127.000.000.001/",
            "https://00000177.0.0.1/",
            "https://127.1/",
            "https://127.0.1/",
            "https://0x7f.1/",
            "https://127.0.0.1./",
            "https://0/",
            "https://0x/",
            "https://0.0.0.0/",
            "https://2852039166/",
            "https://0xA9FEA9FE/",
            "https://0251.0376.0251.0376/",
            "https://169.254.43518/",
            "https://169.254.169.254/latest/meta-data/",
            "https://3232235777/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://100.100.100.200/",
            "https://192.0.0.192/",
            "https://168.63.129.16/",
            "https://198.18.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://8.8.8.8/",
            "https:127.0.0.1/",
            "https:/127.0.0.1/",
            "https:///127.0.0.1/",
            "HTTPS://127.0.0.1/",
        ],
    ),
    // Digits and dots of other scripts, and characters that vanish.
    (
        "blocked_address",
        &[
            "https://①②⑦.⓪.⓪.①/",
            "https://１２７．０．０．１/",
            "https://127。0。0。1/",
            "https://127｡0｡0｡1/",
            "https://𝟏𝟐𝟕.𝟎.𝟎.𝟏/",
            "https://①⑥⑨。②⑤④。①⑥⑨｡②⑤④/",
            "https://0ｘ7f.1/",
            "https://12\u{ad}7.0.0.1/",
            "https://127.0.0\u{200b}.1/",
            "https://%31%32%37.0.0.1/",
            "https://127%2e0%2e0%2e1/",
            "https://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1/",
        ],
    ),
    // IPv6, and IPv4 within it.
    (
        "blocked_address",
        &[
            "https://[::1]/",
            "https://[::]/",
            "https://[0:0:0:0:0:0:0:1]/",
            "https://[0000::0001]:8443/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::FFFF:7F00:1]/",
            "https://[0:0:0:0:0:ffff:7f00:1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[::127.0.0.1]/",
            "https://[::7f00:1]/",
            "https://[::ffff:0:127.0.0.1]/",
            "https://[64:ff9b::127.0.0.1]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[64:ff9b:1::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[2001:0:7f00:1::80ff:fffe]/",
            "https://[fd00::1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://[ff02::1]/",
            "https://[100::1]/",
            "https://[5f00::1]/",
            "https://[2606:4700::1111]/",
            "https://[::ffff:8.8.8.8]/",
        ],
    ),
    // What is neither.
    (
        "invalid_url",
        &[
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[::1%25lo]/",
            "https://[::ffff:0x7f.0.0.1]/",
            "https://[127.0.0.1]/",
            "https://[::1/",
            "https://::1/",
            "https://[public.example]/",
            "https://[v1.::1]/",
            "https://[%3a%3a1]/",
            "https://127.0.0.256/",
            "https://425.510.425.510/",
            "https://4294967296/",
            "https://1.2.3.4.5/",
            "https://0x100000000/",
            "https://127.0.0.1../",
            "https://08.0.0.1/",
        ],
    ),
    // A name and a password, and what may be taken for them.
    (
        "invalid_url",
        &[
            "https://user@127.0.0.1/",
            "https://user:password@public.example/",
            "https://user@public.example/",
            "https://:password@public.example/",
            "https://public.example@127.0.0.1/",
            "https://public.example:443@127.0.0.1/",
            "https://127.0.0.1@public.example/",
            "https://a@b@127.0.0.1/",
            "https://public.example%2f@127.0.0.1/",
            "https://public.example%23@127.0.0.1/",
            "https://public.example%00@127.0.0.1/",
            "https://public.example%5c@127.0.0.1/",
        ],
    ),
    // What parsers drop, turn or do not agree on.
    (
        "invalid_url",
        &[
            "https://public.example\\@127.0.0.1/",
            "https:\\\\127.0.0.1\\",
            "https:/\\127.0.0.1/",
            "https://127.0.0.1\\.public.example/",
            "https://127.0.\t0.1/",
            "https://127.0.0.1\n",
            " https://127.0.0.1/",
            "https://\u{a0}127.0.0.1/",
            "\u{1}https://127.0.0.1/",
            "https://public.example /",
            "https://public.example/\r\nHost:127.0.0.1",
            "https://public.example\0.127.0.0.1/",
            "https://127.0.0.1%00.public.example/",
            "https://public.example%00/",
            "https://public.example%0d%0a/",
            "https://127.0.0.1%2f.public.example/",
            "https://public.example%20/",
            "https://public.example|127.0.0.1/",
            "https://public.example,127.0.0.1/",
            "https://public.example^/",
            "https://public.example<127.0.0.1>/",
        ],
    ),
    // This machine by name.
    (
        "invalid_url",
        &[
            "https://localhost/",
            "https://LOCALHOST:8443/",
            "https://localhost./",
            "https://a.localhost/",
            "https://localhost.localdomain/",
            "https://a.localdomain/",
            "https://localhost4/",
            "https://localhost6.localdomain6/",
            "https://ip6-localhost/",
            "https://ip6-loopback/",
            "https://loc%61lhost/",
            "https://%6c%6f%63%61%6c%68%6f%73%74/",
            "https://localhost%2e/",
            "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
            "https://ｌｏｃａｌｈｏｓｔ/",
            "https://lo\u{ad}calhost/",
            "https://localhoſt/",
        ],
    ),
    // Ports.
    (
        "invalid_url",
        &[
            "https://public.example:22/",
            "https://public.example:25/",
            "https://public.example:0/",
            "https://public.example:1/",
            "https://public.example:2375/",
            "https://public.example:5432/",
            "https://public.example:6379/",
            "https://public.example:8080/",
            "https://public.example:9200/",
            "https://public.example:65535/",
            "https://public.example:65536/",
            "https://public.example:-1/",
            "https://public.example:443a/",
            "https://127.0.0.1:6379/",
        ],
    ),
    // No plain names.
    (
        "invalid_url",
        &[
            "https://public.example./",
            "https://public.example../",
            "https://.public.example/",
            "https://public..example/",
            "https://-a.example/",
            "https://a-.example/",
            "https://a_b.example/",
            "https://*.example/",
            "https://$(id).example/",
            "https://a!b.example/",
            "https://xn--a/",
            "https://a%25b.example/",
        ],
    ),
    // Names that lead inward.
    (
        "blocked_address",
        &[
            "https://metadata.google.internal/",
            "https://metadata/",
            "https://instance-data.ec2.internal/",
            "https://169.254.169.254.nip.io/",
            "https://127.0.0.1.nip.io/",
            "https://127-0-0-1.sslip.io/",
            "https://localtest.me/",
            "https://lvh.me/",
            "https://LVH.ME/",
            "https://mapped.example/",
            "https://mapped-metadata.example/",
            "https://translated.example/",
            "https://translated-loopback.example/",
            "https://translated-here.example/",
            "https://compatible.example/",
            "https://siit.example/",
            "https://six-to-four.example/",
            "https://teredo.example/",
            "https://loopback-six.example/",
            "https://unique-local.example/",
            "https://link-local.example/",
            "https://site-local.example/",
            "https://multicast-six.example/",
            "https://documentation-six.example/",
            "https://unspecified.example/",
            "https://unspecified-six.example/",
            "https://broadcast.example/",
            "https://multicast.example/",
            "https://azure.example/",
            "https://alibaba.example/",
            "https://oracle.example/",
            "https://host.docker.internal/",
            "https://kubernetes.default.svc/",
            "https://router.example/",
            "https://benchmark.example/",
            "https://mixed.example/",
            "https://mixed-first.example/",
            "https://mixed-six.example/",
            "https://mixed-families.example/",
            "https://hundred.example/",
            "https://none.example/",
            "https://fails.example/",
        ],
    ),
];
