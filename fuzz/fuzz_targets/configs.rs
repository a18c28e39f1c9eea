//! Configs: whatever is submitted, what is served of it fits the published shape, and given back it is taken unchanged, secrets and all.

#![no_main]

use contract::configs::Config as Shape;
use domain::builds::{Config, Defaults, normalise, redact_submitted};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, from_value, to_value};

fuzz_target!(|bytes: &[u8]| {
    let Ok(submitted) = contract::strict_json::parse(bytes) else { return };
    // What is logged or kept of a request that was refused must be possible for any.
    let _ = redact_submitted(&submitted);
    let defaults = Defaults::default();
    let first = match normalise(&submitted, "/config", &defaults, None) {
        Ok(first) => first,
        Err(flaw) => {
            assert!(flaw.pointer.starts_with("/config"), "{flaw}");
            return;
        }
    };
    let served: Value = to_value(&first.config).expect("JSON");
    let shape: Shape = from_value(served.clone()).expect("the published shape");
    assert_eq!(to_value(&shape).expect("JSON"), served, "the shape does not know all of what is served");
    assert_eq!(from_value::<Config>(served.clone()).expect("what is stored"), first.config);
    let again = normalise(&served, "", &defaults, Some(&first.secrets)).expect("what is served is taken back");
    assert_eq!((&again.config, &again.secrets), (&first.config, &first.secrets));
    assert!(again.notes.is_empty(), "{:?}", again.notes);
    // What a run asks of it.
    let _ = (first.config.instructions(), first.config.seed_turns(), first.config.sampling(), first.config.unserved());
});
