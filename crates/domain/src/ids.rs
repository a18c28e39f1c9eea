//! Ids: one type a noun, so that a run's id cannot be given where a Build's is wanted.
//!
//! All are UUIDv7 made by [`crate::Ambient::id`]; none is made here. Text form: lower-case 8-4-4-4-12.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                // `Uuid` also reads braces, URNs and undashed hex; the contract knows one spelling.
                match Uuid::try_parse(text) {
                    Ok(id) if text.len() == 36 => Ok(Self(id)),
                    _ => Err(NotAnId),
                }
            }
        }
    )+};
}

ids! {
    /// A tenant. It comes from authentication only; every query is scoped by it.
    TeamId,
    /// An Assignment (API name: agent).
    AgentId,
    /// One immutable, numbered Build of an Assignment.
    BuildId,
    /// A Job (API name: run).
    RunId,
    /// An API key, not its secret.
    ApiKeyId,
    /// A team file.
    FileId,
}

/// The text is not a UUID in its usual 36-character form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID such as 0198c0de-0000-7000-8000-000000000000")]
pub struct NotAnId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dashed_spelling_is_an_id() {
        let text = "0198c0de-0000-7000-8000-000000000001";
        assert_eq!(text.parse::<RunId>().unwrap().to_string(), text);
        for wrong in ["", "x", "0198c0de000070008000000000000001", "{0198c0de-0000-7000-8000-000000000001}"] {
            assert_eq!(wrong.parse::<RunId>(), Err(NotAnId), "{wrong}");
        }
    }
}
