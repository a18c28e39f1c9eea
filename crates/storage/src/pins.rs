//! Pins: what the MCP servers of a Build offered when they were first asked.

use domain::tools::Offer;
use domain::{BuildId, TeamId, Timestamp};

use crate::db::{StoreError, Tx, params};
use crate::journal;

const PIN: &str = "INSERT INTO pins (team_id, build_id, server, offer, pinned_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (team_id, build_id, server) DO NOTHING";
const OF_BUILD: &str = "SELECT server, offer FROM pins WHERE team_id = $1 AND build_id = $2 ORDER BY server";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[PIN, OF_BUILD];

/// Pins what a server offers. Of several who ask it at once, the first has asked for all of them.
pub async fn pin(
    tx: &mut Tx<'_>,
    (team, build): (TeamId, BuildId),
    server: &str,
    offer: &Offer,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(PIN, &params![team, build, server, journal::json(offer)?, now]).await.map(drop)
}

/// What is pinned for a Build, by `server_label`.
pub async fn of_build(tx: &mut Tx<'_>, team: TeamId, build: BuildId) -> Result<Vec<(String, Offer)>, StoreError> {
    let rows = tx.rows(OF_BUILD, &params![team, build]).await?;
    let read = |row: &crate::Row| {
        let offer = serde_json::from_str(row.text_ref(1)?);
        Ok((row.text(0)?, offer.map_err(|error| StoreError::Corrupt { what: format!("pins.offer: {error}") })?))
    };
    rows.iter().map(read).collect()
}
