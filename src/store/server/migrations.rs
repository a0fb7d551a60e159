//! The migrations inside the binary: those of `migrations/`, in both dialects.

use std::borrow::Cow;
use std::sync::LazyLock;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::store::dialect::Dialect;

/// A migration as it stands in both folders.
struct File {
    version: i64,
    /// Of its file, without `.sql`.
    name: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        File {
            version: $version,
            name: $name,
            mysql: include_str!(concat!("../../../migrations/mysql/", $name, ".sql")),
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
        }
    };
}

/// All of them, in order. Named here instead of found by sqlx's macro, which would have every build compile sqlx, with
/// both its drivers, once more for the compiler itself.
const FILES: &[File] = &[
    migration!(1, "0001_init"),
    migration!(2, "0002_audiences_shadow"),
    migration!(3, "0003_audiences"),
    migration!(4, "0004_attempts"),
    migration!(5, "0005_pipeline"),
    migration!(6, "0006_seals"),
    migration!(7, "0007_retention"),
    migration!(8, "0008_reached"),
    migration!(9, "0009_log_gaps"),
    migration!(10, "0010_replays"),
    migration!(12, "0012_seal_senders"),
    migration!(13, "0013_module_versions"),
    migration!(14, "0014_partitions"),
    migration!(16, "0016_attempt_pieces"),
    migration!(17, "0017_positions"),
    migration!(18, "0018_record_version"),
    migration!(22, "0022_skus"),
    migration!(23, "0023_list_layers"),
    migration!(24, "0024_folds"),
    migration!(25, "0025_sku_attributes"),
    migration!(26, "0026_operations"),
    migration!(27, "0027_pauses"),
    migration!(28, "0028_stock_changes"),
    migration!(29, "0029_orders_listed"),
    migration!(30, "0030_order_life"),
    migration!(31, "0031_origins"),
    migration!(32, "0032_told"),
    migration!(33, "0033_order_jobs"),
    migration!(35, "0035_webhooks"),
    migration!(36, "0036_erasures"),
    migration!(38, "0038_audit_chain"),
    migration!(37, "0037_keys"),
    migration!(39, "0039_console_sessions"),
    migration!(40, "0040_erasure_joins"),
    migration!(41, "0041_four_eyes"),
    migration!(43, "0043_contract"),
    migration!(44, "0044_issuers"),
];

static MYSQL: LazyLock<Migrator> = LazyLock::new(|| migrator(|file| file.mysql));
static SQLITE: LazyLock<Migrator> = LazyLock::new(|| migrator(|file| file.sqlite));

/// What a database of this kind is brought to.
pub(super) fn of(dialect: Dialect) -> &'static Migrator {
    match dialect {
        Dialect::MySql => &MYSQL,
        Dialect::Sqlite => &SQLITE,
    }
}

fn migrator(text: fn(&File) -> &'static str) -> Migrator {
    Migrator::with_migrations(FILES.iter().map(|file| migration(file, text(file))).collect())
}

fn migration(file: &File, text: &'static str) -> Migration {
    let description = file
        .name
        .trim_start_matches(|each: char| each.is_ascii_digit() || each == '_');
    Migration::new(
        file.version,
        Cow::Owned(description.replace('_', " ")),
        MigrationType::Simple,
        SqlStr::from_static(text),
        false,
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What sqlx itself finds in a folder: versions, descriptions and checksums are those that databases remember.
    #[tokio::test]
    async fn every_file_of_the_folders_is_inside() {
        for (folder, dialect) in [("mysql", Dialect::MySql), ("sqlite", Dialect::Sqlite)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(folder);
            let found = Migrator::new(path.as_path())
                .await
                .expect("the folder is readable");
            let facts = |migrator: &Migrator| -> Vec<_> {
                let each = migrator.iter();
                each.map(|one| {
                    (
                        one.version,
                        one.description.clone(),
                        one.checksum.clone(),
                        one.no_tx,
                    )
                })
                .collect()
            };
            assert_eq!(facts(of(dialect)), facts(&found), "migrations/{folder}");
        }
    }
}
