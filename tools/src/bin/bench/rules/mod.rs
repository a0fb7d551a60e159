//! `./x bench rules`: what rules cost, beside the simplest one in the same run.

mod audience;
mod forge;
mod memory;
mod precheck;
mod shadow;
mod time;

use anyhow::Result;

use crate::Bench;
use forge::Forge;

/// The uploaded list that rules of the benchmark ask for.
const LIST: &str = "vip";

pub async fn run(bench: &mut Bench) -> Result<()> {
    let forge = Forge::new().await?;
    eprintln!("time in the script");
    time::run(bench, &forge).await?;
    eprintln!("a shadow beside the rules");
    shadow::run(bench, &forge).await?;
    eprintln!("prechecks");
    precheck::run(bench).await?;
    eprintln!("memory of counted buyers");
    memory::run(bench, &forge).await?;
    eprintln!("a list of a million");
    audience::run(bench).await
}
