//! Stories over HTTP, told to real processes.

mod gate;
mod http;
mod limits;
mod modules;
mod restarts;
mod retries;
mod wrong_input;
