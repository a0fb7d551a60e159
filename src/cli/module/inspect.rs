//! `rushgate module inspect`: what a module says about itself, and what the host found.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::subject::{Loaded, Subject};
use super::{Local, Settings, counted, grouped, host, print, print_json};
use crate::plan::Attribute;
use crate::wasm::{self, AttributeNeed, Descriptor};

/// The interface that gives the contract's version.
const RULE: &str = "rushgate:policy/rule@";

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Print everything as JSON, with the schema and the examples
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings<Local>,
}

#[derive(Serialize)]
struct Report {
    file: String,
    bytes: usize,
    /// Lower-case hex SHA-256 of the bytes.
    digest: String,
    /// A core module is wrapped into a component when it is uploaded.
    core_module: bool,
    /// Version of `rushgate:policy` it was built against.
    contract: Option<String>,
    exports: Vec<String>,
    /// Always empty: a module that imports anything is refused.
    imports: [String; 0],
    reads: Vec<Read>,
    descriptor: Descriptor,
}

/// An attribute the module may read.
#[derive(Serialize)]
struct Read {
    attribute: String,
    required: bool,
    source: &'static str,
    forgeable: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let loaded = args.subject.load()?;
    let host = host(&args.settings)?;
    let inspected = loaded.inspect(&host).await?;
    let exports = host.exports(loaded.bytes.clone()).await?;
    let report = report(&loaded, exports, inspected.digest, inspected.descriptor);
    match args.json {
        true => print_json(&report),
        false => print(&text(&report)),
    }
}

fn report(loaded: &Loaded, exports: Vec<String>, digest: String, descriptor: Descriptor) -> Report {
    let contract = exports.iter().find_map(|name| name.strip_prefix(RULE));
    Report {
        file: loaded.file.display().to_string(),
        bytes: loaded.bytes.len(),
        digest,
        core_module: wasm::is_core_module(&loaded.bytes),
        contract: contract.map(str::to_owned),
        exports,
        imports: [],
        reads: descriptor.attributes.iter().map(read).collect(),
        descriptor,
    }
}

fn read(need: &AttributeNeed) -> Read {
    let source = match need.attribute.brought() {
        Attribute::Sku | Attribute::Quantity => "the order",
        Attribute::OfSku(_) => "the campaign",
        Attribute::Ip | Attribute::IpNetwork => "the connection",
        Attribute::Client(_) => "the buyer's program",
        Attribute::User | Attribute::Claim(_) | Attribute::Folded { .. } => "the verified token",
    };
    Read {
        attribute: need.attribute.to_string(),
        required: need.required,
        source,
        forgeable: matches!(need.attribute, Attribute::Client(_)),
    }
}

fn text(report: &Report) -> String {
    let Descriptor {
        id,
        version,
        title,
        summary,
        ..
    } = &report.descriptor;
    let mut out = format!("{id} {version}: {title}\n{summary}\n\n");
    let form = match report.core_module {
        true => "core module, wrapped into a component at upload",
        false => "component",
    };
    let precheck = match report.descriptor.precheck {
        true => "yes, runs per request and may only reject",
        false => "no",
    };
    for (name, value) in [
        ("file", report.file.clone()),
        ("size", format!("{} bytes, {form}", grouped(report.bytes as u64))),
        ("digest", report.digest.clone()),
        (
            "contract",
            format!(
                "rushgate:policy {}",
                report.contract.as_deref().unwrap_or("unknown")
            ),
        ),
        ("exports", report.exports.join(", ")),
        ("imports", "nothing".to_owned()),
        ("precheck", precheck.to_owned()),
    ] {
        let _ = writeln!(out, "{name:<10}{value}");
    }
    out += "\nparameters\n";
    out += &parameters(&report.descriptor.params_schema);
    out += "\nrejects with\n";
    for reason in &report.descriptor.reasons {
        let again = match reason.retryable {
            true => "the same order may succeed later",
            false => "no retry changes it",
        };
        let _ = writeln!(out, "  {:<20} {} ({again})", reason.code, reason.title);
    }
    if report.descriptor.reasons.is_empty() {
        out += "  nothing of its own\n";
    }
    out += "\nreads, beside user, sku and quantity\n";
    for read in &report.reads {
        let _ = writeln!(out, "  {:<20} {}", read.attribute, source(read));
    }
    if report.reads.is_empty() {
        out += "  nothing\n";
    }
    let attempts = report.descriptor.examples.iter().map(|e| e.attempts.len()).sum();
    let _ = writeln!(
        out,
        "\n{} with {} (`rushgate module test` plays them)",
        counted(report.descriptor.examples.len(), "golden example"),
        counted(attempts, "attempt")
    );
    out
}

fn source(read: &Read) -> String {
    let required = match read.required {
        true => "required",
        false => "optional",
    };
    let forgeable = match read.forgeable {
        true => ": can be forged",
        false => "",
    };
    format!("{required}, from {}{forgeable}", read.source)
}

/// One line per parameter; what is deeper stands in `--json`.
fn parameters(schema: &Value) -> String {
    let Some(fields) = schema["properties"]
        .as_object()
        .filter(|fields| !fields.is_empty())
    else {
        return "  none\n".to_owned();
    };
    let required = schema["required"].as_array();
    let mut out = String::new();
    for (name, field) in fields {
        let field = resolved(schema, field);
        let must = required.is_some_and(|names| names.iter().any(|known| known == name));
        let default = match &field["default"] {
            _ if must => "required".to_owned(),
            Value::Null => "optional".to_owned(),
            value => format!("default {value}"),
        };
        let about = field["description"].as_str().unwrap_or("");
        let line = format!("  {name:<20} {}, {default}  {about}", kind(schema, &field));
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// A field with what it refers to; its own words win.
fn resolved(root: &Value, field: &Value) -> Value {
    let target = field["$ref"].as_str().and_then(|at| at.strip_prefix('#'));
    let Some(target) = target.and_then(|pointer| root.pointer(pointer)) else {
        return field.clone();
    };
    let mut all = target.clone();
    if let (Some(all), Some(own)) = (all.as_object_mut(), field.as_object()) {
        all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    all
}

fn kind(root: &Value, field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return values.join(" or ");
    }
    let name = match &field["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            names.join(" or ")
        }
        _ => "see --json".to_owned(),
    };
    let bounds = match (&field["minimum"], &field["maximum"]) {
        (Value::Null, Value::Null) => String::new(),
        (low, Value::Null) => format!(" of at least {low}"),
        (Value::Null, high) => format!(" of at most {high}"),
        (low, high) => format!(" {low} to {high}"),
    };
    let inner = match (&field["items"], &field["additionalProperties"]) {
        (Value::Object(_), _) => format!(" of {}", kind(root, &resolved(root, &field["items"]))),
        (_, Value::Object(_)) => {
            format!(
                " of {}",
                kind(root, &resolved(root, &field["additionalProperties"]))
            )
        }
        _ => String::new(),
    };
    format!("{name}{bounds}{inner}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::Host;

    #[tokio::test]
    async fn a_built_in_module_is_shown_whole() {
        let (name, bytes) = wasm::builtin()
            .iter()
            .find(|(name, _)| *name == "n-per-user.wasm")
            .expect("built in");
        let loaded = Loaded {
            file: name.into(),
            bytes: (*bytes).into(),
            folder: None,
        };
        let host = Host::new().expect("WebAssembly runs here");
        let inspected = loaded.inspect(&host).await.expect("a module");
        let exports = host.exports(loaded.bytes.clone()).await.expect("a module");
        let shown = text(&report(&loaded, exports, inspected.digest, inspected.descriptor));
        for line in [
            "n-per-user 2.0.0: So many per user",
            "contract  rushgate:policy 1.0.0",
            "imports   nothing",
            "  limit                integer 1 to 1000000, required  How much each user may order.",
            "  per                  \"campaign\" or \"sku\", default \"campaign\"",
            "  limit-per-user       This order passes the limit of the user (no retry changes it)",
        ] {
            assert!(shown.contains(line), "{line:?} is missing:\n{shown}");
        }
    }

    #[test]
    fn what_can_be_forged_is_said() {
        let need = |attribute, required| read(&AttributeNeed { attribute, required });
        assert_eq!(
            source(&need(Attribute::Client("device".into()), true)),
            "required, from the buyer's program: can be forged"
        );
        assert_eq!(
            source(&need(Attribute::Claim("tier".into()), false)),
            "optional, from the verified token"
        );
    }
}
