//! How much a suite does, and what it did: numbers from the environment, and one line at the end that a long run collects.

use std::time::Instant;

use crate::judge::Verdict;

/// A number that the environment may raise: `ERRAND_FAULTS_KILLS=1000`.
pub(crate) fn number(name: &str, usual: usize) -> usize {
    let given = std::env::var(format!("ERRAND_FAULTS_{name}")).ok();
    given.and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// A suite that has begun. What fails it is in the verdict by the time of its line; a suite that broke off has none, and `soak` says that it failed.
pub(crate) struct Totals {
    suite: &'static str,
    what: &'static str,
    began: Instant,
}

impl Totals {
    /// Says whose line will follow. `what` is done in it.
    pub(crate) fn begin(suite: &'static str, what: &'static str) -> Self {
        println!("SUITE {suite}");
        Self { suite, what, began: Instant::now() }
    }

    /// Prints the line: what this is about was done `times` times.
    pub(crate) fn report(&self, times: usize, verdict: &Verdict) {
        let Self { suite, what, began } = self;
        let Verdict { wrong, runs, claims, calls, unknown, takeovers, followed, returns, .. } = verdict;
        let median = takeovers.get(takeovers.len() / 2).copied().unwrap_or(0);
        let most = takeovers.last().copied().unwrap_or(0);
        println!(
            "TOTALS {{\"suite\":\"{suite}\",\"{what}\":{times},\"runs\":{runs},\"claims\":{claims},\"tool_calls\":{calls},\"unknown_outcomes\":{unknown},\
             \"takeovers\":{},\"takeover_median_ms\":{median},\"takeover_max_ms\":{most},\"followed\":{followed},\"returns\":{returns},\
             \"violations\":{},\"seconds\":{}}}",
            takeovers.len(),
            wrong.len(),
            began.elapsed().as_secs()
        );
    }
}
