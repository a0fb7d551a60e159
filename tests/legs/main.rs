//! The connections outwards, encrypted: real services that take nothing else, and what each failure says.

#[path = "../../examples/common/mod.rs"]
mod common;

mod database;
mod kafka;
mod redis;
mod rights;
mod sale;
mod stack;
