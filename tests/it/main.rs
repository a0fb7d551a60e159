//! Stories over HTTP, told to real processes.

mod archived;
mod audiences;
mod changes;
mod claims;
mod cut_over;
#[path = "../database/mod.rs"]
mod database;
mod eight_rules;
#[path = "../forge/mod.rs"]
mod forge;
mod gate;
mod http;
mod keys;
mod limits;
mod modules;
mod names;
mod outages;
mod prechecks;
mod restarts;
mod retries;
mod role;
mod secrets;
#[allow(dead_code)]
#[path = "../engines/server.rs"]
mod server;
mod shadow;
mod simulate;
mod stopping;
mod wrong_input;
