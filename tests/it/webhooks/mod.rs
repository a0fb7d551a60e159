//! Webhooks over real sockets: what is told is kept for each endpoint, and sent until it is taken.

mod house;
pub mod receiver;

mod failing;
mod log;
mod orders;
mod private;
mod signed;
mod taken_over;
mod told;
