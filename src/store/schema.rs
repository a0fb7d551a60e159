//! The schema: applies `migrations/` and compares what is applied with what this build knows.

use std::collections::BTreeMap;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};

use super::dialect::Dialect;
use super::{Store, StoreError, StoreResult};

static MYSQL: Migrator = sqlx::migrate!("migrations/mysql");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

const TABLE: &str = "_sqlx_migrations";

impl Store {
    /// Applies what is missing of `migrations/`; the number applied. Several processes may do this
    /// at once: on MySQL one at a time gets the lock.
    pub async fn migrate(&self) -> StoreResult<usize> {
        let before = self.applied().await?.len();
        self.migrator()
            .run(&self.pool)
            .await
            .map_err(|error| self.migrate_error(error))?;
        Ok(self.applied().await?.len().saturating_sub(before))
    }

    /// Fails with what to run when the schema is older or newer than this build.
    pub async fn check_schema(&self) -> StoreResult<()> {
        let applied = self.applied().await?;
        let known: BTreeMap<i64, &[u8]> = self
            .migrator()
            .iter()
            .map(|migration| (migration.version, migration.checksum.as_ref()))
            .collect();
        for migration in &applied {
            match known.get(&migration.version) {
                None => {
                    return Err(self.schema_error(format!(
                        "its schema has migration {}, which this build does not know: run a newer rushgate",
                        migration.version
                    )));
                }
                Some(checksum) if *checksum != migration.checksum.as_ref() => {
                    return Err(self.schema_error(format!(
                        "migration {} was applied with another text than this build has: use the build it came from",
                        migration.version
                    )));
                }
                Some(_) => {}
            }
        }
        if applied.len() < known.len() {
            return Err(self.schema_error(format!(
                "its schema has {} of {} migrations: run `rushgate migrate`",
                applied.len(),
                known.len()
            )));
        }
        Ok(())
    }

    fn migrator(&self) -> &'static Migrator {
        match self.dialect {
            Dialect::MySql => &MYSQL,
            Dialect::Sqlite => &SQLITE,
        }
    }

    /// What is applied; nothing where the table of migrations does not exist yet.
    async fn applied(&self) -> StoreResult<Vec<AppliedMigration>> {
        let exists = match self.dialect {
            Dialect::MySql => {
                "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?"
            }
            Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?",
        };
        let mut connection = self.pool.acquire().await?;
        let tables: i64 = sqlx::query_scalar(exists)
            .bind(TABLE)
            .fetch_one(&mut *connection)
            .await?;
        if tables == 0 {
            return Ok(Vec::new());
        }
        if let Some(version) = connection
            .dirty_version(TABLE)
            .await
            .map_err(|error| self.migrate_error(error))?
        {
            return Err(self.migrate_error(MigrateError::Dirty(version)));
        }
        connection
            .list_applied_migrations(TABLE)
            .await
            .map_err(|error| self.migrate_error(error))
    }

    fn migrate_error(&self, error: MigrateError) -> StoreError {
        match error {
            MigrateError::Execute(error) => error.into(),
            MigrateError::Dirty(version) => self.schema_error(format!(
                "migration {version} broke off half-way: restore the database from before it, or finish it by hand \
                 and set `success` in {TABLE}"
            )),
            other => self.schema_error(other.to_string()),
        }
    }

    fn schema_error(&self, what: String) -> StoreError {
        StoreError::Permanent(format!("{}: {what}", self.place))
    }
}
