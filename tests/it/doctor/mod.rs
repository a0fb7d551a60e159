//! `rushgate doctor` on set-ups that are broken in one way each, with real services: its words. Kafka and MariaDB are those
//! that `RUSHGATE_KAFKA_BROKERS` and `RUSHGATE_DATABASE_URL` name; encrypted connections alone are taken by a stack of the
//! tests' own.

mod encrypted;
mod ill;
mod listening;
mod patient;
mod published;
mod silent;
mod well;
