//! What the configuration says of a conduit.

use super::{AddressRange, TlsSettings};
use std::net::SocketAddr;
use switchyard_core::iso8583::Framing;

/// A conduit: a listener with its own dialect, framing, TLS and limits.
#[derive(Clone, Debug)]
pub struct ConduitSettings {
    /// Its name in pages, metrics and logs; unique.
    pub name: String,
    /// Where it listens; unique.
    pub listen: SocketAddr,
    /// Index into `Settings::dialects`.
    pub dialect: usize,
    /// How messages are cut out of the stream.
    pub framing: Framing,
    /// When an answer may leave (S-17).
    pub durability: Durability,
    /// Whether a network must sign on (DE70 001) before its sales are taken.
    pub sign_on: bool,
    /// Networks (indexes) that may use it; empty: all.
    pub networks: Vec<u32>,
    /// TLS; `None`: plain TCP.
    pub tls: Option<TlsSettings>,
    /// Addresses that may connect; empty: all.
    pub allow: Vec<AddressRange>,
    /// Most connections at a time.
    pub connections_max: u32,
    /// Most connections at a time from one address.
    pub connections_per_address_max: u32,
    /// Requests that one connection may have open, at least `WINDOW_REQUESTS_MIN`.
    pub window_requests: u32,
    /// Longest message, in bytes, with its header and without its length; at most 65,535.
    pub frame_bytes_max: u32,
    /// Longest TLS handshake.
    pub handshake_ms: u32,
    /// Longest wait for a new connection's first byte; 0: for ever.
    pub first_byte_ms: u32,
    /// Longest time from a message's first byte to its last.
    pub frame_ms: u32,
    /// A connection without traffic for so long is closed; 0: never.
    pub idle_ms: u32,
    /// A connection on which nothing was heard for so long is sent an echo, once; 0: never.
    pub echo_ms: u32,
    /// A client that takes no answer for so long is closed.
    pub write_ms: u32,
    /// A request not answered for so long gets 68; longer than every supplier's time-out.
    pub deadline_ms: u32,
}

/// When effects may leave (S-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once their facts are synced: they survive a power cut.
    Strict,
    /// Once their facts are written: they survive the process, and a power cut may lose them.
    Relaxed,
}

impl Durability {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Strict, Self::Relaxed];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
        }
    }
}
