//! What a conduit counts.
//!
//! Owns: the counters, and the reasons for which connections end. Invariants: one writer (the conduit's thread), so a count
//! is a load and a store and never a locked instruction; anybody reads. Deliberately absent: latencies (the board's).

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter or gauge with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more. Only its one writer may call this.
    pub(super) fn add(&self) {
        self.set(self.value() + 1);
    }

    /// Makes it `value`. Only its one writer may call this.
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed it.
    Client,
    /// The network lost it, or TLS broke.
    Lost,
    /// A length over the limit or not a length (S-20).
    Framing,
    /// Ten messages in a row without readable MTI and STAN (S-20).
    Unreadable,
    /// No byte came in `first_byte_ms`.
    FirstByte,
    /// A message was not complete in `frame_ms`.
    FrameTime,
    /// Nothing happened for `idle_ms`.
    Idle,
    /// The client took no answers for `write_ms`.
    SlowReader,
    /// The conduit was drained.
    Drained,
    /// The conduit was closed before all was answered.
    Stopped,
}

impl Closed {
    /// All of them, in the order of `ConduitCounters::closed`.
    pub const ALL: [Self; 10] = [
        Self::Client,
        Self::Lost,
        Self::Framing,
        Self::Unreadable,
        Self::FirstByte,
        Self::FrameTime,
        Self::Idle,
        Self::SlowReader,
        Self::Drained,
        Self::Stopped,
    ];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Framing => "framing",
            Self::Unreadable => "unreadable",
            Self::FirstByte => "first-byte",
            Self::FrameTime => "frame-time",
            Self::Idle => "idle",
            Self::SlowReader => "slow-reader",
            Self::Drained => "drained",
            Self::Stopped => "stopped",
        }
    }
}

/// What a conduit counts.
#[derive(Debug, Default)]
pub struct ConduitCounters {
    /// Connections now.
    pub connections: Counter,
    /// Tickets on their way now: admitted and neither answered nor found stale.
    pub tickets: Counter,
    /// Messages received, of any kind.
    pub messages: Counter,
    /// Messages handed to the gate.
    pub admitted: Counter,
    /// Responses written to admitted messages.
    pub answered: Counter,
    /// Messages refused here, without the gate; format errors among them.
    pub refused: Counter,
    /// Format errors (30).
    pub format_errors: Counter,
    /// Network management answered here.
    pub managed: Counter,
    /// Responses received, which match nothing here.
    pub responses_in: Counter,
    /// Messages dropped because MTI or STAN could not be read.
    pub unreadable: Counter,
    /// Lengths of zero.
    pub keep_alives: Counter,
    /// Answers whose connection was gone. The outcome stands; a repeat gets it (S-13).
    pub stale: Counter,
    /// Responses that could not be built. The outcome stands; a fault of ours or of the dialect's file.
    pub unanswerable: Counter,
    /// Requests that found the gate's ring full: a bug, answered 96.
    pub ring_full: Counter,
    /// Turns in which a connection was not read for want of a credit.
    pub stalled: Counter,
    /// Connections that ended, by reason, in the order of `Closed::ALL`.
    pub closed: [Counter; Closed::ALL.len()],
}

impl ConduitCounters {
    /// Name and value of every number but `closed`.
    pub fn read(&self) -> [(&'static str, u64); 15] {
        [
            ("connections", self.connections.value()),
            ("tickets", self.tickets.value()),
            ("messages", self.messages.value()),
            ("admitted", self.admitted.value()),
            ("answered", self.answered.value()),
            ("refused", self.refused.value()),
            ("format_errors", self.format_errors.value()),
            ("managed", self.managed.value()),
            ("responses_in", self.responses_in.value()),
            ("unreadable", self.unreadable.value()),
            ("keep_alives", self.keep_alives.value()),
            ("stale", self.stale.value()),
            ("unanswerable", self.unanswerable.value()),
            ("ring_full", self.ring_full.value()),
            ("stalled", self.stalled.value()),
        ]
    }

    /// Connections that ended for this reason.
    pub fn closed(&self, why: Closed) -> u64 {
        self.closed[why as usize].value()
    }
}
