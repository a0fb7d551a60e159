//! Both fronts on real sockets, over stages that are scripted.

mod audiences;
mod connections;
mod control;
mod headers;
mod issuer;
mod keys;
mod orders;
mod simulate;
mod stage;
mod told;
mod wire;
