//! Stories over HTTP, told to real processes.

mod eight_rules;
mod gate;
mod http;
mod limits;
mod restarts;
mod retries;
mod wrong_input;
