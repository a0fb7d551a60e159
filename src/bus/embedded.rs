//! The embedded bus: a log in memory.
