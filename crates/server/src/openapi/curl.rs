//! An example as a command that can be copied into a shell. The tests send just this command's request.

use crate::operations::{Body, Content, Entry};

/// The example of an operation as a call of `curl`. It takes the server's address and the key from the environment.
pub(crate) fn curl(entry: &Entry) -> String {
    let example = &entry.operation.example;
    let mut path = entry.path.to_owned();
    for (_, parameter) in entry.parameters().filter(|(place, _)| *place == "path") {
        path = path.replace(&format!("{{{}}}", parameter.name), parameter.example.as_str().unwrap_or_default());
    }
    let query = if example.query.is_empty() { String::new() } else { format!("?{}", example.query) };
    let unbuffered = if matches!(entry.operation.content, Content::Events(_)) { "N" } else { "" };
    let mut parts = vec![format!("curl -sS{unbuffered} \"$ERRAND_BASE_URL{path}{query}\"")];
    if entry.scope.is_some() {
        parts.push("-H \"Authorization: Bearer $ERRAND_API_KEY\"".to_owned());
    }
    match entry.operation.body {
        Some(Body::Json(_)) => {
            parts.push("-H 'Content-Type: application/json'".to_owned());
            parts.push(format!("-d {}", quoted(example.body)));
        }
        Some(Body::Bytes) => {
            let method = if entry.method == "put" { "-X PUT " } else { "" };
            parts.push(format!("{method}--data-binary {}", quoted(example.body)));
        }
        Some(Body::File) => {
            parts.push("-H 'Content-Type: application/octet-stream'".to_owned());
            parts.push(format!("--data-binary {}", quoted(example.body)));
        }
        None if entry.method == "delete" => parts.push("-X DELETE".to_owned()),
        None if entry.method == "post" => parts.push("-X POST".to_owned()),
        None => {}
    }
    parts.join(" \\\n  ")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
