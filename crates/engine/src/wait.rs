//! Waiting for a model or a tool, but not past a stop, the run's time, or the end of a drain.

use std::time::Duration;

use domain::RunId;
use storage::bell::RunWatch;
use storage::runs;

use crate::pace::Pace;
use crate::shop::Shop;

/// Pause before the inbox is looked into again after that has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Why waiting ended.
pub(crate) enum Waited<T> {
    Done(T),
    /// Somebody wants the run stopped.
    Stop,
    /// The run's time is used up.
    TimeUp,
    /// The process drains and waits no longer.
    Drain,
}

impl<T> Waited<T> {
    pub(crate) fn map<U>(self, done: impl FnOnce(T) -> U) -> Waited<U> {
        match self {
            Self::Done(value) => Waited::Done(done(value)),
            Self::Stop => Waited::Stop,
            Self::TimeUp => Waited::TimeUp,
            Self::Drain => Waited::Drain,
        }
    }
}

/// Waits for `doing`. Whatever else ends the wait drops it.
pub(crate) async fn wait<T>(
    shop: &Shop,
    run: RunId,
    news: &mut RunWatch,
    left_ms: u64,
    doing: impl Future<Output = T>,
) -> Waited<T> {
    tokio::select! {
        biased;
        value = doing => Waited::Done(value),
        () = stop_wanted(shop, run, news) => Waited::Stop,
        () = shop.pace.until(|pace| pace == Pace::DropStep) => Waited::Drain,
        () = tokio::time::sleep(Duration::from_millis(left_ms)) => Waited::TimeUp,
    }
}

/// Returns once the inbox holds a stop. Messages do not interrupt a turn: they are heard at the next one.
async fn stop_wanted(shop: &Shop, run: RunId, news: &mut RunWatch) {
    loop {
        news.changed().await;
        loop {
            match shop.parts.db.read(async |tx| runs::stop_wanted(tx, run).await).await {
                Ok(true) => return,
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%run, %error, "the inbox could not be read");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
