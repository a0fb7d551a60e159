//! The schema: applies `migrations/` and compares what is applied with what this build knows.

use std::collections::BTreeMap;

use sqlx::Connection as _;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};

use super::migrations;
use crate::store::dialect::Dialect;
use crate::store::{Store, StoreError, StoreResult};

const TABLE: &str = "_sqlx_migrations";

/// How often migrating a file is tried in a row when another process does so too, and nothing comes of it.
const FILE_TRIES: u32 = 5;

/// The schema of a database, as this build sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// Everything is applied.
    Current,
    /// Something is missing: what, in words.
    Behind(String),
}

/// What is applied.
struct Applied {
    migrations: Vec<AppliedMigration>,
    /// One that was begun and has not ended.
    begun: Option<i64>,
}

impl Store {
    /// Applies what is missing of `migrations/`; the number applied. Refuses a server that would not guard what is in
    /// the tables. Several processes may do this at once: one after the other gets the lock.
    pub async fn migrate(&self) -> StoreResult<usize> {
        self.check_server().await?;
        let lock = self.lock_migrations().await?;
        let before = self.applied().await?.migrations.len();
        let migrated = self.run_migrations().await;
        if let Some(lock) = lock {
            // The lock goes with its connection, however that ends.
            drop(lock.close().await);
        }
        migrated?;
        self.check_guards().await?;
        self.begin_chains().await?;
        Ok(self.applied().await?.migrations.len().saturating_sub(before))
    }

    async fn run_migrations(&self) -> StoreResult<()> {
        let (mut tries, mut seen) = (0, 0);
        loop {
            tries += 1;
            match self.migrator().run(&self.pool).await {
                Ok(()) => return Ok(()),
                // Another process has applied the same migration in between, and may be first with each that is left.
                Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
                    if self.dialect == Dialect::Sqlite && tries < FILE_TRIES => {}
                Err(error) => return Err(self.migrate_error(error)),
            }
            let applied = self.applied().await?.migrations.len();
            if applied > seen {
                (tries, seen) = (0, applied);
            }
        }
    }

    /// Fails with what to run when the schema is older or newer than this build, and where the tables do not guard
    /// what they should.
    pub async fn check_schema(&self) -> StoreResult<()> {
        match self.schema().await? {
            Schema::Current => self.check_guards().await,
            Schema::Behind(what) => Err(self.schema_error(what)),
        }
    }

    /// Whether something of the schema is missing. Fails where it is newer than this build or comes from another one:
    /// waiting does not help then.
    pub async fn schema(&self) -> StoreResult<Schema> {
        let Applied { migrations, begun } = self.applied().await?;
        let known: BTreeMap<i64, &[u8]> = self
            .migrator()
            .iter()
            .map(|migration| (migration.version, migration.checksum.as_ref()))
            .collect();
        for migration in &migrations {
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
        if let Some(version) = begun {
            return Ok(Schema::Behind(format!(
                "migration {version} has not ended: `rushgate migrate` is at work, or it broke off half-way and says \
                 what to do when it is run again"
            )));
        }
        if migrations.len() < known.len() {
            return Ok(Schema::Behind(format!(
                "its schema has {} of {} migrations: run `rushgate migrate`",
                migrations.len(),
                known.len()
            )));
        }
        Ok(Schema::Current)
    }

    fn migrator(&self) -> &'static Migrator {
        migrations::of(self.dialect)
    }

    /// What is applied; nothing where the table of migrations does not exist yet.
    async fn applied(&self) -> StoreResult<Applied> {
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
            return Ok(Applied {
                migrations: Vec::new(),
                begun: None,
            });
        }
        let begun = connection.dirty_version(TABLE).await;
        let migrations = connection.list_applied_migrations(TABLE).await;
        Ok(Applied {
            migrations: migrations.map_err(|error| self.migrate_error(error))?,
            begun: begun.map_err(|error| self.migrate_error(error))?,
        })
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
