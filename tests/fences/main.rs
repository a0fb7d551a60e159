//! The fences around rule modules: prechecks that run per order, and modules that mean harm.

#[path = "../forge/mod.rs"]
mod forge;

mod precheck;
