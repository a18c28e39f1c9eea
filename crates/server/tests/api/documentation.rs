//! The documentation: that it is the contract to the letter, says everything, is checked in, and can be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use testkit::documents::{differences, published};

use crate::house::{Answer, House, KEY, NOBODY, request};

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
