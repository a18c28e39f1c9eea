//! The audit log: what one row of it says, and how each is tied to the one before.
//!
//! Each team has a chain of its own, numbered from 1 without gaps. A row's hash covers all that it says and the hash before it, so that a row
//! which was changed, taken out or put elsewhere shows. The hash of the last row, kept somewhere else, also shows rows that were cut off the end.

use sha2::{Digest, Sha256};

use crate::{ApiKeyId, TeamId, Timestamp};

/// A SHA-256.
pub type Hash = [u8; 32];

/// What stands before the first row.
pub const BEGINNING: Hash = [0; 32];

/// Who changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A request with this API key.
    Key(ApiKeyId),
    /// Somebody at the server's own command line, or its first start.
    Operator,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who made it.
    pub who: Who,
    /// The operation, noun and verb: `run.start`.
    pub what: &'static str,
    /// The id of what was changed.
    pub object: String,
    /// SHA-256 of what it was, as the API shows it. `None`: it was not there.
    pub before: Option<Hash>,
    /// The same of what it is now. `None`: it is gone.
    pub after: Option<Hash>,
    /// The request's `x-request-id`.
    pub request_id: Option<String>,
}

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose chain it is in.
    pub team: TeamId,
    /// Its number there, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// See [`Who`], as text.
    pub who: String,
    /// The operation.
    pub what: String,
    /// What was changed.
    pub object: String,
    /// What it was.
    pub before: Option<Hash>,
    /// What it is.
    pub after: Option<Hash>,
    /// The request.
    pub request_id: Option<String>,
    /// Ties it to the row before.
    pub hash: Hash,
}

impl Entry {
    /// The row that follows `before` in a team's chain: the number and the hash of the last one.
    pub fn following(before: (u64, Hash), team: TeamId, at: Timestamp, change: Change) -> Self {
        let Change { who, what, object, before: was, after, request_id } = change;
        let (seq, last) = before;
        let mut entry = Self {
            team,
            seq: seq + 1,
            at,
            who: who.to_string(),
            what: what.to_owned(),
            object,
            before: was,
            after,
            request_id,
            hash: BEGINNING,
        };
        entry.hash = entry.hash_after(&last);
        entry
    }

    /// Whether it is what once followed a row with this number and hash.
    pub fn follows(&self, before: (u64, Hash)) -> bool {
        self.seq == before.0 + 1 && self.hash == self.hash_after(&before.1)
    }

    /// Each part with its length before it, so that no two rows can read alike.
    fn hash_after(&self, last: &Hash) -> Hash {
        let mut digest = Sha256::new();
        let mut part = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        part(last);
        part(self.team.0.as_bytes());
        part(&self.seq.to_be_bytes());
        part(&self.at.0.to_be_bytes());
        part(self.who.as_bytes());
        part(self.what.as_bytes());
        part(self.object.as_bytes());
        for hash in [&self.before, &self.after] {
            part(hash.as_ref().map_or(&[], |hash| hash.as_slice()));
        }
        // None and empty are the same here: an empty id is never taken.
        part(self.request_id.as_deref().unwrap_or_default().as_bytes());
        digest.finalize().into()
    }
}

/// The hash of something as the API shows it.
pub fn hash(shown: &[u8]) -> Hash {
    Sha256::digest(shown).into()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn chain(length: u64) -> Vec<Entry> {
        let mut last = (0, BEGINNING);
        (0..length)
            .map(|n| {
                let change = Change {
                    who: Who::Operator,
                    what: "key.create",
                    object: n.to_string(),
                    before: None,
                    after: Some(hash(&n.to_be_bytes())),
                    request_id: (n % 2 == 0).then(|| format!("req_{n}")),
                };
                let entry = Entry::following(last, TeamId(Uuid::from_u128(1)), Timestamp(5), change);
                last = (entry.seq, entry.hash);
                entry
            })
            .collect()
    }

    fn holds(chain: &[Entry]) -> bool {
        let mut last = (0, BEGINNING);
        chain.iter().all(|entry| {
            let follows = entry.follows(last);
            last = (entry.seq, entry.hash);
            follows
        })
    }

    #[test]
    fn whatever_is_changed_shows() {
        assert!(holds(&chain(5)));
        let edits: [fn(&mut Vec<Entry>); 11] = [
            |chain| chain[2].at.0 += 1,
            |chain| chain[2].who = "key:x".into(),
            |chain| chain[2].what = "key.revoke".into(),
            |chain| chain[2].object.push('0'),
            |chain| chain[2].before = chain[2].after.take(),
            |chain| chain[2].after = None,
            |chain| chain[2].request_id = None,
            |chain| chain[2].team = TeamId(Uuid::from_u128(2)),
            |chain| chain[2].hash[31] ^= 1,
            |chain| drop(chain.remove(2)),
            |chain| chain.swap(1, 2),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let mut edited = chain(5);
            edit(&mut edited);
            assert!(!holds(&edited), "edit {number}");
        }
    }
}
