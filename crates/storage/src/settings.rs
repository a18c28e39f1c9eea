//! What a server settles once for all its nodes.

use domain::master_key::{Place, Sealed};

use crate::db::{StoreError, Tx, params};
use crate::master_keys::{Keyring, open, seal};

const GET: &str = "SELECT value FROM settings WHERE name = $1";
const PUT: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const REPLACE: &str = "UPDATE settings SET value = $2 WHERE name = $1";
const DELETE: &str = "DELETE FROM settings WHERE name = $1";

/// As versions before the fourth migration kept it, in clear.
const CLEAR_KEY: &str = "server_key";
const SERVER_KEY: &str = "server_key.sealed";
const TRACES: &str = "traces";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[GET, PUT, REPLACE, DELETE];

/// The server's own key, from which the secrets of webhooks come. `None` before the first start has made it.
pub async fn server_key(tx: &mut Tx<'_>, keys: &Keyring) -> Result<Option<[u8; 32]>, StoreError> {
    let Some(row) = tx.row(GET, &params![SERVER_KEY]).await? else { return Ok(None) };
    let opened = open(tx, keys, Place::ServerKey, &Sealed::from_bytes(row.bytes(0)?)).await?;
    let key = opened.as_slice().try_into();
    key.map(Some).map_err(|_| StoreError::Corrupt { what: "settings.server_key: expected 32 bytes".into() })
}

/// The same; a fresh one is made, if there is none yet.
pub async fn found_server_key(tx: &mut Tx<'_>, keys: &Keyring) -> Result<[u8; 32], StoreError> {
    if let Some(key) = server_key(tx, keys).await? {
        return Ok(key);
    }
    let mut fresh = [0; 32];
    keys.ambient.random(&mut fresh);
    put(tx, keys, &fresh).await?;
    // Another node may have been first.
    Ok(server_key(tx, keys).await?.unwrap_or(fresh))
}

/// Whether the file of the database may still hold what was taken out of it: secrets in clear, or keys that were forgotten.
pub async fn has_traces(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.row(GET, &params![TRACES]).await?.is_some())
}

/// They are gone.
pub async fn forget_traces(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.exec(DELETE, &params![TRACES]).await.map(drop)
}

pub(crate) async fn note_traces(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.exec(PUT, &params![TRACES, Vec::new()]).await.map(drop)
}

pub(crate) async fn has_clear_key(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.row(GET, &params![CLEAR_KEY]).await?.is_some())
}

/// Seals the key that an older version kept in clear.
pub(crate) async fn seal_clear(tx: &mut Tx<'_>, keys: &Keyring) -> Result<(), StoreError> {
    if let Some(row) = tx.row(GET, &params![CLEAR_KEY]).await? {
        put(tx, keys, &row.hash(0)?).await?;
        tx.exec(DELETE, &params![CLEAR_KEY]).await?;
    }
    Ok(())
}

/// Seals the server's key anew, unless this data key did; how many secrets that was.
pub(crate) async fn seal_anew(tx: &mut Tx<'_>, keys: &Keyring, number: u32) -> Result<u64, StoreError> {
    let Some(row) = tx.row(GET, &params![SERVER_KEY]).await? else { return Ok(0) };
    let sealed = Sealed::from_bytes(row.bytes(0)?);
    if sealed.number() == Some(number) {
        return Ok(0);
    }
    let key = open(tx, keys, Place::ServerKey, &sealed).await?;
    let anew = seal(tx, keys, Place::ServerKey, &key).await?;
    tx.exec(REPLACE, &params![SERVER_KEY, anew.as_bytes()]).await
}

pub(crate) async fn forget_server_key(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.exec(DELETE, &params![SERVER_KEY]).await.map(drop)
}

async fn put(tx: &mut Tx<'_>, keys: &Keyring, key: &[u8; 32]) -> Result<(), StoreError> {
    let sealed = seal(tx, keys, Place::ServerKey, key).await?;
    tx.exec(PUT, &params![SERVER_KEY, sealed.as_bytes()]).await.map(drop)
}
