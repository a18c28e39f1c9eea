//! The right to put one file into one sandbox, for a while: what an upload URL carries.
//!
//! The token is the right: whoever has it needs no API key. It holds all that it allows and an HMAC over it, by a key that comes from the
//! server's own and is used for nothing else, so nothing has to be stored and every node can check it. It is never logged.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::sandboxes::SandboxPath;
use crate::{ApiKeyId, TeamId, Timestamp};

/// The form of the bytes below. A token of another form is a wrong one.
const FORM: u8 = 1;
/// Bytes of the HMAC.
const SEAL: usize = 32;
/// Bytes before the texts: the form, the team, the key, the end, the size, the length of the sandbox's id.
const HEAD: usize = 1 + 16 + 16 + 8 + 8 + 2;

/// What tokens are sealed with.
#[derive(Clone, Copy)]
pub struct Seal([u8; 32]);

/// One file that may be put, by whoever shows the token of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose sandbox it is.
    pub team: TeamId,
    /// The API key that asked for the token. What is done with it is done in its name, and it ends with it.
    pub key: ApiKeyId,
    /// The sandbox.
    pub sandbox: String,
    /// The file, which is the only one.
    pub path: SandboxPath,
    /// From then on the token is worth nothing.
    pub expires_at: Timestamp,
    /// The most bytes that the file may have.
    pub most: u64,
}

/// Why a token gets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was not made here, or it was changed.
    Altered,
    /// It was good once.
    Expired,
}

impl Seal {
    /// From the server's own key.
    pub fn derive(key: &[u8; 32]) -> Self {
        let mut mac = keyed(key);
        mac.update(b"upload url");
        Self(mac.finalize().into_bytes().into())
    }

    fn over(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(&self.0);
        mac.update(bytes);
        mac
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Grant {
    /// The token, which may stand in a path as it is.
    pub fn token(&self, seal: &Seal) -> String {
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(self.team.0.as_bytes());
        bytes.extend_from_slice(self.key.0.as_bytes());
        bytes.extend_from_slice(&self.expires_at.0.to_be_bytes());
        bytes.extend_from_slice(&self.most.to_be_bytes());
        // An id is far shorter; one that were not would make a token that is refused.
        bytes.extend_from_slice(&u16::try_from(self.sandbox.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(self.sandbox.as_bytes());
        bytes.extend_from_slice(self.path.to_string().as_bytes());
        let sealed = seal.over(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token allows at this moment.
    ///
    /// # Errors
    /// See [`Refused`]. Nothing of a token is believed before its seal was found right.
    pub fn read(token: &str, seal: &Seal, now: Timestamp) -> Result<Self, Refused> {
        // One spelling: bits behind the last byte must be zero.
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Refused::Altered)?;
        let (told, sealed) =
            bytes.len().checked_sub(SEAL).and_then(|end| bytes.split_at_checked(end)).ok_or(Refused::Altered)?;
        // Takes as long for a nearly right one as for any other.
        seal.over(told).verify_slice(sealed).map_err(|_| Refused::Altered)?;
        let grant = Self::parsed(told).ok_or(Refused::Altered)?;
        if grant.expires_at <= now { Err(Refused::Expired) } else { Ok(grant) }
    }

    fn parsed(bytes: &[u8]) -> Option<Self> {
        let (head, texts) = bytes.split_at_checked(HEAD)?;
        let (form, head) = head.split_first()?;
        let (team, head) = head.split_at_checked(16)?;
        let (key, head) = head.split_at_checked(16)?;
        let (end, head) = head.split_at_checked(8)?;
        let (most, length) = head.split_at_checked(8)?;
        let length = u16::from_be_bytes(length.try_into().ok()?);
        let (sandbox, path) = texts.split_at_checked(usize::from(length))?;
        (*form == FORM).then_some(Self {
            team: TeamId(Uuid::from_slice(team).ok()?),
            key: ApiKeyId(Uuid::from_slice(key).ok()?),
            sandbox: std::str::from_utf8(sandbox).ok()?.to_owned(),
            path: SandboxPath::parse_file(std::str::from_utf8(path).ok()?).ok()?,
            expires_at: Timestamp(i64::from_be_bytes(end.try_into().ok()?)),
            most: u64::from_be_bytes(most.try_into().ok()?),
        })
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // The array of a block is filled up with zeros here, as the algorithm does it itself.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::Secret;

    fn grant() -> Grant {
        Grant {
            team: TeamId(Uuid::from_u128(1)),
            key: ApiKeyId(Uuid::from_u128(2)),
            sandbox: "sbx_0123".into(),
            path: SandboxPath::parse_file("/workspace/in/ä b.csv").unwrap(),
            expires_at: Timestamp(1_000),
            most: 5,
        }
    }

    #[test]
    fn a_token_says_what_it_was_made_of_until_it_ends() {
        let seal = Seal::derive(&[7; 32]);
        let token = grant().token(&seal);
        assert_eq!(Grant::read(&token, &seal, Timestamp(999)), Ok(grant()));
        assert_eq!(Grant::read(&token, &seal, Timestamp(1_000)), Err(Refused::Expired));
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
    }

    #[test]
    fn no_byte_of_it_can_be_changed_and_none_be_left_out_or_added() {
        let seal = Seal::derive(&[7; 32]);
        let token = grant().token(&seal);
        let refused =
            |token: &str| assert_eq!(Grant::read(token, &seal, Timestamp(0)), Err(Refused::Altered), "{token}");
        let mut tried = 0;
        for at in 0..token.len() {
            for other in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.%/ " {
                let mut altered = token.clone().into_bytes();
                if std::mem::replace(&mut altered[at], *other) != *other {
                    refused(&String::from_utf8(altered).unwrap());
                    tried += 1;
                }
            }
            refused(&token[..at]);
            refused(&format!("{}{}", &token[..at], &token[at + 1..]));
        }
        assert!(tried > 10_000, "{tried}");
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            refused(&URL_SAFE_NO_PAD.encode(altered));
        }
        for more in ["A", "AAAA", "=", " ", "\n"] {
            refused(&format!("{token}{more}"));
        }
        refused("");
    }

    #[test]
    fn another_key_or_another_purpose_seals_nothing_here() {
        let seal = Seal::derive(&[7; 32]);
        let token = grant().token(&seal);
        assert_eq!(Grant::read(&token, &Seal::derive(&[8; 32]), Timestamp(0)), Err(Refused::Altered));
        assert_eq!(Grant::read(&token, &Seal([7; 32]), Timestamp(0)), Err(Refused::Altered));
        assert!(!Secret::derive(&[7; 32], TeamId(Uuid::nil()), 0).shown().contains(&format!("{:?}", seal.0)));
        assert_eq!(format!("{seal:?}"), "Seal(…)");
    }
}
