//! The section `webhooks` of the document: what Errand itself sends.

use serde_json::{Map, Value, json};

use super::EXTENSION;
use super::schemas::Schemas;
use crate::operations::Chapter;
use crate::operations::deliveries::{ABOUT, DELIVERIES, Delivery, PAYLOAD, SENT, answers};

/// Each event as a request that the receiver answers.
pub(super) fn webhooks(schemas: &mut Schemas) -> Map<String, Value> {
    let payload = schemas.answer(PAYLOAD);
    DELIVERIES.iter().map(|told| (told.event.to_owned(), json!({"post": delivery(told, &payload)}))).collect()
}

fn delivery(told: &Delivery, payload: &Value) -> Value {
    let parameters = SENT.map(|(name, text, example)| {
        let schema = json!({"type": "string"});
        json!({"name": name, "in": "header", "description": text, "required": true, "schema": schema, "example": example})
    });
    let responses = answers().into_iter().map(|(status, text)| (status.to_owned(), answer(status, &text)));
    json!({
        "operationId": format!("webhook.{}", told.event),
        "tags": [Chapter::Webhooks.title()],
        "summary": told.summary,
        "description": format!("{}\n\n{ABOUT}", told.text),
        "security": [],
        "parameters": parameters,
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": narrowed(told, payload), "example": told.example()}},
        },
        "responses": responses.collect::<Map<_, _>>(),
        EXTENSION: true,
    })
}

/// The shape of all events, with what this one has in it.
fn narrowed(told: &Delivery, payload: &Value) -> Value {
    let mut schema = payload.clone();
    schema["properties"] = json!({"event": {"const": told.event}, "status": {"const": told.status}});
    if told.asks {
        schema["required"] = json!(["human_request"]);
    }
    schema
}

fn answer(status: &str, text: &str) -> Value {
    let mut answer = json!({"description": text});
    if status == "default" {
        let text = "After how many seconds to try again, kept to if it is longer than the pause: a day at most.";
        answer["headers"] = json!({"retry-after": {"description": text, "schema": {"type": "integer"}}});
    }
    answer
}
