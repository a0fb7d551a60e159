//! Looks at a database without using it: what its server is and how it is set up, and what this user may do.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{AssertSqlSafe, Row};

use crate::store::dialect::Dialect;
use crate::store::server::encryption::wrong;
use crate::store::{Store, StoreResult, options, parse_url};

/// All tables.
pub const TABLES: &[&str] = &[
    "activations",
    "api_keys",
    "approvals",
    "attempt_pieces",
    "attempts",
    "audience_buckets",
    "audience_changes",
    "audience_owners",
    "audiences",
    "audit",
    "audit_heads",
    "buyer_samples",
    "campaigns",
    "console_sessions",
    "dead_letters",
    "erasure_joins",
    "erasure_keys",
    "erasures",
    "landing_offsets",
    "leases",
    "log_gaps",
    "merchants",
    "module_chunks",
    "module_versions",
    "modules",
    "operations",
    "order_changes",
    "order_jobs",
    "orders",
    "proposals",
    "record_versions",
    "releases",
    "revisions",
    "revocations",
    "samples",
    "scheduled_changes",
    "seal_cut_over",
    "seal_ends",
    "seal_keys",
    "seal_senders",
    "stock",
    "stock_changes",
    "usage",
    "webhook_deliveries",
    "webhooks",
];

const VARIABLES: &str = "SHOW VARIABLES WHERE Variable_name IN ('version', 'version_comment', 'read_only', \
    'super_read_only', 'transaction_isolation', 'tx_isolation', 'time_zone', 'max_connections', 'log_bin', \
    'binlog_format', 'innodb_flush_log_at_trx_commit', 'max_allowed_packet')";
const STATUS: &str = "SHOW STATUS WHERE Variable_name IN ('Threads_connected', 'Ssl_cipher')";

/// Not granted: a database, a table, a column.
const DENIED: [u16; 3] = [1044, 1142, 1143];

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Tcp {
        host: String,
        port: u16,
    },
    /// A socket on this machine.
    Socket(String),
    /// A file, or memory.
    File(String),
}

/// Where a URL leads; `Permanent` where it cannot be read.
pub fn place(url: &str) -> StoreResult<Place> {
    let (dialect, url) = parse_url(url)?;
    let options = options(&url).map_err(wrong)?;
    let url = &options.database_url;
    if dialect == Dialect::Sqlite {
        return Ok(Place::File(url.path().to_owned()));
    }
    let mut pairs = url.query_pairs();
    if let Some((_, socket)) = pairs.find(|(name, _)| name == "socket") {
        return Ok(Place::Socket(socket.into_owned()));
    }
    Ok(Place::Tcp {
        host: url.host_str().unwrap_or("localhost").to_owned(),
        port: url.port().unwrap_or(3306),
    })
}

/// What the server says of itself; `None` for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// As the server writes it: `8.0.36`, `10.11.6-MariaDB-0+deb12u1`.
    pub version: String,
    pub is_mariadb: bool,
    pub read_only: bool,
    /// Of our sessions: `READ-COMMITTED`.
    pub isolation: String,
    /// Of our sessions: `+00:00`.
    pub time_zone: String,
    pub connections_max: u64,
    /// Connections that are open now, this one included.
    pub connections: u64,
    /// It keeps a binary log of statements, which refuses what we write under our isolation level.
    pub logs_statements: bool,
    /// A commit is on disk when it answers.
    pub flushes_commits: bool,
    /// Bytes of a statement at most.
    pub packet_max: u64,
    /// The cipher of our connection; `None` where it is not encrypted.
    pub cipher: Option<String>,
}

impl Store {
    /// Whether it is a server, not a file.
    pub fn is_server(&self) -> bool {
        self.dialect == Dialect::MySql
    }

    /// What the server says of itself; nothing of a file.
    pub async fn server_facts(&self) -> StoreResult<ServerFacts> {
        let mut said = BTreeMap::new();
        for sql in [VARIABLES, STATUS] {
            // Of the session: what our connections were set to counts, and whether they are encrypted.
            let rows = sqlx::raw_sql(sql).fetch_all(&self.pool).await?;
            for row in &rows {
                said.insert(word(row, 0)?.to_lowercase(), word(row, 1)?);
            }
        }
        Ok(read(&said))
    }

    /// The server's clock, milliseconds since 1970-01-01 UTC.
    pub async fn clock(&self) -> StoreResult<i64> {
        let sql = match self.dialect {
            Dialect::MySql => "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Dialect::Sqlite => "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
        };
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// What this user may not do, as `INSERT on orders`: each statement is tried on each table, and changes no row.
    pub async fn missing_rights(&self) -> StoreResult<Vec<String>> {
        if self.dialect == Dialect::Sqlite {
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        let mut tx = self.begin().await?;
        for table in TABLES {
            let column = match first_column(&mut tx, table).await? {
                Some(column) => column,
                // A table of which nothing is granted is not even shown.
                None => {
                    missing.push(format!("anything on {table}"));
                    continue;
                }
            };
            for (right, sql) in [
                ("SELECT", format!("SELECT 1 FROM `{table}` WHERE 1 = 0")),
                (
                    "INSERT",
                    format!("INSERT INTO `{table}` SELECT * FROM `{table}` WHERE 1 = 0"),
                ),
                (
                    "UPDATE",
                    format!("UPDATE `{table}` SET `{column}` = `{column}` WHERE 1 = 0"),
                ),
                ("DELETE", format!("DELETE FROM `{table}` WHERE 1 = 0")),
            ] {
                match sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await {
                    Ok(_) => {}
                    Err(error) if is_denied(&error) => missing.push(format!("{right} on {table}")),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        tx.rollback().await?;
        Ok(missing)
    }

    /// Fails where the server does not do what it has to: see [`Self::check_schema`] for its tables.
    pub async fn try_server(&self) -> StoreResult<()> {
        self.check_server().await
    }
}

async fn first_column(
    tx: &mut sqlx::Transaction<'static, sqlx::Any>,
    table: &str,
) -> StoreResult<Option<String>> {
    let row = sqlx::query(
        "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE() \
         AND table_name = ? ORDER BY ordinal_position LIMIT 1",
    )
    .bind(table)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn is_denied(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| DENIED.contains(&error.number()))
}

/// A column of SHOW, which some servers answer as text and others as bytes.
fn word(row: &AnyRow, column: usize) -> StoreResult<String> {
    match row.try_get::<String, _>(column) {
        Ok(text) => Ok(text),
        Err(_) => {
            let bytes: Vec<u8> = row.try_get(column)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

fn read(said: &BTreeMap<String, String>) -> ServerFacts {
    let text = |name: &str| said.get(name).cloned().unwrap_or_default();
    let number = |name: &str| text(name).parse().unwrap_or(0);
    let is_on = |name: &str| matches!(text(name).to_uppercase().as_str(), "ON" | "1");
    let version = text("version");
    let is_mariadb = [&version, &text("version_comment")]
        .iter()
        .any(|text| text.to_lowercase().contains("mariadb"));
    let isolation = said.get("transaction_isolation").or(said.get("tx_isolation"));
    ServerFacts {
        version,
        is_mariadb,
        read_only: is_on("read_only") || is_on("super_read_only"),
        isolation: isolation.cloned().unwrap_or_default(),
        time_zone: text("time_zone"),
        connections_max: number("max_connections"),
        connections: number("threads_connected"),
        logs_statements: is_on("log_bin") && text("binlog_format") == "STATEMENT",
        flushes_commits: text("innodb_flush_log_at_trx_commit") == "1",
        packet_max: number("max_allowed_packet"),
        cipher: Some(text("ssl_cipher")).filter(|cipher| !cipher.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_to_a_server_or_a_file() {
        for (url, expected) in [
            (
                "mysql://me:secret@db:3307/sales",
                Place::Tcp {
                    host: "db".into(),
                    port: 3307,
                },
            ),
            (
                "mariadb://me@db/sales",
                Place::Tcp {
                    host: "db".into(),
                    port: 3306,
                },
            ),
            (
                "mysql://me@localhost/sales?socket=%2Frun%2Fs",
                Place::Socket("/run/s".into()),
            ),
            ("sqlite:///data/x.db", Place::File("/data/x.db".into())),
        ] {
            assert_eq!(place(url), Ok(expected), "{url}");
        }
        assert!(place("postgres://x").is_err());
    }

    #[test]
    fn a_server_is_read_off_its_variables() {
        let said = [
            ("version", "10.11.6-MariaDB"),
            ("read_only", "ON"),
            ("tx_isolation", "READ-COMMITTED"),
            ("max_connections", "151"),
            ("log_bin", "ON"),
            ("binlog_format", "STATEMENT"),
            ("innodb_flush_log_at_trx_commit", "2"),
            ("ssl_cipher", ""),
        ];
        let facts = read(
            &said
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        assert!(facts.is_mariadb && facts.read_only && facts.logs_statements && !facts.flushes_commits);
        assert_eq!(
            (facts.isolation.as_str(), facts.connections_max),
            ("READ-COMMITTED", 151)
        );
        assert_eq!(facts.cipher, None);
    }

    #[tokio::test]
    async fn every_table_is_named() {
        let config = crate::store::Config::new("sqlite::memory:", 1);
        let store = Store::connect(&config).await.expect("connects");
        store.migrate().await.expect("migrates");
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%' \
                   ORDER BY name";
        let tables: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&store.pool)
            .await
            .expect("read");
        assert_eq!(tables, TABLES);
    }
}
