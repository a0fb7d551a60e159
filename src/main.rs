//! The rushgate binary: one subcommand per role.

use std::process::ExitCode;

/// Gives back to the system, in the background, what is not used for ten seconds.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    rushgate::cli::main()
}
