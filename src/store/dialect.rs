//! What MySQL and SQLite write differently.

/// The SQL a connection speaks. MariaDB and MySQL are one: every statement here is plain enough for
/// both (no `RETURNING`, no row alias in an upsert).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    MySql,
    Sqlite,
}

impl Dialect {
    /// Opens a transaction that is going to write. SQLite takes its one write lock at once: a read
    /// lock that is upgraded later fails when another writer came between.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::MySql => "START TRANSACTION",
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// Ends a SELECT whose rows stay locked until the transaction ends. SQLite's write lock covers
    /// the whole database.
    pub(super) fn for_update(self) -> &'static str {
        match self {
            Self::MySql => " FOR UPDATE",
            Self::Sqlite => "",
        }
    }

    /// Behind the table of an UPDATE that names its rows by their key: no other row is looked at, and so none that
    /// another transaction keeps locked.
    pub(super) fn by_key(self) -> &'static str {
        match self {
            Self::MySql => " FORCE INDEX (PRIMARY)",
            Self::Sqlite => "",
        }
    }

    /// Behind the table of a SELECT that reads a page: the index that has its order, so that no more rows are looked at than
    /// the page and what its filter leaves out.
    pub(super) fn by_index(self, index: &str) -> String {
        match self {
            Self::MySql => format!(" FORCE INDEX ({index})"),
            Self::Sqlite => format!(" INDEXED BY {index}"),
        }
    }

    /// Ends a SELECT whose rows nobody changes until the transaction ends.
    pub(super) fn for_share(self) -> &'static str {
        match self {
            Self::MySql => " LOCK IN SHARE MODE",
            Self::Sqlite => "",
        }
    }

    /// Ends an INSERT: a row whose key (the columns `key`) exists gets `column = expression`, where
    /// `{new}` stands for the value that was to be inserted.
    pub(super) fn on_conflict(self, key: &str, column: &str, expression: &str) -> String {
        self.on_conflict_all(key, &[(column, expression)])
    }

    /// The larger of `allowed` and what was to be inserted; the other one where one of them is null.
    pub(super) fn greatest(self) -> &'static str {
        match self {
            Self::MySql => "COALESCE(GREATEST(allowed, {new}), allowed, {new})",
            Self::Sqlite => "COALESCE(MAX(allowed, {new}), allowed, {new})",
        }
    }

    /// In an upsert of usage, before `used` is set: what is allowed, and no less than is then used; nothing where nobody has
    /// said.
    pub(super) fn at_least_used(self) -> String {
        let used = format!("used + {}", self.new_value("used"));
        match self {
            Self::MySql => format!("GREATEST(allowed, {used})"),
            Self::Sqlite => format!("MAX(allowed, {used})"),
        }
    }

    /// In an upsert: what was to be inserted into a column.
    pub(super) fn new_value(self, column: &str) -> String {
        match self {
            Self::MySql => format!("VALUES({column})"),
            Self::Sqlite => format!("excluded.{column}"),
        }
    }

    /// Like [`Self::on_conflict`], for several columns. Expressions may read the row's other columns, but none that
    /// stands before theirs in the list: MySQL has changed it already.
    pub(super) fn on_conflict_all(self, key: &str, changes: &[(&str, impl AsRef<str>)]) -> String {
        let sets = changes.iter().map(|(column, expression)| {
            let new = self.new_value(column);
            format!("{column} = {}", expression.as_ref().replace("{new}", &new))
        });
        let sets = sets.collect::<Vec<_>>().join(", ");
        match self {
            Self::MySql => format!(" ON DUPLICATE KEY UPDATE {sets}"),
            Self::Sqlite => format!(" ON CONFLICT ({key}) DO UPDATE SET {sets}"),
        }
    }

    /// Bounds how long a statement waits for a row's lock, in whole seconds; `None` where nothing is to be set.
    pub(super) fn lock_wait(self, seconds: u64) -> Option<String> {
        match self {
            Self::MySql => Some(format!("SET SESSION innodb_lock_wait_timeout = {seconds}")),
            Self::Sqlite => None,
        }
    }

    /// The database's clock, as its columns hold a moment.
    pub(super) fn now(self) -> &'static str {
        match self {
            Self::MySql => "NOW(3)",
            Self::Sqlite => "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        }
    }

    /// The same in milliseconds since 1970-01-01 UTC.
    pub(super) fn now_ms(self) -> &'static str {
        match self {
            Self::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Self::Sqlite => {
                "CAST(strftime('%s', 'now') AS INTEGER) * 1000 + CAST(substr(strftime('%f', 'now'), 4, 3) AS INTEGER)"
            }
        }
    }

    /// A number, or 0 where it is negative.
    pub(super) fn not_below_zero(self, number: &str) -> String {
        match self {
            Self::MySql => format!("GREATEST({number}, 0)"),
            Self::Sqlite => format!("MAX({number}, 0)"),
        }
    }

    /// When the state of a campaign goes, as text: `r` is its active revision.
    pub(super) fn kept_until(self) -> &'static str {
        match self {
            Self::MySql => "DATE_ADD(r.closes_at, INTERVAL r.retention_days DAY)",
            Self::Sqlite => "strftime('%Y-%m-%d %H:%M:%f', r.closes_at, r.retention_days || ' days')",
        }
    }

    /// Run on every new connection.
    pub(super) fn session(self) -> &'static [&'static str] {
        match self {
            // A client that is frozen inside a transaction keeps its locks; the server ends it for us. MySQL knows no
            // such limit for transactions alone, only for idle connections; the pool notices those. What a server's
            // settings may have switched off for every session is switched on again: commits, CHECKs, whole answers.
            Self::MySql => &[
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
                 ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', \
                 autocommit = 1, unique_checks = 1, sql_safe_updates = 0, sql_select_limit = 18446744073709551615, \
                 innodb_lock_wait_timeout = 5, wait_timeout = 60 \
                 /*M! , idle_transaction_timeout = 10, check_constraint_checks = 1 */",
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            ],
            // A commit that answered must survive a power cut: the embedded bus acknowledges on it.
            Self::Sqlite => &[
                "PRAGMA busy_timeout = 5000",
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = OFF",
            ],
        }
    }
}

/// `(?,?),(?,?)` for so many rows of so many columns.
pub(super) fn placeholders(rows: usize, columns: usize) -> String {
    let mut row = String::with_capacity(2 * columns + 2);
    row.push('(');
    row.push_str(&vec!["?"; columns].join(","));
    row.push(')');
    vec![row.as_str(); rows].join(",")
}

/// Cuts `len` items into pieces of few different sizes, so that statements over a piece are
/// prepared once and found again: ranges in order, covering everything.
pub(super) fn pieces(len: usize) -> Vec<std::ops::Range<usize>> {
    const SIZES: [usize; 5] = [256, 64, 16, 4, 1];
    let mut ranges = Vec::new();
    let mut start = 0;
    for size in SIZES {
        while len - start >= size {
            ranges.push(start..start + size);
            start += size;
        }
    }
    ranges
}

/// Like [`pieces`], for the statements that every batch needs: as few pieces as may be, of twenty sizes, and none of
/// more than `most` items.
pub(super) fn large_pieces(len: usize, most: usize) -> Vec<std::ops::Range<usize>> {
    const SIZES: [usize; 20] = [
        1024, 768, 512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1,
    ];
    let mut ranges = Vec::new();
    let mut start = 0;
    for size in SIZES.into_iter().filter(|size| *size <= most.max(1)) {
        while len - start >= size {
            ranges.push(start..start + size);
            start += size;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pieces_cover_everything_once_and_are_few() {
        for len in 0..1500 {
            for most in [0, 1, 5, 300, 5000] {
                let mut next = 0;
                for range in large_pieces(len, most) {
                    assert_eq!(range.start, next);
                    assert!((1..=most.max(1)).contains(&range.len()));
                    next = range.end;
                }
                assert_eq!(next, len);
            }
            assert!(large_pieces(len, 1024).len() <= 6, "{len}");
        }
        assert_eq!(large_pieces(1024, 1024).len(), 1);
        assert_eq!(large_pieces(300, 1024).len(), 3);
    }

    #[test]
    fn pieces_cover_everything_once() {
        for len in [0, 1, 3, 4, 255, 256, 257, 2000] {
            let ranges = pieces(len);
            let mut next = 0;
            for range in &ranges {
                assert_eq!(range.start, next);
                next = range.end;
            }
            assert_eq!(next, len);
        }
        assert_eq!(pieces(2000).len(), 7 + 3 + 1);
    }

    #[test]
    fn upserts_name_the_new_value() {
        assert_eq!(
            Dialect::MySql.on_conflict("a, b", "used", "used + {new}"),
            " ON DUPLICATE KEY UPDATE used = used + VALUES(used)"
        );
        assert_eq!(
            Dialect::Sqlite.on_conflict("a, b", "used", "used + {new}"),
            " ON CONFLICT (a, b) DO UPDATE SET used = used + excluded.used"
        );
        assert_eq!(placeholders(2, 3), "(?,?,?),(?,?,?)");
    }
}
