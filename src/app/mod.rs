//! The composition root: configuration in, running roles out; drains when asked to stop.

mod banner;
mod parts;
mod shutdown;
