//! What Errand sends by itself, as a part of the page: the events, the headers of a delivery, what its answer means, and a body as it comes.

use serde_json::Value;

use super::html::{code, each, escaped, line, prose, row, table};
use super::shapes::link;
use crate::operations::deliveries::{ABOUT, DELIVERIES, SENT, answers};

/// Where on the page it is.
const ID: &str = "deliveries";
const TITLE: &str = "What is sent";

/// The line of the menu that leads there.
pub(super) fn menu_item() -> String {
    format!("<li><a href=\"#{ID}\"><span>{TITLE}</span> <b class=\"post\">sent</b></a></li>\n")
}

/// The section.
pub(super) fn deliveries(document: &Value) -> String {
    let events: Vec<_> = DELIVERIES
        .iter()
        .map(|told| {
            let name = format!("<code id=\"webhook-{0}\">{0}</code>", escaped(told.event));
            let text = format!("{}. {}", told.summary, told.text);
            row(&[&name, &format!("<code>{}</code>", escaped(told.status)), &line(&text)])
        })
        .collect();
    let headers: Vec<_> = SENT
        .iter()
        .map(|(name, text, example)| {
            row(&[&format!("<code>{name}</code>"), &line(&format!("`{example}`")), &line(text)])
        })
        .collect();
    let answers: Vec<_> = answers()
        .iter()
        .map(|(status, text)| row(&[&format!("<b class=\"status\">{status}</b>"), &line(text)]))
        .collect();
    let first = DELIVERIES.first().map(|told| &document["webhooks"][told.event]["post"]["requestBody"]);
    let payload = first.and_then(|body| body["content"]["application/json"]["schema"]["$ref"].as_str());
    let payload = payload.and_then(|reference| reference.rsplit('/').next()).unwrap_or_default();
    let bodies = each(&DELIVERIES, |told| {
        let body = serde_json::to_string_pretty(&told.example()).unwrap_or_default();
        if told.asks || told.event == "run_completed" { code(told.event, &body) } else { String::new() }
    });
    format!(
        "<section class=\"operation\" id=\"{ID}\"><h3><a href=\"#{ID}\">{TITLE}</a> <span class=\"badge ours\">extension</span></h3>\n\
         <p class=\"place\"><b class=\"post\">post</b> <code>webhook_url</code></p>\n\
         <div class=\"columns\"><div class=\"words-side\">\n{about}<h5>Events</h5>{events}<h5>Headers</h5>{headers}\
         <h5>Body</h5><p>{payload} <code>application/json</code></p>\n<h5>What you answer</h5>{answers}</div>\n\
         <div class=\"examples\">\n{bodies}</div></div></section>\n",
        about = prose(ABOUT),
        events = table(&["Event", "Status", "When"], &events),
        headers = table(&["Header", "Such as", ""], &headers),
        payload = link(payload),
        answers = table(&["Status", "What it does"], &answers),
    )
}
