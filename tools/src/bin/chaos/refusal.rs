//! Ways in which the database refuses.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{Connection, MySqlConnection};
use tokio::time::Instant;

use crate::scenario::Refusal;
use crate::stack::{Stack, run as execute};
use crate::strike::Scene;

/// The smallest number MariaDB lets one ask for.
const CONNECTIONS_MIN: usize = 10;
/// As scripts/stack.sh starts it.
const CONNECTIONS: usize = 400;
const AGAIN: Duration = Duration::from_millis(250);
const USER: &str = "rushgate";
const BALLAST: &str = "ballast";
const UNDO_TRIGGER: &str = "DROP TRIGGER IF EXISTS rushgate.chaos_refuses";

/// Refuses for a while, then is as before.
pub async fn run(scene: &Scene<'_>, refusal: Refusal, time: Duration) -> Result<()> {
    println!("    database: {refusal:?} for {time:?}");
    match refusal {
        Refusal::GoneAway => gone_away(scene, time).await,
        Refusal::ReadOnly => {
            scene.stack.sql("SET GLOBAL read_only = 1").await?;
            tokio::time::sleep(time).await;
            scene.stack.sql("SET GLOBAL read_only = 0").await.map(drop)
        }
        Refusal::ConnectionsExhausted => exhausted(scene, time).await,
        Refusal::RowLocked => row_locked(scene, time).await,
        Refusal::DiskFull => disk_full(scene, time).await,
        Refusal::SomeOrders => some_orders(scene, time).await,
    }
}

async fn kill_connections(scene: &Scene<'_>) -> Result<()> {
    scene
        .stack
        .sql(&format!("KILL CONNECTION USER {USER}"))
        .await
        .map(drop)
}

async fn gone_away(scene: &Scene<'_>, time: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        kill_connections(scene).await?;
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// Takes every connection there may be.
async fn exhausted(scene: &Scene<'_>, time: Duration) -> Result<()> {
    let url = scene
        .stack
        .urls
        .database
        .replacen("rushgate:rushgate@", "root@", 1);
    // Connected before: afterwards not even root gets in for certain.
    let mut root = MySqlConnection::connect(&url).await?;
    set_connections(&mut root, CONNECTIONS_MIN).await?;
    let begun = Instant::now();
    let mut held = Vec::new();
    while begun.elapsed() < time {
        // Others come back at the same moment, and whoever is faster gets the slot: it takes a few rounds.
        match MySqlConnection::connect(&url).await {
            Ok(connection) => held.push(connection),
            Err(_) => {
                let kill = format!("KILL CONNECTION USER {USER}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(kill))
                    .execute(&mut root)
                    .await?;
                tokio::time::sleep(AGAIN / 10).await;
            }
        }
    }
    println!("    held {} of {CONNECTIONS_MIN} connections", held.len());
    drop(held);
    set_connections(&mut root, CONNECTIONS).await
}

async fn set_connections(root: &mut MySqlConnection, most: usize) -> Result<()> {
    let statement = format!("SET GLOBAL max_connections = {most}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(root)
        .await?;
    Ok(())
}

async fn row_locked(scene: &Scene<'_>, time: Duration) -> Result<()> {
    let mut connection = MySqlConnection::connect(&scene.stack.urls.database).await?;
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT sold FROM stock WHERE campaign_id = ? FOR UPDATE")
        .bind(scene.campaign)
        .fetch_all(&mut *transaction)
        .await?;
    tokio::time::sleep(time).await;
    transaction.rollback().await?;
    Ok(())
}

/// One buyer in fifty, and an error number that landing has never heard of.
async fn some_orders(scene: &Scene<'_>, time: Duration) -> Result<()> {
    let mut connection = MySqlConnection::connect(&scene.stack.urls.database).await?;
    let refuse = "CREATE TRIGGER chaos_refuses BEFORE INSERT ON orders FOR EACH ROW BEGIN \
         IF NEW.user_id LIKE '%37' OR NEW.user_id LIKE '%73' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'chaos refuses'; END IF; END";
    sqlx::raw_sql(refuse).execute(&mut connection).await?;
    tokio::time::sleep(time).await;
    // It waits for the transactions that are using the table.
    sqlx::raw_sql(UNDO_TRIGGER).execute(&mut connection).await?;
    Ok(())
}

/// Takes back what a run that broke off may have left.
pub async fn undo(stack: &Stack) -> Result<()> {
    stack.sql(UNDO_TRIGGER).await?;
    stack
        .sql("SET GLOBAL read_only = 0; SET GLOBAL max_connections = 400")
        .await?;
    match std::fs::remove_file(data_folder()?.join("mariadb").join(BALLAST)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Fills the tmpfs that MariaDB's data lies on. A server that dies of it starts again.
async fn disk_full(scene: &Scene<'_>, time: Duration) -> Result<()> {
    let data = data_folder()?.join("mariadb");
    let ballast = data.join(BALLAST);
    let filled = execute(Command::new("sh").args([
        "-c",
        r#"dd if=/dev/zero of="$0" bs=1M 2>/dev/null; df --output=avail "$0" | tail -1"#,
        &ballast.to_string_lossy(),
    ]))
    .await;
    println!("    {} KiB are left", filled?.trim());
    tokio::time::sleep(time).await;
    std::fs::remove_file(&ballast).with_context(|| ballast.display().to_string())?;
    scene.stack.mend().await
}

/// Why the disk cannot be filled here, if so.
pub fn why_not_full() -> Result<Option<String>> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let data = data_folder()?.join("mariadb");
    let mounted = mounts.lines().any(|line| line.split(' ').nth(1) == data.to_str());
    Ok((!mounted).then(|| format!("{} is no tmpfs (mounting one needs root)", data.display())))
}

/// Where the stack keeps its services' data.
pub fn data_folder() -> Result<PathBuf> {
    let stack =
        std::env::var("RUSHGATE_STACK_DIR").context("RUSHGATE_STACK_DIR is not set: run it through ./x")?;
    Ok(PathBuf::from(stack).join("data"))
}
