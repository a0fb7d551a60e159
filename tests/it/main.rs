//! Stories over HTTP, told to real processes.

mod audiences;
mod changes;
mod gate;
mod http;
mod limits;
mod restarts;
mod retries;
mod shadow;
mod wrong_input;
