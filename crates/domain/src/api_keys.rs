//! API keys: `dv_` and 256 random bits in hex, shown once, kept as a SHA-256.
//!
//! A slow hash would add nothing: nobody guesses 256 bits. An operator may bring an own key (`ERRAND_API_KEY`), so the prefix is not demanded.

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
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
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
    fn weak_own_keys_are_refused() {
        assert!(check_own("short").is_err());
        assert!(check_own("has a space in the middle").is_err());
    }
}
