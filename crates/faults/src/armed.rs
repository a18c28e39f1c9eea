//! What an armed build does at its places. It reads the environment once: a process is told at its start how it ends.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{POINTS, Sabotage};

/// What was asked for in `ERRAND_FAULT`.
struct Fault {
    name: String,
    hit: u32,
    error: bool,
    seen: AtomicU32,
}

pub(crate) fn sabotaged(what: Sabotage) -> bool {
    static ASKED: OnceLock<Option<Sabotage>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let name = std::env::var("ERRAND_SABOTAGE").ok()?;
        let known = Sabotage::ALL.into_iter().find(|sabotage| sabotage.name() == name);
        Some(known.unwrap_or_else(|| refuse(&format!("ERRAND_SABOTAGE: there is no {name:?}"))))
    });
    *asked == Some(what)
}

pub(crate) fn point(name: &'static str) {
    if hit(name, false) {
        die(name);
    }
}

pub(crate) fn fails(name: &'static str) -> bool {
    if hit(name, false) {
        die(name);
    }
    let fails = hit(name, true);
    if fails {
        eprintln!("faults: {name} fails");
    }
    fails
}

fn hit(name: &'static str, error: bool) -> bool {
    static ASKED: OnceLock<Option<Fault>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| std::env::var("ERRAND_FAULT").ok().map(|text| read(&text)));
    let Some(fault) = asked.as_ref().filter(|fault| fault.name == name && fault.error == error) else { return false };
    fault.seen.fetch_add(1, Ordering::SeqCst) + 1 == fault.hit
}

fn read(text: &str) -> Fault {
    let mut parts = text.split(':');
    let (name, hit, action) = (parts.next(), parts.next(), parts.next());
    let hit = hit.and_then(|hit| hit.parse().ok());
    match (name, hit, action) {
        (Some(name), Some(hit), Some(action @ ("abort" | "error"))) if POINTS.contains(&name) => {
            Fault { name: name.to_owned(), hit, error: action == "error", seen: AtomicU32::new(0) }
        }
        _ => refuse(&format!("ERRAND_FAULT: {text:?} is not NAME:HIT:abort or NAME:HIT:error with a known name")),
    }
}

/// As a power cut: no destructor runs, nothing is flushed.
fn die(name: &str) -> ! {
    eprintln!("faults: the process dies at {name}");
    process::abort();
}

fn refuse(why: &str) -> ! {
    eprintln!("faults: {why}");
    process::exit(64);
}
