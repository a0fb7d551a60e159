//! Dead letters replayed by `rushgate dlt`, which dies in the middle of it and is run again.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use sqlx::{Connection, MySqlConnection};
use tokio::time::Instant;

use crate::stack;
use crate::strike::Scene;

/// Delays of the retry topics and some more.
const DEAD_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// Records per second.
const RATE: &str = "200";
/// In the answer of a replay without anything to do.
const NOTHING_LEFT: &str = "no dead letter matches";

/// Waits until retrying has ended, replays up to the fail-point, then to the end.
pub async fn replay(scene: &Scene<'_>, point: &str) -> Result<()> {
    let dead = settled(scene).await?;
    if dead == 0 {
        bail!("no order became a dead letter, so there is nothing to replay");
    }
    // A point of the replay is met once per batch.
    println!("    {dead} dead letters; their replay dies at {point}");
    let mut dying = command(scene);
    dying.env("RUSHGATE_FAILPOINT", format!("{point}=abort"));
    if stack::run(&mut dying).await.is_ok() {
        bail!("the replay was to die at {point} and did not");
    }
    match stack::run(&mut command(scene)).await {
        // What was sent before it died has landed meanwhile, and there is nothing left.
        Err(error) if !error.to_string().contains(NOTHING_LEFT) => Err(error),
        _ => Ok(()),
    }
}

fn command(scene: &Scene<'_>) -> Command {
    let urls = &scene.stack.urls;
    let mut command = Command::new(&scene.setup.rushgate);
    command
        .args([
            "dlt",
            "replay",
            "--all",
            "--campaign",
            scene.campaign,
            "--class",
            "failing",
            "--rate",
            RATE,
        ])
        .envs(scene.setup.env.iter().map(|(name, value)| (name, value)))
        .env("RUSHGATE_DATABASE_URL", &urls.database)
        .env("RUSHGATE_KAFKA_BROKERS", &urls.kafka);
    command
}

/// How many dead letters there are, once nothing waits in a retry topic any more.
async fn settled(scene: &Scene<'_>) -> Result<i64> {
    let begun = Instant::now();
    let mut database = MySqlConnection::connect(&scene.stack.urls.database).await?;
    loop {
        let count =
            "SELECT COUNT(*) FROM dead_letters WHERE campaign_id = ? AND class = 'failing' AND stage = ?";
        let (mut retrying, mut dead): (i64, i64) = (0, 0);
        for (stage, found) in [("retry", &mut retrying), ("dead", &mut dead)] {
            let query = sqlx::query_scalar(count).bind(scene.campaign).bind(stage);
            *found = query.fetch_one(&mut database).await?;
        }
        if retrying == 0 {
            return Ok(dead);
        }
        if begun.elapsed() > DEAD_WITHIN {
            bail!("{retrying} orders still are in retry topics after {DEAD_WITHIN:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}
