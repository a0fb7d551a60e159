//! The README's Friday: the commands that stand there, as they stand there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::stories::gate::{Gate, PATIENCE, POLL};

const HEADING: &str = "## A merchant's Friday";

/// The indented lines under the heading.
fn commands() -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README");
    let (_, from_here) = readme.split_once(HEADING).expect("the heading");
    let (section, _) = from_here.split_once("\n## ").expect("another heading");
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    lines.fold(String::new(), |all, line| all + line + "\n")
}

/// So many hours from now, to the second.
fn hours(from_now: i64) -> String {
    let moment = Timestamp::now() + SignedDuration::from_hours(from_now);
    format!("{moment:.0}")
}

/// The addresses and the days of the README stand for those of the test.
fn here(commands: &str, gate: &Gate) -> String {
    commands
        .replace("http://127.0.0.1:8081", &gate.admin)
        .replace("http://127.0.0.1:8080", &gate.orders)
        .replace("2026-11-27T00:00:00Z", &hours(-1))
        .replace("2028-11-24T00:00:00Z", &hours(23))
        .replace("2028-11-25T00:00:00Z", &hours(47))
}

/// What the commands print; each has to end well.
async fn said_by(script: &str, folder: &Path, gate: &Gate) -> String {
    let rushgate = Path::new(env!("CARGO_BIN_EXE_rushgate"))
        .parent()
        .expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = Command::new("sh");
    command
        .args(["-euc", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", rushgate.display()))
        .env("RUSHGATE_ADMIN_URL", &gate.admin)
        .env_remove("RUSHGATE_ADMIN_TOKEN")
        .stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output().expect("a shell"));
    let ran = ran.await.expect("no panic");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{wrong}");
    said
}

/// The figures once so many mugs and caps have landed.
async fn landed(gate: &Gate, units: [u64; 2]) -> Value {
    let begun = Instant::now();
    loop {
        let figures = gate.figures("friday").await;
        if [0, 1].map(|sku| figures["skus"][sku]["landed"].as_u64()) == units.map(Some) {
            return figures;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not land: {figures}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn the_friday_of_the_readme_goes_as_it_says() {
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let commands = commands();
    let counted = commands.lines().filter(|line| {
        ["curl ", "cat ", "sed ", "rushgate "]
            .iter()
            .any(|begin| line.starts_with(begin))
    });
    assert_eq!(counted.count(), 14, "{commands}");
    let script = here(&commands, &gate);
    let (sale, accounts) = script.split_at(
        script
            .find("rushgate order list friday --csv")
            .expect("the accounts"),
    );
    let (begin, end) = sale.split_at(sale.find("rushgate order cancel").expect("a cancel"));
    let mut said = said_by(begin, folder.path(), &gate).await;
    landed(&gate, [2, 1]).await;
    said += &said_by(end, folder.path(), &gate).await;
    for sentence in [
        "\"state\":\"accepted\"",
        "limit-per-user: looser, 2 → 3",
        "500 units of mug were added: the stock is 1000 units in all.",
        "Paused: no gateway takes an order any more",
        "Resumed: every gateway takes orders again.",
        "Cancelled: its 1 unit of cap is on sale again; what it used of the limits stays used.",
        "Ended at ",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }

    let figures = landed(&gate, [2, 0]).await;
    assert_eq!(figures["state"], "closed", "{figures}");
    assert_eq!(figures["skus"][0]["stock"], 1000, "{figures}");
    said_by(accounts, folder.path(), &gate).await;
    let table = fs::read_to_string(folder.path().join("orders.csv")).expect("a table");
    let rows: Vec<&str> = table.trim_start_matches('\u{feff}').lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[1].contains(",cancelled,eve,cap,1,1,"), "{table}");
    assert!(rows[2].contains(",confirmed,ada,mug,2,1,"), "{table}");
}
