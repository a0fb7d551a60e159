//! Redis loses its memory while orders flow: nothing is admitted on what is left, the gate opens by itself, and
//! the sums are right. Real Redis servers, which these tests stop, cut, copy and empty; landing into SQLite.

mod buyers;
mod by_hand;
mod expiry;
mod gateway;
mod hands;
mod life;
mod losses;
mod many;
mod pauses;
mod restored;
mod returns;
mod sale;
mod server;
