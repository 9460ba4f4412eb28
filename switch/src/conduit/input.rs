//! What has arrived on a connection and is not yet a message.
//!
//! Owns: the input of one connection, and the buffers that all connections of a conduit read into in turn.
//! Invariants: a connection holds a large buffer only during its turn, or while more waits in it than fits a small one, so
//! ten thousand idle connections hold none; frames that were taken are wiped (S-18); no byte is copied that a message is
//! read from. Deliberately absent: credits and meaning (`desk`).

use crate::io::wipe;
use bytes::{Buf, BytesMut};
use switchyard_core::iso8583::{Frame, FrameError, Framing};

/// Longest header that a framing may add to a message, with its length.
pub(super) const FRAME_OVERHEAD_BYTES: usize = 64;
/// Most bytes read at a time.
pub(super) const READ_BYTES_MAX: usize = 16 * 1024;
/// What is left over after a turn moves to a small buffer when it is no longer than this.
const SMALL_BYTES: usize = 2 * 1024;
/// Large buffers kept for the next turn. One is in use at a time, more only when connections keep theirs.
const SPARES_MAX: usize = 16;

/// What a connection may hold of messages that are not taken yet: a read is begun while less than the longest message is there, and room grows by doubling.
pub(crate) fn input_bytes_max(frame_bytes_max: usize) -> usize {
    2 * (READ_BYTES_MAX.max(frame_bytes_max + FRAME_OVERHEAD_BYTES) + READ_BYTES_MAX)
}

/// The large buffers of a conduit, lent for a turn.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<BytesMut>);

impl Spares {
    fn lend(&mut self) -> BytesMut {
        self.0.pop().unwrap_or_else(|| BytesMut::with_capacity(READ_BYTES_MAX + SMALL_BYTES))
    }

    fn take_back(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        if self.0.len() < SPARES_MAX {
            self.0.push(buffer);
        }
    }
}

/// The input of one connection.
#[derive(Debug, Default)]
pub(super) struct Input {
    buffer: BytesMut,
    /// The small buffer, while `buffer` is a large one.
    small: BytesMut,
    is_large: bool,
    /// Bytes at the front that are complete messages without a credit (S-19).
    waiting: usize,
    /// Bytes at the front of which that is known: more than `waiting` while they are looked at again.
    known: usize,
}

impl Input {
    /// Borrows a large buffer for this turn.
    pub(super) fn begin(&mut self, spares: &mut Spares) {
        if !self.is_large {
            let mut large = spares.lend();
            large.extend_from_slice(&self.buffer);
            wipe(&mut self.buffer);
            self.buffer.clear();
            self.small = std::mem::replace(&mut self.buffer, large);
            self.is_large = true;
        }
    }

    /// Gives it back, unless too much is left in it.
    pub(super) fn end(&mut self, spares: &mut Spares) {
        if self.is_large && self.buffer.len() <= SMALL_BYTES {
            self.small.extend_from_slice(&self.buffer);
            wipe(&mut self.buffer);
            spares.take_back(std::mem::replace(&mut self.buffer, std::mem::take(&mut self.small)));
            self.is_large = false;
        }
    }

    /// Where to read into.
    pub(super) fn tail(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that are there.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether part of a message is there: its beginning, without its end.
    pub(super) fn has_part(&self) -> bool {
        self.buffer.len() > self.waiting
    }

    /// Whether messages wait for a credit.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Looks at the waiting messages again, for there are credits.
    pub(super) fn rewind(&mut self) {
        self.waiting = 0;
    }

    /// The next frame after those that wait.
    pub(super) fn next(
        &self,
        framing: &Framing,
        frame_bytes_max: usize,
    ) -> Result<Option<Frame>, FrameError> {
        framing.next(&self.buffer[self.waiting..], frame_bytes_max)
    }

    /// Header and body of a frame that `next` found.
    pub(super) fn parts(&self, frame: &Frame) -> (&[u8], &[u8]) {
        let bytes = &self.buffer[self.waiting..];
        (&bytes[frame.header.clone()], &bytes[frame.body.clone()])
    }

    /// Leaves the frame where it is, without a credit.
    pub(super) fn leave(&mut self, frame: &Frame) {
        self.waiting += frame.total;
        self.known = self.known.max(self.waiting);
    }

    /// Passes over the messages that were left before: they would be left again. Whether there are any.
    pub(super) fn skip_known(&mut self) -> bool {
        let skips = self.known > self.waiting;
        self.waiting = self.known;
        skips
    }

    /// Takes the frame out, wiped. Those that wait before it stay.
    pub(super) fn take(&mut self, frame: &Frame) {
        let end = self.waiting + frame.total;
        if end <= self.known {
            self.known -= frame.total;
        }
        if self.waiting == 0 {
            wipe(&mut self.buffer[..end]);
            self.buffer.advance(end);
            return;
        }
        let length = self.buffer.len() - frame.total;
        self.buffer.copy_within(end.., self.waiting);
        wipe(&mut self.buffer[length..]);
        self.buffer.truncate(length);
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        wipe(&mut self.buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(messages: &[&[u8]], spares: &mut Spares) -> Input {
        let mut input = Input::default();
        input.begin(spares);
        for message in messages {
            input.tail().extend_from_slice(&(message.len() as u16).to_be_bytes());
            input.tail().extend_from_slice(message);
        }
        input
    }

    fn next(input: &Input) -> Option<Frame> {
        input.next(&Framing::DEFAULT, 100).unwrap()
    }

    #[test]
    fn a_frame_behind_one_that_waits_can_be_taken_first() {
        let mut spares = Spares::default();
        let mut input = filled(&[b"sale", b"reversal", b"another sale"], &mut spares);
        input.leave(&next(&input).unwrap());
        let reversal = next(&input).unwrap();
        assert_eq!(input.parts(&reversal).1, b"reversal");
        input.take(&reversal);
        assert_eq!(input.parts(&next(&input).unwrap()).1, b"another sale");
        input.rewind();
        assert_eq!(input.parts(&next(&input).unwrap()).1, b"sale");
        for _ in 0..2 {
            let frame = next(&input).unwrap();
            input.take(&frame);
        }
        assert_eq!((next(&input), input.has_part()), (None, false));
    }

    #[test]
    fn what_is_known_to_wait_is_passed_over_until_it_may_be_taken() {
        let mut spares = Spares::default();
        let mut input = filled(&[b"one", b"two", b"three", b"reversal", b"four"], &mut spares);
        for _ in 0..3 {
            input.leave(&next(&input).unwrap());
        }
        let reversal = next(&input).unwrap();
        input.take(&reversal);
        assert!(!input.skip_known());
        // A credit for the first of them.
        input.rewind();
        let one = next(&input).unwrap();
        assert_eq!(input.parts(&one).1, b"one");
        input.take(&one);
        assert!(input.skip_known());
        let four = next(&input).unwrap();
        assert_eq!(input.parts(&four).1, b"four");
        input.leave(&four);
        input.rewind();
        let left: Vec<_> = std::iter::from_fn(|| {
            let frame = next(&input)?;
            let body = input.parts(&frame).1.to_vec();
            input.take(&frame);
            Some(body)
        })
        .collect();
        assert_eq!(left, [b"two".to_vec(), b"three".to_vec(), b"four".to_vec()]);
        assert!(!input.skip_known() && !input.has_waiting());
    }

    #[test]
    fn a_part_of_a_message_outlives_the_turn_and_the_large_buffer_does_not() {
        let mut spares = Spares::default();
        let mut input = filled(&[b"whole"], &mut spares);
        input.tail().extend_from_slice(&[0, 4, b'p', b'a']);
        let frame = next(&input).unwrap();
        input.take(&frame);
        input.end(&mut spares);
        assert_eq!((spares.0.len(), input.len(), input.has_part()), (1, 4, true));
        assert!(input.buffer.capacity() < SMALL_BYTES);
        input.begin(&mut spares);
        assert_eq!(spares.0.len(), 0);
        input.tail().extend_from_slice(b"rt");
        assert_eq!(input.parts(&next(&input).unwrap()).1, b"part");
    }
}
