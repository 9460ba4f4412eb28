//! The pure core of Switchyard.
//!
//! Plain structs and functions: no clock, socket, thread, file or randomness; `now` and seeds are arguments. The shell (crate `switchyard`) owns those, and
//! moves batches in and out. The way of a request:
//!
//! ```text
//! iso8583::View → request::read → Gate::ask → Session::order → adapter → Session::frame → Gate::heard → answer::answer
//! ```

pub mod account;
pub mod adapter;
pub mod answer;
pub mod batch;
pub mod breaker;
pub mod catalogue;
pub mod code;
pub mod details;
pub mod echo;
pub mod fact;
pub mod flight;
pub mod footprint;
pub mod gate;
pub mod ids;
pub mod index;
pub mod iso8583;
pub mod keyhash;
pub mod log;
pub mod money;
pub mod numbered;
pub mod operate;
pub mod outcome;
pub mod pack;
pub mod request;
pub mod reversal;
pub mod route;
pub mod schema;
pub mod seal;
pub mod secret;
pub mod seek;
pub mod session;
pub mod shelf;
pub mod slab;
pub mod stamp;
pub mod state;
pub mod stock;
pub mod text;
pub mod ticket;
pub mod wheel;
pub mod withdrawn;
