//! Writes what is made of the contracts of both planes: docs/openapi, the types of clients/js, the tables of docs/API.md and docs/ACCESS.md.

use std::fs;

use anyhow::Context;
use clap::Parser;
use testkit::openapi::{Contract, Documents};

/// Writes the files that are made of the contracts, or says which are not current.
#[derive(Parser)]
struct Args {
    /// Write nothing.
    #[arg(long)]
    check: bool,
    /// Print the contract of this plane with its answers closed: what is not described is wrong.
    #[arg(long, value_name = "PLANE")]
    closed: Option<String>,
}

const API: &str = "docs/API.md";
const ACCESS: &str = "docs/ACCESS.md";

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let documents = Documents::of_this_build();
    if let Some(plane) = args.closed {
        let document = match plane.as_str() {
            "orders" => documents.orders,
            "admin" => documents.admin,
            other => anyhow::bail!("there is no plane {other}: use orders or admin"),
        };
        println!("{}", Contract::of(document).document());
        return Ok(());
    }
    let api = fs::read_to_string(API).with_context(|| format!("reading {API}"))?;
    let access = fs::read_to_string(ACCESS).with_context(|| format!("reading {ACCESS}"))?;
    let mut old = Vec::new();
    for (path, text) in documents.files(&api, &access) {
        if fs::read_to_string(path).is_ok_and(|there| there == text) {
            continue;
        }
        old.push(path);
        if !args.check {
            fs::write(path, text).with_context(|| format!("writing {path}"))?;
        }
    }
    match (args.check, old.as_slice()) {
        (_, []) => println!("all is current"),
        (false, written) => println!("written: {}", written.join(", ")),
        (true, old) => anyhow::bail!("not current: {}; ./x openapi makes them anew", old.join(", ")),
    }
    Ok(())
}
