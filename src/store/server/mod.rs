//! What the database server has to do for us: enforce CHECKs, refuse what does not fit, and keep transactions. Found out
//! by trying, because versions, settings and forks differ.

pub(in crate::store) mod encryption;
pub(in crate::store) mod examine;
mod migrations;
pub(in crate::store) mod schema;

use sqlx::{AnyConnection, Connection, Row};

use crate::store::dialect::Dialect;
use crate::store::error::is_check_violation;
use crate::store::{Store, StoreError, StoreResult};

/// Tables that a transaction has to cover.
const TABLES: &str = "'orders', 'stock', 'usage', 'landing_offsets', 'dead_letters', 'order_changes', 'releases', \
                      'revocations', 'log_gaps', 'leases', \
                      'campaigns', 'revisions', 'activations', 'audit', 'audit_heads', 'modules', 'module_chunks'";
/// A row of `usage` that no limit allows; nobody can make a campaign without a name.
const FORBIDDEN: &str = "INSERT INTO `usage` (campaign_id, counter, window_start, subject, used, allowed) \
                         VALUES ('', 'probe', 0, 'probe', 1, 0)";
const PROBE: &str = "CREATE TEMPORARY TABLE rushgate_probe (used BIGINT NOT NULL, allowed BIGINT NULL, name VARCHAR(4) NOT NULL, \
                     CHECK (used <= allowed)) ENGINE = InnoDB";

/// How long one question for the lock waits.
const LOCK_SECONDS: i64 = 5;

impl Store {
    /// Fails where a server must not get the tables: with a temporary one it is tried what it does.
    pub(in crate::store) async fn check_server(&self) -> StoreResult<()> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let mut connection = self.pool.acquire().await?.detach();
        let wrong = try_out(&mut connection).await;
        // A temporary table goes with its connection.
        let closed = connection.close().await;
        match wrong? {
            Some(what) => Err(self.unfit(what)),
            None => Ok(closed?),
        }
    }

    /// Fails where the tables that are there do not guard what they should.
    pub(in crate::store) async fn check_guards(&self) -> StoreResult<()> {
        if self.dialect == Dialect::MySql {
            let sql = format!(
                "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() \
                 AND table_name IN ({TABLES}) AND engine <> 'InnoDB' ORDER BY table_name"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .fetch_all(&self.pool)
                .await?;
            if let Some(row) = rows.first() {
                let table: String = row.try_get(0)?;
                return Err(self.unfit(format!(
                    "table {table} is not of the engine InnoDB, so a transaction does not cover it: run \
                     ALTER TABLE `{table}` ENGINE = InnoDB"
                )));
            }
        }
        let mut tx = self.begin().await?;
        let written = sqlx::query(FORBIDDEN).execute(&mut *tx).await;
        tx.rollback().await?;
        match written {
            Ok(_) => Err(self.unfit(
                "its table `usage` takes more than is allowed, so nothing guards the limits: the constraint usage_allowed, \
                 CHECK (used <= allowed), is missing or not enforced. Use MySQL 8.0.16 or newer, or MariaDB 10.6 or \
                 newer; where the constraint was dropped, add it again"
                    .to_owned(),
            )),
            Err(error) => {
                // Whoever may not write at all cannot break a limit either.
                if !is_check_violation(&error) {
                    tracing::debug!(%error, "whether CHECKs are enforced is not known");
                }
                Ok(())
            }
        }
    }

    /// A connection that holds the right to migrate, for as long as it lives. Another process that migrates is waited
    /// for. `None` where the file's own locks do.
    pub(in crate::store) async fn lock_migrations(&self) -> StoreResult<Option<AnyConnection>> {
        if self.dialect == Dialect::Sqlite {
            return Ok(None);
        }
        let mut connection = self.pool.acquire().await?.detach();
        // It is idle while the other one works.
        sqlx::raw_sql("SET SESSION wait_timeout = 28800")
            .execute(&mut connection)
            .await?;
        loop {
            let got = sqlx::query(
                "SELECT CAST(COALESCE(GET_LOCK(CONCAT('rushgate ', MD5(DATABASE())), ?), 0) AS SIGNED)",
            )
            .bind(LOCK_SECONDS)
            .fetch_one(&mut connection)
            .await?;
            if got.try_get::<i64, _>(0)? == 1 {
                return Ok(Some(connection));
            }
            tracing::info!(
                database = self.place(),
                "another process migrates; waiting for its end"
            );
        }
    }

    fn unfit(&self, what: String) -> StoreError {
        StoreError::Permanent(format!("{}: {what}", self.place()))
    }
}

/// What is wrong with the server; nothing where no temporary table may be made: then the tables tell, once they are
/// there.
async fn try_out(connection: &mut AnyConnection) -> StoreResult<Option<String>> {
    if let Err(error) = sqlx::raw_sql(PROBE).execute(&mut *connection).await {
        tracing::debug!(%error, "the server is not tried out");
        return Ok(None);
    }
    let insert = async |connection: &mut AnyConnection, values: &str| {
        let sql = format!("INSERT INTO rushgate_probe (used, allowed, name) VALUES {values}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await
    };
    match insert(connection, "(2, 1, 'a')").await {
        Ok(_) => {
            let what = "the server reads CHECK constraints and does not enforce them, so nothing would guard the limits: use \
                        MySQL 8.0.16 or newer, or MariaDB 10.6 or newer";
            return Ok(Some(what.to_owned()));
        }
        Err(error) if is_check_violation(&error) => {}
        Err(error) => return Err(error.into()),
    }
    if insert(connection, "(1, 1, 'abcde')").await.is_ok() {
        let what = "the server cuts values that are too long in silence, and takes no strict sql_mode from a session";
        return Ok(Some(what.to_owned()));
    }
    let mut tx = connection.begin().await?;
    let sql = "INSERT INTO rushgate_probe (used, allowed, name) VALUES (1, 1, 'b')";
    sqlx::raw_sql(sql).execute(&mut *tx).await?;
    tx.rollback().await?;
    let left = sqlx::query("SELECT COUNT(*) FROM rushgate_probe WHERE name = 'b'")
        .fetch_one(&mut *connection)
        .await?;
    Ok((left.try_get::<i64, _>(0)? > 0).then(|| "the server does not roll transactions back".to_owned()))
}
