//! Switchyard: a high-throughput, actor-based switch for prepaid transactions. The shell around `switchyard-core`.
//!
//! The way of a request, and where it is:
//!
//! ```text
//! door → conduit::connection → core request::read → gate (core gate::Gate::ask) → journal → supplier (core session) → adapter → link → [supplier]
//!      → link → adapter → core session → gate (core gate::Gate::heard) → journal → conduit::connection → core answer::answer → [terminal]
//! ```
//!
//! `topology` is the only place that starts threads and wires rings.

mod backoff;
pub mod board;
pub mod checkpointer;
pub mod cli;
pub mod clock;
pub mod conduit;
pub mod config;
pub mod control;
pub mod coredump;
pub mod days;
pub mod door;
pub mod gate;
pub mod history;
pub mod io;
pub mod journal;
pub mod keeper;
pub mod keys;
pub mod limits;
pub mod link;
pub mod machine;
pub mod restore;
pub mod ring;
pub mod runs;
pub mod settings;
pub mod stock;
pub mod supplier;
pub mod tls;
pub mod topology;

/// The exit code of a process that stopped because of its journal or its state: start it again, and it recovers.
pub const EXIT_JOURNAL: i32 = 70;
