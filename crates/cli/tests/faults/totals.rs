//! How much a suite does, and what it did: numbers from the environment, and one line at the end that a long run collects.

use std::time::{Duration, Instant};

use crate::judge::Verdict;

/// A number that the environment may raise: `ERRAND_FAULTS_KILLS=1000`.
pub(crate) fn number(name: &str, usual: usize) -> usize {
    let given = std::env::var(format!("ERRAND_FAULTS_{name}")).ok();
    given.and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// Prints the line. `what` was done `times` times.
pub(crate) fn report(suite: &str, what: &str, times: usize, began: Instant, verdict: &Verdict) {
    let Verdict { wrong, runs, claims, calls, unknown, takeovers, .. } = verdict;
    let took: Duration = began.elapsed();
    let median = takeovers.get(takeovers.len() / 2).copied().unwrap_or(0);
    let most = takeovers.last().copied().unwrap_or(0);
    println!(
        "TOTALS {{\"suite\":\"{suite}\",\"{what}\":{times},\"runs\":{runs},\"claims\":{claims},\"tool_calls\":{calls},\"unknown_outcomes\":{unknown},\
         \"takeovers\":{},\"takeover_median_ms\":{median},\"takeover_max_ms\":{most},\"violations\":{},\"seconds\":{}}}",
        takeovers.len(),
        wrong.len(),
        took.as_secs()
    );
}
