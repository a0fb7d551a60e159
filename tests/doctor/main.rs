//! `rushgate doctor` on set-ups that are broken in one way each, with real services: its words. Kafka and MariaDB are those
//! that `RUSHGATE_KAFKA_BROKERS` and `RUSHGATE_DATABASE_URL` name; encrypted connections alone are taken by a stack of the
//! tests' own.

#[path = "../database/mod.rs"]
mod database;
mod encrypted;
mod ill;
#[allow(dead_code)]
#[path = "../fronts/issuer.rs"]
mod issuer;
mod listening;
mod patient;
mod published;
#[allow(dead_code)]
#[path = "../engines/server.rs"]
mod server;
mod silent;
#[allow(dead_code)]
#[path = "../legs/stack.rs"]
mod stack;
mod well;
