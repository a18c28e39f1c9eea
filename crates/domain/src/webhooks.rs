//! Webhooks: how a delivery is signed, and when it is tried again.
//!
//! Signatures follow Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, in a header with one signature for each secret that holds at
//! the moment. Secrets are not stored: each is derived from the server's own key, the team and a number that counts up when it is changed.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use uuid::Uuid;

use crate::{RunId, TeamId};

/// Headers of a delivery.
pub const ID: &str = "webhook-id";
/// See [`ID`]: seconds since 1970, of this try.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// See [`ID`]: `v1,` and base64, once for each secret, with spaces between.
pub const SIGNATURE: &str = "webhook-signature";

/// The id of a delivery, of one event always the same: `msg_`, the run's id without hyphens, `_`, the number of the event in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryId {
    /// The run.
    pub run: RunId,
    /// Which event of it.
    pub seq: u64,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}_{}", self.run.0.simple(), self.seq)
    }
}

impl FromStr for DeliveryId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "expected an id such as msg_0192f5a17c3e7d109a553f2b8c1d4e03_4";
        let (run, seq) = text.strip_prefix("msg_").and_then(|rest| rest.split_once('_')).ok_or(WANTED)?;
        let id = Self { run: RunId(Uuid::try_parse(run).map_err(|_| WANTED)?), seq: seq.parse().map_err(|_| WANTED)? };
        // One spelling.
        if id.to_string() == text { Ok(id) } else { Err(WANTED) }
    }
}

/// What a team's receivers check signatures with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The team's secret number `generation`, from the server's own key.
    pub fn derive(key: &[u8; 32], team: TeamId, generation: u64) -> Self {
        let mut mac = keyed(key);
        mac.update(b"webhook secret");
        mac.update(team.0.as_bytes());
        mac.update(&generation.to_be_bytes());
        Self(mac.finalize().into_bytes().into())
    }

    /// As receivers are given it: `whsec_` and base64.
    pub fn shown(&self) -> String {
        format!("whsec_{}", STANDARD.encode(self.0))
    }
}

/// The value of [`SIGNATURE`]. The same id, second, body and secrets give the same signature.
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures = secrets.iter().map(|secret| {
        let mut mac = keyed(&secret.0);
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

/// The pauses after the first, the second … try, in seconds: three days in all, so that a receiver may be away over a weekend.
const PAUSES: [u64; 11] = [5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 64_800, 80_000];

/// The longest pause, in milliseconds: the last one, moved as far as chance may.
pub const PAUSE_MAX_MS: u64 = PAUSES[PAUSES.len() - 1] * 1000 * 6 / 5;

/// How long to wait after a number of tries, in milliseconds; `None` when there were enough. `chance` is 0 to 255: it moves the pause by up to a
/// fifth, so that those that failed together do not come back together.
pub fn pause_ms(tries: u32, chance: u8) -> Option<u64> {
    let pause = PAUSES.get(usize::try_from(tries.checked_sub(1)?).ok()?)? * 1000;
    Some(pause * 4 / 5 + pause * 2 / 5 * u64::from(chance) / 255)
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key of any length will do, so the array of a block is filled up with zeros here as the algorithm does it itself.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard_is_signed_as_it_says() {
        // The test vector of Standard Webhooks' own libraries: a secret of 24 bytes, which the block takes as any other.
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mut key = [0; 32];
        key[..24].copy_from_slice(&bytes);
        let signed = sign(&[Secret(key)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// The library that receivers use, and everything that somebody in between could change.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the verifier reads the machine's clock")]
    fn the_published_verifier_takes_what_we_sign_and_nothing_that_was_changed() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        let team = TeamId(Uuid::from_u128(1));
        let [old, new, other] = [1, 2, 3].map(|generation| Secret::derive(&[7; 32], team, generation));
        let (id, body) = ("msg_000000000000000000000000000000a0_12", r#"{"event":"run_failed"}"#);
        let (timestamp, signature) = (now.to_string(), sign(&[new, old], id, now, body.as_bytes()));
        let verifies = |secret: &Secret, parts: [&[u8]; 4]| {
            let mut headers = http::HeaderMap::new();
            for (name, value) in [ID, TIMESTAMP, SIGNATURE].into_iter().zip(parts) {
                let Ok(value) = http::HeaderValue::from_bytes(value) else { return false };
                headers.insert(name, value);
            }
            let verifier = standardwebhooks::Webhook::new(&secret.shown()).unwrap();
            verifier.verify(parts[3], &headers).is_ok()
        };
        let parts = [id.as_bytes(), timestamp.as_bytes(), signature.as_bytes(), body.as_bytes()];
        assert_eq!([verifies(&new, parts), verifies(&old, parts), verifies(&other, parts)], [true, true, false]);
        let one = sign(&[new], id, now, body.as_bytes());
        let parts = [id.as_bytes(), timestamp.as_bytes(), one.as_bytes(), body.as_bytes()];
        let mut changed = 0;
        for part in 0..parts.len() {
            for bit in 0..parts[part].len() * 8 {
                let mut bytes = parts[part].to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let mut altered = parts;
                altered[part] = &bytes;
                assert!(!verifies(&new, altered), "bit {bit} of part {part}");
                changed += 1;
            }
        }
        // Of the id 39 bytes, of the time 10, of the signature 47, of the body 22.
        assert_eq!(changed, 8 * (39 + 10 + 47 + 22));
        for empty in ["", "v1", "v1,", "v2,abc", ","] {
            assert!(!verifies(&new, [parts[0], parts[1], empty.as_bytes(), parts[3]]), "{empty}");
        }
    }

    #[test]
    fn each_team_and_each_generation_has_its_own_secret() {
        let team = |n| TeamId(Uuid::from_u128(n));
        let secret = Secret::derive(&[7; 32], team(1), 1);
        assert_eq!(secret.shown(), Secret::derive(&[7; 32], team(1), 1).shown());
        for other in [
            Secret::derive(&[7; 32], team(1), 2),
            Secret::derive(&[7; 32], team(2), 1),
            Secret::derive(&[8; 32], team(1), 1),
        ] {
            assert_ne!(other.shown(), secret.shown());
        }
        let both = sign(&[secret, Secret::derive(&[7; 32], team(1), 2)], "msg", 1, b"{}");
        assert_eq!(both.split(' ').count(), 2);
    }

    #[test]
    fn the_id_of_a_delivery_has_one_spelling() {
        let id = DeliveryId { run: RunId(Uuid::from_u128(0xA0)), seq: 12 };
        assert_eq!(id.to_string(), "msg_000000000000000000000000000000a0_12");
        assert_eq!(id.to_string().parse(), Ok(id));
        let run = "000000000000000000000000000000a0";
        for wrong in [
            "",
            "12",
            &format!("msg_{run}"),
            &format!("msg_{run}_"),
            &format!("msg_{run}_012"),
            &format!("msg_{}_1", run.to_uppercase()),
        ] {
            assert!(wrong.parse::<DeliveryId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn tries_are_spread_over_three_days() {
        let total = |chance| (1..).map_while(|tries| pause_ms(tries, chance)).sum::<u64>();
        let day = 24 * 60 * 60 * 1000;
        assert!((2 * day..=3 * day).contains(&total(0)) && (3 * day..=4 * day).contains(&total(255)));
        assert_eq!((1..=11).filter_map(|tries| pause_ms(tries, 255)).max(), Some(PAUSE_MAX_MS));
        assert_eq!(
            (pause_ms(1, 0), pause_ms(1, 255), pause_ms(12, 0), pause_ms(0, 0)),
            (Some(4_000), Some(6_000), None, None)
        );
    }
}
