//! Load for the switch, and suppliers to go with it.
//!
//! Owns: [`supplier`] (scripted ISO 8583 hosts behind real sockets), [`load`] (the generator: closed or open
//! loop), [`profile`] (what is asked for) and [`report`] (what came of it).
//! Invariants: a generator never uses a key twice; latencies of an open loop are counted from the moment
//! at which a request was meant to be sent; suppliers write their record before they answer.
//! Deliberately absent: any knowledge of the switch's inside. It is loaded as any client would load it.

pub mod load;
pub mod process;
pub mod profile;
pub mod progress;
pub mod report;
pub mod supplier;

mod engine;
mod frames;
mod pace;
