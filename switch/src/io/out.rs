//! What waits to be written, and whether it is taken.
//!
//! Owns: `OutBuffer`, the bytes for one connection and their positions; `Rooms`, the memory that many of them use in turn; `WriteWatch`, its patience.
//! Invariants: positions count all bytes ever queued and never go back; `written_to` never claims less than what the socket
//! was handed (S-12); bytes that were written are wiped, for they may show a PIN (S-18); who has lent room holds a large one only while much waits, so that ten thousand
//! connections that were busy once hold none.
//! Deliberately absent: sockets.

use super::Io;
use std::time::Duration;
use tokio::time::Instant;

/// What waits moves to a small buffer when it is no longer than this.
const OUT_SMALL_BYTES: usize = 16 * 1024;
/// A room at first; it grows by doubling.
const ROOM_BYTES: usize = 32 * 1024;
/// Largest room that is kept for the next turn.
const ROOM_KEPT_BYTES: usize = 256 * 1024;
/// Rooms that are kept. One is in use at a time, more only while much waits on connections.
const ROOMS_MAX: usize = 4;
/// What a conduit's rooms may take.
pub(crate) const ROOMS_BYTES: usize = ROOMS_MAX * ROOM_KEPT_BYTES;
/// Written bytes at the front of an output buffer are dropped when they are so many and half of it.
const OUT_COMPACT_BYTES: usize = 16 * 1024;
/// What an output buffer may take beside what waits in it.
pub(crate) const OUT_SLACK_BYTES: usize = OUT_SMALL_BYTES + OUT_COMPACT_BYTES;

/// Overwrites bytes that may be secret. One `memset`: the buffers lie on the path of every message, and
/// `black_box` keeps the optimiser from dropping a store that nothing reads.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// Memory that the output buffers of many connections use in turn: the one that was used last lies in the nearest cache.
#[derive(Default)]
pub struct Rooms(Vec<Vec<u8>>);

impl Rooms {
    fn lend(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(ROOM_BYTES))
    }

    /// Takes an empty one back.
    fn take_back(&mut self, room: Vec<u8>) {
        if self.0.len() < ROOMS_MAX && room.capacity() <= ROOM_KEPT_BYTES {
            self.0.push(room);
        }
    }
}

/// What waits to be written to one connection. Positions count all bytes ever queued and never go back.
#[derive(Default)]
pub struct OutBuffer {
    bytes: Vec<u8>,
    /// Bytes of `bytes` that are written.
    at: usize,
    /// Position of `bytes[0]`.
    begin: u64,
    /// Whether `bytes` is a lent room.
    is_lent: bool,
}

impl OutBuffer {
    /// An empty buffer without room.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), at: 0, begin: 0, is_lent: false }
    }

    /// Borrows room for this turn.
    pub fn borrow_room(&mut self, rooms: &mut Rooms) {
        if !self.is_lent {
            let room = rooms.lend();
            self.move_to(room);
            self.is_lent = true;
        }
    }

    /// Gives it back, unless what waits needs a room of that size.
    pub fn return_room(&mut self, rooms: &mut Rooms) {
        let is_too_large = self.bytes.capacity() > 2 * self.len() + OUT_SLACK_BYTES;
        if self.is_lent && (self.len() <= OUT_SMALL_BYTES || is_too_large) {
            rooms.take_back(self.move_to(Vec::new()));
            self.is_lent = false;
        }
    }

    /// Moves what waits to another memory, and answers the one that it leaves, wiped and empty.
    fn move_to(&mut self, mut other: Vec<u8>) -> Vec<u8> {
        other.extend_from_slice(self.pending());
        self.begin += self.at as u64;
        self.at = 0;
        let mut left = std::mem::replace(&mut self.bytes, other);
        wipe(&mut left);
        left.clear();
        left
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The position after the last byte queued.
    pub fn queued_to(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }

    /// The position after the last byte that the socket may have been handed. With TLS a byte counts from
    /// its encryption on: more than was sent, never less.
    pub fn written_to(&self) -> u64 {
        self.begin + self.at as u64
    }

    /// The buffer, to append to. Only append: what is in it keeps its place.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.at >= OUT_COMPACT_BYTES && self.at * 2 >= self.bytes.len() {
            self.compact();
        }
        &mut self.bytes
    }

    /// Forgets what waits, wiped; it counts as queued and as not written. For a connection that is gone:
    /// ask `written_to` first.
    pub fn discard(&mut self) {
        self.begin = self.queued_to();
        wipe(&mut self.bytes);
        self.bytes.clear();
        self.at = 0;
    }

    /// The bytes that wait.
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// So many of them were handed to the socket.
    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
        if self.at >= self.bytes.len() {
            self.discard();
            if self.bytes.capacity() > ROOM_KEPT_BYTES {
                self.bytes.shrink_to(ROOM_KEPT_BYTES);
            }
        }
    }

    /// Drops what is written from the front.
    fn compact(&mut self) {
        let waiting = self.len();
        self.bytes.copy_within(self.at.., 0);
        wipe(&mut self.bytes[waiting..]);
        self.bytes.truncate(waiting);
        self.begin += self.at as u64;
        self.at = 0;
    }
}

impl Drop for OutBuffer {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl std::fmt::Debug for OutBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutBuffer {{ {}..{} }}", self.written_to(), self.queued_to())
    }
}

/// Whether the other end takes what is written for it. Every byte must leave within `limit` of the moment at which the
/// watch began or the last mark was passed, so that one who takes a byte now and then is found out too.
#[derive(Debug)]
pub struct WriteWatch {
    limit: Duration,
    /// What must be written, and by when.
    mark: Option<(u64, Instant)>,
}

impl WriteWatch {
    /// A watch that allows `limit_ms`.
    pub fn new(limit_ms: u32) -> Self {
        Self { limit: Duration::from_millis(u64::from(limit_ms)), mark: None }
    }

    /// Looks at `out` after a write. The moment by which it must have moved on: passed, the other end is too slow;
    /// `None` while nothing waits.
    pub fn look(&mut self, io: &Io, out: &OutBuffer, now: Instant) -> Option<Instant> {
        if out.is_empty() && !io.wants_write() {
            self.mark = None;
            return None;
        }
        let (target, due) = self.mark.unwrap_or((out.queued_to(), now + self.limit));
        let passed = out.written_to() > target || (out.written_to() == target && !io.wants_write());
        let mark = if passed { (out.queued_to(), now + self.limit) } else { (target, due) };
        self.mark = Some(mark);
        Some(mark.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_never_go_back() {
        let mut out = OutBuffer::new();
        let mut queued = 0u64;
        let mut written = 0u64;
        for step in 0..2_000usize {
            let size = 1 + step * 37 % 900;
            out.tail().extend(std::iter::repeat_n(1, size));
            queued += size as u64;
            let taken = (step * 53 % 901).min(out.len());
            out.advance(taken);
            written += taken as u64;
            assert_eq!((out.queued_to(), out.written_to()), (queued, written));
        }
        assert!(out.bytes.len() < out.len() + 2 * OUT_COMPACT_BYTES + 1_000);
        out.discard();
        assert_eq!((out.queued_to(), out.is_empty()), (queued, true));
    }

    #[test]
    fn a_room_is_used_by_one_after_the_other_and_kept_only_while_much_waits() {
        let mut rooms = Rooms::default();
        let (mut quick, mut slow) = (OutBuffer::new(), OutBuffer::new());
        for out in [&mut quick, &mut slow] {
            out.borrow_room(&mut rooms);
            out.tail().extend([7; OUT_SMALL_BYTES + 100]);
        }
        quick.advance(OUT_SMALL_BYTES + 100);
        quick.return_room(&mut rooms);
        slow.return_room(&mut rooms);
        assert_eq!((rooms.0.len(), quick.bytes.capacity(), slow.is_lent), (1, 0, true));
        assert!(rooms.0[0].is_empty() && rooms.0[0].capacity() > OUT_SMALL_BYTES);
        slow.advance(200);
        slow.return_room(&mut rooms);
        assert_eq!(
            (rooms.0.len(), slow.len(), slow.bytes.capacity()),
            (2, OUT_SMALL_BYTES - 100, slow.len())
        );
        let marks = (slow.written_to(), slow.queued_to());
        assert_eq!(marks, (200, OUT_SMALL_BYTES as u64 + 100));
        slow.borrow_room(&mut rooms);
        assert_eq!((rooms.0.len(), (slow.written_to(), slow.queued_to())), (1, marks));
        assert_eq!(slow.pending(), [7; OUT_SMALL_BYTES - 100]);
        // Much waits, but in a room that is far too large for it.
        slow.bytes.reserve(ROOM_KEPT_BYTES);
        slow.tail().extend([7; 200]);
        slow.return_room(&mut rooms);
        assert!(!slow.is_lent && slow.bytes.capacity() <= 2 * slow.len());
    }
}
