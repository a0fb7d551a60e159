//! The rushgate binary: one subcommand per role.

fn main() {
    todo!("main")
}
