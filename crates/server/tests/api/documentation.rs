//! The documentation: that it is the contract to the letter, says everything, is checked in, and can be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use testkit::documents::{differences, published};

use crate::house::{Answer, House, KEY, NOBODY, config, request, text};

/// Operations of the contract that are not served, with the reason.
const NOT_SERVED: [(&str, &str, &str); 0] = [];

/// What the server documents but for its extensions, and what the contract says.
///
/// Not compared are words, names of operations (half of the contract has none, and ours are the names of commands and files) and headers (the
/// contract lists none). What else is ours is marked `x-errand-extension` in the document and left out here: statuses that the contract does
/// not list, and how an upload looks, on which it is silent.
fn both() -> (Value, Vec<Value>) {
    let theirs = testkit::schemas::documents().expect("JSON").iter().map(published).collect();
    (published(&server::older_openapi_document()), theirs)
}

#[test]
fn the_contract_is_documented_to_the_letter() {
    let (ours, theirs) = both();
    let (mut compared, mut found) = (0, Vec::new());
    for theirs in &theirs {
        for (path, method, theirs) in operations(theirs) {
            if NOT_SERVED.iter().any(|(skipped, at, _)| (*skipped, *at) == (method, path)) {
                continue;
            }
            compared += 1;
            let differing = differences(&ours[path][method], theirs);
            found.extend(differing.iter().map(|difference| format!("{method} {path}{difference}")));
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(compared, 17);
}

#[test]
fn whatever_the_contract_does_not_have_is_marked_as_an_extension() {
    let (ours, theirs) = both();
    for (path, method, _) in operations(&ours) {
        assert!(theirs.iter().any(|theirs| theirs[path][method].is_object()), "{method} {path}");
    }
    for (method, path, why) in NOT_SERVED {
        assert!(ours[path][method].is_null(), "it is served: take {method} {path} out ({why})");
    }
}

#[test]
fn the_checked_in_document_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = server::openapi_document();
    if std::env::var_os("ERRAND_WRITE_OPENAPI").is_some() {
        fs::write(&file, serde_json::to_string_pretty(&made).expect("plain") + "\n").expect("a written file");
    }
    let kept: Value = serde_json::from_str(&fs::read_to_string(&file).expect("a file")).expect("JSON");
    let hint =
        "write it anew: ERRAND_WRITE_OPENAPI=1 cargo test -p server --test api the_checked_in_document_is_current";
    assert_eq!(differences(&made, &kept), Vec::<String>::new(), "{hint}");
}

#[test]
fn everything_has_a_name_and_words() {
    let document = server::openapi_document();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document["paths"]) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id.to_owned()), "{id} twice");
        assert!(id.split_once('.').is_some_and(|(noun, verb)| !noun.is_empty() && !verb.is_empty()), "{id}");
        for words in ["summary", "description"] {
            assert!(operation[words].as_str().is_some_and(|text| !text.is_empty()), "{id} has no {words}");
        }
        let keyed = operation["security"] != Value::Array(vec![]);
        assert_eq!(operation["x-errand-scope"].is_string(), keyed, "{id}: a scope for whatever needs a key");
        let named = path.matches('{').count();
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        assert_eq!(parameters.iter().filter(|parameter| parameter["in"] == "path").count(), named, "{method} {path}");
        for example in strings(operation, "example") {
            assert!(!example.starts_with(['{', '[']), "{id} has an example that is no JSON");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(schema["description"].is_string(), "{name} has no description");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}.{field} has no description");
        }
    }
    for words in strings(&document, "description") {
        for odd in ["[`", "`]", "crate::", "Box<", "Option<"] {
            assert!(!words.contains(odd), "{odd} in: {words}");
        }
    }
}

/// The operations that have each code. What a test gets of an operation must be among its own (see `house.rs`); this is the other way round.
fn operations_by_code() -> BTreeMap<String, BTreeSet<String>> {
    let document = server::openapi_document();
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (_, _, operation) in operations(&document["paths"]) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let mut codes = response["x-errand-codes"].as_array().into_iter().flatten().peekable();
            let told = response["description"].as_str().expect("words");
            assert!(status.starts_with('2') || codes.peek().is_some() || told.contains("never answers"), "{status}");
            for code in codes {
                found.entry(text(code)).or_default().insert(text(&operation["operationId"]));
            }
        }
    }
    found
}

#[test]
fn an_operation_lists_no_error_that_it_cannot_give() {
    let found = operations_by_code();
    let uploads = ["file.push", "sandbox.upload", "upload_url.post", "upload_url.put"];
    let json =
        ["agent.create", "build.create", "human_request.respond", "message.post", "run.start", "upload_url.create"];
    // What they are sent means nothing, but is read.
    let without = ["dead_letter.replay", "file.remove", "run.stop", "sandbox.create"];
    let no_key =
        ["documentation.older", "documentation.openapi", "documentation.page", "upload_url.post", "upload_url.put"];
    for (code, only) in [
        ("agent_has_no_build", &["run.start"][..]),
        ("run_not_resumable", &["message.post"]),
        ("run_full", &["message.post"]),
        ("request_already_answered", &["human_request.respond"]),
        ("invalid_upload_url", &uploads[2..]),
        ("sandbox_full", &uploads[1..]),
        ("team_full", &uploads),
        ("unsupported_media_type", &json),
        ("payload_too_large", &[&json[..], &without, &uploads, &["sandbox.download"]].concat()),
        ("request_timeout", &[&json[..], &without, &uploads].concat()),
    ] {
        assert_eq!(found[code], only.iter().map(|id| (*id).to_owned()).collect(), "{code}");
    }
    for id in no_key.into_iter().chain(["health.alive", "health.ready"]) {
        for code in ["invalid_token", "insufficient_scope", "idempotency_key_in_use"] {
            assert!(!found[code].contains(id), "{code} of {id}, which needs no key");
        }
        // A file that comes by an upload URL counts for the key that it was made with.
        assert_eq!(found["rate_limited"].contains(id), id.starts_with("upload_url."), "{id}");
        assert_eq!(found["invalid_request"].contains(id), no_key.contains(&id), "{id}");
    }
    for (list, without) in [("agent.list", "not_found"), ("run.list", "not_found"), ("run.get", "storage_full")] {
        assert!(!found[without].contains(list), "{without} of {list}");
    }
    // It is of paths, so it is said once, for all.
    assert!(!found.contains_key("method_not_allowed"));
}

#[tokio::test]
async fn a_wrong_method_is_answered_as_the_document_says_once_for_all_paths() {
    let house = House::new().await;
    let document = server::openapi_document();
    let told = &document["components"]["responses"]["MethodNotAllowed"];
    assert_eq!(told["x-errand-codes"], json!(["method_not_allowed"]));
    assert!(document["info"]["description"].as_str().expect("words").contains("`method_not_allowed`"));
    for (path, _) in document["paths"].as_object().expect("paths") {
        let request = request("PATCH", &filled(path), KEY).body(Body::empty()).expect("a request");
        let answer = house.send(request).await;
        answer.refusal(405, "method_not_allowed");
        for header in told["headers"].as_object().expect("headers").keys() {
            assert!(answer.header(header).is_some(), "{path}: no {header}");
        }
    }
}

#[tokio::test]
async fn a_length_that_is_documented_is_the_longest_that_is_taken() {
    let house = House::new().await;
    let document = server::openapi_document();
    let (agent, _) = house.agent().await;
    let run = house.run().await;
    let build = |name: &str| json!({"name": name, "config": config("i")});
    let mut tried = 0;
    for (schema, field, status) in [
        ("CreateAgent", "name", 201),
        ("NewBuild", "name", 201),
        ("CreateBuild", "name", 201),
        ("CreateRun", "message", 201),
        ("CreateRun", "webhook_url", 201),
        ("PostMessage", "message", 201),
    ] {
        let most =
            document["components"]["schemas"][schema]["properties"][field]["maxLength"].as_u64().expect("a length");
        let most = usize::try_from(most).expect("a length");
        for (length, status) in [(most, status), (most + 1, 400)] {
            let long = "x".repeat(length);
            let (path, body) = match (schema, field) {
                ("CreateAgent", _) => ("/v1/agents".to_owned(), json!({"name": long})),
                ("NewBuild", _) => ("/v1/agents".to_owned(), json!({"name": "A", "build": build(&long)})),
                ("CreateBuild", _) => {
                    let mut body = build(&long);
                    body["agent_id"] = json!(agent);
                    ("/v1/builds".to_owned(), body)
                }
                ("CreateRun", "webhook_url") => {
                    let url = format!("https://127.0.0.1/{}", &long["https://127.0.0.1/".len()..]);
                    ("/v1/runs".to_owned(), json!({"agent_id": agent, "webhook_url": url}))
                }
                ("CreateRun", _) => ("/v1/runs".to_owned(), json!({"agent_id": agent, "message": long})),
                _ => (format!("/v1/runs/{run}/messages"), json!({"message": long})),
            };
            let answer = house.post(&path, body).await;
            assert_eq!(answer.status, status, "{schema}.{field} with {length}");
            tried += 1;
        }
    }
    let marked = times(&document["components"]["schemas"], "x-errand-narrower");
    assert_eq!((tried, marked), (12, 6), "each length is tried");
    let filters = document["paths"]["/v1/runs"]["get"]["parameters"].as_array().expect("parameters");
    for filter in filters.iter().filter(|filter| filter["schema"]["maxLength"].is_u64()) {
        let most = usize::try_from(filter["schema"]["maxLength"].as_u64().expect("a length")).expect("a length");
        for (length, status) in [(most, 200), (most + 1, 400)] {
            let path = format!("/v1/runs?{}={}", text(&filter["name"]), "x".repeat(length));
            assert_eq!(house.get(&path).await.status, status, "{path}");
        }
    }
}

#[test]
fn the_limits_of_requests_are_said() {
    let document = server::openapi_document();
    let about = document["info"]["description"].as_str().expect("words");
    let page = include_str!("../../../../docs/api.md");
    for said in ["8 KiB", "32 KiB", "100 headers", "2 MiB", "1 MiB", "10 MiB", "16 MiB", "300 requests a minute"] {
        assert!(about.contains(said), "{said} in the document");
        assert!(page.contains(said), "{said} in docs/api.md");
    }
    assert!(about.contains("50000 values") && page.contains("50,000 values"));
    for (_, _, operation) in operations(&document["paths"]) {
        let body = &operation["requestBody"];
        let most = body["x-errand-max-bytes"].as_u64();
        let bytes = body.pointer("/content/application~1json").map(|_| 2 << 20);
        let bytes = bytes.or(body.pointer("/content/multipart~1form-data").map(|_| 10 << 20));
        assert_eq!(most, bytes, "{}", operation["operationId"]);
    }
    let follow = document["paths"]["/v1/runs/{run_id}/events"]["get"]["parameters"].as_array().expect("parameters");
    assert!(follow.iter().any(|parameter| parameter["in"] == "header" && parameter["name"] == "Last-Event-ID"));
}

#[test]
fn the_lists_of_models_are_those_that_configs_are_read_by() {
    use contract::configs as shown;
    use domain::builds as read;
    assert_eq!(shown::AGENT_MODELS, read::AGENT_MODELS);
    assert_eq!(shown::BROWSING_PROVIDERS, read::BROWSING_PROVIDERS);
    assert_eq!(shown::BROWSING_MODELS, read::BROWSING_MODELS);
}

#[tokio::test]
async fn the_parameters_that_are_documented_are_those_that_are_taken() {
    let house = House::new().await;
    let document = server::openapi_document();
    for (path, method, operation) in operations(&document["paths"]) {
        if operation["security"] == Value::Array(vec![]) {
            continue;
        }
        let path = filled(path);
        let ask = async |query: &str| {
            let request = request(&method.to_uppercase(), &format!("{path}?{query}"), KEY);
            house.send(request.body(Body::empty()).expect("a request")).await
        };
        let told = ask("surprise=1").await.refusal(400, "invalid_request");
        assert!(told.contains("query parameter `surprise`"), "{method} {path}: {told}");
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let (name, example) = (parameter["name"].as_str().expect("a name"), &parameter["example"]);
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let answer = ask(&format!("{name}={example}")).await;
            assert!(
                !String::from_utf8_lossy(&answer.body).contains("query parameter"),
                "{method} {path}?{name}={example}"
            );
        }
    }
}

#[tokio::test]
async fn it_is_served_to_everybody_and_nothing_else_is() {
    let house = House::new().await;
    let document = open(&house, "/v1/documentation/openapi.json").await;
    assert_eq!(document.json(), server::openapi_document());
    let older = open(&house, "/v1/documentation/json").await;
    assert_eq!(older.json(), server::older_openapi_document());
    assert_eq!((&document.json()["openapi"], &older.json()["openapi"]), (&"3.1.0".into(), &"3.0.3".into()));
    for path in ["/v1/documentation/", "/v1/documentation/page.css", "/v1/agents"] {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        house.send(request).await.refusal(401, "invalid_token");
    }
}

#[tokio::test]
async fn the_page_shows_all_of_it_and_loads_nothing() {
    let house = House::new().await;
    let page = open(&house, "/v1/documentation").await;
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let html = String::from_utf8(page.body.to_vec()).expect("text");
    let document = server::openapi_document();
    for (_, _, operation) in operations(&document["paths"]) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(html.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    for (event, webhook) in document["webhooks"].as_object().expect("webhooks") {
        assert!(html.contains(&format!("id=\"webhook-{event}\"")), "{event}");
        for parameter in webhook["post"]["parameters"].as_array().expect("headers") {
            assert!(html.contains(&format!("<code>{}</code>", text(&parameter["name"]))), "{parameter}");
        }
    }
    assert!(html.contains("errand webhooks secret") && html.contains("HMAC-SHA256"), "how a delivery is checked");
    // Each link leads somewhere.
    for target in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(html.contains(&format!("id=\"{target}\"")), "a link to #{target}");
    }
    let loads = ["src=", "@import", "url(", "<iframe", "fetch(", "XMLHttpRequest", "style=\"", "onclick"];
    assert!(loads.iter().all(|load| !html.contains(load)), "{loads:?}");
}

async fn open(house: &House, path: &str) -> Answer {
    let answer = house.send(Request::builder().uri(path).body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("x-errand-extension"), Some("true"));
    answer
}

fn operations(paths: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = paths.as_object().into_iter().flatten();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// A path with ids of nothing in it.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// How often this key stands anywhere.
fn times(value: &Value, key: &str) -> usize {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| usize::from(name == key) + times(value, key)).sum()
        }
        Value::Array(items) => items.iter().map(|item| times(item, key)).sum(),
        _ => 0,
    }
}

/// Every text that stands under this key, wherever it is.
fn strings<'v>(value: &'v Value, key: &str) -> Vec<&'v str> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, value)| match value.as_str() {
                Some(text) if name == key => vec![text],
                _ => strings(value, key),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| strings(item, key)).collect(),
        _ => vec![],
    }
}
