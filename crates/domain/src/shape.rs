//! Strict reading of JSON that a person sent: a cursor that knows where it stands.
//!
//! Here: [`Cursor`] and [`Object`], which walk a `serde_json::Value` and remember the JSON pointer
//! (RFC 6901), and [`Flaw`], the sentence for the person whose JSON is wrong.
//! Not here: what any particular document must look like; see [`crate::builds`] for the Build config.

mod object;

use std::fmt::{self, Display};
use std::ops::{Bound, RangeBounds, RangeInclusive};

use serde_json::{Number, Value};

pub use object::Object;

/// How many characters of an offending string an error repeats.
const SHOWN_CHARS: usize = 60;

/// The first thing found wrong in a submitted document: where, and what belongs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// JSON pointer from the root of the request body, such as `/build/config/version`.
    pub pointer: String,
    /// What should stand there, and what was found where it helps; reads well after "expected".
    pub expected: String,
}

impl Flaw {
    /// A flaw at `pointer`; `expected` continues the sentence "expected …".
    pub fn new(pointer: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), expected: expected.into() }
    }
}

impl Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the body" } else { &self.pointer };
        write!(f, "{place}: expected {}", self.expected)
    }
}

impl std::error::Error for Flaw {}

/// One value of a document together with its place.
///
/// It has no `Debug`, because it may stand on a secret.
#[derive(Clone)]
pub struct Cursor<'v> {
    value: &'v Value,
    pointer: String,
    hidden: bool,
}

impl<'v> Cursor<'v> {
    /// Starts at `value`, which the sender knows as `pointer` (`""` for the whole body).
    pub fn new(value: &'v Value, pointer: impl Into<String>) -> Self {
        Self { value, pointer: pointer.into(), hidden: false }
    }

    /// The same place, but no error from here downwards repeats a value: it may be a secret.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// The value under the cursor, unread.
    pub fn value(&self) -> &'v Value {
        self.value
    }

    /// Where the cursor stands.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// A flaw at this place that also tells what was found.
    pub fn flaw(&self, expected: impl Display) -> Flaw {
        Flaw::new(&self.pointer, format!("{expected}, got {}", self.found()))
    }

    /// An object with no keys but `allowed`; another key is a flaw at that key's own pointer.
    pub fn object(&self, allowed: &[&str]) -> Result<Object<'v>, Flaw> {
        let object = self.open_object()?;
        match object.fields.keys().find(|key| !allowed.contains(&key.as_str())) {
            Some(unknown) => {
                Err(Flaw::new(object.pointer_to(unknown), format!("only the keys {} here", allowed.join(", "))))
            }
            None => Ok(object),
        }
    }

    /// An object with any keys.
    pub fn open_object(&self) -> Result<Object<'v>, Flaw> {
        let fields = self.value.as_object().ok_or_else(|| self.flaw("an object"))?;
        Ok(Object { fields, pointer: self.pointer.clone(), hidden: self.hidden })
    }

    /// An array, as one cursor for each item.
    pub fn array(&self) -> Result<impl Iterator<Item = Cursor<'v>> + use<'v>, Flaw> {
        let items = self.value.as_array().ok_or_else(|| self.flaw("an array"))?;
        let (pointer, hidden) = (self.pointer.clone(), self.hidden);
        Ok(items.iter().enumerate().map(move |(index, value)| Cursor {
            value,
            pointer: format!("{pointer}/{index}"),
            hidden,
        }))
    }

    /// An array of strings.
    pub fn strings(&self) -> Result<Vec<String>, Flaw> {
        self.array()?.map(|item| item.string().map(str::to_owned)).collect()
    }

    /// Any string.
    pub fn string(&self) -> Result<&'v str, Flaw> {
        self.value.as_str().ok_or_else(|| self.flaw("a string"))
    }

    /// A string of at least one character; blanks count, as in JSON Schema's `minLength`.
    pub fn non_empty(&self) -> Result<&'v str, Flaw> {
        Some(self.string()?).filter(|text| !text.is_empty()).ok_or_else(|| self.flaw("a string that is not empty"))
    }

    /// A string whose number of characters (Unicode scalar values) lies in `length`.
    pub fn string_of(&self, length: RangeInclusive<usize>) -> Result<&'v str, Flaw> {
        let text = self.string()?;
        let chars = text.chars().count();
        if length.contains(&chars) {
            return Ok(text);
        }
        let expected = format!("a string of {} to {} characters, got {chars}", length.start(), length.end());
        Err(Flaw::new(&self.pointer, expected))
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, Flaw> {
        self.value.as_bool().ok_or_else(|| self.flaw("true or false"))
    }

    /// A number within `range`, as it was written: 1 stays 1 and 1.0 stays 1.0.
    pub fn number_in(&self, range: impl RangeBounds<f64>) -> Result<Number, Flaw> {
        match self.value {
            Value::Number(number) if number.as_f64().is_some_and(|n| range.contains(&n)) => Ok(number.clone()),
            _ => Err(self.flaw(format!("a number{}", describe(&range)))),
        }
    }

    /// One of the strings in `choices`.
    pub fn one_of<'c>(&self, choices: &[&'c str]) -> Result<&'c str, Flaw> {
        let chosen = self.value.as_str();
        let found = choices.iter().copied().find(|choice| chosen == Some(*choice));
        found.ok_or_else(|| self.none_of(choices))
    }

    /// What the string stands for in a table of names.
    pub fn choice<T: Copy>(&self, table: &[(&str, T)]) -> Result<T, Flaw> {
        let chosen = self.value.as_str();
        let found = table.iter().find(|(name, _)| chosen == Some(*name));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            self.none_of(&names)
        })
    }

    fn none_of(&self, names: &[&str]) -> Flaw {
        let one_of = if names.len() > 1 { "one of " } else { "" };
        let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        self.flaw(format!("{one_of}{}", quoted.join(", ")))
    }

    fn found(&self) -> String {
        match self.value {
            _ if self.hidden => "something else (not shown, it may be secret)".to_owned(),
            Value::String(text) => match text.char_indices().nth(SHOWN_CHARS) {
                Some((end, _)) => format!("{:?}…", &text[..end]),
                None => format!("{text:?}"),
            },
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            scalar => scalar.to_string(),
        }
    }
}

fn describe(range: &impl RangeBounds<f64>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(from), Bound::Included(to)) => format!(" from {from} to {to}"),
        (Bound::Excluded(from), Bound::Unbounded) => format!(" greater than {from}"),
        (Bound::Included(from), Bound::Unbounded) => format!(" of at least {from}"),
        (Bound::Unbounded, Bound::Unbounded) => String::new(),
        (from, to) => format!(" between {from:?} and {to:?}"),
    }
}

#[cfg(test)]
mod tests;
