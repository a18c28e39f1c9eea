//! Whatever the text of a URL, whatever its name resolves to and whatever is opened: what is dialled is public or opened.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::oracle::{is_opened, public};
use super::sabotage::Sabotage;
use super::world::{Names, World, opened};
use crate::Policy;

const OPENED: [&str; 5] = ["", "", "127.0.0.0/8:9000", "10.0.0.0/8,fd00::/8", "192.168.0.0/16:443,64:ff9b::/96:80"];
const SCHEMES: [&str; 8] = ["https://", "https://", "https://", "http://", "https:", "https:/\\", "ftp://", ""];
const USERS: [&str; 6] = ["", "", "", "user@", "public.example@", "a:b@"];
const PORTS: [&str; 9] = ["", "", "", ":443", ":80", ":8443", ":9000", ":22", ":0443"];
const PATHS: [&str; 8] = ["/", "", "/a?b#c", "#@127.0.0.1/", "\\@127.0.0.1/", "?@[::1]", "/\t", "%00"];
const HOSTS: [&str; 22] = [
    "public.example",
    "PUBLIC.example",
    "a.b.c.test",
    "bücher.example",
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "0177.1",
    "127。0。0。1",
    "①⑩.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "8.8.8.8",
    "[::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fd00::1]",
    "[2606:4700::1111]",
    "localhost",
    "localhost.",
    "lo%63alhost",
];

/// Searches for a text under which something forbidden is dialled. How many texts led to a dial, or the text.
pub(super) fn search(sabotage: Option<Sabotage>, cases: u32) -> Result<u32, String> {
    let led = Cell::new(0);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let inputs = (text(), prop::collection::vec(address(), 0..3), select(&OPENED[..]));
    let found = TestRunner::new(config).run(&inputs, |(text, answers, ranges)| {
        let policy = opened(ranges).sabotaged(sabotage);
        let dialled = dialled(policy, &text, answers);
        led.set(led.get() + u32::from(!dialled.is_empty()));
        for address in dialled {
            let named = !text.contains(&address.ip().to_string());
            let outside = public(address.ip()) && [443, 80, 8443].contains(&address.port()) && named;
            let secure = text.to_ascii_lowercase().starts_with("https:");
            prop_assert!(is_opened(address, ranges) || (outside && secure), "{text:?}: {address}, opened {ranges:?}");
        }
        Ok(())
    });
    match found {
        Ok(()) => Ok(led.get()),
        Err(TestError::Fail(why, _)) => Err(why.to_string()),
        Err(TestError::Abort(why)) => unreachable!("{why}"),
    }
}

#[test]
fn whatever_the_text_only_what_is_public_or_opened_is_dialled() {
    let led = search(None, 4_000).unwrap();
    // Otherwise nothing was tried.
    assert!(led > 200, "{led}");
    println!("4000 texts, {led} of them led to a dial");
}

fn dialled(policy: Policy, text: &str, answers: Vec<IpAddr>) -> Vec<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = World::empty(policy, Names(move |_: &str| Ok(answers.clone())));
    runtime.block_on(async {
        // Nobody answers.
        world.file(text).await.unwrap_err();
        world.dialled()
    })
}

fn text() -> impl Strategy<Value = String> {
    let built = (select(&SCHEMES[..]), select(&USERS[..]), host(), select(&PORTS[..]), select(&PATHS[..]));
    let built = built.prop_map(|(scheme, user, host, port, path)| format!("{scheme}{user}{host}{port}{path}")).boxed();
    // One character of a good one in place of another.
    let bent = (built.clone(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(text, at, new)| {
        let mut text: Vec<char> = text.chars().collect();
        if !text.is_empty() {
            let at = at.index(text.len());
            text[at] = new;
        }
        text.into_iter().collect()
    });
    // Some must get through, or nothing is tried.
    let good = (select(&HOSTS[..4]), select(&PORTS[..8]), select(&PATHS[..3]));
    let good = good.prop_map(|(host, port, path)| format!("https://{host}{port}{path}"));
    prop_oneof![8 => good, 4 => built, 2 => bent, 1 => ".*"]
}

fn host() -> impl Strategy<Value = String> {
    let number = any::<u32>().prop_map(|number| number.to_string());
    let six = any::<u128>().prop_map(|number| format!("[{}]", std::net::Ipv6Addr::from_bits(number)));
    prop_oneof![6 => select(&HOSTS[..]).prop_map(str::to_owned), 1 => number, 1 => six, 1 => "[a-z0-9.%-]{1,12}"]
}

/// Of all kinds, and often one of those at the edge of something.
fn address() -> impl Strategy<Value = IpAddr> {
    let four = any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from_bits(bits).into());
    let six = any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from_bits((bits >> 3) | (1 << 125)).into());
    let within = (any::<u32>(), select(vec![0xffff_u128 << 32, 0x64_ff9b << 96, 0, 0xffff << 48]))
        .prop_map(|(bits, prefix)| std::net::Ipv6Addr::from_bits(prefix | u128::from(bits)).into());
    let known = ["8.8.8.8", "1.1.1.1", "127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "169.254.169.254"];
    let known = select(known.map(|text| text.parse::<IpAddr>().unwrap()).to_vec());
    prop_oneof![4 => four, 1 => six, 1 => within, 4 => known]
}
