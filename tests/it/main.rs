//! Stories over HTTP, told to real processes.

mod archived;
mod audiences;
mod changes;
mod eight_rules;
#[path = "../forge/mod.rs"]
mod forge;
mod gate;
mod http;
mod limits;
mod modules;
mod prechecks;
mod restarts;
mod retries;
mod shadow;
mod simulate;
mod wrong_input;
