//! What those saw who followed a run while servers died, held against the stream as it is now, from the beginning and byte for byte.

use std::time::Duration;

use super::Verdict;
use crate::api::Api;
use crate::storm::Told;
use crate::streams::{Followed, Shown};

/// How long after the end of its run a reader may go without hearing of it.
const HEARD: Duration = Duration::from_secs(15);

/// Waits for the readers, who are at the end when their runs are.
pub(super) async fn judge(api: &Api, told: &Told, verdict: &mut Verdict) {
    let mut readers = std::mem::take(&mut *told.readers.lock().unwrap());
    while !readers.is_empty() {
        match tokio::time::timeout(HEARD, readers.join_next()).await {
            Ok(Some(Ok(followed))) => {
                verdict.followed += 1;
                verdict.returns += followed.returns;
                let now = api.events(followed.run).await;
                verdict.wrong.extend(difference(&followed, &now));
            }
            Ok(Some(Err(why))) => verdict.wrong.push(format!("somebody who followed a run had to give up: {why}")),
            Ok(None) => return,
            Err(_) => {
                let left = readers.len();
                verdict.wrong.push(format!("{left} readers of event streams never heard that their runs are over"));
                return;
            }
        }
    }
}

/// The first thing that was shown otherwise than it is now. A run that was spoken to after its end may have gone on since.
fn difference(followed: &Followed, now: &[Shown]) -> Option<String> {
    let Followed { run, seen, .. } = followed;
    let place = seen.iter().zip(now).position(|(seen, now)| seen != now);
    let place = place.or_else(|| (seen.len() > now.len()).then_some(now.len()))?;
    let instead = now.get(place).map_or_else(|| "nothing".to_owned(), Shown::to_string);
    Some(format!(
        "{run}: after {place} events whoever followed it was shown {}, where the stream has {instead}",
        seen[place]
    ))
}
