//! Both fronts on real sockets, over stages that are scripted.

mod audiences;
mod connections;
mod control;
mod orders;
mod stage;
mod wire;
