//! Paths in sandboxes and names of team files: none leads out of its folder, and each has one spelling that is read as itself.

#![no_main]

use std::path::{Component, Path};

use domain::files;
use domain::sandboxes::SandboxPath;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = SandboxPath::parse(text) {
        stays_inside(&path);
        assert_eq!(SandboxPath::parse(&path.to_string()).as_ref(), Ok(&path), "its own spelling");
        assert_eq!(SandboxPath::parse(&path.relative()).as_ref(), Ok(&path), "relative to the root");
    }
    if let Ok(path) = SandboxPath::parse_file(text) {
        assert!(!path.names().is_empty(), "a file is no root");
        assert_eq!(SandboxPath::parse(text).as_ref(), Ok(&path));
    }
    if let Ok(name) = files::name(text) {
        let placed = SandboxPath::parse_file(&format!("/workspace/{}/{name}", files::FOLDER)).expect("it can be placed");
        stays_inside(&placed);
        assert_eq!(placed.names()[0], files::FOLDER);
        assert_eq!(files::name(&name).as_deref(), Ok(name.as_str()));
    }
    // Of a name on the disk: nothing but the time in it is believed.
    let _ = files::came_at(text);
});

/// As the file system reads it.
fn stays_inside(path: &SandboxPath) {
    let joined = Path::new("/sandboxes/one").join(path.relative());
    let below = joined.strip_prefix("/sandboxes/one").expect("below its root");
    assert!(below.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)), "{joined:?}");
    assert!(path.names().len() <= 32 && path.names().iter().all(|name| (1..=255).contains(&name.len())));
    assert!(path.names().iter().all(|name| !name.contains(['/', '\\']) && !name.contains(char::is_control)));
}
