//! What a server settles once for all its nodes.

use crate::db::{StoreError, Tx, params};

const GET: &str = "SELECT value FROM settings WHERE name = $1";
const PUT: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const SERVER_KEY: &str = "server_key";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[GET, PUT];

/// The server's own key, from which the secrets of webhooks come. `None` before the first start has made it.
pub async fn server_key(tx: &mut Tx<'_>) -> Result<Option<[u8; 32]>, StoreError> {
    tx.row(GET, &params![SERVER_KEY]).await?.map(|row| row.hash(0)).transpose()
}

/// The same; `fresh` becomes it, if there is none yet.
pub async fn found_server_key(tx: &mut Tx<'_>, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    tx.exec(PUT, &params![SERVER_KEY, fresh.to_vec()]).await?;
    Ok(server_key(tx).await?.unwrap_or(fresh))
}
