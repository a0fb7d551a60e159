//! Bombs: modules that take seconds and gigabytes, if one lets them. Each is refused in time, and the gateway keeps
//! its memory.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::forge::hostile::{At, bombs};

use crate::gate::Gate;

/// In which a bomb has to be refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// Memory of the gateway that a bomb may cost it: its upload, and what the allocator keeps of that.
const GROWTH_MIB: f64 = 96.0;

/// Uploads those whose name contains `named`. What was not as promised, and the slowest answer.
pub async fn upload(gate: &Gate, named: &str) -> Result<(Vec<String>, Duration)> {
    let (mut wrong, mut slowest) = (Vec::new(), Duration::ZERO);
    for bomb in bombs::bombs() {
        let name = bomb.hostile.name;
        if !name.contains(named) {
            continue;
        }
        let bytes = tokio::task::spawn_blocking(bomb.hostile.make).await?;
        let (size, before, begun) = (bytes.len(), gate.resident_mib()?, Instant::now());
        let (status, answer) = gate.upload_forged(bytes).await?;
        let (took, grown) = (begun.elapsed(), gate.resident_mib()? - before);
        slowest = slowest.max(took);
        let word = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let (reason, detail) = (word("reason"), word("detail"));
        let shown: String = match status {
            200 | 201 => "taken".into(),
            _ => format!("{reason}: {}", detail.chars().take(150).collect::<String>()),
        };
        println!("{name:<62} {size:>9} B {took:>9.1?} {grown:>+6.0} MiB  {shown}");
        let refused =
            matches!(bomb.hostile.at, At::Upload(code) if code == reason) && detail.contains(bomb.says);
        let taken = bomb.harmless && matches!(status, 200 | 201);
        if !(refused || taken) {
            wrong.push(format!("{name}: {shown}"));
        }
        if took > PATIENCE {
            wrong.push(format!("{name}: it took {took:.1?}"));
        }
        if grown > GROWTH_MIB {
            wrong.push(format!("{name}: the gateway has {grown:.0} MiB more"));
        }
    }
    Ok((wrong, slowest))
}
