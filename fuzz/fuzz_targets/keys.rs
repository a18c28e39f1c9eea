//! What lets people in: ids, keys, scopes, upload tokens. Each has one spelling, and no token is good but one that was made here.

#![no_main]

use domain::api_keys::{self, Scope, Scopes};
use domain::sandboxes::SandboxPath;
use domain::uploads::{Grant, Refused, Seal};
use domain::webhooks::DeliveryId;
use domain::{ApiKeyId, RunId, TeamId, Timestamp};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<RunId>() {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Ok(id) = text.parse::<DeliveryId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(scopes) = text.parse::<Scopes>() {
        assert_eq!(scopes.to_string().parse(), Ok(scopes));
        assert!(Scope::ALL.into_iter().all(|scope| scopes.allow(scope) == text.contains(scope.word())), "{text}");
    }
    if api_keys::check_own(text).is_ok() {
        assert!(http::HeaderValue::from_str(&format!("Bearer {text}")).is_ok_and(|value| value.to_str().is_ok()));
    }
    let (ours, other, now) = (Seal::derive(&[7; 32]), Seal::derive(&[8; 32]), Timestamp(1_000));
    assert_eq!(Grant::read(text, &ours, now), Err(Refused::Altered), "a token that was never made");
    let Ok(path) = SandboxPath::parse_file(text) else { return };
    let grant = Grant {
        team: TeamId(Uuid::from_u128(1)),
        key: ApiKeyId(Uuid::from_u128(2)),
        sandbox: text.chars().take(40).collect(),
        path,
        expires_at: Timestamp(2_000),
        most: text.len() as u64,
    };
    let token = grant.token(&ours);
    assert_eq!(Grant::read(&token, &ours, now).as_ref(), Ok(&grant));
    assert_eq!(Grant::read(&token, &ours, grant.expires_at), Err(Refused::Expired));
    assert_eq!(Grant::read(&token, &other, now), Err(Refused::Altered));
    // Another letter at a place that the text chooses.
    let at = text.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % token.len());
    let mut altered = token.into_bytes();
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).expect("ASCII");
    assert_eq!(Grant::read(&altered, &ours, now), Err(Refused::Altered), "letter {at}");
});
