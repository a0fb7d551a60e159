//! The fences around rule modules: prechecks that run per order, and modules that mean harm.

#[path = "../forge/mod.rs"]
mod forge;
#[path = "../forge/hostile.rs"]
mod hostile;
#[path = "../forge/plans.rs"]
mod plans;

mod corpus;
mod fuzz;
mod precheck;
