//! What a database has to guard: servers and tables that would not are refused, and settings that switch it off do not
//! reach us.

use rushgate::audit::AuditLine;
use rushgate::store::{Schema, Store};
use sqlx::{Connection as _, MySqlConnection};
use testkit::database::{self, Database, MariaDb, connect, sqlite_url};
use testkit::on_both;

on_both!(a_migration_that_has_not_ended_is_told_from_one_that_is_missing);

async fn refused(store: &Store) -> String {
    store.check_schema().await.expect_err("refused").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_does_not_guard_the_limits_is_refused() {
    let db = database::mariadb().await;
    db.store.check_schema().await.expect("guarded");
    assert_eq!(
        db.number("SELECT COUNT(*) FROM `usage`").await,
        0,
        "trying leaves nothing"
    );
    db.execute("ALTER TABLE `usage` DROP CONSTRAINT usage_allowed")
        .await;
    let error = refused(&db.store).await;
    assert!(
        error.contains("nothing guards the limits") && error.contains("MySQL 8.0.16"),
        "{error}"
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM `usage`").await,
        0,
        "trying leaves nothing"
    );
    assert_eq!(db.store.migrate().await.expect_err("refused").to_string(), error);
    db.execute("ALTER TABLE `usage` ADD CONSTRAINT usage_allowed CHECK (used <= allowed)")
        .await;
    db.store.check_schema().await.expect("guarded again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_outside_of_transactions_is_refused() {
    let db = database::mariadb().await;
    db.execute("ALTER TABLE stock ENGINE = MyISAM").await;
    let error = refused(&db.store).await;
    assert!(error.contains("ALTER TABLE `stock` ENGINE = InnoDB"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_a_server_do_not_switch_the_guards_off() {
    let server = MariaDb::start().await;
    let mut root = MySqlConnection::connect(&server.url("mysql"))
        .await
        .expect("root");
    for setting in [
        "check_constraint_checks = 0",
        "sql_mode = ''",
        "autocommit = 0",
        "unique_checks = 0",
        "sql_select_limit = 1",
        "default_storage_engine = MyISAM",
        "tx_isolation = 'READ-UNCOMMITTED'",
        "time_zone = '+09:00'",
    ] {
        let sql = format!("SET GLOBAL {setting}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut root)
            .await
            .expect(setting);
    }
    let store = connect(&server.create("sales").await).await;
    store.migrate().await.expect("migrates");
    store.check_schema().await.expect("guarded");
    // Every statement is committed, and answers are whole.
    for target in ["one", "two"] {
        let audited = store
            .audit(&[AuditLine::new(
                database::NOW,
                "ann",
                "test",
                target,
                serde_json::json!({}),
            )])
            .await;
        audited.expect("written");
    }
    let count = sqlx::query("SELECT target FROM sales.audit UNION SELECT '' LIMIT 9");
    assert_eq!(count.fetch_all(&mut root).await.expect("read").len(), 3);
    database::sale(&store, 10).await;
    assert_eq!(store.stock("spring").await.expect("read").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_migrate_at_once_apply_everything_once() {
    let (file, _folder) = sqlite_url();
    for url in [database::mariadb_url().await, file] {
        let tasks = (0..4).map(|_| {
            let url = url.clone();
            tokio::spawn(async move { connect(&url).await.migrate().await })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("joins").expect("migrates");
        }
        let store = connect(&url).await;
        assert_eq!(store.schema().await, Ok(Schema::Current), "{url}");
        assert_eq!(store.migrate().await, Ok(0));
    }
}

async fn a_migration_that_has_not_ended_is_told_from_one_that_is_missing(db: Database) {
    db.execute("UPDATE _sqlx_migrations SET success = false WHERE version = 5")
        .await;
    let Ok(Schema::Behind(what)) = db.store.schema().await else {
        panic!("behind");
    };
    assert!(what.contains("migration 5 has not ended"), "{what}");
    let error = db.store.migrate().await.expect_err("broken off").to_string();
    assert!(error.contains("migration 5 broke off half-way"), "{error}");
}
