//! How single fields of requests are read, wherever serde's own reading is laxer than the schema.
//!
//! Private to this room. Shapes name these functions in `deserialize_with`; the path to the field
//! is added by [`crate::strict_json`].

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A `T` that must be written as a JSON object: a derived struct alone would also take an array.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// An optional field that may be absent but not null.
pub(crate) fn given<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    match Option::deserialize(from)? {
        Some(value) => Ok(Some(value)),
        None => Err(D::Error::custom("null is not allowed here; leave the key out instead")),
    }
}

/// As [`given`], for an object.
pub(crate) fn given_object<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(given(from)?.map(|Object(value)| value))
}

/// Text of at least one character.
pub(crate) fn filled<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = from.deserialize_string(Text("a non-empty string"))?;
    if text.is_empty() {
        return Err(D::Error::custom("must have at least one character"));
    }
    Ok(text)
}

/// Text that is a UUID, kept as it was spelled.
pub(crate) fn uuid<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = from.deserialize_string(Text("a UUID string"))?;
    if !is_uuid(&text) {
        return Err(D::Error::custom(format_args!("expected {UUID_FORM}, got `{text}`")));
    }
    Ok(text)
}

/// The JSON text of an object, verbatim.
pub(crate) fn object_text<'de, D: Deserializer<'de>>(from: D) -> Result<Box<RawValue>, D::Error> {
    let raw = Box::<RawValue>::deserialize(from)?;
    let kind = match raw.get().as_bytes().first() {
        Some(b'{') => return Ok(raw),
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    };
    Err(D::Error::custom(format_args!("expected an object, got {kind}")))
}

/// How a UUID is described to a person.
pub(crate) const UUID_FORM: &str = "a UUID (8-4-4-4-12 hexadecimal digits)";

/// Whether the text is a hyphenated UUID of any version: the one spelling that the schema's format
/// knows.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Reads a string, and says what kind was expected when it is none.
struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
}
