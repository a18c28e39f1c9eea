//! What an error of the server, or of the way to it, means to us.

use deadpool_postgres::PoolError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::db::error::StoreError;

/// An error of a statement. Whatever it is, its transaction leaves nothing behind.
pub(super) fn said(error: &Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        return if error.is_closed() || is_of_the_way(error) {
            StoreError::Unreachable(chain(error))
        } else {
            StoreError::Sql(chain(error))
        };
    };
    let text = || format!("{} ({})", told.message(), told.code().code());
    match *told.code() {
        SqlState::UNIQUE_VIOLATION => {
            StoreError::Conflict { constraint: told.constraint().unwrap_or(told.message()).to_owned() }
        }
        SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::LOCK_NOT_AVAILABLE
        | SqlState::QUERY_CANCELED => StoreError::Busy,
        SqlState::DISK_FULL => StoreError::Full,
        // It waited in vain for the next statement of a transaction, or for its end: the way to it is cut in one direction. The session is over.
        _ if matches!(told.code().code(), "25P03" | "25P04") => StoreError::Unreachable(text()),
        SqlState::READ_ONLY_SQL_TRANSACTION => StoreError::Unreachable("the server takes no writes any more".into()),
        // A page that cannot be read, a server that stopped itself: its own recovery decides, not ours.
        _ if ["08", "57", "58", "53", "XX"].iter().any(|class| told.code().code().starts_with(class)) => {
            StoreError::Unreachable(text())
        }
        SqlState::INSUFFICIENT_PRIVILEGE => StoreError::Setup(format!(
            "{}: make the user of the URL the owner of the database, or as its owner: GRANT CREATE, USAGE ON SCHEMA public TO that user",
            text()
        )),
        // Ours are never dropped while they are in use, so somebody gave the session to others.
        SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::DUPLICATE_PSTATEMENT => StoreError::Unreachable(format!(
            "{}: a pooler stands before the server that gives each transaction another session; set `transaction_pooler = true` in section [database]",
            text()
        )),
        _ if told.code().code().starts_with("23") => StoreError::Constraint(told.message().to_owned()),
        _ => StoreError::Sql(text()),
    }
}

/// An error of a commit: where the way broke, nobody knows what came of it.
pub(super) fn doubtful(error: &Error) -> StoreError {
    match said(error) {
        StoreError::Unreachable(why) => StoreError::InDoubt(why),
        certain => certain,
    }
}

/// No connection was to be had.
pub(super) fn lost(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => match said(error) {
            StoreError::Sql(why) => StoreError::Unreachable(why),
            other => other,
        },
        PoolError::Closed => StoreError::Closed,
        PoolError::Timeout(_) => StoreError::Unreachable("no connection to the database came free in time".into()),
        other => StoreError::Unreachable(other.to_string()),
    }
}

fn is_of_the_way(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    // Connecting, and hearing what nobody expects, have no public kind; both are told by words.
    let words = error.to_string();
    words.contains("connect") || words.contains("communicating") || words.contains("unexpected message")
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
