//! The rules of `rules/dist` over the interpreter, the embedded engine and Redis.

mod combinations;
mod examples;
mod params;
mod time;
