//! Every command's help text, and exit codes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};

use crate::Page;

/// Command lines, and what stands in their environment, whose exit code says something to scripts.
const ENDINGS: &[&[&str]] = &[
    &["--version"],
    &["help"],
    &[],
    &["no-such-command"],
    &["serve", "--no-such-flag"],
    &["serve", "--config", "/nowhere/rushgate.toml"],
    &["land", "--listen", "nonsense"],
    &["reconcile"],
    &["reconcile", "--release"],
    &["doctor", "--config", "/nowhere/rushgate.toml"],
    &["rebuild"],
    &["dlt", "list"],
    &["module", "inspect", "/nowhere/rule.wasm"],
    &["campaign", "apply", "--file", "/nowhere/sale.yaml"],
    &["simulate", "--campaign", "none", "--rules", "/nowhere/rules.json"],
];

pub fn write(page: &mut Page, rushgate: &Path) -> Result<()> {
    page.section("commands");
    let mut open = vec![Vec::new()];
    while let Some(command) = open.pop() {
        let help = help(rushgate, &command)?;
        page.line(format!("### rushgate {}", command.join(" ")));
        help.lines().for_each(|line| page.line(line));
        let under = subcommands(&help).into_iter().rev();
        open.extend(under.map(|name| [command.as_slice(), &[name]].concat()));
    }
    page.section("exit codes");
    for args in ENDINGS {
        let code = run(rushgate, args)?.status.code();
        let code = code.context("ended by a signal")?;
        page.line(format!("{code}  rushgate {}", args.join(" ")));
    }
    Ok(())
}

fn help(rushgate: &Path, command: &[String]) -> Result<String> {
    let mut args: Vec<&str> = command.iter().map(String::as_str).collect();
    args.push("--help");
    let output = run(rushgate, &args)?;
    String::from_utf8(output.stdout).context("a help text is text")
}

/// Nothing of the environment is settings.
fn run(rushgate: &Path, args: &[&str]) -> Result<Output> {
    let output = Command::new(rushgate)
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .output();
    output.with_context(|| rushgate.display().to_string())
}

/// What stands under `Commands:`; `help` says what `--help` does.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    names.filter(|name| name != "help").collect()
}
