//! What tests and tools have in common: deployments of real processes, their services, and whatever is forged.

pub mod authority;
pub mod control;
pub mod database;
pub mod deployment;
pub mod events;
pub mod forge;
pub mod frames;
pub mod house;
pub mod http;
pub mod modules;
pub mod openapi;
pub mod output;
pub mod process;
pub mod server;
pub mod services;
pub mod topics;
