//! `rushgate openapi`: the contract of a plane, without a process that serves it.

use std::io::Write;

use super::out::quiet_pipe;
use crate::{admin, gateway, wire};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which one.
    #[arg(long, value_enum, default_value_t = Plane::Orders)]
    plane: Plane,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Plane {
    /// The data plane: --listen.
    Orders,
    /// The control plane of a gateway: --admin-listen.
    Admin,
}

pub fn openapi(args: &Args) -> anyhow::Result<()> {
    let document = match args.plane {
        Plane::Orders => gateway::openapi(),
        Plane::Admin => admin::openapi(),
    };
    let text = wire::openapi::text(&document);
    quiet_pipe(std::io::stdout().write_all(text.as_bytes()).map_err(Into::into))
}
