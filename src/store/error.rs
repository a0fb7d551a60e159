//! Why the database did not do it: sqlx errors sorted by what a caller can do about them.

use sqlx::error::{DatabaseError, Error, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

use crate::revision::Unapproved;

/// Why the database did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Connection lost, too many connections, disk full, read-only for now: the same call may succeed.
    #[error("database: {0}")]
    Transient(String),
    /// Deadlock, or a row that another transaction keeps locked: the same call may succeed.
    #[error("database: {0}")]
    Locked(String),
    /// The connection was lost while a transaction was to be committed: it may have happened.
    #[error("database: {0}")]
    Unanswered(String),
    /// Another writer holds what this call needs: a newer owner, an id already taken.
    #[error("database: {0}")]
    Conflict(String),
    /// Another order has this id already.
    #[error("{0}")]
    Contradiction(String),
    /// Two people have to agree to it, and have not.
    #[error("{0}")]
    Unapproved(Box<Unapproved>),
    /// A value of this call can never be stored; other values can.
    #[error("database: {0}")]
    Refused(String),
    /// The call can never succeed.
    #[error("database: {0}")]
    Permanent(String),
    /// What was to change is not as whoever asks has seen it: this is its tag.
    #[error("it has changed meanwhile: its ETag is {0:?}")]
    Changed(String),
}

impl StoreError {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Locked(_) | Self::Unanswered(_))
    }

    /// Whether a value of the call may be the cause: other values may pass.
    pub(super) fn is_of_a_row(&self) -> bool {
        matches!(
            self,
            Self::Conflict(_) | Self::Contradiction(_) | Self::Refused(_) | Self::Permanent(_)
        )
    }

    /// The error of a COMMIT: without an answer, nobody knows yet.
    pub(super) fn of_commit(error: Error) -> Self {
        match error {
            Error::Io(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::Tls(_) => {
                Self::Unanswered(error.to_string())
            }
            _ => error.into(),
        }
    }
}

impl From<Unapproved> for StoreError {
    fn from(why: Unapproved) -> Self {
        Self::Unapproved(Box::new(why))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Database(error) => sort_database(error.as_ref(), text),
            // Protocol: what a server that dies in the middle of an answer leaves behind.
            Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed
            | Error::BeginFailed => Self::Transient(text),
            Error::Encode(_) => Self::Refused(text),
            _ => Self::Permanent(text),
        }
    }
}

fn sort_database(error: &dyn DatabaseError, text: String) -> StoreError {
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return match sort_mysql(error.number(), error.code().unwrap_or_default()) {
            Sort::Transient => StoreError::Transient(text),
            Sort::Locked => StoreError::Locked(text),
            Sort::Conflict => StoreError::Conflict(text),
            Sort::Refused => StoreError::Refused(text),
            Sort::Permanent => StoreError::Permanent(text),
        };
    }
    let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    match (error.kind(), code & 0xff) {
        (ErrorKind::UniqueViolation, _) => StoreError::Conflict(text),
        // BUSY, LOCKED, NOMEM, IOERR, FULL, CANTOPEN
        (_, 5 | 6 | 7 | 10 | 13 | 14) => StoreError::Transient(text),
        // TOOBIG, CONSTRAINT, MISMATCH, RANGE
        (_, 18 | 19 | 20 | 25) => StoreError::Refused(text),
        _ => StoreError::Permanent(text),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Transient,
    Locked,
    Conflict,
    Refused,
    Permanent,
}

/// Sorts an error number of MySQL or MariaDB; `state` is its SQLSTATE.
fn sort_mysql(number: u16, state: &str) -> Sort {
    match number {
        // Deadlock, lock wait.
        1213 | 1205 => Sort::Locked,
        // Lock table full, changed since last read.
        1206 | 1020 => Sort::Transient,
        // Too many connections (server, user), shutting down, killed, interrupted, timed out.
        1040 | 1203 | 1226 | 1053 | 1077 | 1078 | 1079 | 1927 | 1317 | 1969 | 3024 => Sort::Transient,
        // Connection lost, aborted, or closed for inactivity.
        1152 | 1154..=1161 | 1184 | 2002 | 2003 | 2006 | 2013 | 4031 => Sort::Transient,
        // Read-only (a failover is going on), cluster node not ready, error during commit.
        1290 | 1792 | 1836 | 1047 | 1180 => Sort::Transient,
        // Out of memory, disk or tablespace full: an operator makes room.
        1021 | 1037 | 1038 | 1041 | 1114 | 3675 => Sort::Transient,
        1062 | 1586 => Sort::Conflict,
        // Packet too large, wrong text for the character set, check constraint.
        1153 | 1366 | 3819 | 4025 => Sort::Refused,
        _ if state.starts_with("22") || state.starts_with("23") => Sort::Refused,
        _ => Sort::Permanent,
    }
}

/// Whether a row with this key is there already.
pub(super) fn is_duplicate(error: &Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.kind() == ErrorKind::UniqueViolation)
}

/// Whether a row would break a CHECK of its table.
pub(super) fn is_check_violation(error: &Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.kind() == ErrorKind::CheckViolation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_errors_are_sorted_by_what_helps() {
        for number in [1206, 1040, 2006, 2013, 1290, 1114] {
            assert_eq!(sort_mysql(number, "HY000"), Sort::Transient, "{number}");
        }
        for number in [1213, 1205] {
            assert_eq!(sort_mysql(number, "HY000"), Sort::Locked, "{number}");
        }
        assert_eq!(sort_mysql(1644, "45000"), Sort::Permanent, "a trigger's SIGNAL");
        assert_eq!(sort_mysql(1062, "23000"), Sort::Conflict);
        assert_eq!(sort_mysql(1406, "22001"), Sort::Refused, "data too long");
        assert_eq!(sort_mysql(1048, "23000"), Sort::Refused, "not null");
        assert_eq!(sort_mysql(1146, "42S02"), Sort::Permanent, "no such table");
        assert_eq!(sort_mysql(1142, "42000"), Sort::Permanent, "not granted");
    }

    #[test]
    fn a_broken_connection_is_transient() {
        let broken = Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(StoreError::from(broken).is_transient());
        assert!(StoreError::from(Error::PoolTimedOut).is_transient());
        assert!(!StoreError::from(Error::RowNotFound).is_transient());
    }
}
