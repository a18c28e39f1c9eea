//! What goes into a statement and what comes out of it: four kinds of value, on every engine.
//!
//! Ids and JSON travel as text, times as whole milliseconds, so that a statement means the same
//! everywhere. Which columns a noun has does not belong here: see the noun's own file.

use super::error::StoreError;
use uuid::Uuid;

/// One value of a statement. There is no float: money, times and counts are whole numbers, and a
/// JSON number stays inside its JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// A whole number; also a time (UTC milliseconds) and a boolean (0 or 1).
    Int(i64),
    /// UTF-8 text; also an id (hyphenated, lower case) and JSON.
    Text(String),
    /// Bytes of any meaning.
    Bytes(Vec<u8>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "NULL",
            Value::Int(_) => "an integer",
            Value::Text(_) => "text",
            Value::Bytes(_) => "bytes",
        }
    }
}

/// The values for `$1`, `$2`, … in that order: `tx.exec(SQL, &params![team, name, now])`.
/// Anything that turns into a [`Value`] may stand there, `Option`s included.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::db::Value::from($value)),*] };
}
pub(crate) use params;

/// One row of an answer. Columns are read by their place in the `SELECT`, counted from 0.
///
/// Every getter answers [`StoreError::Corrupt`], naming the column and the statement, when the
/// column is missing or holds another kind of value than asked for.
#[derive(Debug)]
pub struct Row {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
}

impl Row {
    /// Text that is not null.
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        self.text_ref(column).map(str::to_owned)
    }

    /// Text that is not null, without a copy: for what is parsed at once, such as JSON.
    pub fn text_ref(&self, column: usize) -> Result<&str, StoreError> {
        match self.at(column)? {
            Value::Text(text) => Ok(text),
            other => Err(self.wrong(column, "text", other.kind())),
        }
    }

    /// Text, or `None` for null.
    pub fn opt_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.unless_null(column, Self::text)
    }

    /// A whole number that is not null.
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self.at(column)? {
            Value::Int(int) => Ok(*int),
            other => Err(self.wrong(column, "an integer", other.kind())),
        }
    }

    /// A whole number, or `None` for null.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.unless_null(column, Self::int)
    }

    /// A count: a whole number that fits 32 bits without a sign.
    pub fn u32(&self, column: usize) -> Result<u32, StoreError> {
        let int = self.int(column)?;
        u32::try_from(int).map_err(|_| self.wrong(column, "a count of 32 bits", &format!("the number {int}")))
    }

    /// A count: a whole number that is not negative.
    pub fn u64(&self, column: usize) -> Result<u64, StoreError> {
        let int = self.int(column)?;
        u64::try_from(int).map_err(|_| self.wrong(column, "a count", &format!("the number {int}")))
    }

    /// A boolean: exactly 0 or 1.
    pub fn bool(&self, column: usize) -> Result<bool, StoreError> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            int => Err(self.wrong(column, "0 or 1", &format!("the number {int}"))),
        }
    }

    /// An id: text in any form of a UUID.
    pub fn uuid(&self, column: usize) -> Result<Uuid, StoreError> {
        let text = self.text_ref(column)?;
        Uuid::try_parse(text).map_err(|_| self.wrong(column, "an id", "other text"))
    }

    /// An id, or `None` for null.
    pub fn opt_uuid(&self, column: usize) -> Result<Option<Uuid>, StoreError> {
        self.unless_null(column, Self::uuid)
    }

    /// Bytes that are not null.
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        match self.at(column)? {
            Value::Bytes(bytes) => Ok(bytes.clone()),
            other => Err(self.wrong(column, "bytes", other.kind())),
        }
    }

    /// Bytes, or `None` for null.
    pub fn opt_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        self.unless_null(column, Self::bytes)
    }

    /// A SHA-256 that is not null.
    pub fn hash(&self, column: usize) -> Result<[u8; 32], StoreError> {
        self.bytes(column)?.try_into().map_err(|_| self.wrong(column, "32 bytes", "another number"))
    }

    /// A SHA-256, or `None` for null.
    pub fn opt_hash(&self, column: usize) -> Result<Option<[u8; 32]>, StoreError> {
        self.unless_null(column, Self::hash)
    }

    fn at(&self, column: usize) -> Result<&Value, StoreError> {
        self.values.get(column).ok_or_else(|| self.wrong(column, "a value", "no such column"))
    }

    fn unless_null<T>(
        &self,
        column: usize,
        read: impl FnOnce(&Self, usize) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match self.at(column)? {
            Value::Null => Ok(None),
            _ => read(self, column).map(Some),
        }
    }

    /// Names where, never what: the value itself may be a secret.
    fn wrong(&self, column: usize, expected: &str, found: &str) -> StoreError {
        let sql = self.sql;
        StoreError::Corrupt { what: format!("column {column} of `{sql}`: expected {expected}, found {found}") }
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Value::Int(int)
    }
}

impl From<i32> for Value {
    fn from(int: i32) -> Self {
        Value::Int(int.into())
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Value::Int(int.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Int(flag.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value::Text(text.clone())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Value::Text(id.hyphenated().to_string())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(bytes)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<const N: usize>(values: [Value; N]) -> Row {
        let sql = "SELECT …";
        Row { sql, values: values.into() }
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let id = Uuid::from_u128(7);
        let row = row(params![5, "a", None::<String>, Some(id), true, vec![1_u8, 2]]);
        assert_eq!(row.int(0).unwrap(), 5);
        assert_eq!(row.text(1).unwrap(), "a");
        assert_eq!(row.opt_text(2).unwrap(), None);
        assert_eq!(row.opt_uuid(3).unwrap(), Some(id));
        assert!(row.bool(4).unwrap());
        assert_eq!(row.bytes(5).unwrap(), [1, 2]);
    }

    #[test]
    fn a_wrong_kind_names_the_column_and_hides_the_value() {
        let row = row(params![1, "secret", -1]);
        let told = row.int(1).unwrap_err().to_string();
        assert!(told.contains("column 1 of `SELECT …`"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        for error in [row.text(0).err(), row.uuid(1).err(), row.text(9).err()] {
            assert!(matches!(error, Some(StoreError::Corrupt { .. })), "{error:?}");
        }
        assert!(row.u32(2).is_err() && row.u64(2).is_err() && row.bool(2).is_err());
    }
}
