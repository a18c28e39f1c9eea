//! A window of lines over a text, small enough for a conversation.

use serde_json::{Value, json};

/// Most bytes of text that one call returns. A model reads on with `offset`.
pub(super) const WINDOW_BYTES: usize = 64 * 1024;

/// Lines returned when the call names no limit.
const WINDOW_LINES: usize = 2_000;

/// `{"path", "content", "first_line", "lines"}`: `lines` counts the whole text, `first_line` is where `content` begins, from 1. When text
/// is left out, also `"truncated": true` and a `"note"` that says how to read on.
pub(super) fn window(path: &str, text: &str, offset: usize, limit: Option<usize>) -> Result<Value, String> {
    let lines = text.lines().count();
    if offset > lines.max(1) {
        return Err(format!("argument \"offset\": {path} has {lines} lines; expected at most {}", lines.max(1)));
    }
    let mut content = String::new();
    let mut taken = 0;
    let mut note = None;
    for line in text.split_inclusive('\n').skip(offset - 1).take(limit.unwrap_or(WINDOW_LINES)) {
        if content.len() + line.len() > WINDOW_BYTES {
            if taken == 0 {
                content.push_str(&line[..line.floor_char_boundary(WINDOW_BYTES)]);
                taken = 1;
                note = Some(format!("line {offset} has {} bytes and is cut after {}", line.len(), content.len()));
            }
            break;
        }
        content.push_str(line);
        taken += 1;
    }
    let next = offset + taken;
    if next <= lines {
        let rest = format!("lines {next} to {lines} are not shown; read on with offset {next}");
        note = Some(note.map_or(rest.clone(), |cut| format!("{cut}; {rest}")));
    }
    let mut window = json!({ "path": path, "content": content, "first_line": offset, "lines": lines });
    if let Some(note) = note {
        window["truncated"] = Value::Bool(true);
        window["note"] = Value::String(note);
    }
    Ok(window)
}

/// The text of a file: UTF-8, without the mark that some programs put first. Anything else is given back.
pub(super) fn decode(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => rest.to_vec(),
        None => bytes,
    };
    // Valid UTF-8 with NUL in it is data that happens to decode, and no database would take it.
    if bytes.contains(&0) {
        Err(bytes)
    } else {
        String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_says_what_it_leaves_out() {
        let text = "line 1\nline 2\nline 3\nline 4\nline 5\n";
        let all = window("/workspace/a", text, 1, None).unwrap();
        assert_eq!(all, json!({"path": "/workspace/a", "content": text, "first_line": 1, "lines": 5}));
        let middle = window("/workspace/a", text, 2, Some(2)).unwrap();
        assert_eq!(middle["content"], "line 2\nline 3\n");
        assert_eq!(middle["note"], "lines 4 to 5 are not shown; read on with offset 4");
        let last = window("/workspace/a", text, 5, Some(9)).unwrap();
        assert_eq!((&last["content"], last.get("truncated")), (&json!("line 5\n"), None));
        assert!(window("/workspace/a", text, 6, None).unwrap_err().contains("5 lines"));
        assert_eq!(window("/workspace/a", "", 1, None).unwrap()["lines"], 0);
    }

    #[test]
    fn windows_put_together_are_the_text() {
        let text = "7,some product name,19.99\n8,ünïcödé,0.50\n\n".repeat(4_000);
        let (mut offset, mut whole) = (1, String::new());
        loop {
            let part = window("/workspace/a", &text, offset, Some(100_000)).unwrap();
            let content = part["content"].as_str().unwrap();
            assert!(content.len() <= WINDOW_BYTES);
            whole.push_str(content);
            if part.get("truncated").is_none() {
                break;
            }
            offset += content.lines().count();
            assert!(offset < 20_000, "it never ends");
        }
        assert!(whole == text);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters() {
        let text = format!("{}\nnext\n", "é".repeat(WINDOW_BYTES));
        let cut = window("/workspace/a", &text, 1, None).unwrap();
        assert_eq!(cut["content"].as_str().unwrap().len(), WINDOW_BYTES);
        assert_eq!(
            cut["note"],
            "line 1 has 131073 bytes and is cut after 65536; lines 2 to 2 are not shown; read on with offset 2"
        );
    }

    #[test]
    fn only_utf8_without_nul_is_text() {
        assert_eq!(decode(b"\xef\xbb\xbfa;b".to_vec()).unwrap(), "a;b");
        assert!(decode(b"a\0b".to_vec()).is_err());
        assert!(decode(b"Stra\xdfe".to_vec()).is_err());
    }
}
