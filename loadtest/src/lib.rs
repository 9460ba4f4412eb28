//! Load for the switch, and suppliers to go with it.
//!
//! Owns: [`supplier`] (scripted ISO 8583 hosts behind real sockets), [`floor`] (a bare relay, to measure by), [`load`] (the generator: closed or open
//! loop), [`profile`] (what is asked for), [`report`] (what came of it), [`check`] (whether what was told is what the suppliers
//! did) and [`kills`] (the same while the switch is killed again and again).
//! Invariants: no two sales have one key, of one load or of several (`keys`); latencies of an open loop are counted from the moment
//! at which a request was meant to be sent; suppliers write their record before they answer.
//! Deliberately absent: any knowledge of the switch's inside. It is loaded as any client would load it.

pub mod arrivals;
pub mod check;
pub mod floor;
pub mod kills;
pub mod load;
pub mod process;
pub mod profile;
pub mod progress;
pub mod records;
pub mod report;
pub mod site;
pub mod supplier;
pub mod told;
pub mod verdict;

mod engine;
mod frames;
mod keys;
mod ledger;
mod pace;
mod random;
