//! Which master keys open the secrets of a database, and sealing and opening with them.
//!
//! Each data key is here once for each master key, wrapped in it. That is also how a node with a wrong key is noticed before it does anything: its
//! key is not among them. How sealing works is in `domain::master_key`.

use std::fmt;
use std::sync::Arc;

use domain::master_key::{DataKey, MasterKey, Place, Sealed, Shut};
use domain::{Ambient, Timestamp};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::db::{Sql, StoreError, Tx, params};
use crate::{answers, builds, settings};

const CURRENT: Sql = Sql::pair(
    "SELECT wrapped FROM data_keys WHERE master = $1 AND retired = 0",
    // Until the commit: whoever retires the key waits for those that seal with it, and then finds what they sealed.
    "SELECT wrapped FROM data_keys WHERE master = $1 AND retired = 0 FOR SHARE",
);
const NUMBERED: &str = "SELECT wrapped FROM data_keys WHERE master = $1 AND number = $2";
const ALL_OF: &str = "SELECT wrapped, retired FROM data_keys WHERE master = $1 ORDER BY number";
const MASTERS: &str = "SELECT master, min(created_at) FROM data_keys GROUP BY master ORDER BY 2, 1";
const ADD: &str = "INSERT INTO data_keys (master, number, wrapped, retired, created_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (master, number) DO NOTHING";
const RETIRE: &str = "UPDATE data_keys SET retired = 1 WHERE retired = 0";
const DROP_OTHERS: &str = "DELETE FROM data_keys WHERE master <> $1";
const DROP_RETIRED: &str = "DELETE FROM data_keys WHERE retired = 1";
const DROP_ALL: &str = "DELETE FROM data_keys";

#[cfg(test)]
pub(crate) const SQL: &[&str] = &[NUMBERED, ALL_OF, MASTERS, ADD, RETIRE, DROP_OTHERS, DROP_RETIRED, DROP_ALL];
#[cfg(test)]
pub(crate) const PAIRS: &[Sql] = &[CURRENT];

/// Whoever changes which keys there are is alone.
const LOCK: Uuid = Uuid::from_u128(0x6d61_7374_6572_206b_6579_7300_0000_0001);

/// What is needed to seal and to open: the operator's key, and chance.
#[derive(Clone)]
pub struct Keyring {
    /// The key.
    pub master: MasterKey,
    /// Where nonces and fresh keys come from.
    pub ambient: Arc<dyn Ambient>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({:?})", self.master)
    }
}

/// A master key that opens the database's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// Since when it does.
    pub since: Timestamp,
}

/// The master keys that open the secrets, the oldest first. None: nothing was sealed yet.
pub async fn accepted(tx: &mut Tx<'_>) -> Result<Vec<Accepted>, StoreError> {
    let rows = tx.rows(MASTERS, &[]).await?;
    rows.iter().map(|row| Ok(Accepted { id: row.text(0)?, since: row.time(1)? })).collect()
}

/// Checks that this key is one of them; the first one founds a database's secrets.
///
/// # Errors
/// [`StoreError::Sealed`] if others are and it is not.
pub async fn admit(tx: &mut Tx<'_>, keys: &Keyring) -> Result<(), StoreError> {
    tx.alone(LOCK).await?;
    let accepted = accepted(tx).await?;
    if accepted.is_empty() {
        return add(tx, keys, &keys.master, &DataKey::draw(1, keys.ambient.as_ref()), false).await;
    }
    check(tx, &keys.master).await
}

/// Checks the same, and founds nothing: for whoever only looks. Without any key there is nothing that it could not open.
///
/// # Errors
/// [`StoreError::Sealed`].
pub async fn check(tx: &mut Tx<'_>, master: &MasterKey) -> Result<(), StoreError> {
    let accepted = accepted(tx).await?;
    if accepted.is_empty() {
        return Ok(());
    }
    let own = tx.rows(ALL_OF, &params![master.id()]).await?;
    if own.is_empty() {
        return Err(stranger(master, &accepted));
    }
    own.iter().try_for_each(|row| unwrapped(master, row.bytes(0)?).map(drop))
}

/// Seals a secret for its place, with the key that all secrets are sealed with now.
///
/// # Errors
/// [`StoreError::Sealed`] if the master key is not accepted any more; [`StoreError::Busy`] if the data key was just changed.
pub async fn seal(tx: &mut Tx<'_>, keys: &Keyring, place: Place<'_>, secret: &[u8]) -> Result<Sealed, StoreError> {
    let Some(row) = tx.row(CURRENT, &params![keys.master.id()]).await? else {
        check(tx, &keys.master).await?;
        return Err(StoreError::Busy);
    };
    Ok(unwrapped(&keys.master, row.bytes(0)?)?.seal(place, secret, keys.ambient.as_ref()))
}

/// Opens what was sealed for this place.
///
/// # Errors
/// [`StoreError::Sealed`] if it does not open.
pub async fn open(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    place: Place<'_>,
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let shut = || {
        StoreError::Sealed(format!(
            "what is sealed for {place:?} does not open: it was altered, or moved there from another place"
        ))
    };
    let number = sealed.number().ok_or_else(shut)?;
    let Some(row) = tx.row(NUMBERED, &params![keys.master.id(), number]).await? else {
        check(tx, &keys.master).await?;
        return Err(shut());
    };
    unwrapped(&keys.master, row.bytes(0)?)?.open(place, sealed).map_err(|Shut| shut())
}

/// Lets another master key open all secrets, too. Whether it did not before.
pub async fn accept(tx: &mut Tx<'_>, keys: &Keyring, other: &MasterKey) -> Result<bool, StoreError> {
    tx.alone(LOCK).await?;
    let (before, own) = (accepted(tx).await?, tx.rows(ALL_OF, &params![keys.master.id()]).await?);
    if own.is_empty() {
        return Err(stranger(&keys.master, &before));
    }
    for row in own {
        let key = unwrapped(&keys.master, row.bytes(0)?)?;
        add(tx, keys, other, &key, row.bool(1)?).await?;
    }
    Ok(before.iter().all(|known| known.id != other.id()))
}

/// Makes this master key the only one, and a fresh data key that seals from now on. What was sealed before stays as it is: see [`seal_anew`].
pub async fn only(tx: &mut Tx<'_>, keys: &Keyring) -> Result<(), StoreError> {
    tx.alone(LOCK).await?;
    let (before, own) = (accepted(tx).await?, tx.rows(ALL_OF, &params![keys.master.id()]).await?);
    let newest = own.last().ok_or_else(|| stranger(&keys.master, &before))?;
    let number = unwrapped(&keys.master, newest.bytes(0)?)?.number();
    tx.exec(RETIRE, &[]).await?;
    tx.exec(DROP_OTHERS, &params![keys.master.id()]).await?;
    add(tx, keys, &keys.master, &DataKey::draw(number + 1, keys.ambient.as_ref()), false).await
}

/// Seals up to `most` secrets anew that an older data key sealed; how many they were. After the last one the older keys are forgotten.
pub async fn seal_anew(tx: &mut Tx<'_>, keys: &Keyring, most: u32) -> Result<u64, StoreError> {
    let row = tx.row(CURRENT, &params![keys.master.id()]).await?.ok_or(StoreError::Busy)?;
    let number = unwrapped(&keys.master, row.bytes(0)?)?.number();
    let sealed = builds::seal_anew(tx, keys, number, most).await?
        + answers::seal_anew(tx, keys, number, most).await?
        + settings::seal_anew(tx, keys, number).await?;
    if sealed == 0 {
        tx.exec(DROP_RETIRED, &[]).await?;
        settings::note_traces(tx).await?;
    }
    Ok(sealed)
}

/// Seals up to `most` of each kind of secret that an older version left in clear; how many they were.
pub async fn seal_clear(tx: &mut Tx<'_>, keys: &Keyring, most: u32) -> Result<u64, StoreError> {
    let mut sealed = builds::seal_clear(tx, keys, most).await?;
    if settings::has_clear_key(tx).await? {
        // Last of all: it tells that there may be others.
        sealed += answers::seal_clear(tx, keys, most).await?;
        if sealed == 0 {
            settings::seal_clear(tx, keys).await?;
            sealed = 1;
        }
    }
    if sealed > 0 {
        settings::note_traces(tx).await?;
    }
    Ok(sealed)
}

/// Forgets every secret and every key: for an operator whose master key is lost. How many Builds had secrets.
pub async fn forget(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.alone(LOCK).await?;
    tx.exec(DROP_ALL, &[]).await?;
    answers::forget_sealed(tx).await?;
    settings::forget_server_key(tx).await?;
    builds::forget_secrets(tx).await
}

async fn add(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    master: &MasterKey,
    key: &DataKey,
    retired: bool,
) -> Result<(), StoreError> {
    let wrapped = master.wrap(key, keys.ambient.as_ref());
    let values = params![master.id(), key.number(), wrapped.as_bytes(), retired, keys.ambient.now()];
    tx.exec(ADD, &values).await.map(drop)
}

fn unwrapped(master: &MasterKey, wrapped: Vec<u8>) -> Result<DataKey, StoreError> {
    master.unwrap(&Sealed::from_bytes(wrapped)).map_err(|Shut| {
        StoreError::Sealed(format!(
            "a row of data_keys does not open with the master key {} that it names: it was altered",
            master.id()
        ))
    })
}

fn stranger(master: &MasterKey, accepted: &[Accepted]) -> StoreError {
    let ids: Vec<_> = accepted.iter().map(|key| key.id.as_str()).collect();
    StoreError::Sealed(format!(
        "the secrets in the database are sealed with the master key {}, and the one at hand is {}",
        ids.join(" or "),
        master.id()
    ))
}
