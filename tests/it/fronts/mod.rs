//! Both fronts on real sockets, over stages that are scripted.

mod audiences;
mod buyers;
mod clients;
mod connections;
mod control;
mod cors;
mod doors;
mod headers;
mod held;
pub mod issuer;
mod keys;
mod leaving;
mod listed;
mod lists;
mod live;
mod openapi;
mod orders;
mod reference;
mod requests;
mod shop;
mod simulate;
mod stage;
mod tls;
mod told;
mod vain;
mod webhooks;
mod wire;
