//! Stories over HTTP, told to real processes.

mod addresses;
mod archived;
mod audiences;
mod changes;
mod claims;
mod cut_over;
mod eight_rules;
mod gate;
mod keys;
mod limits;
mod modules;
mod names;
mod outages;
mod prechecks;
mod quota;
mod reopened;
mod restarts;
mod retries;
mod role;
mod secrets;
mod shadow;
mod simulate;
mod stopping;
mod wrong_input;
