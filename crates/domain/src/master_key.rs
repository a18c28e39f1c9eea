//! How secrets are kept: sealed, so that whoever has the database and not the master key has nothing.
//!
//! Secrets are sealed with a [`DataKey`] (XChaCha20-Poly1305), which the database holds wrapped in the operator's [`MasterKey`]. So another master key
//! costs one row, not all of them. What is sealed is bound to its [`Place`]: moved to another row, it does not open.
//! Not here: where keys lie, and which of them a database knows (`storage/master_keys.rs`).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Ambient, BuildId, TeamId};

/// The form of sealed bytes: this byte, the data key's number, the nonce, then what the cipher made.
const FORM: u8 = 1;
const NONCE: usize = 24;
/// Bytes before the cipher's.
const HEAD: usize = 1 + 4 + NONCE;

/// The operator's key. It is never stored in the database, shown or logged.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A key that a database's secrets are sealed with.
pub struct DataKey {
    number: u32,
    key: Zeroizing<[u8; 32]>,
}

/// A secret as it is stored. Nothing of it shows but its length and which data key it needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// Where a sealed secret belongs.
#[derive(Debug, Clone, Copy)]
pub enum Place<'p> {
    /// The server's own key, from which the secrets of webhooks and upload URLs come.
    ServerKey,
    /// The header values of a Build's tools.
    Headers(TeamId, BuildId),
    /// The answer that is kept for a request with an `Idempotency-Key`.
    Answer {
        /// Who asked.
        team: TeamId,
        /// Method and path.
        route: &'p str,
        /// The client's key.
        key: &'p str,
    },
}

/// Bytes that do not open: another key sealed them, or they were altered or moved here from another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shut;

impl MasterKey {
    /// Reads a key as it is written: 32 random bytes in base64, as from `openssl rand -base64 32`, or 64 hex digits. White space around it does not count.
    ///
    /// # Errors
    /// A sentence that says what was expected, without showing what was there.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str =
            "expected 32 random bytes in base64 (44 characters, as from `errand master-key new`) or 64 hex digits";
        let text = text.trim();
        let bytes =
            Zeroizing::new(if text.len() == 64 { from_hex(text) } else { STANDARD.decode(text).ok() }.ok_or(WANTED)?);
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(WANTED);
        }
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }

    /// A fresh key.
    pub fn draw(ambient: &dyn Ambient) -> Self {
        Self(drawn(ambient))
    }

    /// As [`Self::parse`] reads it. It gives the key away: for the file that keeps it.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.0))
    }

    /// What it is called, by which nobody can find it: 16 hex digits.
    pub fn id(&self) -> String {
        self.derive(b"name").iter().take(8).fold(String::new(), |id, byte| format!("{id}{byte:02x}"))
    }

    /// The data key as the database keeps it.
    pub fn wrap(&self, key: &DataKey, ambient: &dyn Ambient) -> Sealed {
        let wrapping = DataKey { number: key.number, key: self.derive(b"wrap") };
        wrapping.seal_at(&[b"data key"], key.key.as_slice(), ambient)
    }

    /// The data key that was wrapped.
    ///
    /// # Errors
    /// See [`Shut`].
    pub fn unwrap(&self, wrapped: &Sealed) -> Result<DataKey, Shut> {
        let number = wrapped.number().ok_or(Shut)?;
        let opened = DataKey { number, key: self.derive(b"wrap") }.open_at(&[b"data key"], wrapped)?;
        let mut key = Zeroizing::new([0; 32]);
        if opened.len() != key.len() {
            return Err(Shut);
        }
        key.copy_from_slice(&opened);
        Ok(DataKey { number, key })
    }

    /// A key of one purpose, so that none serves two.
    fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut block = Zeroizing::new([0; 64]);
        block[..32].copy_from_slice(self.0.as_slice());
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new(&(*block).into());
        mac.update(b"errand master key: ");
        mac.update(purpose);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl DataKey {
    /// A fresh key with this number.
    pub fn draw(number: u32, ambient: &dyn Ambient) -> Self {
        Self { number, key: drawn(ambient) }
    }

    /// Which of a database's data keys it is.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Seals a secret for its place.
    pub fn seal(&self, place: Place<'_>, secret: &[u8], ambient: &dyn Ambient) -> Sealed {
        place.bound(|parts| self.seal_at(parts, secret, ambient))
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// See [`Shut`].
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Shut> {
        place.bound(|parts| self.open_at(parts, sealed))
    }

    fn seal_at(&self, place: &[&[u8]], secret: &[u8], ambient: &dyn Ambient) -> Sealed {
        let mut nonce = [0; NONCE];
        ambient.random(&mut nonce);
        let mut bytes = vec![FORM];
        bytes.extend_from_slice(&self.number.to_be_bytes());
        let aad = bound_to(&bytes, place);
        bytes.extend_from_slice(&nonce);
        // It fails for secrets of 256 GiB only. Of such a one an empty text is left, which never opens.
        let made = self.cipher().encrypt(&nonce.into(), Payload { msg: secret, aad: &aad });
        bytes.extend_from_slice(&made.unwrap_or_default());
        Sealed(bytes)
    }

    fn open_at(&self, place: &[&[u8]], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, Shut> {
        let (head, made) = sealed.0.split_at_checked(HEAD).ok_or(Shut)?;
        let (form, nonce) = head.split_at(HEAD - NONCE);
        let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Shut)?;
        if sealed.number() != Some(self.number) {
            return Err(Shut);
        }
        let aad = bound_to(form, place);
        self.cipher().decrypt(&nonce.into(), Payload { msg: made, aad: &aad }).map(Zeroizing::new).map_err(|_| Shut)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

impl Sealed {
    /// Bytes that were stored.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of the data key that it needs, if these are sealed bytes at all.
    pub fn number(&self) -> Option<u32> {
        let number = self.0.strip_prefix(&[FORM])?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*number))
    }
}

impl Place<'_> {
    /// What a secret of this place is bound to.
    fn bound<T>(self, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        match self {
            Self::ServerKey => with(&[b"server key"]),
            Self::Headers(team, build) => with(&[b"headers", team.0.as_bytes(), build.0.as_bytes()]),
            Self::Answer { team, route, key } => {
                with(&[b"answer", team.0.as_bytes(), route.as_bytes(), key.as_bytes()])
            }
        }
    }
}

/// The head and each part with its length before it, so that no two places read alike.
fn bound_to(head: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut bound = head.to_vec();
    for part in parts {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

fn drawn(ambient: &dyn Ambient) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    ambient.random(key.as_mut_slice());
    key
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.number)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use uuid::Uuid;

    use super::*;
    use crate::Timestamp;

    /// Draws other bytes each time.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl Ambient for Counting {
        fn now(&self) -> Timestamp {
            Timestamp(0)
        }
        fn steady_ms(&self) -> u64 {
            0
        }
        fn id(&self, _at: Timestamp) -> Uuid {
            Uuid::nil()
        }
        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    const TEAM: TeamId = TeamId(Uuid::from_u128(1));
    const BUILD: BuildId = BuildId(Uuid::from_u128(2));
    const HERE: Place<'static> = Place::Headers(TEAM, BUILD);

    #[test]
    fn a_secret_opens_at_its_place_only() {
        let ambient = Counting::default();
        let key = DataKey::draw(7, &ambient);
        let sealed = key.seal(HERE, b"s3cret", &ambient);
        assert_eq!(key.open(HERE, &sealed).as_deref().map(Vec::as_slice), Ok(b"s3cret".as_slice()));
        let elsewhere = [
            Place::Headers(TeamId(Uuid::from_u128(3)), BUILD),
            Place::Headers(TEAM, BuildId(Uuid::from_u128(3))),
            Place::ServerKey,
            Place::Answer { team: TEAM, route: "", key: "" },
        ];
        for place in elsewhere {
            assert_eq!(key.open(place, &sealed), Err(Shut), "{place:?}");
        }
        let answer = |route, key| Place::Answer { team: TEAM, route, key };
        let sealed = key.seal(answer("ab", "c"), b"s3cret", &ambient);
        assert_eq!(key.open(answer("a", "bc"), &sealed), Err(Shut));
    }

    #[test]
    fn no_bit_of_it_can_be_changed_and_no_byte_be_missing() {
        let ambient = Counting::default();
        let key = DataKey::draw(1, &ambient);
        let Sealed(bytes) = key.seal(HERE, b"s3cret", &ambient);
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(HERE, &Sealed(altered)), Err(Shut), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(key.open(HERE, &Sealed(bytes[..length].to_vec())), Err(Shut), "{length} bytes");
        }
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"));
        assert_ne!(key.seal(HERE, b"s3cret", &ambient).0, bytes, "each has a nonce of its own");
    }

    #[test]
    fn only_the_master_key_that_wrapped_a_data_key_unwraps_it() {
        let ambient = Counting::default();
        let (ours, other) = (MasterKey::draw(&ambient), MasterKey::draw(&ambient));
        let key = DataKey::draw(3, &ambient);
        let wrapped = ours.wrap(&key, &ambient);
        let sealed = key.seal(HERE, b"s3cret", &ambient);
        assert_eq!(wrapped.number(), Some(3));
        let unwrapped = ours.unwrap(&wrapped).unwrap();
        assert_eq!(unwrapped.open(HERE, &sealed).as_deref().map(Vec::as_slice), Ok(b"s3cret".as_slice()));
        assert_eq!(other.unwrap(&wrapped).err(), Some(Shut));
        // Under another number it is another key.
        let mut renumbered = wrapped.as_bytes().to_vec();
        renumbered[4] = 4;
        assert_eq!(ours.unwrap(&Sealed::from_bytes(renumbered)).err(), Some(Shut));
    }

    #[test]
    fn a_master_key_is_read_as_it_is_written_and_never_shown() {
        let ambient = Counting::default();
        let key = MasterKey::draw(&ambient);
        let same = |text: &str| assert_eq!(MasterKey::parse(text).unwrap().id(), key.id());
        same(&key.text());
        same(&format!(" {}\n", *key.text()));
        same(&"00".repeat(32));
        assert_eq!(key.id().len(), 16);
        assert_ne!(MasterKey::draw(&ambient).id(), key.id());
        for wrong in ["", "short", "AAAA", &"g".repeat(64), &"ä".repeat(32), &"A".repeat(43)] {
            let told = MasterKey::parse(wrong).unwrap_err();
            assert!(told.contains("44 characters") && (wrong.is_empty() || !told.contains(wrong)), "{wrong}: {told}");
        }
        let shown =
            format!("{key:?} {:?} {:?}", DataKey::draw(1, &ambient), key.wrap(&DataKey::draw(1, &ambient), &ambient));
        assert!(!shown.contains(&**key.text()) && shown.contains("DataKey(1) Sealed(…)"), "{shown}");
    }
}
