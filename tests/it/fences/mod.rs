//! The fences around rule modules: prechecks that run per order, modules that mean harm, and what a fuzzer found.

mod child;
mod corpus;
mod fuzz;
mod precheck;
