//! `rushgate module test`: the golden examples played, and which constraints and reasons they showed at work.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::bail;
use serde::Serialize;

use super::subject::Subject;
use super::{Local, Settings, counted, host, print, print_json};
use crate::control::proof::examples::{ModuleReport, play_module};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Print every attempt as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings<Local>,
}

#[derive(Serialize)]
struct TrialReport<'a> {
    passed: bool,
    /// One sentence per thing that is wrong.
    problems: &'a [String],
    #[serde(flatten)]
    report: &'a ModuleReport,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let loaded = args.subject.load()?;
    let host = host(&args.settings)?;
    let module = loaded.inspect(&host).await?;
    let report = play_module(&host, &module, loaded.bytes).await?;
    let problems = problems(&report);
    match args.json {
        true => print_json(&TrialReport {
            passed: problems.is_empty(),
            problems: &problems,
            report: &report,
        })?,
        false => print(&text(&report))?,
    }
    match problems.as_slice() {
        [] => Ok(()),
        problems => bail!("{} does not pass\n  {}", report.module, problems.join("\n  ")),
    }
}

fn problems(report: &ModuleReport) -> Vec<String> {
    let mut problems = report.lies();
    if report.examples.is_empty() {
        problems.push("it brings no golden example: a module shows what it admits and rejects".into());
    }
    let unseen = report.unseen();
    problems.extend(unseen.iter().map(|reason| {
        format!("no example is rejected with {reason:?}: add one, or take the reason out of the descriptor")
    }));
    problems
}

fn text(report: &ModuleReport) -> String {
    let mut out = format!("{} {}\n", report.module, report.version);
    for example in &report.examples {
        let (mark, attempts) = match example.holds() {
            true => ("ok  ", counted(example.attempts.len(), "attempt")),
            false => ("FAIL", example.lie().unwrap_or_default()),
        };
        let _ = writeln!(out, "  {mark}  {}: {attempts}", example.name);
    }
    let _ = writeln!(out, "\n  {:>8} {:>8}  constraint", "let pass", "rejected");
    for ((reason, sentence), (passed, rejected)) in constraints(report) {
        let never = match (passed, rejected) {
            // What a precheck lets pass is not told from what it never saw.
            (0, _) if !sentence.starts_with("precheck: ") => "  (never seen letting pass)",
            (_, 0) => "  (never seen rejecting)",
            _ => "",
        };
        let _ = writeln!(out, "  {passed:>8} {rejected:>8}  {reason}: {sentence}{never}");
    }
    let _ = writeln!(
        out,
        "\n{}, {}, through interpreter and script; {} of {} seen",
        counted(report.examples.len(), "example"),
        counted(report.attempts(), "attempt"),
        report.reasons.len() - report.unseen().len(),
        counted(report.reasons.len(), "reason"),
    );
    out
}

/// Constraints of all examples by reason and sentence, with how often they let pass and rejected.
fn constraints(report: &ModuleReport) -> BTreeMap<(&str, &str), (usize, usize)> {
    let mut seen = BTreeMap::new();
    let constraints = report.examples.iter().flat_map(|example| &example.constraints);
    for constraint in constraints {
        let counts: &mut (usize, usize) = seen
            .entry((constraint.reason.as_str(), constraint.sentence.as_str()))
            .or_default();
        counts.0 += constraint.passed;
        counts.1 += constraint.rejected;
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::{self, Host};

    #[tokio::test]
    async fn examples_that_lie_and_reasons_that_never_come_are_problems() {
        let (_, bytes) = wasm::builtin()
            .iter()
            .find(|(name, _)| *name == "n-per-user.wasm")
            .expect("built in");
        let host = Host::new().expect("WebAssembly runs here");
        let mut module = host.inspect((*bytes).into()).await.expect("a module");
        let report = play_module(&host, &module, (*bytes).into())
            .await
            .expect("played");
        assert_eq!(problems(&report), [""; 0]);
        let shown = text(&report);
        assert!(
            shown.contains("  ok    two orders, not three: 4 attempts"),
            "{shown}"
        );
        assert!(shown.contains("1 of 1 reason seen"), "{shown}");

        module.descriptor.examples = vec![module.descriptor.examples.remove(1)];
        module.descriptor.examples[0].attempts.remove(1);
        let report = play_module(&host, &module, (*bytes).into())
            .await
            .expect("played");
        let found = problems(&report);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("promised limit-per-user, the plan gives admitted"),
            "{found:?}"
        );
        assert!(
            found[1].contains("no example is rejected with \"limit-per-user\""),
            "{found:?}"
        );
        let shown = text(&report);
        assert!(
            shown.contains("FAIL") && shown.contains("never seen rejecting"),
            "{shown}"
        );

        module.descriptor.examples.clear();
        let report = play_module(&host, &module, (*bytes).into())
            .await
            .expect("played");
        assert!(problems(&report)[0].contains("no golden example"));
    }
}
