//! API keys: `dv_` and 256 random bits in hex, shown once, kept as a SHA-256.
//!
//! A slow hash would add nothing: nobody guesses 256 bits. An operator may bring an own key (`ERRAND_API_KEY`), so the prefix is not demanded.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::{ApiKeyId, TeamId, Timestamp};

/// Prefix of the keys we make. Old scripts and their tools expect it.
pub const PREFIX: &str = "dv_";

/// The shortest key an operator may bring, in bytes.
pub const SHORTEST: usize = 16;

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, for listing and revoking.
    pub id: ApiKeyId,
    /// Whose requests it makes.
    pub team: TeamId,
    /// What it is for, in its maker's words.
    pub name: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Scopes,
    /// How many requests a minute it may make; 0 is any number, `None` what the server's setting says.
    pub requests_per_minute: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// About when it was last used: noted once a minute.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it is neither revoked nor expired.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// One thing that a key may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Look at everything of its team.
    Read,
    /// Start and stop runs, talk to them, answer what they ask, and bring them files.
    Run,
    /// Change what runs: agents and their Builds.
    Manage,
}

impl Scope {
    /// Every scope, the mildest first.
    pub const ALL: [Scope; 3] = [Self::Read, Self::Run, Self::Manage];

    /// Its name, in commands, answers and the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Manage => "manage",
        }
    }
}

/// A set of scopes, never empty. Written as their names with commas between. None of them implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All that a key can do.
    pub const ALL: Scopes = Scopes(0b111);

    /// Whether it is allowed.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Scope::ALL.into_iter().filter(|scope| self.allow(*scope)).map(Scope::word);
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Scopes {
    type Err = String;

    /// Reads names with commas between, in any order.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bits = 0;
        for word in text.split(',').map(str::trim) {
            let scope = Scope::ALL.into_iter().find(|scope| scope.word() == word);
            let scope = scope.ok_or_else(|| format!("{word:?} is no scope; there are read, run and manage"))?;
            bits |= 1 << scope as u8;
        }
        Ok(Self(bits))
    }
}

/// The key made of 256 random bits.
pub fn from_random(bytes: [u8; 32]) -> String {
    bytes.iter().fold(PREFIX.to_owned(), |key, byte| format!("{key}{byte:02x}"))
}

/// What is stored and looked up instead of the key.
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Whether an operator's own key will do.
///
/// # Errors
/// A sentence that says what is wrong with it, without showing it.
pub fn check_own(key: &str) -> Result<(), String> {
    if key.len() < SHORTEST {
        return Err(format!("the key is too short: at least {SHORTEST} characters"));
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the key may hold only visible ASCII characters, no spaces".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_all_their_bits() {
        let key = from_random([0xab; 32]);
        assert_eq!(key.len(), 3 + 64);
        assert!(check_own(&key).is_ok());
        assert_ne!(hash(&key), hash(&from_random([0xac; 32])));
    }

    #[test]
    fn scopes_read_back_as_they_are_written() {
        assert_eq!("manage, read".parse::<Scopes>().unwrap().to_string(), "read,manage");
        assert_eq!("read,run,manage".parse(), Ok(Scopes::ALL));
        let read: Scopes = "read".parse().unwrap();
        assert!(read.allow(Scope::Read) && !read.allow(Scope::Run) && !read.allow(Scope::Manage));
        for wrong in ["", "read,", "admin", "READ"] {
            assert!(wrong.parse::<Scopes>().unwrap_err().contains("there are read, run and manage"));
        }
    }

    #[test]
    fn weak_own_keys_are_refused() {
        assert!(check_own("short").is_err());
        assert!(check_own("has a space in the middle").is_err());
    }
}
