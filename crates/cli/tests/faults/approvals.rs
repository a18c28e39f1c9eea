//! T27: people approve calls of a bank's tools, change them, deny them, several at once, while servers are killed and the bank changes what its tools
//! are. The bank keeps a list of its own of what was done: each call once at most, with exactly what the last answer said, under the definition
//! that whoever answered was shown.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::RunId;
use domain::human_requests::Response;
use domain::runs::Event;
use domain::tools::Definition;
use serde_json::{Map, Value, json};
use testkit::checker::violations;
use testkit::mcp_server::McpServer;
use tokio::task::JoinSet;

use crate::api::Api;
use crate::chance::Chance;
use crate::job::Kind;
use crate::node::Node;
use crate::totals::number;
use crate::world::{Plan, World};

/// People who answer the same request at the same moment.
const PEOPLE: u64 = 4;
/// What a call under the definition before may still be on its way for. Changes are further apart.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long nothing may happen before the suite gives the rest up.
const QUIET: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn t27_on_sqlite() {
    let chance = Arc::new(Chance::new());
    let world = World::sqlite(&chance, Plan::default()).await;
    storm("T27 approvals on SQLite", world, chance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t27_on_postgres() {
    let chance = Arc::new(Chance::new());
    let world = World::postgres(&chance, Plan { nodes: 2, ..Plan::default() }).await;
    storm("T27 approvals on PostgreSQL", world, chance).await;
}

/// Whose tools are called.
struct Bank {
    server: McpServer,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Which definition is in force, and since when.
    version: u64,
    since: Instant,
    made: Vec<Made>,
}

/// A call that arrived.
#[derive(Debug, Clone)]
struct Made {
    arguments: Value,
    version: u64,
    /// How long that version had been in force.
    age: Duration,
}

fn tool(version: u64) -> Value {
    json!({ "name": "pay", "description": format!("Pays, version {version}."), "inputSchema": { "type": "object" } })
}

/// What people are shown of a version.
fn hash(version: u64) -> String {
    Definition::read(tool(version)).unwrap().hash()
}

impl Bank {
    async fn open(chance: &Arc<Chance>) -> Self {
        let server = McpServer::start(json!([tool(0)])).await.unwrap();
        let state = Arc::new(Mutex::new(State { version: 0, since: Instant::now(), made: vec![] }));
        let (kept, chance) = (Arc::clone(&state), Arc::clone(chance));
        server.on_call(move |params| {
            {
                let mut state = kept.lock().unwrap();
                let made =
                    Made { arguments: params["arguments"].clone(), version: state.version, age: state.since.elapsed() };
                state.made.push(made);
            }
            std::thread::sleep(chance.millis(0, 20));
            Some(json!({ "content": [{ "type": "text", "text": "paid" }] }))
        });
        Self { server, state }
    }

    /// From now on its tool is another one.
    fn change(&self) {
        let mut state = self.state.lock().unwrap();
        (state.version, state.since) = (state.version + 1, Instant::now());
        self.server.list(json!([tool(state.version)]));
    }

    fn made(&self) -> (u64, Vec<Made>) {
        let state = self.state.lock().unwrap();
        (state.version, state.made.clone())
    }

    /// An Assignment that pays.
    fn assignment(&self) -> Value {
        let data = json!({ "model": "fake-model", "input": "Pay what you are told to.", "tools": [
            { "type": "mcp", "server_label": "bank", "server_url": self.server.url() }
        ] });
        json!({ "name": "Payer", "build": { "name": "first", "config": { "version": "v1", "data": data } } })
    }
}

/// What somebody answered, and heard.
#[derive(Debug, Clone)]
struct Answered {
    request: String,
    taken: bool,
}

/// Answers whatever is asked, each request by several people at once who do not agree, until it is told that it is enough.
async fn answer(api: Api, chance: Arc<Chance>, answered: Arc<Mutex<Vec<Answered>>>) {
    loop {
        for run in api.with_status("waiting").await {
            let Some(detail) = api.get(&format!("/v1/runs/{run}")).await else { continue };
            let Some(request) = detail["pending_human_request"]["id"].as_str().map(str::to_owned) else { continue };
            let mut people = JoinSet::new();
            for person in 0..PEOPLE {
                let (api, request, chosen) = (api.clone(), request.clone(), chance.below(4));
                people.spawn(async move {
                    let body = match chosen {
                        0 => json!({ "approved": false }),
                        1 => json!({ "approved": true, "arguments": { "edited_by": person, "request": request } }),
                        _ => json!({ "approved": true }),
                    };
                    let path = format!("/v1/runs/{run}/human-requests/{request}/respond");
                    let taken = api.respond(&path, &body).await;
                    Answered { request, taken }
                });
            }
            let said = people.join_all().await;
            answered.lock().unwrap().extend(said);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn storm(suite: &str, mut world: World, chance: Arc<Chance>) {
    println!("SUITE {suite}");
    let began = Instant::now();
    let (kills, runs) = (number("KILLS", 8), number("RUNS", 80));
    let bank = Bank::open(&chance).await;
    let api = world.api();
    let agent = api.create(&bank.assignment()).await;
    let answered = Arc::new(Mutex::new(vec![]));
    let answering = tokio::spawn(answer(api.clone(), Arc::clone(&chance), Arc::clone(&answered)));
    let starting = {
        let (api, chance) = (api.clone(), Arc::clone(&chance));
        tokio::spawn(async move {
            let mut started = vec![];
            for number in 0..runs {
                let key = format!("pays-{number}");
                while api.start_once(&agent, Kind::Pays, &key).await.map(|run| started.push(run.run)).is_none() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                tokio::time::sleep(chance.millis(20, 180)).await;
            }
            started
        })
    };
    for _ in 0..kills {
        tokio::time::sleep(chance.millis(800, 1_600)).await;
        bank.change();
        tokio::time::sleep(chance.millis(0, 300)).await;
        let node = usize::try_from(chance.below(world.nodes.len() as u64)).unwrap();
        tokio::task::block_in_place(|| {
            world.replace(node);
            api.at(world.nodes.iter_mut().flatten().map(Node::up).collect());
        });
    }
    let started = starting.await.unwrap();
    // People go on answering as long as that changes anything.
    let (mut quiet, mut last) = (Instant::now(), 0);
    loop {
        let listed = api.runs().await;
        let over = listed.iter().filter(|run| run.is_over()).count();
        let done = over + answered.lock().unwrap().len();
        if done != last {
            (quiet, last) = (Instant::now(), done);
        }
        if over == listed.len() || quiet.elapsed() >= QUIET {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    answering.abort();
    let answered = answered.lock().unwrap().clone();
    let judged = judge(&api, &bank, &started, &answered).await;
    let Judged { wrong, asked, edited, denied, changed, made } = judged;
    println!(
        "TOTALS {{\"suite\":\"{suite}\",\"kills\":{kills},\"runs\":{runs},\"approvals_asked\":{asked},\"edited\":{edited},\"denied\":{denied},\
         \"definitions_changed\":{changed},\"tool_calls\":{made},\"violations\":{},\"seconds\":{}}}",
        wrong.len(),
        began.elapsed().as_secs()
    );
    assert!(wrong.is_empty(), "VIOLATIONS: {}\n{wrong:#?}\n{}", wrong.len(), world.logs());
    assert!(
        edited > 0 && denied > 0 && changed > 0 && made > 0,
        "some of it did not happen, so nothing is shown of it"
    );
}

#[derive(Default)]
struct Judged {
    wrong: Vec<String>,
    asked: usize,
    edited: usize,
    denied: usize,
    changed: usize,
    made: usize,
}

/// What a run's last answer allows: arguments and definition, or nothing.
type Allowed = Option<(Map<String, Value>, String)>;

async fn judge(api: &Api, bank: &Bank, started: &[RunId], answered: &[Answered]) -> Judged {
    let mut judged = Judged { wrong: api.wrong(), ..Judged::default() };
    let (newest, made) = bank.made();
    let versions: HashMap<String, u64> = (0..=newest).map(|version| (hash(version), version)).collect();
    let mut heard = HashSet::new();
    for answer in answered.iter().filter(|answer| answer.taken) {
        if !heard.insert(&answer.request) {
            judged.wrong.push(format!("two people heard that they had answered {}", answer.request));
        }
    }
    judged.made = made.len();
    for run in started {
        let seen = api.look(*run).await;
        judged.wrong.extend(violations(&seen).into_iter().map(|wrong| format!("{run}: {wrong}")));
        let (mut allowed, mut answers) = (Allowed::None, HashSet::new());
        let mut shown: HashMap<String, (Map<String, Value>, String)> = HashMap::new();
        for sent in &seen.events {
            match &serde_json::from_str::<Event>(sent.data.get()).unwrap() {
                Event::PersonAsked { request } => {
                    judged.asked += 1;
                    let call = request.call.as_ref().unwrap_or_else(|| panic!("{run}: a request about no call"));
                    let words = request.description.as_deref().unwrap_or_default();
                    if !words.contains(&call.target.definition)
                        || !words.contains(&format!("{:#}", Value::Object(call.arguments.clone())))
                    {
                        judged.wrong.push(format!("{run}: the request does not show its call: {words}"));
                    }
                    shown.insert(request.id.to_string(), (call.arguments.clone(), call.target.definition.clone()));
                }
                Event::PersonAnswered { request_id, response } => {
                    if !answers.insert(request_id.to_string()) {
                        judged.wrong.push(format!("{run}: {request_id} is answered twice"));
                    }
                    let (arguments, definition) = shown[&request_id.to_string()].clone();
                    allowed = match response {
                        Response::Approved(true) => Some((arguments, definition)),
                        Response::Edited(other) => {
                            judged.edited += 1;
                            Some((other.clone(), definition))
                        }
                        _ => {
                            judged.denied += 1;
                            None
                        }
                    };
                }
                Event::ToolChanged { .. } => judged.changed += 1,
                _ => {}
            }
        }
        let lost: Vec<_> =
            heard.iter().filter(|request| shown.contains_key(**request) && !answers.contains(**request)).collect();
        if !lost.is_empty() {
            judged.wrong.push(format!("{run}: answers were taken and never were: {lost:?}"));
        }
        judged.wrong.extend(compare(*run, &allowed, &shown, &made, &versions));
    }
    judged
}

/// What was done for one run against what its people allowed. A call is the run's by the request's id or the number in its arguments.
fn compare(
    run: RunId,
    allowed: &Allowed,
    shown: &HashMap<String, (Map<String, Value>, String)>,
    made: &[Made],
    versions: &HashMap<String, u64>,
) -> Vec<String> {
    let first = shown.values().find_map(|(arguments, _)| arguments.get("invoice").cloned());
    let of_run = |made: &&Made| {
        let edited = made.arguments["request"].as_str().is_some_and(|request| shown.contains_key(request));
        edited || first.as_ref().is_some_and(|invoice| made.arguments["invoice"] == *invoice)
    };
    let calls: Vec<_> = made.iter().filter(of_run).collect();
    let mut wrong = vec![];
    if calls.len() > 1 {
        wrong.push(format!("{run}: was paid {} times", calls.len()));
    }
    for call in calls {
        let Some((arguments, definition)) = allowed else {
            wrong.push(format!("{run}: nobody allowed {}", call.arguments));
            continue;
        };
        if call.arguments != Value::Object(arguments.clone()) {
            wrong.push(format!(
                "{run}: {} was allowed and {} was done",
                Value::Object(arguments.clone()),
                call.arguments
            ));
        }
        let approved = versions[definition];
        let before = approved + 1 == call.version && call.age < ON_ITS_WAY;
        if approved != call.version && !before {
            wrong.push(format!("{run}: version {approved} of the tool was approved and {} was called", call.version));
        }
    }
    wrong
}
