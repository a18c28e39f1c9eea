//! `errand runs export`: a finished Job's model turns as a recording, which the demo and tests can play (docs/recordings.md).

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use agent::recorded::{Format, RecordedCall, RecordedReply, RecordedTurn, Recording};
use anyhow::Context;
use contract::runs::RunDetail;
use domain::runs::Event;
use domain::turns::Reply;

use crate::client::Api;
use crate::follow::{Stream, terminal};
use crate::paint;

/// Fetches the journal and writes the recording.
pub(super) async fn run(api: &Api, run: &str, output: Option<&Path>) -> anyhow::Result<()> {
    let detail: RunDetail = api.get(&["runs", run], &[]).await?.read()?;
    if terminal(&detail.run.status).is_none() {
        anyhow::bail!("the Job is {}: only one that has ended can be exported", detail.run.status);
    }
    let mut events = Vec::new();
    let mut stream = Stream::new(api, run);
    while let Some(entry) = stream.next().await? {
        events.extend(entry.event);
    }
    let about = format!("Job {} of Build {}", detail.run.id, detail.run.build_id);
    let mut json = serde_json::to_string_pretty(&recording(about, &events)?)?;
    json.push('\n');
    match output {
        Some(file) => write_new(file, &json),
        None => Ok(paint::print(&json)?),
    }
}

/// Writes a file that is not there yet: what lies under that name may be someone's only copy.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.display();
    match File::create_new(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            anyhow::bail!("{name} is there already and stays as it is: name another file, or remove it first")
        }
        made => made.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| name.to_string()),
    }
}

/// Each turn with what people had said by then, which is what it is found by.
fn recording(about: String, events: &[Event]) -> anyhow::Result<Recording> {
    let mut people = Vec::new();
    let mut turns = Vec::new();
    let mut model = None;
    let mut held = None;
    for event in events {
        match event {
            Event::MessageReceived(said) => people.push(said.text.clone()),
            Event::Held { request } => held = Some(request.id),
            // Nothing that the model hears.
            Event::PersonAnswered { request_id, .. } if held == Some(*request_id) => {}
            Event::PersonAnswered { response, .. } => people.push(response.text()),
            Event::Replied { turn, reply } => {
                model.get_or_insert(reply.model.clone());
                turns.push(RecordedTurn { turn: *turn, people: people.clone(), reply: recorded(reply) });
            }
            _ => {}
        }
    }
    let model = model.context("the Job has no model turn: there is nothing to record")?;
    Ok(Recording { format: Format::V1, about, model, turns })
}

fn recorded(reply: &Reply) -> RecordedReply {
    let call =
        |call: &domain::turns::ToolCall| RecordedCall { name: call.name.clone(), arguments: call.arguments.clone() };
    RecordedReply {
        text: reply.text.clone(),
        calls: reply.calls.iter().map(call).collect(),
        stop: reply.stop,
        usage: reply.usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::human_requests::Response;
    use domain::runs::Said;
    use domain::turns::{Stop, Usage};
    use uuid::Uuid;

    fn replied(turn: u32, text: &str) -> Event {
        let reply = Reply {
            text: text.into(),
            calls: vec![],
            stop: Stop::Done,
            model: "m".into(),
            usage: Usage::default(),
            carry: None,
        };
        Event::Replied { turn, reply }
    }

    #[test]
    fn a_turn_is_kept_with_all_that_was_said_before_it() {
        let said = Event::MessageReceived(Said { id: Uuid::nil(), text: "go".into() });
        let answered = Event::PersonAnswered { request_id: Uuid::nil(), response: Response::Approved(true) };
        let events = [said, replied(1, "a"), answered, replied(2, "b")];
        let made = recording("x".into(), &events).unwrap();
        let people: Vec<_> = made.turns.iter().map(|turn| turn.people.join(",")).collect();
        assert_eq!((made.model.as_str(), people), ("m", vec!["go".to_owned(), "go,approved".to_owned()]));
        assert!(recording("x".into(), &[]).is_err());
    }
}
