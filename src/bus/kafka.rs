//! The Kafka bus: rdkafka.
