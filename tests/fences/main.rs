//! The fences around rule modules: prechecks that run per order, modules that mean harm, and what a fuzzer found.

#[path = "../forge/mod.rs"]
mod forge;

mod child;
mod corpus;
mod fuzz;
mod precheck;
