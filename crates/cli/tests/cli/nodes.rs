//! Several nodes of the real program on one PostgreSQL: what they promise together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::postgres::Cluster;

use crate::house::{KEY, MASTER_KEY, Server, errand, said};

const LIMIT: usize = 300;
const NODES: usize = 3;

/// Nodes that share a database, each with a folder of its own.
struct Fleet {
    servers: Vec<Server>,
    url: String,
    folder: TempDir,
    _cluster: Cluster,
}

impl Fleet {
    fn start() -> Self {
        let cluster = Cluster::start().unwrap();
        let (url, folder) = (cluster.url(), tempfile::tempdir().unwrap());
        let start = |node: usize| {
            let variables = [("ERRAND_API_KEY", KEY), ("ERRAND_DATABASE_URL", url.as_str()), MASTER_KEY];
            Server::start_with(&folder.path().join(format!("node-{node}")), &variables)
        };
        let servers = (0..NODES).map(start).collect();
        Self { servers, url, folder, _cluster: cluster }
    }

    /// A key that has made no request yet.
    fn new_key(&self) -> String {
        let mut command = errand(&["keys", "create", "--json", "--database-url", &self.url, "--data-dir"]);
        command.arg(self.folder.path().join("node-0"));
        let (code, out, err) = said(&command.output().unwrap());
        assert_eq!(code, Some(0), "{out}{err}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["key"].as_str().unwrap().to_owned()
    }

    /// Makes so many requests to each node at once, from four clients each. How many were served, and how many not, in each minute by its end.
    fn burst(&self, key: &str, each: [usize; NODES]) -> BTreeMap<String, (usize, usize)> {
        const CLIENTS: usize = 4;
        let mut minutes = BTreeMap::<String, (usize, usize)>::new();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let client = |node: usize, most: usize| {
                let server = &self.servers[node];
                move || (0..most).map(|_| server.raw("/v1/agents", key)).collect::<Vec<_>>()
            };
            let all = (0..NODES).flat_map(|node| {
                (0..CLIENTS).map(move |n| (node, each[node] / CLIENTS + usize::from(n < each[node] % CLIENTS)))
            });
            let clients: Vec<_> = all.map(|(node, most)| scope.spawn(client(node, most))).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        for answer in answers {
            let reset = answer.lines().find_map(|line| line.strip_prefix("x-ratelimit-reset: ")).expect(&answer);
            let (served, refused) = minutes.entry(reset.to_owned()).or_default();
            match answer.split(' ').nth(1) {
                Some("200") => *served += 1,
                Some("429") => *refused += 1,
                _ => panic!("{answer}"),
            }
        }
        minutes
    }
}

/// 300 a minute, asked of three nodes twice and three times over: no more is served, and at most a twentieth less.
#[test]
fn the_limit_of_a_key_holds_across_nodes() {
    let fleet = Fleet::start();
    for each in [[200, 200, 200], [5, 5, 600], [1, 300, 600]] {
        let began = Instant::now();
        // A burst that goes on into the next minute says nothing about either; the one after it begins a minute.
        let (served, refused) = loop {
            let minutes = fleet.burst(&fleet.new_key(), each);
            if let ([only], 1) = (minutes.values().copied().collect::<Vec<_>>().as_slice(), minutes.len()) {
                break *only;
            }
            assert!(began.elapsed() < Duration::from_secs(150), "no burst fits into a minute: {minutes:?}");
        };
        println!("requests {each:?}: {served} served of {LIMIT} a minute, {refused} refused");
        assert_eq!(served + refused, each.iter().sum::<usize>());
        assert!((LIMIT * 95 / 100..=LIMIT).contains(&served), "{each:?}: {served}");
    }
}
