//! The connections outwards, encrypted: real services that take nothing else, and what each failure says.

mod database;
mod kafka;
mod redis;
mod rights;
mod sale;
pub mod stack;
