//! Tools of MCP servers: what a server says one is, and what of that is taken.
//!
//! A [`Definition`] is what a model is shown and what a person approves, so it is pinned: stored whole with its [`Definition::hash`] when it is first
//! seen, and a server that says something else later has another tool. [`Definition::read`] refuses what could hide something from the person
//! who reads it, or is too large to read. Not here: fetching definitions, calling tools.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The longest name of a tool, in bytes.
pub const NAME_MAX: usize = 128;
/// The longest title or description, in bytes.
pub const WORDS_MAX: usize = 8 * 1024;
/// How deep a schema may be nested.
pub const DEPTH_MAX: usize = 32;
/// How many values a schema may have in all.
pub const NODES_MAX: usize = 1_000;
/// The longest name that every provider takes.
const OFFERED_MAX: usize = 64;
/// The most tools of one server.
pub const TOOLS_MAX: usize = 128;

/// What a server says that one of its tools is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name there.
    pub name: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does and when to use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments: always an object's.
    #[serde(rename = "inputSchema")]
    pub input_schema: Map<String, Value>,
    /// JSON Schema of its structured result.
    #[serde(default, rename = "outputSchema", skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Map<String, Value>>,
    /// Hints of the server about it. Nothing follows from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Map<String, Value>>,
}

/// What a server offers, as it is pinned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Its tools, as it lists them, each name once.
    pub tools: Vec<Definition>,
    /// Why others of its list are not among them: a sentence each.
    pub refused: Vec<String>,
}

impl Definition {
    /// Reads one entry of a server's list. What is not part of a definition (icons, `_meta`) is left out.
    ///
    /// # Errors
    /// Why it is not offered, in a sentence about it.
    pub fn read(entry: Value) -> Result<Self, String> {
        let definition: Self = serde_json::from_value(entry).map_err(|error| format!("is not a tool: {error}"))?;
        let name = &definition.name;
        if name.is_empty()
            || name.len() > NAME_MAX
            || name.chars().any(|letter| letter.is_whitespace() || hides(letter))
        {
            return Err(format!("has a name that is not 1 to {NAME_MAX} visible bytes"));
        }
        for (what, words) in [("title", &definition.title), ("description", &definition.description)] {
            if words.as_ref().is_some_and(|words| words.len() > WORDS_MAX) {
                return Err(format!("has a {what} of more than {WORDS_MAX} bytes"));
            }
        }
        let whole = serde_json::to_value(&definition).map_err(|error| format!("is not a tool: {error}"))?;
        let mut nodes = 0;
        look(&whole, 0, &mut nodes)?;
        if definition.input_schema.get("type").is_some_and(|kind| kind != "object") {
            return Err("has an inputSchema that is not an object's".into());
        }
        Ok(definition)
    }

    /// What is different in `now`, for a person who decides whether to go on with it.
    pub fn difference(&self, now: &Self) -> String {
        let mut text = String::from("The server defines this tool otherwise than when it was pinned to the Build.");
        let schema = |schema: &Option<Map<String, Value>>| {
            schema.as_ref().map(|schema| format!("{:#}", Value::Object(schema.clone())))
        };
        let (was_input, is_input) = (Some(self.input_schema.clone()), Some(now.input_schema.clone()));
        for (what, was, is) in [
            ("title", self.title.clone(), now.title.clone()),
            ("description", self.description.clone(), now.description.clone()),
            ("input schema", schema(&was_input), schema(&is_input)),
            ("output schema", schema(&self.output_schema), schema(&now.output_schema)),
            ("annotations", schema(&self.annotations), schema(&now.annotations)),
        ] {
            if was != is {
                let [was, is] = [was, is].map(|words| words.unwrap_or_else(|| "(none)".into()));
                text.extend(["\n\nIts ", what, " was:\n", &was, "\n\nand is now:\n", &is]);
            }
        }
        text
    }

    /// SHA-256 of its canonical JSON (RFC 8785), lower-case hex.
    pub fn hash(&self) -> String {
        // A value that was read from JSON has canonical JSON.
        let canonical = serde_json_canonicalizer::to_vec(self).unwrap_or_default();
        Sha256::digest(canonical).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}

/// The name that a model knows a server's tool by: `LABEL__TOOL`, as all providers take names (`[a-zA-Z0-9_-]`, 64 at most). What does not fit so, or is
/// `taken`, gets a part of the hash of the whole in place of its end.
pub fn offered_name(server: &str, tool: &str, taken: impl Fn(&str) -> bool) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' }).collect()
    };
    let name = format!("{}__{}", plain(server), plain(tool));
    let exact = name == format!("{server}__{tool}");
    if exact && name.len() <= OFFERED_MAX && !taken(&name) {
        return name;
    }
    let whole = Sha256::digest(format!("{server}\0{tool}"));
    let mark = whole.iter().take(4).fold(String::from("_"), |mark, byte| format!("{mark}{byte:02x}"));
    let kept = name.len().min(OFFERED_MAX - mark.len());
    format!("{}{mark}", &name[..kept])
}

/// Whether a character could make people see something else than what is there: invisible ones, and those that turn the direction of text.
pub fn hides(letter: char) -> bool {
    matches!(letter,
        '\u{0}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Refuses what hides something, is nested too deep or has too many values.
fn look(value: &Value, depth: usize, nodes: &mut usize) -> Result<(), String> {
    *nodes += 1;
    if depth > DEPTH_MAX {
        return Err(format!("is nested more than {DEPTH_MAX} deep"));
    }
    if *nodes > NODES_MAX {
        return Err(format!("has more than {NODES_MAX} values"));
    }
    match value {
        Value::String(text) => visible(text),
        Value::Array(items) => items.iter().try_for_each(|item| look(item, depth + 1, nodes)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            visible(name)?;
            look(field, depth + 1, nodes)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn visible(text: &str) -> Result<(), String> {
    let mut before = ' ';
    for letter in text.chars() {
        // What asks for the coloured form of the sign before it, as in ⚠️, is the one that is common.
        let coloured = letter == '\u{fe0f}' && !before.is_ascii() && !hides(before);
        if hides(letter) && !coloured {
            return Err(format!("has the character U+{:04X}, which is not visible, in its words", u32::from(letter)));
        }
        before = letter;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pay() -> Value {
        json!({"name": "pay", "description": "Pays.", "inputSchema": {"type": "object", "properties": {"amount": {"type": "number"}}}})
    }

    #[test]
    fn a_hash_is_of_all_that_a_definition_says_in_whatever_order() {
        let one = Definition::read(pay()).unwrap();
        let same = r#"{"inputSchema": {"properties": {"amount": {"type": "number"}}, "type": "object"}, "description": "Pays.", "name": "pay", "_meta": {"a": 1}}"#;
        assert_eq!(Definition::read(serde_json::from_str(same).unwrap()).unwrap().hash(), one.hash());
        for (pointer, value) in [
            ("/name", json!("Pay")),
            ("/description", json!("Pays. ")),
            ("/inputSchema/properties/amount", json!({"type": "string"})),
            ("/inputSchema/properties", json!({})),
        ] {
            let mut other = pay();
            *other.pointer_mut(pointer).unwrap() = value;
            assert_ne!(Definition::read(other).unwrap().hash(), one.hash(), "{pointer}");
        }
        for (field, value) in
            [("title", json!("Pay")), ("annotations", json!({"readOnlyHint": true})), ("outputSchema", json!({}))]
        {
            let mut other = pay();
            other[field] = value;
            assert_ne!(Definition::read(other).unwrap().hash(), one.hash(), "{field}");
        }
    }

    #[test]
    fn a_difference_says_what_was_and_what_is() {
        let was = Definition::read(pay()).unwrap();
        let mut now = was.clone();
        now.description = Some("Pays twice.".into());
        now.output_schema = Some(Map::new());
        let expected = "The server defines this tool otherwise than when it was pinned to the Build.\n\nIts description was:\nPays.\n\nand is \
            now:\nPays twice.\n\nIts output schema was:\n(none)\n\nand is now:\n{}";
        assert_eq!(was.difference(&now), expected);
    }

    #[test]
    fn every_tool_has_a_name_that_providers_take_and_no_other_has() {
        assert_eq!(offered_name("bank", "pay-now", |_| false), "bank__pay-now");
        let mut names = std::collections::BTreeSet::new();
        let long = "x".repeat(100);
        for (server, tool) in [
            ("bank", "pay"),
            ("bank ", "pay"),
            ("bänk", "pay"),
            ("b_nk", "pay"),
            ("bank__pay", ""),
            ("", "bank__pay"),
            ("bank", "pay.now"),
            ("bank", "pay/now"),
            (&long, "a"),
            (&long, "b"),
            ("a", &long),
            ("日本", "語"),
            ("a__b", "c"),
            ("a", "b__c"),
        ] {
            let name = offered_name(server, tool, |name| names.contains(name));
            assert!(
                name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
                "{name}"
            );
            assert!(names.insert(name.clone()), "{name} twice");
        }
    }

    #[test]
    fn what_hides_something_or_is_too_large_is_not_taken() {
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!({ "a": deep });
        }
        for (field, value, why) in [
            ("name", json!(""), "name"),
            ("name", json!("a b"), "name"),
            ("name", json!("x".repeat(129)), "name"),
            ("description", json!("x".repeat(8 * 1024 + 1)), "description"),
            ("description", json!("Adds.\u{e0041}\u{e0042}"), "U+E0041"),
            ("title", json!("a\u{202e}b"), "U+202E"),
            ("title", json!("⚠\u{fe0f}\u{fe0f}"), "U+FE0F"),
            ("inputSchema", json!({"properties": {"a\u{200b}": {}}}), "U+200B"),
            ("inputSchema", json!({"type": "array"}), "object"),
            ("inputSchema", json!([]), "is not a tool"),
            ("inputSchema", deep, "deep"),
            ("inputSchema", json!({"enum": vec![1; 1_001]}), "values"),
        ] {
            let mut entry = pay();
            entry[field] = value;
            let refused = Definition::read(entry).unwrap_err();
            assert!(refused.contains(why), "{field}: {refused}");
        }
        let words = "Zählt 1, 2, 3 …\n\tund 日本語 🦀 ⚠\u{fe0f}";
        let mut entry = pay();
        entry["description"] = json!(words);
        assert!(Definition::read(entry).is_ok());
    }
}
