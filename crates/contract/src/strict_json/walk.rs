//! The walk over a body: one pass that builds the tree and refuses what [`super`] promises to refuse.
//!
//! Nothing here knows any shape. Places are a linked list on the stack, so that a body without a
//! flaw pays nothing for its pointers.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::{Flaw, MAX_DEPTH, MAX_NODES, MAX_STRING_BYTES, push_step};

/// Reads the whole text as one JSON value.
pub(super) fn tree(text: &str) -> Result<Value, Flaw> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut progress = Progress::default();
    let root = Node { progress: &mut progress, place: &Place::Root, depth: 0 };
    let value = root.deserialize(&mut json);
    let whole = value.and_then(|value| json.end().map(|()| value));
    whole.map_err(|err| {
        let not_json = || Flaw::nowhere(&format!("is not valid JSON: {err}"));
        progress.flaw.take().unwrap_or_else(not_json)
    })
}

/// What the walk carries along. A flaw found by us is kept here, because the parser's own error
/// type has no room for it.
#[derive(Default)]
struct Progress {
    nodes: usize,
    flaw: Option<Flaw>,
}

/// Where the walk is.
enum Place<'up> {
    Root,
    Key(&'up Place<'up>, &'up str),
    Index(&'up Place<'up>, usize),
}

impl Place<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(up, key) => up.then(key),
            Self::Index(up, index) => up.then(&index.to_string()),
        }
    }

    fn then(&self, step: &str) -> String {
        let mut pointer = self.pointer();
        push_step(&mut pointer, step);
        pointer
    }
}

/// One value about to be read.
struct Node<'walk> {
    progress: &'walk mut Progress,
    place: &'walk Place<'walk>,
    /// How many containers are around it.
    depth: usize,
}

impl Node<'_> {
    fn refuse<E: Error>(&mut self, place: &Place<'_>, sentence: &str) -> E {
        self.progress.flaw = Some(Flaw::at(&place.pointer(), sentence));
        E::custom(sentence)
    }

    fn check_depth<E: Error>(&mut self) -> Result<(), E> {
        if self.depth < MAX_DEPTH {
            return Ok(());
        }
        Err(self.refuse(self.place, &format!("is nested deeper than {MAX_DEPTH} levels")))
    }

    /// `what` is how the text is called towards a person.
    fn check_text<E: Error>(&mut self, what: &str, text: &str) -> Result<(), E> {
        if text.len() > MAX_STRING_BYTES {
            let sentence = format!("{what} is longer than {MAX_STRING_BYTES} bytes");
            return Err(self.refuse(self.place, &sentence));
        }
        if text.as_bytes().contains(&0) {
            let sentence = format!("{what} holds the character U+0000, which cannot be stored");
            return Err(self.refuse(self.place, &sentence));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(mut self, from: D) -> Result<Value, D::Error> {
        self.progress.nodes += 1;
        if self.progress.nodes > MAX_NODES {
            let sentence = format!("holds more than {MAX_NODES} values");
            return Err(self.refuse(&Place::Root, &sentence));
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(self.refuse(self.place, "is not a finite number")),
        }
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<Value, E> {
        self.check_text("the text", text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut array = Vec::new();
        loop {
            let place = Place::Index(self.place, array.len());
            let depth = self.depth + 1;
            let item = Node { progress: self.progress, place: &place, depth };
            match items.next_element_seed(item)? {
                Some(item) => array.push(item),
                None => return Ok(Value::Array(array)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            self.check_text("a key", &key)?;
            match object.entry(key) {
                Entry::Occupied(twice) => {
                    let place = Place::Key(self.place, twice.key());
                    return Err(self.refuse(&place, "the key is written twice"));
                }
                Entry::Vacant(free) => {
                    let place = Place::Key(self.place, free.key());
                    let depth = self.depth + 1;
                    let member = Node { progress: self.progress, place: &place, depth };
                    let value = members.next_value_seed(member)?;
                    free.insert(value);
                }
            }
        }
        Ok(Value::Object(object))
    }
}
