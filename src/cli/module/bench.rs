//! `rushgate module bench`: what a module costs the gateway, and its plans every order.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::subject::{Loaded, Subject};
use super::{Local, Settings, grouped, host, print, print_json};
use crate::lua::emit::emit;
use crate::plan::cost::PlanCost;
use crate::plan::merge::merge;
use crate::plan::{CheckedPlan, check};
use crate::wasm::bounds::{CALL_TIME_MAX, FUEL_MAX, MEMORY_BYTES_MAX};
use crate::wasm::{CallCost, Example, Host, Inspected, examples};

/// Calls beyond this tell nothing new.
const RUNS_MAX: u32 = 10_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Calls to measure of each kind; their median is shown
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(RUNS_MAX)))]
    runs: u32,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings<Local>,
}

#[derive(Serialize)]
struct Report {
    module: String,
    version: String,
    bytes: usize,
    /// Making machine code of it: once per gateway and upload.
    machine_code_ms: f64,
    describe: Call,
    /// Per golden example: its parameters, and the plan they give.
    examples: Vec<Compiled>,
}

/// One kind of call: the median time of some, and what does not vary.
#[derive(Clone, Copy, Serialize)]
struct Call {
    ms: f64,
    /// WebAssembly instructions.
    fuel: u64,
    memory_bytes: usize,
}

#[derive(Serialize)]
struct Compiled {
    example: String,
    compile: Call,
    counters: usize,
    constraints: usize,
    /// Upper bounds for one order.
    cost: PlanCost,
    /// Bytes of the generated admission script.
    script_bytes: usize,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let loaded = args.subject.load()?;
    // What cannot be compiled within the limits of an upload is not compiled here.
    loaded.inspect(&host(&args.settings)?).await?;
    let report = measure(&loaded, args.runs).await?;
    match args.json {
        true => print_json(&report),
        false => print(&text(&report, args.runs)),
    }
}

async fn measure(loaded: &Loaded, runs: u32) -> anyhow::Result<Report> {
    // Nothing is kept from an earlier run: making machine code is measured, too.
    let host = Host::new()?;
    let begun = Instant::now();
    let no_module = || format!("{} is no rule module", loaded.file.display());
    host.prepare(loaded.bytes.clone()).await.with_context(no_module)?;
    let machine_code = begun.elapsed();
    let mut describe = Vec::new();
    let mut module = None;
    for _ in 0..runs {
        let (inspected, cost) = host
            .inspect_measured(loaded.bytes.clone())
            .await
            .with_context(no_module)?;
        describe.push(cost);
        module = Some(inspected);
    }
    let Some(module) = module else {
        bail!("nothing to measure with 0 runs");
    };
    let mut compiled = Vec::new();
    for example in &module.descriptor.examples {
        let one = compile(&host, loaded, &module, example, runs).await;
        compiled.push(one.with_context(|| format!("example {:?}", example.name))?);
    }
    Ok(Report {
        module: module.descriptor.id.clone(),
        version: module.descriptor.version.clone(),
        bytes: loaded.bytes.len(),
        machine_code_ms: milliseconds(machine_code),
        describe: call(describe),
        examples: compiled,
    })
}

async fn compile(
    host: &Host,
    loaded: &Loaded,
    module: &Inspected,
    example: &Example,
    runs: u32,
) -> anyhow::Result<Compiled> {
    let mut costs = Vec::new();
    let mut plan = None;
    for _ in 0..runs {
        let (compiled, cost) = host
            .compile_measured(module, loaded.bytes.clone(), &example.context, &example.params)
            .await?;
        costs.push(cost);
        plan = Some(compiled.plan);
    }
    let rule = examples::rule_plan(&module.descriptor, plan.unwrap_or_default());
    let plan: CheckedPlan = check(merge(vec![rule])?, examples::check_context(example))?;
    let (counters, constraints) = (plan.plan().counters.len(), plan.plan().constraints.len());
    let cost = plan.cost();
    Ok(Compiled {
        example: example.name.clone(),
        compile: call(costs),
        counters,
        constraints,
        cost,
        script_bytes: emit(Arc::new(plan), 1)?.admit.text.len(),
    })
}

/// Fuel and memory are those of the last call: they follow from the bytes and the parameters alone.
fn call(mut costs: Vec<CallCost>) -> Call {
    let last = costs.last().copied().unwrap_or_default();
    costs.sort_by_key(|cost| cost.time);
    let median = costs.get(costs.len() / 2).copied().unwrap_or_default();
    Call {
        ms: milliseconds(median.time),
        fuel: last.fuel,
        memory_bytes: last.memory_bytes,
    }
}

/// With microseconds behind the point.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn text(report: &Report, runs: u32) -> String {
    let mut out = format!(
        "{} {}, {} bytes, machine code in {} ms\n\n",
        report.module,
        report.version,
        grouped(report.bytes as u64),
        report.machine_code_ms
    );
    let _ = writeln!(
        out,
        "{:<34} {:>9} {:>13} {:>9}",
        format!("call (median of {runs})"),
        "ms",
        "instructions",
        "KiB"
    );
    out += &line("describe", report.describe);
    for example in &report.examples {
        out += &line(&format!("compile: {}", example.example), example.compile);
    }
    let _ = writeln!(
        out,
        "{:<34} {:>9} {:>13} {:>9}",
        "at most",
        CALL_TIME_MAX.as_millis(),
        grouped(FUEL_MAX),
        grouped(MEMORY_BYTES_MAX as u64 / 1024)
    );
    let _ = writeln!(
        out,
        "\n{:<34} {:>5} {:>8} {:>11} {:>8} {:>8} {:>7}",
        "each order, at most", "nodes", "counters", "constraints", "commands", "bytes", "script"
    );
    for example in &report.examples {
        let _ = writeln!(
            out,
            "{:<34} {:>5} {:>8} {:>11} {:>8} {:>8} {:>7}",
            clipped(&example.example),
            example.cost.nodes,
            example.counters,
            example.constraints,
            example.cost.commands,
            grouped(example.cost.bytes.into()),
            grouped(example.script_bytes as u64),
        );
    }
    if report.examples.is_empty() {
        out += "no golden example gives a plan to measure\n";
    }
    out
}

fn line(name: &str, call: Call) -> String {
    format!(
        "{:<34} {:>9.3} {:>13} {:>9}\n",
        clipped(name),
        call.ms,
        grouped(call.fuel),
        grouped(call.memory_bytes as u64 / 1024)
    )
}

fn clipped(name: &str) -> String {
    match name.char_indices().nth(33) {
        Some((cut, _)) => format!("{}…", &name[..cut]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm;

    #[tokio::test]
    async fn every_example_is_measured_within_the_bounds() {
        let (name, bytes) = wasm::builtin()
            .iter()
            .find(|(name, _)| *name == "n-per-user.wasm")
            .expect("built in");
        let loaded = Loaded {
            file: name.into(),
            bytes: (*bytes).into(),
            folder: None,
        };
        let report = measure(&loaded, 2).await.expect("measured");
        assert_eq!(report.examples.len(), 6);
        assert!(report.describe.fuel > 1000 && report.describe.fuel < FUEL_MAX);
        for example in &report.examples {
            assert!(example.compile.fuel > 100 && example.compile.fuel < report.describe.fuel);
            assert!(example.compile.memory_bytes > 0 && example.compile.memory_bytes < MEMORY_BYTES_MAX);
            assert!(example.cost.commands > 0 && example.script_bytes > 1000);
        }
        let shown = text(&report, 2);
        assert!(
            shown.contains("200,000,000") && shown.contains("two units of each SKU"),
            "{shown}"
        );
    }

    #[test]
    fn the_median_is_of_time_alone() {
        let cost = |ms| CallCost {
            fuel: 7,
            time: Duration::from_millis(ms),
            memory_bytes: 1 << 20,
        };
        let found = call(vec![cost(9), cost(1), cost(5)]);
        assert_eq!((found.ms, found.fuel), (5.0, 7));
    }
}
