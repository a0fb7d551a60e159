//! Shared by the programs that drive whole deployments: processes, their CPU time, the control plane.
#![allow(dead_code, reason = "each of the programs uses a part of it")]

pub mod authority;
pub mod control;
pub mod deployment;
pub mod process;
pub mod services;
