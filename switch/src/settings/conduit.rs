//! What the configuration says of a conduit.
//!
//! Owns: its settings, and the two ways in which its connections come to be. Invariants: of what only one way has, a conduit of the other has nothing: one that
//! dials has no `tls` and no `allow`, and its `connections_max` is how many connections it keeps.

use super::{AddressRange, ClientTls, DialSettings, TlsSettings};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use switchyard_core::iso8583::Framing;

/// A conduit: an interface with its own dialect, framing, TLS and limits, which listens or dials.
#[derive(Clone, Debug)]
pub struct ConduitSettings {
    /// Its name in pages, metrics and logs; unique.
    pub name: String,
    /// How its connections come to be.
    pub way: ConduitWay,
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
    /// TLS where it listens; `None`: plain TCP.
    pub tls: Option<TlsSettings>,
    /// Addresses that may connect; empty: all.
    pub allow: Vec<AddressRange>,
    /// Most connections at a time; where it dials, how many it keeps.
    pub connections_max: u32,
    /// Most connections at a time from one address.
    pub connections_per_address_max: u32,
    /// Requests that one connection may have open, at least `WINDOW_REQUESTS_MIN`.
    pub window_requests: u32,
    /// Longest message, in bytes, with its header and without its length; at most 65,535.
    pub frame_bytes_max: u32,
    /// Longest TLS handshake where it listens.
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

impl ConduitSettings {
    /// Where it listens; `None` where it dials.
    pub fn listen(&self) -> Option<SocketAddr> {
        match &self.way {
            ConduitWay::Listen(address) => Some(*address),
            ConduitWay::Dial(_) => None,
        }
    }

    /// What it dials; `None` where it listens.
    pub fn dials(&self) -> Option<&ConduitDial> {
        match &self.way {
            ConduitWay::Listen(_) => None,
            ConduitWay::Dial(dial) => Some(dial),
        }
    }

    /// The files that its TLS is made of.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let dial = match &mut self.way {
            ConduitWay::Dial(dial) => dial.to.tls.as_mut(),
            ConduitWay::Listen(_) => None,
        };
        let listen = self.tls.iter_mut().flat_map(TlsSettings::files);
        dial.into_iter().flat_map(ClientTls::files).chain(listen).flatten()
    }

    /// Whether its connections speak TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.dials().is_some_and(|dial| dial.to.tls.is_some())
    }

    /// Whether the name on the other end's certificate decides which retail network it may speak for.
    pub fn binds_names(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.bind_names)
            || self.dials().is_some_and(|dial| dial.bind_names)
    }
}

/// How a conduit's connections come to be.
#[derive(Clone, Debug)]
pub enum ConduitWay {
    /// It listens there; unique.
    Listen(SocketAddr),
    /// It dials.
    Dial(ConduitDial),
}

impl ConduitWay {
    /// Makes it listen on that port; nothing where it dials.
    pub fn set_port(&mut self, port: u16) {
        if let Self::Listen(address) = self {
            address.set_port(port);
        }
    }
}

impl fmt::Display for ConduitWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address) => write!(f, "{address}"),
            Self::Dial(dial) => write!(f, "dials {}", dial.to),
        }
    }
}

/// A retail network's host that the switch dials.
#[derive(Clone, Debug)]
pub struct ConduitDial {
    /// The host, and TLS towards it.
    pub to: DialSettings,
    /// Whether the name on the host's certificate decides which retail network it may speak for; only with TLS.
    pub bind_names: bool,
    /// Longest wait for a connection, TLS included.
    pub connect_ms: u32,
    /// Wait before the first new attempt after a connection was lost; doubles, with jitter.
    pub reconnect_first_ms: u32,
    /// Longest wait between attempts.
    pub reconnect_max_ms: u32,
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
