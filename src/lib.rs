//! rushgate: a gateway that stands in front of a flash sale.
//!
//! ```text
//!  client ─▶ gateway ─▶ admission ─▶ engine: Redis script (stock + limits + idempotency + outbox)
//!                                        │ admitted
//!                                        ▼
//!                             relay ─▶ bus: Kafka ─▶ landing ─▶ store: MySQL
//!
//!  merchant ─▶ admin ─▶ control: wasm.compile(params) ─▶ plan ─▶ check ─▶ lua ─▶ load ─▶ swap
//! ```
//!
//! A module imports only modules of a lower rank, or of an earlier step of its own (`testkit/src/house.rs`);
//! `tests/it/rank.rs` keeps it so.

// What a module hands on for suites and tools alone; with `testing`, an import that nothing uses is still said.
#![cfg_attr(not(feature = "testing"), allow(unused_imports))]

// Nothing but the command line, and what reads records from Kafka, is open to other crates, so that the compiler says
// what nothing uses any more; suites and tools open the rest with the feature `testing`.
cfg_if::cfg_if! {
    if #[cfg(feature = "testing")] {
        // Rank 0: the core. Pure: time and ids are arguments; no async, socket, clock or random.
        pub mod access;
        pub mod attempts;
        pub mod audience;
        pub mod audit;
        pub mod campaign;
        pub mod failpoint;
        pub mod lua;
        pub mod metrics;
        pub mod order;
        pub mod outbox;
        pub mod pem;
        pub mod plan;
        pub mod record;
        pub mod rejection;
        pub mod revision;
        pub mod ruleset;
        pub mod seal;
        pub mod seldom;
        pub mod state;
        pub mod wire;

        // Rank 1: adapters, one foreign vocabulary each; and what stages need of each other.
        pub mod bus;
        pub mod clock;
        pub mod engine;
        pub mod needs;
        pub mod reaching;
        pub mod serving;
        pub mod store;
        pub mod wasm;

        // Rank 2: stages. They meet only in data and never import each other.
        pub mod admission;
        pub mod control;
        pub mod events;
        pub mod flow;
        pub mod landing;
        pub mod letters;
        pub mod lifecycle;
        pub mod reconcile;
        pub mod relay;
        pub mod sampling;
        pub mod webhooks;

        // Rank 3: fronts.
        pub mod admin;
        pub mod gateway;
        // And pages that ask one of them.
        pub mod console;

        // Rank 4: wiring.
        pub mod app;
        pub mod cli;
        pub mod config;
        pub mod doctor;
        pub mod telemetry;
    } else {
        mod access;
        mod attempts;
        mod audience;
        mod audit;
        mod campaign;
        mod failpoint;
        mod lua;
        mod metrics;
        pub mod order;
        mod outbox;
        mod pem;
        mod plan;
        pub mod record;
        mod rejection;
        mod revision;
        mod ruleset;
        mod seal;
        mod seldom;
        mod state;
        mod wire;
        mod bus;
        mod clock;
        mod engine;
        mod needs;
        mod reaching;
        mod serving;
        mod store;
        mod wasm;
        mod admission;
        mod control;
        mod events;
        mod flow;
        mod landing;
        mod letters;
        mod lifecycle;
        mod reconcile;
        mod relay;
        mod sampling;
        mod webhooks;
        mod admin;
        mod gateway;
        mod console;
        mod app;
        pub mod cli;
        mod config;
        mod doctor;
        mod telemetry;
    }
}
