//! A statement in the words of both engines: almost always the same words.

/// The text of one statement. Placeholders are `$1`, `$2`, … on both engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sql {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl Sql {
    /// The same text on both.
    pub const fn both(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }

    /// Where the engines differ, such as in row locks.
    pub const fn pair(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::both(text)
    }
}
