//! Redirects: never followed for a webhook, vetted like a first URL for a file, and nothing that was given goes along to strangers.

use std::time::Duration;

use futures_util::future::join_all;

use super::oracle::forbidden;
use super::server::{Server, answer, redirect};
use super::world::{Names, World, ips};
use crate::{Method, Policy, Request};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// Where the redirects of this suite lead, and what the user is told.
const INWARD: &[(&str, &str)] = &[
    ("http://127.0.0.1:9000/", "redirect_refused"),
    ("http://public.example/", "redirect_refused"),
    ("https://127.0.0.1/", "blocked_address"),
    ("https://2130706433/", "blocked_address"),
    ("https://0x7f.1/", "blocked_address"),
    ("https://[::1]/", "blocked_address"),
    ("https://[::ffff:a9fe:a9fe]/", "blocked_address"),
    ("https://inward.example/", "blocked_address"),
    ("https://mixed.example/", "blocked_address"),
    ("//169.254.169.254/latest/meta-data/", "blocked_address"),
    ("https://localhost/", "redirect_refused"),
    ("https://user@public.example/", "redirect_refused"),
    ("https://public.example:6379/", "redirect_refused"),
    ("https://public.example./", "redirect_refused"),
    ("https:\\\\127.0.0.1\\", "redirect_refused"),
    ("file:///etc/passwd", "redirect_refused"),
    ("gopher://127.0.0.1:6379/_FLUSHALL", "redirect_refused"),
    ("javascript:alert(1)", "redirect_refused"),
    ("https://", "redirect_refused"),
    ("\u{e4}", "redirect_refused"),
];

/// How they ended.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) chains: usize,
    pub(super) forbidden: usize,
    pub(super) wrong: Vec<String>,
}

/// Each of them by each status, as the first hop and as the third.
pub(super) async fn inward(policy: Policy) -> Tally {
    let server = Server::start(&["public.example"], |seen| {
        // `/STATUS/NUMBER/HOPS`: so many more hops here, then there.
        let mut parts = seen.path().split('/').skip(1).map(|part| part.parse::<u16>().unwrap());
        let (status, number, hops) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        match hops.checked_sub(1) {
            Some(left) => redirect(status, &format!("/{status}/{number}/{left}")),
            None => redirect(status, INWARD[usize::from(number)].0),
        }
    })
    .await;
    let mut chains = Vec::new();
    for status in STATUSES {
        for (number, (location, code)) in INWARD.iter().enumerate() {
            for hops in if status == 302 { 0..3_usize } else { 0..1 } {
                let world = World::with(&server, policy.clone(), Names(|name: &str| Ok(ips(addresses(name)))));
                chains.push(async move {
                    // What is blocked takes all of it, so they go at once.
                    let world = world.patient(Duration::from_secs(5));
                    let told = world.file(&format!("https://public.example/{status}/{number}/{hops}")).await;
                    let told = told.map_or_else(|error| error.code(), |_| "an answer");
                    let dialled = world.dialled();
                    let right = told == *code && dialled.len() == hops + 1;
                    let wrong = format!("{status} to {location} after {hops}: {told}, dialled {dialled:?}");
                    (dialled.into_iter().filter(|address| forbidden(*address, "")).count(), (!right).then_some(wrong))
                });
            }
        }
    }
    let mut tally = Tally { chains: chains.len(), ..Tally::default() };
    for (forbidden, wrong) in join_all(chains).await {
        tally.forbidden += forbidden;
        tally.wrong.extend(wrong);
    }
    tally
}

#[tokio::test]
async fn no_redirect_leads_inward() {
    let tally = inward(Policy::default()).await;
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert_eq!(tally.forbidden, 0);
    assert_eq!(tally.chains, INWARD.len() * 7);
    println!("{} chains", tally.chains);
}

#[tokio::test]
async fn a_file_is_found_up_to_three_hops_away() {
    let server = Server::start(&["public.example", "other.example"], |seen| match seen.path() {
        "/0" => answer("200 OK", "", "the file"),
        "/1" => redirect(308, "https://other.example/0?x"),
        "/0?x" => answer("200 OK", "", "the file of the other"),
        "/none" => answer("302 Found", "", "no Location"),
        path => redirect(301, &format!("{}", path[1..].parse::<u8>().unwrap() - 1)),
    })
    .await;
    let world = World::with(&server, Policy::default(), Names(|name: &str| Ok(ips(addresses(name)))));
    for hops in 1..=3 {
        let reply = world.file(&format!("https://public.example/{hops}")).await.unwrap();
        assert_eq!(reply.url().as_str(), "https://other.example/0?x");
        assert_eq!(reply.bytes().await.unwrap(), "the file of the other");
        assert_eq!(world.dialled().len(), hops + 1);
    }
    let refused = world.file("https://public.example/4").await.unwrap_err();
    assert_eq!((refused.code(), world.dialled().len()), ("redirect_refused", 4));
    assert!(refused.to_string().contains("one too many"), "{refused}");
    let reply = world.file("https://public.example/none").await.unwrap();
    assert_eq!(reply.status().as_u16(), 302);
}

#[tokio::test]
async fn a_webhook_gets_the_redirect_and_nobody_follows() {
    let server = Server::start(&["public.example"], |_| redirect(307, "https://public.example/next")).await;
    let world = World::with(&server, Policy::default(), Names(|name: &str| Ok(ips(addresses(name)))));
    assert_eq!(world.post("https://public.example/").await.unwrap().status().as_u16(), 307);
    let url = world.client.policy().check("https://public.example/").unwrap();
    let reply = world.client.send(Request::new(Method::GET, url)).await.unwrap();
    assert_eq!(reply.headers()["location"], "https://public.example/next");
    assert_eq!((world.dialled().len(), server.seen().len()), (2, 2));
}

#[tokio::test]
async fn a_key_stays_with_the_origin_that_it_was_given_for() {
    let server = Server::start(&["public.example", "other.example"], |seen| match seen.path() {
        "/1" => redirect(302, "/2"),
        "/2" => redirect(302, "https://other.example/3"),
        "/3" => redirect(302, "https://public.example/4"),
        _ => answer("200 OK", "Set-Cookie: a=b\r\n", ""),
    })
    .await;
    let world = World::with(&server, Policy::default(), Names(|name: &str| Ok(ips(addresses(name)))));
    let url = world.client.policy().check("https://public.example/1").unwrap();
    let request = Request::file(url).header("Authorization", "Bearer key").unwrap().header("X-Api-Key", "key").unwrap();
    let request = request.header("Cookie", "key").unwrap().header("Accept", "image/png").unwrap();
    world.client.send(request).await.unwrap();
    let seen = server.seen();
    let keys: Vec<_> = seen.iter().map(|seen| seen.head.matches("key").count()).collect();
    // Also not on the way back: who redirected here says nothing about whose key it is.
    assert_eq!(keys, [4, 4, 0, 0], "{seen:?}");
    assert!(seen.iter().all(|seen| seen.header("accept") == Some("image/png") && seen.header("referer").is_none()));
}

fn addresses(name: &str) -> &'static [&'static str] {
    match name {
        "inward.example" => &["127.0.0.1"],
        "mixed.example" => &["93.184.215.14", "::1"],
        _ => &["93.184.215.14"],
    }
}
