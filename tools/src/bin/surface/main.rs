//! `./x surface`: what others rely on, as text: commands, settings, routes, problems, metrics, tables, keys and stored words.
//!
//! Everything is asked from outside, of the binary and of the services after a small sale. Two builds whose texts are equal
//! look the same to everybody who uses them, however differently they are built.

mod commands;
mod keys;
mod metrics;
mod routes;
mod sale;
mod tables;
mod words;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use testkit::deployment::Setup;
use testkit::services;

/// Prints what others rely on.
#[derive(Debug, Parser)]
struct Flags {
    /// The binary to ask
    #[arg(long, default_value = "target/release/rushgate")]
    rushgate: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    match surface(&flags.rushgate).await {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("surface: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn surface(rushgate: &Path) -> Result<String> {
    let setup = Setup::new(rushgate, "surface")?;
    let mut page = Page::default();
    commands::write(&mut page, rushgate)?;
    page.section("settings");
    for key in rushgate::config::KEYS {
        page.line(format!("{}  {}", key.name, key.env_name()));
    }
    setup.migrate()?;
    let database = services::database(&setup.urls).await?;
    tables::write(&mut page, &database).await?;
    let gateway = setup.serve(1).await?;
    let lander = setup.land(1).await?;
    sale::play(&gateway, &database).await?;
    routes::write(&mut page, &gateway, &lander).await;
    metrics::write(&mut page, &gateway, &lander).await;
    keys::write(&mut page, &setup.urls).await?;
    // What they had gathered is written when they end.
    gateway.stop().await?;
    lander.stop().await?;
    words::write(&mut page, &database).await?;
    Ok(page.text)
}

/// The text so far.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    pub fn section(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let _ = writeln!(self.text, "## {title}");
    }

    pub fn line(&mut self, line: impl AsRef<str>) {
        let _ = writeln!(self.text, "{}", line.as_ref().trim_end());
    }
}
