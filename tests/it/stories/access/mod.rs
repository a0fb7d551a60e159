//! Who may do what: keys and merchants, tried over HTTP at a real control plane.

mod apart;
mod command;
mod house;
mod issuers;
mod matrix;
mod revoked;
