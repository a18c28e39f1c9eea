//! Names that change what they resolve to: between calls, between hops, within one answer, and while it is being looked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use super::oracle::forbidden;
use super::server::{Server, answer, redirect};
use super::world::{Names, World, ips, opened};
use crate::Policy;

/// How the races ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) races: usize,
    /// Addresses that were dialled, and those of them that may not be.
    pub(super) dials: usize,
    pub(super) forbidden: usize,
    /// Races that were refused for an address.
    pub(super) refused: usize,
}

const OUTSIDE: [&str; 4] = ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:9.9.9.9"];
const INSIDE: [&str; 8] = [
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "::ffff:127.0.0.1",
    "10.0.0.1",
    "64:ff9b::7f00:1",
    "fd00:ec2::254",
    "0.0.0.0",
];

/// Three kinds of races over names that nobody answers for, `each` of a kind at once.
pub(super) async fn without_a_server(policy: impl Fn() -> Policy, each: usize) -> Tally {
    // Outside for one call, inside for the next.
    let calls = AtomicUsize::new(0);
    let alternating = World::empty(
        policy(),
        Names(move |_: &str| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            let list = if call.is_multiple_of(2) { &OUTSIDE[..] } else { &INSIDE[..] };
            Ok(ips(&[list[call / 2 % list.len()]]))
        }),
    );
    // Both in one answer, the one inside at any place.
    let mixed = World::empty(
        policy(),
        Names(|name: &str| {
            let number: usize = name.split('.').next().and_then(|first| first[1..].parse().ok()).unwrap_or(0);
            let mut answer = ips(&OUTSIDE);
            answer.insert(number % (OUTSIDE.len() + 1), ips(&[INSIDE[number % INSIDE.len()]])[0]);
            Ok(answer)
        }),
    );
    // As somebody else says at this very moment.
    let (turned, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let turning = std::thread::spawn({
        let (turned, over) = (turned.clone(), over.clone());
        move || {
            while !over.load(Ordering::SeqCst) {
                turned.fetch_xor(true, Ordering::SeqCst);
            }
        }
    });
    let turned = World::empty(
        policy(),
        Names(move |_: &str| Ok(ips(&[if turned.load(Ordering::SeqCst) { INSIDE[0] } else { OUTSIDE[0] }]))),
    );
    let mut tally = Tally::default();
    for world in [alternating, mixed, turned] {
        let mut races = JoinSet::new();
        for number in 0..each {
            let world = world.clone();
            races.spawn(async move {
                // Not all in one slice of the scheduler's time, or nothing turns meanwhile.
                tokio::time::sleep(Duration::from_millis(number as u64 % 32)).await;
                world.post(&format!("https://r{number}.example/")).await.is_err()
            });
        }
        tally.refused += races.join_all().await.into_iter().filter(|refused| *refused).count();
        tally.count(&world, each, "");
    }
    over.store(true, Ordering::SeqCst);
    turning.join().unwrap();
    tally
}

impl Tally {
    fn count(&mut self, world: &World, races: usize, opened: &str) {
        let dialled = world.dialled();
        self.races += races;
        self.dials += dialled.len();
        self.forbidden += dialled.iter().filter(|address| forbidden(**address, opened)).count();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_forbidden_is_dialled_whatever_a_name_says_next() {
    let tally = without_a_server(Policy::default, 300).await;
    assert_eq!(tally.forbidden, 0, "{tally:?}");
    assert_eq!(tally.refused, 900, "nobody answers: {tally:?}");
    // It was a race: many of them were on the way out.
    assert!(tally.dials >= 150, "{tally:?}");
    println!("{tally:?}");
}

/// The first look leads outside, where a server redirects to the same name again; the second look leads inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_forbidden_is_dialled_after_the_first_hop() {
    const OPENED: &str = "10.9.0.0/16:8000";
    let names = ["tls.example"];
    let server = Server::start(&names, |seen| redirect(302, &format!("{}again", seen.path()))).await;
    let asked = Mutex::new(HashMap::<String, usize>::new());
    let plain = World::with(
        &server,
        opened(OPENED),
        Names(move |name: &str| {
            let mut asked = asked.lock().unwrap();
            let times = asked.entry(name.to_owned()).or_default();
            *times += 1;
            Ok(ips(&[if *times == 1 { "10.9.9.9" } else { INSIDE[asked.len() % INSIDE.len()] }]))
        }),
    );
    let calls = AtomicUsize::new(0);
    let secure = World::with(
        &server,
        Policy::default(),
        Names(move |_: &str| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            let answer: IpAddr =
                ips(&[if call.is_multiple_of(3) { INSIDE[call % INSIDE.len()] } else { OUTSIDE[0] }])[0];
            Ok(vec![answer])
        }),
    );
    let mut tally = Tally::default();
    let mut racing = JoinSet::new();
    let mut race = |world: &World, url: String| {
        let world = world.clone().patient(Duration::from_secs(5));
        racing.spawn(async move { world.file(&url).await.map_err(|error| error.code()) });
    };
    (0..300).for_each(|number| race(&plain, format!("http://r{number}.example:8000/")));
    (0..60).for_each(|_| race(&secure, "https://tls.example/".to_owned()));
    for ended in racing.join_all().await {
        // Three hops outside of a server that always redirects, or inside at one of them.
        let code = ended.err();
        assert!(matches!(code, Some("blocked_address" | "redirect_refused")), "{code:?}");
        tally.refused += usize::from(code == Some("blocked_address"));
    }
    tally.count(&plain, 300, OPENED);
    tally.count(&secure, 60, "");
    assert_eq!(tally.forbidden, 0, "{tally:?}");
    assert!(tally.refused >= 300 && tally.dials >= 320 && server.seen().len() >= 320, "{tally:?}");
    println!("{tally:?}");
}

/// No connection is kept: the second call looks again.
#[tokio::test]
async fn what_was_right_for_one_call_is_looked_at_again_for_the_next() {
    let server = Server::start(&["keeps.example"], |_| answer("200 OK", "", "here")).await;
    let calls = AtomicUsize::new(0);
    let world = World::with(
        &server,
        Policy::default(),
        Names(move |_: &str| Ok(ips(&[if calls.fetch_add(1, Ordering::SeqCst) < 3 { OUTSIDE[0] } else { INSIDE[0] }]))),
    );
    for _ in 0..3 {
        assert_eq!(world.post("https://keeps.example/").await.unwrap().bytes().await.unwrap(), "here");
    }
    let world = world.patient(Duration::from_millis(50));
    assert_eq!(world.post("https://keeps.example/").await.unwrap_err().code(), "blocked_address");
    assert_eq!(world.dialled(), ["93.184.215.14:443".parse().unwrap(); 3]);
    assert_eq!(server.seen().len(), 3);
}
