//! The Redis engine: EVALSHA over a multiplexed connection.
