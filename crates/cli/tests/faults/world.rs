//! Who takes part: a store, one node or several, a model, a ledger.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use domain::Timestamp;
use storage::{Db, Settings};
use tempfile::TempDir;
use testkit::fake_provider::FakeProvider;
use testkit::hook::{self, Hook};
use testkit::ledger::{Behaviour, Conduct, Ledger, Record};
use testkit::postgres::Cluster;

use crate::api::Api;
use crate::chance::Chance;
use crate::job::{self, TURNS};
use crate::node::{Node, Start, logged};

/// Where everything is kept.
pub(crate) enum Store {
    /// A file of the one node.
    Sqlite,
    /// A server that the nodes share. Its URL may lead through something.
    Postgres { cluster: Cluster, url: String },
    /// A database on a server that other worlds use, too.
    Shared { _cluster: Arc<Cluster>, url: String },
}

/// How a world is made.
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    pub(crate) lease_ms: u64,
    pub(crate) concurrency: usize,
    /// How long the model takes, in milliseconds.
    pub(crate) model_ms: (u64, u64),
    /// Variables of every node.
    pub(crate) env: Vec<(String, String)>,
    /// How long the ledger may take before or after an effect, at most, in milliseconds.
    pub(crate) ledger_ms: u64,
    /// Whether the nodes are told that a transaction pooler stands before the server.
    pub(crate) pooled: bool,
    /// How many may die of a Job.
    pub(crate) deaths: usize,
    /// Where the nodes keep their data; in a folder of the world's own if nothing is said.
    pub(crate) home: Option<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 1,
            lease_ms: 2_000,
            concurrency: 8,
            model_ms: (5, 60),
            env: vec![],
            ledger_ms: 120,
            pooled: false,
            // Nobody dies of a Job in most suites, but all do of us.
            deaths: 1_000,
            home: None,
        }
    }
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    /// Where runs call back.
    pub(crate) hook: Hook,
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) starts: Vec<Start>,
    pub(crate) lease_ms: u64,
    first: Start,
    _model: FakeProvider,
    _folder: TempDir,
}

impl World {
    /// On SQLite, with one node.
    pub(crate) async fn sqlite(chance: &Arc<Chance>, plan: Plan) -> Self {
        Self::new(chance, plan, Store::Sqlite).await
    }

    /// On a PostgreSQL of its own.
    pub(crate) async fn postgres(chance: &Arc<Chance>, plan: Plan) -> Self {
        let cluster = Cluster::with_tcp(&[]).unwrap();
        let url = cluster.url();
        Self::new(chance, plan, Store::Postgres { cluster, url }).await
    }

    pub(crate) async fn new(chance: &Arc<Chance>, plan: Plan, store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (draws, most) = (Arc::clone(chance), plan.ledger_ms);
        let conduct = move |_: &Record, _: usize| match draws.below(4) {
            0 => Conduct::DelayBefore(draws.millis(0, most)),
            1 => Conduct::DelayAfter(draws.millis(0, most)),
            _ => Conduct::Ok,
        };
        let ledger = Ledger::start(&folder.path().join("ledger.log"), Behaviour::Rule(Box::new(conduct))).unwrap();
        let model = job::model(chance, plan.model_ms.0, plan.model_ms.1).await;
        let draws = Arc::clone(chance);
        let hook = Hook::start(move |_, times| {
            // A world that begins without nodes is one of hundreds, and waits for no second try.
            let refused = plan.nodes > 0 && times == 1 && draws.below(20) == 0;
            if refused { hook::Conduct::Status(500) } else { hook::Conduct::Ok }
        });
        let database = match &store {
            Store::Sqlite => String::new(),
            Store::Postgres { url, .. } | Store::Shared { url, .. } => format!("database_url = \"{url}\"\n"),
        };
        let config = format!(
            "[server]\n{database}grace_secs = 5\nrequests_per_minute = 0\n[database]\ntransaction_pooler = {}\n[sandboxes]\nfolder = \"{}\"\n[engine]\nconcurrency = {}\nlease_ms = {}\ndeaths = {}\n[limits]\nturns = \
             {TURNS}\n[egress]\nallow = [\"127.0.0.0/8\"]\n[providers.compatible]\nbase_url = \"{}\"\n",
            plan.pooled,
            folder.path().join("sandboxes").display(),
            plan.concurrency,
            plan.lease_ms,
            plan.deaths,
            model.openai_url(),
        );
        fs::create_dir(folder.path().join("sandboxes")).unwrap();
        let file = folder.path().join("errand.toml");
        fs::write(&file, config).unwrap();
        let mut env = plan.env;
        if !matches!(store, Store::Sqlite) {
            env.push(("ERRAND_MASTER_KEY".to_owned(), "0123456789abcdef".repeat(4)));
        }
        env.push(("ERRAND_FAULT_LEDGER".to_owned(), ledger.url()));
        // What this whole test process is sabotaged with, its servers are.
        env.extend(std::env::var("ERRAND_SABOTAGE").ok().map(|name| ("ERRAND_SABOTAGE".to_owned(), name)));
        let homes = plan.home.unwrap_or_else(|| folder.path().to_owned());
        let first = Start { home: homes.join("node-0"), config: file, env };
        let starts: Vec<Start> =
            (0..plan.nodes).map(|node| Start { home: homes.join(format!("node-{node}")), ..first.clone() }).collect();
        let mut nodes: Vec<Option<Node>> = starts.iter().map(|start| Some(Node::spawn(start))).collect();
        nodes.iter_mut().flatten().for_each(|node| drop(node.up()));
        Self {
            store,
            ledger,
            hook: hook.unwrap(),
            nodes,
            starts,
            lease_ms: plan.lease_ms,
            first,
            _model: model,
            _folder: folder,
        }
    }

    /// How a node would be started, for a world that began without.
    pub(crate) fn first(&self) -> Start {
        self.first.clone()
    }

    /// A client of all nodes that are up.
    pub(crate) fn api(&mut self) -> Api {
        Api::new(self.nodes.iter_mut().flatten().filter_map(Node::address).collect(), &self.hook)
    }

    /// Kills a node and starts it again; its new address, once it is up.
    pub(crate) fn replace(&mut self, node: usize) {
        self.nodes[node] = None;
        self.nodes[node] = Some(Node::spawn(&self.starts[node]));
    }

    /// Looks at the database from outside, as an operator would.
    pub(crate) async fn database(&self) -> Db {
        match &self.store {
            Store::Sqlite => {
                let file = self.starts[0].home.join("data/errand.db");
                Db::open(&Settings::new(file, Arc::new(|| Timestamp(0)))).unwrap()
            }
            Store::Postgres { cluster, .. } => Db::connect(cluster.url().parse().unwrap()).await.unwrap(),
            Store::Shared { url, .. } => Db::connect(url.parse().unwrap()).await.unwrap(),
        }
    }

    /// What the nodes logged, for a test that fails.
    pub(crate) fn logs(&self) -> String {
        let logs: Vec<PathBuf> = self.starts.iter().map(|start| start.home.join("server.log")).collect();
        logs.iter().map(|log| format!("--- {}\n{}", log.display(), logged(log))).collect::<Vec<_>>().join("\n")
    }
}
