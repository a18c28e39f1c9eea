//! Signatures of webhooks, with the published verifier as the oracle: it takes each that we make, none that was changed, none that was made up.
//!
//! An input is the place of a change, what is changed in that byte, and the body; the body is tried as a signature, too.

#![no_main]

use std::time::{SystemTime, UNIX_EPOCH};

use domain::TeamId;
use domain::webhooks::{ID, SIGNATURE, Secret, TIMESTAMP, sign};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use standardwebhooks::Webhook;
use uuid::Uuid;

const MESSAGE: &str = "msg_000000000000000000000000000000a0_12";

fuzz_target!(|bytes: &[u8]| {
    let [high, low, change, body @ ..] = bytes else { return };
    // The verifier takes text only. What we send is JSON.
    if std::str::from_utf8(body).is_err() {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let [old, new] = [1, 2].map(|generation| Secret::derive(&[7; 32], TeamId(Uuid::from_u128(1)), generation));
    let verifier = Webhook::new(&new.shown()).expect("a secret that can be read");
    let verifies = |[id, timestamp, signature, body]: [&[u8]; 4]| {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ID, id), (TIMESTAMP, timestamp), (SIGNATURE, signature)] {
            let Ok(value) = HeaderValue::from_bytes(value) else { return false };
            headers.insert(name, value);
        }
        verifier.verify(body, &headers).is_ok()
    };
    let (timestamp, both) = (now.to_string(), sign(&[old, new], MESSAGE, now, body));
    assert!(verifies([MESSAGE.as_bytes(), timestamp.as_bytes(), both.as_bytes(), body]), "ours is not taken");
    let signature = sign(&[new], MESSAGE, now, body);
    let parts = [MESSAGE.as_bytes(), timestamp.as_bytes(), signature.as_bytes(), body];
    assert!(verifies(parts), "ours is not taken");
    assert!(!verifies([parts[0], parts[1], body, body]), "one that was made up is taken");
    let lengths: usize = parts.iter().map(|part| part.len()).sum();
    let mut at = (usize::from(*high) * 256 + usize::from(*low)) % lengths;
    for part in 0..parts.len() {
        if at < parts[part].len() {
            let mut bytes = parts[part].to_vec();
            bytes[at] ^= if *change == 0 { 1 } else { *change };
            let mut altered = parts;
            altered[part] = &bytes;
            assert!(!verifies(altered), "byte {at} of part {part} was changed, and it is taken");
            return;
        }
        at -= parts[part].len();
    }
});
