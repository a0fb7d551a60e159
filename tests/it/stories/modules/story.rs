//! From a new folder to an order that its rule refuses: the commands of `rules/README.md`, run as they stand there.

use std::path::Path;

use super::readme;
use super::tool::{self, SPIDERMONKEY, command, said};
use crate::stories::gate::Gate;

const PAGE: &str = include_str!("../../../../rules/README.md");
/// Printed between the steps.
const MARK: &str = "=== next step ===";

/// Runs a section's commands in one shell, against a gate of their own.
async fn tell(section: &str, folder: &Path) {
    let gate = Gate::dev().await;
    let steps = readme::steps(PAGE, section);
    let commands: Vec<&str> = steps.iter().map(|step| step.commands.as_str()).collect();
    // The page names the ports of a `rushgate dev` that was started without flags.
    let script = commands
        .join(&format!("\necho; echo '{MARK}'\n"))
        .replace("localhost:8080", gate.orders.trim_start_matches("http://"))
        .replace("localhost:8081", gate.admin.trim_start_matches("http://"));
    let mut shell = command("sh", folder);
    shell
        .args(["-euc", &script])
        .env("RUSHGATE_ADMIN_URL", &gate.admin);
    let said = said(shell).await;
    // Shown where the story fails.
    println!("{}\n{}", said.out, said.err);
    let printed: Vec<&str> = said.out.split(MARK).collect();
    assert_eq!((said.code, printed.len()), (Some(0), steps.len()));
    for (step, printed) in steps.iter().zip(printed) {
        if let Some(expected) = &step.expected {
            expected.check(printed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_module_from_new_to_a_refused_order() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    tell("A module in an afternoon", folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_javascript_module_from_new_to_a_refused_order() {
    let folder = tool::javascript_folder(SPIDERMONKEY).await;
    tell("In JavaScript", folder.path()).await;
}
