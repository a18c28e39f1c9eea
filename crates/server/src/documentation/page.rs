//! The page: a list of operations at the side, what each takes and gives, and an example of it to copy.
//!
//! Plain HTML that can be read without its script. It is made from the operations and from the document, which has the schemas.

use serde_json::Value;

use super::deliveries::{deliveries, menu_item};
use super::html::{code, each, escaped, line, prose, row, table};
use super::shapes::{described, kind, link, shape};
use crate::openapi::curl;
use crate::operations::{CODES, Chapter, Entry};

const SETUP: &str = "export ERRAND_BASE_URL=http://127.0.0.1:8080\nexport ERRAND_API_KEY=dv_…";

/// The whole page.
pub(super) fn page(entries: &[Entry], document: &Value, style: &str, script: &str) -> String {
    let chapters = Chapter::ALL.map(|chapter| {
        let of_it = entries.iter().filter(|entry| entry.operation.chapter == chapter);
        let operations = each(of_it, |entry| operation(entry, document));
        let title = chapter.title();
        let sent = if chapter == Chapter::Webhooks { deliveries(document) } else { String::new() };
        format!(
            "<section class=\"chapter\" id=\"{title}\"><h2>{title}</h2>{}{sent}{operations}</section>\n",
            prose(chapter.text())
        )
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Errand API</title><link rel=\"icon\" href=\"data:,\"><style>{style}</style></head>\n<body>\n\
         <nav><div class=\"brand\"><a href=\"#top\">Errand</a> <span>API {version}</span></div>\n\
         <input id=\"filter\" type=\"search\" placeholder=\"Filter\" aria-label=\"Filter operations\" hidden>\n{menu}</nav>\n\
         <main id=\"top\">\n{intro}{chapters}{errors}{schemas}</main>\n<script>{script}</script>\n</body>\n</html>\n",
        version = escaped(env!("CARGO_PKG_VERSION")),
        menu = menu(entries),
        intro = intro(document),
        chapters = chapters.concat(),
        errors = errors(),
        schemas = schemas(document),
    )
}

fn menu(entries: &[Entry]) -> String {
    let chapter = |chapter: Chapter| {
        let of_it = entries.iter().filter(|entry| entry.operation.chapter == chapter);
        let items = each(of_it, |entry| {
            format!(
                "<li><a href=\"#{id}\"><span>{summary}</span> <b class=\"{method}\">{method}</b></a></li>\n",
                id = entry.operation.id,
                summary = escaped(entry.operation.summary),
                method = entry.method,
            )
        });
        let sent = if chapter == Chapter::Webhooks { menu_item() } else { String::new() };
        format!("<h4><a href=\"#{0}\">{0}</a></h4><ul>\n{sent}{items}</ul>\n", chapter.title())
    };
    let more = "<h4>More</h4><ul><li><a href=\"#errors\"><span>Errors</span></a></li><li><a href=\"#schemas\"><span>Schemas</span></a></li></ul>\n";
    Chapter::ALL.map(chapter).concat() + more
}

fn intro(document: &Value) -> String {
    format!(
        "<header><h1>Errand API</h1>\n{about}<p class=\"links\"><a href=\"/v1/documentation/openapi.json\">OpenAPI 3.1</a> \
         <a href=\"/v1/documentation/json\">OpenAPI 3.0.3</a></p>\n{setup}</header>\n",
        about = prose(document["info"]["description"].as_str().unwrap_or_default()),
        setup = code("Before you try an example", SETUP),
    )
}

fn operation(entry: &Entry, document: &Value) -> String {
    let told = &entry.operation;
    let published = &document["paths"][entry.path][entry.method];
    let scope = match entry.scope {
        Some(scope) => format!("<span class=\"badge\">scope {}</span>", scope.word()),
        None => "<span class=\"badge open\">no key</span>".to_owned(),
    };
    let extension = if told.extension { "<span class=\"badge ours\">extension</span>" } else { "" };
    format!(
        "<section class=\"operation\" id=\"{id}\"><h3><a href=\"#{id}\">{summary}</a> {scope}{extension}</h3>\n\
         <p class=\"place\"><b class=\"{method}\">{method}</b> <code>{path}</code></p>\n\
         <div class=\"columns\"><div class=\"words-side\">\n{text}{parameters}{body}{answers}</div>\n\
         <div class=\"examples\">\n{curl}{answer}</div></div></section>\n",
        id = told.id,
        summary = escaped(told.summary),
        method = entry.method,
        path = escaped(entry.path),
        text = prose(told.text),
        parameters = parameters(published),
        body = body(published, document),
        answers = answers(published),
        curl = code("Request", &curl(entry)),
        answer = if told.example.answer.is_empty() {
            String::new()
        } else {
            code(&format!("Answer {}", told.success), told.example.answer.trim_end())
        },
    )
}

fn parameters(published: &Value) -> String {
    let parameters = published["parameters"].as_array().into_iter().flatten();
    let rows: Vec<_> = parameters
        .map(|parameter| {
            let text = |key: &str| escaped(parameter[key].as_str().unwrap_or_default());
            let optional = if parameter["required"] == true { "" } else { ", optional" };
            let place = format!(" <span class=\"optional\">{}{optional}</span>", text("in"));
            let told = line(parameter["description"].as_str().unwrap_or_default()) + &described(&parameter["schema"]);
            row(&[&format!("<code>{}</code>{place}", text("name")), &kind(&parameter["schema"]), &told])
        })
        .collect();
    let table = table(&["Parameter", "Value", ""], &rows);
    if table.is_empty() { table } else { format!("<h5>Parameters</h5>{table}") }
}

fn body(published: &Value, document: &Value) -> String {
    let content = published["requestBody"]["content"].as_object().into_iter().flatten();
    let told = content.map(|(kind_of, carried)| {
        let (schema, name) = followed(&carried["schema"], document);
        let name = name.map(|name| format!("{} ", link(name))).unwrap_or_default();
        format!("<p>{name}<code>{}</code></p>{}", escaped(kind_of), shape(schema))
    });
    let told: String = told.collect();
    let limits = prose(published["requestBody"]["description"].as_str().unwrap_or_default());
    if told.is_empty() { told } else { format!("<h5>Body</h5>{limits}{told}") }
}

fn answers(published: &Value) -> String {
    let responses = published["responses"].as_object().into_iter().flatten();
    let (good, bad): (Vec<_>, Vec<_>) = responses.partition(|(status, _)| status.starts_with('2'));
    let good: Vec<_> = good
        .into_iter()
        .map(|(status, response)| {
            let content = response["content"].as_object().into_iter().flatten();
            let told: Vec<_> = content
                .map(|(kind_of, carried)| {
                    let event = &carried["x-errand-event"];
                    let schema = if event.is_object() { event } else { &carried["schema"] };
                    format!("{} <code>{}</code>", kind(schema), escaped(kind_of))
                })
                .collect();
            format!("<p><b class=\"status\">{status}</b> {}</p>\n", told.join(" or "))
        })
        .collect();
    let bad = each(bad, |(status, response)| {
        let codes = response["x-errand-codes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let codes: Vec<_> = codes.map(|code| format!("<a href=\"#error-{0}\">{0}</a>", escaped(code))).collect();
        if codes.is_empty() { String::new() } else { format!("<b class=\"status\">{status}</b> {}; ", codes.join(" ")) }
    });
    let bad = if bad.is_empty() {
        bad
    } else {
        format!("<p class=\"failures\">Errors: {}</p>\n", bad.trim_end_matches("; "))
    };
    format!("<h5>Answers</h5>{}{bad}", good.concat())
}

fn errors() -> String {
    let rows: Vec<_> = CODES
        .iter()
        .map(|code| {
            let name = format!("<code id=\"error-{0}\">{0}</code>", code.name);
            row(&[&format!("<b class=\"status\">{}</b>", code.status), &name, &line(code.text)])
        })
        .collect();
    format!(
        "<section class=\"chapter\" id=\"errors\"><h2>Errors</h2>\n<p>Every answer that is no success is \
         <code>{{\"error\": code, \"message\": text}}</code>, {}. The code is for programs and stays; the message is for people and says what \
         was wrong, where, and what to do. The header <code>x-request-id</code> is what the server's operator needs.</p>\n{}</section>\n",
        link("ErrorBody"),
        table(&["Status", "Code", "When"], &rows)
    )
}

fn schemas(document: &Value) -> String {
    let all = document["components"]["schemas"].as_object().into_iter().flatten();
    let told = each(all, |(name, schema)| {
        let text = prose(schema["description"].as_str().unwrap_or_default());
        let name = escaped(name);
        format!("<section class=\"schema\" id=\"schema-{name}\"><h3>{name}</h3>{text}{}</section>\n", shape(schema))
    });
    format!("<section class=\"chapter\" id=\"schemas\"><h2>Schemas</h2>\n{told}</section>\n")
}

/// A schema, or the one that it refers to and its name.
fn followed<'d>(schema: &'d Value, document: &'d Value) -> (&'d Value, Option<&'d str>) {
    match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => (&document["components"]["schemas"][name], Some(name)),
        None => (schema, None),
    }
}
