//! Strict JSON, with serde_json as the oracle: what is accepted is what serde_json reads and holds nothing that is banned, and all of that is
//! accepted.

#![no_main]

use std::fmt;

use contract::strict_json::{MAX_DEPTH, MAX_NODES, MAX_STRING_BYTES, parse};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let oracle = serde_json::from_slice::<Any>(bytes);
    let banned = oracle.as_ref().is_ok_and(Any::is_banned);
    match parse(bytes) {
        Ok(read) => {
            assert!(!banned, "banned, and accepted");
            assert_eq!(read, serde_json::from_slice::<Value>(bytes).expect("serde_json reads what is accepted"));
            // What is stored of it means the same.
            assert_eq!(parse(read.to_string().as_bytes()).expect("its own text"), read);
        }
        Err(flaw) => {
            assert!(oracle.is_err() || banned, "nothing is wrong with it: {flaw}");
            assert!(flaw.to_string().len() < 1_000);
        }
    }
});

/// A value with every key that was written.
enum Any {
    Plain,
    Text(String),
    List(Vec<Any>),
    Object(Vec<(String, Any)>),
}

impl Any {
    fn is_banned(&self) -> bool {
        let mut nodes = 0;
        self.walk(0, &mut nodes) || nodes > MAX_NODES
    }

    fn walk(&self, depth: usize, nodes: &mut usize) -> bool {
        *nodes += 1;
        let text = |text: &str| text.contains('\0') || text.len() > MAX_STRING_BYTES;
        match self {
            Self::Plain => false,
            Self::Text(one) => text(one),
            Self::List(items) => depth >= MAX_DEPTH || items.iter().any(|item| item.walk(depth + 1, nodes)),
            Self::Object(members) => {
                let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
                keys.sort_unstable();
                depth >= MAX_DEPTH
                    || keys.windows(2).any(|pair| pair[0] == pair[1])
                    || members.iter().any(|(key, value)| text(key) || value.walk(depth + 1, nodes))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Any;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::Plain)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
        Ok(Any::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Any, E> {
        Ok(Any::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Any, E> {
        Ok(Any::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Any, E> {
        Ok(Any::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Any, E> {
        Ok(Any::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Any::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Any, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Any::Object(object))
    }
}
