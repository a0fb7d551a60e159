//! Stories over HTTP, told to real processes.

mod audiences;
#[path = "../forge/mod.rs"]
mod forge;
mod gate;
mod http;
mod limits;
mod prechecks;
mod restarts;
mod retries;
mod wrong_input;
