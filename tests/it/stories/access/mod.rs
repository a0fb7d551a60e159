//! Who may do what: keys and merchants, tried over HTTP at a real control plane.

mod apart;
mod command;
pub mod house;
mod issuers;
mod letters;
mod matrix;
mod revoked;
