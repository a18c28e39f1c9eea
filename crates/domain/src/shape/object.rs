//! Objects under a cursor: fields by name, with missing and null told apart where it matters.
//!
//! Values themselves are read by [`Cursor`].

use serde_json::{Map, Value};

use super::{Cursor, Flaw};

/// A JSON object whose fields are read by name.
#[derive(Clone)]
pub struct Object<'v> {
    pub(super) fields: &'v Map<String, Value>,
    pub(super) pointer: String,
    pub(super) hidden: bool,
}

impl<'v> Object<'v> {
    /// The field `key`; a flaw when it is missing. A null is handed on, for its reader to refuse.
    pub fn required(&self, key: &str) -> Result<Cursor<'v>, Flaw> {
        let value =
            self.fields.get(key).ok_or_else(|| Flaw::new(self.pointer_to(key), "a value: this key is required"))?;
        Ok(self.cursor(key, value))
    }

    /// The field `key`, where missing and null mean the same.
    pub fn optional(&self, key: &str) -> Option<Cursor<'v>> {
        let value = self.fields.get(key).filter(|value| !value.is_null())?;
        Some(self.cursor(key, value))
    }

    /// The field `key` as `read` understands it, or `None` when it is missing or null.
    pub fn read<T>(&self, key: &str, read: impl FnOnce(&Cursor<'v>) -> Result<T, Flaw>) -> Result<Option<T>, Flaw> {
        self.optional(key).map(|at| read(&at)).transpose()
    }

    /// Whether `key` is there and not null.
    pub fn has(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|value| !value.is_null())
    }

    /// Every field with its key, nulls included.
    pub fn entries(&self) -> impl Iterator<Item = (&'v str, Cursor<'v>)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), self.cursor(key, value)))
    }

    /// The JSON pointer of the field `key`, there or not.
    pub fn pointer_to(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"))
    }

    fn cursor(&self, key: &str, value: &'v Value) -> Cursor<'v> {
        Cursor { value, pointer: self.pointer_to(key), hidden: self.hidden }
    }
}
