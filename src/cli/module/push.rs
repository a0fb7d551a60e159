//! `rushgate module push`: upload a module, and say whether it is new there.

use anyhow::bail;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::subject::Subject;
use super::{grouped, print, print_json};
use crate::cli::client::Connection;
use crate::wasm::MODULE_BYTES_MAX;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    connection: Connection,
    /// Let the module have the id of a built-in one, and stand for it
    #[arg(long)]
    replace_builtin: bool,
    /// Print the control plane's answer
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let loaded = args.subject.load()?;
    let size = loaded.bytes.len();
    if size > MODULE_BYTES_MAX {
        bail!(
            "{} has {} bytes; a control plane takes at most {}",
            loaded.file.display(),
            grouped(size as u64),
            grouped(MODULE_BYTES_MAX as u64)
        );
    }
    loaded.check_name(&args.connection.settings).await?;
    let client = args.connection.client()?;
    let body = Bytes::copy_from_slice(&loaded.bytes);
    let path = match args.replace_builtin {
        true => "/modules?replace_builtin=true",
        false => "/modules",
    };
    let answer = client
        .send(Method::POST, path, Some("application/wasm"), body)
        .await?;
    let module: Value = client.read(path, &answer)?;
    if args.json {
        return print_json(&module);
    }
    let text = |field: &str| module[field].as_str().unwrap_or("?").to_owned();
    let new = match answer.status == StatusCode::CREATED {
        true => "uploaded",
        false => "known already",
    };
    let mut said = format!(
        "{new}: {}@{} at {}, {} bytes\ndigest {}",
        text("id"),
        text("version"),
        client.url(),
        grouped(size as u64),
        text("digest"),
    );
    if module["replaces_builtin"] == true {
        said += &format!("\nit stands for the built-in module {}", text("id"));
    }
    if text("highest") != text("version") {
        said += &format!(
            "\n{:?} alone goes on standing for {}",
            text("id"),
            text("highest")
        );
    }
    print(&said)
}
