//! The two tools that are not called but heard: `engine` turns them into a question to a person and into the end of the Job. Only what
//! models read of them is here; their meaning is in [`domain::human_requests`] and [`domain::runs`].

pub(super) use domain::human_requests::ASK_PERSON;
pub(super) use domain::runs::FINISH;
use domain::turns::ToolSpec;
use serde_json::json;

pub(super) fn ask_person() -> ToolSpec {
    let choice = json!({
        "type": "object",
        "properties": {
            "label": { "type": "string", "description": "The answer." },
            "description": { "type": "string", "description": "What choosing it means." },
        },
        "required": ["label"],
        "additionalProperties": false,
    });
    let question = json!({
        "type": "object",
        "properties": {
            "question": { "type": "string", "description": "One question; its text must differ from the others'." },
            "header": { "type": "string", "description": "A label of one or two words." },
            "options": { "type": "array", "items": choice, "description": "Answers to suggest; people may still write their own." },
            "multi_select": { "type": "boolean", "description": "Several options may be chosen." },
        },
        "required": ["question"],
        "additionalProperties": false,
    });
    ToolSpec {
        name: ASK_PERSON.into(),
        description: "Ask a person and wait for the answer, which may take hours. Use kind \"approval\" before a step that the \
            instructions reserve for people or that cannot be undone, and kind \"question\" when something only a person can know or \
            decide is missing. Do not ask what the files or instructions already say; put related questions into one call. Returns \
            {\"approved\": true or false} or {\"answers\": {question: answer}}. A denied approval means: do not do it.".into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "kind": { "type": "string", "enum": ["approval", "question"] },
                "title": { "type": "string", "description": "What you ask, in one line." },
                "description": {
                    "type": "string",
                    "description": "What the person needs to decide: facts, amounts, file names, what happens next.",
                },
                "questions": {
                    "type": "array",
                    "items": question,
                    "description": "For kind \"question\" only. Without it the title is the question.",
                },
            },
            "required": ["kind", "title"],
            "additionalProperties": false,
        }),
    }
}

pub(super) fn finish(json_object: bool) -> ToolSpec {
    let (description, result) = if json_object {
        (
            "End the Job and hand over its result, a JSON object in the form that the instructions ask for. Call it once, alone, when \
            everything is done or cannot be done; write result files before.",
            json!({ "type": "object", "description": "The result." }),
        )
    } else {
        (
            "End the Job and hand over its result. Call it once, alone, when everything is done or cannot be done; write result files \
            before. Say what came out, which files hold it, and what is left open.",
            json!({ "type": "string", "description": "The result, for the person who gave the Job. Markdown is fine." }),
        )
    };
    ToolSpec {
        name: FINISH.into(),
        description: description.into(),
        parameters: json!({
            "type": "object",
            "properties": { "result": result },
            "required": ["result"],
            "additionalProperties": false,
        }),
    }
}
