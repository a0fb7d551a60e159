//! Everything that is tried from outside the crate, in one binary: stories over HTTP, suites over both sides of each seam, and
//! what holds the house together.

mod admission;
mod browser;
mod bus;
mod console;
mod dlt;
mod doctor;
mod engines;
mod fences;
mod flow;
mod fronts;
mod golden;
mod landing;
mod legs;
mod lifecycle;
mod memory;
mod paths;
mod plans;
mod rank;
mod reconcile;
mod rules;
mod store;
mod stories;
mod strategies;
mod webhooks;
