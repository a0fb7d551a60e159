//! The embedded engine: mlua over an in-memory keyspace.
