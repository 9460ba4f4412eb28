//! A checkpoint: the state at one fact, as bytes, and back.
//!
//! Owns: `Snapshot`, which the gate takes and another thread writes; its image in pieces; `Restoring`, which reads one.
//! Invariants: what was written reads back as an equal state; a snapshot costs the gate nothing for each request of the window; broken bytes are an error, and
//! nothing is allocated beyond a small multiple of what was read.
//! Deliberately absent: files and checksums (the shell's), and the tables of the index, which are made again.
//!
//! ```text
//! image    head · head · … · entries · entries · … · end
//! head     version 5 · window 8 · count of entries 8 · number of the first 4 · accounts, stock, names, days, flights, …
//! entries  entries of the index, each `ENTRY_BYTES` long, whole ones only
//! end      length of the head 8
//! ```

use super::{Aging, Day, Ended, Parked, State};
use crate::account::Accounts;
use crate::fact::NameKind;
use crate::flight::Flight;
use crate::index::{ENTRY_BYTES, Entry, Index, IndexSnapshot, Refill};
use crate::log::Lsn;
use crate::operate::Controls;
use crate::outcome::sealed_with;
use crate::pack::{self, Pack, Unpack, Unreadable};
use crate::stock::Stock;
use crate::withdrawn::WithdrawnVouchers;

/// Version of the image. To be raised whenever its form changes, or `State::apply` gives the same facts another meaning: an image of another version is not
/// read, and the log is folded again.
const VERSION: u32 = 5;

/// Longest piece of an image, in bytes.
pub const PIECE_BYTES_MAX: usize = 65_520;

/// Bytes of whole entries in one piece.
const ENTRIES_BYTES: usize = PIECE_BYTES_MAX / ENTRY_BYTES * ENTRY_BYTES;

/// What a piece of an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Piece {
    /// A part of everything but the index.
    Head = 1,
    /// Entries of the index.
    Entries = 2,
    /// The end; nothing follows.
    End = 3,
}

impl Piece {
    /// The piece of that number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::Head, Self::Entries, Self::End].into_iter().find(|piece| *piece as u8 == number)
    }
}

/// Why an image is not read. The log that it stands for can be folded instead, where it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageFault {
    /// Another release wrote it.
    #[error("it has version {0} of the image, this release reads version {VERSION}")]
    Version(u32),
    /// The bytes are not those of an image.
    #[error("it holds something that no checkpoint holds")]
    Unreadable(#[from] Unreadable),
    /// Pieces are missing, or in a wrong order.
    #[error("a part of it is missing")]
    Incomplete,
}

/// The state at one fact. Shares the index's entries with the living state.
#[derive(Debug)]
pub struct Snapshot {
    /// Everything but the index, which is empty here.
    small: State,
    index: IndexSnapshot,
}

impl State {
    /// The state as it stands, for a checkpoint.
    pub fn snapshot(&self) -> Snapshot {
        let small = Self {
            accounts: self.accounts.clone(),
            stock: self.stock.clone(),
            index: Index::default(),
            withdrawn: self.withdrawn.clone(),
            last: self.last,
            names: self.names.clone(),
            days: self.days.clone(),
            flights: self.flights.clone(),
            settled: self.settled.clone(),
            parked: self.parked.clone(),
            over: self.over,
            stans: self.stans.clone(),
            controls: self.controls.clone(),
            last_flight: self.last_flight,
            aging: self.aging,
            window_ms: self.window_ms,
        };
        Snapshot { small, index: self.index.snapshot() }
    }

    /// How long requests stay in the index, milliseconds.
    pub fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// Sets how long requests stay in the index from now on. What has left it does not come back.
    pub fn set_window_ms(&mut self, window_ms: u64) {
        self.window_ms = window_ms;
    }

    /// Everything but the index. Equal states give equal bytes.
    fn pack_small(&self, out: &mut Vec<u8>) {
        let Self {
            accounts,
            stock,
            index: _,
            withdrawn,
            last,
            names,
            days,
            flights,
            settled,
            parked: _,
            over: _,
            stans,
            controls,
            last_flight,
            aging,
            window_ms: _,
        } = self;
        last.0.pack(out);
        last_flight.pack(out);
        aging.pack(out);
        accounts.pack(out);
        stock.pack(out);
        withdrawn.pack(out);
        pack::list(out, NameKind::ALL.into_iter(), |kind, out| {
            let names = names.get(&kind).map_or(&[][..], Vec::as_slice);
            pack::list(out, names.iter(), |name, out| name.pack(out));
        });
        pack::list(out, days.iter().collect::<Vec<_>>().into_iter(), |(network, day), out| {
            network.pack(out);
            day.date.pack(out);
            day.until_ms.pack(out);
        });
        pack::list(out, stans.iter().collect::<Vec<_>>().into_iter(), |(supplier, stan), out| {
            supplier.pack(out);
            stan.pack(out);
        });
        let mut flights: Vec<_> = flights.values().collect();
        flights.sort_unstable_by_key(|flight| flight.number);
        pack::list(out, flights.into_iter(), |flight, out| flight.pack_whole(out));
        pack::list(out, settled.iter(), |ended, out| ended.pack(out));
        controls.pack(out);
    }

    fn unpack_small(from: &mut Unpack<'_>, window_ms: u64) -> Result<Self, Unreadable> {
        let (last, last_flight) = (Lsn(from.u64()?), from.flight()?);
        let aging = Aging::unpack(from)?;
        let (accounts, stock) = (Accounts::unpack(from)?, Stock::unpack(from)?);
        let withdrawn = WithdrawnVouchers::unpack(from)?;
        let names = from.list(|from| from.list(Unpack::text))?;
        let days = from.list(|from| Ok((from.u16()?, Day { date: from.u32()?, until_ms: from.u64()? })))?;
        let stans = from.list(|from| Ok((from.u16()?, from.u32()?)))?;
        let flights = from.list(Flight::unpack_whole)?;
        let settled = from.list(Ended::unpack)?;
        let controls = Controls::unpack(from)?;
        let kinds = NameKind::ALL.into_iter();
        Ok(Self {
            accounts,
            stock,
            index: Index::default(),
            withdrawn,
            last,
            names: kinds.zip(names).filter(|(_, names)| !names.is_empty()).collect(),
            days: days.into_iter().collect(),
            parked: Parked::of(flights.iter()),
            over: flights.iter().filter(|flight| flight.phase.is_over()).count(),
            flights: flights.into_iter().map(|flight| (flight.number, flight)).collect(),
            settled: settled.into(),
            stans: stans.into_iter().collect(),
            controls,
            last_flight,
            aging,
            window_ms,
        })
    }
}

impl Snapshot {
    /// The position of the last fact in it.
    pub fn last(&self) -> Lsn {
        self.small.last
    }

    /// The oldest position that a request of the window or an open flight still names: what lies below is read by nothing that is known here.
    pub fn needs_from(&self) -> Lsn {
        let flights = self.small.flights.values().map(|flight| flight.intent_at);
        // All of them: a sale that a reversal took back names the reversal, so the oldest entry need not name the oldest position.
        let oldest = self.index.iter().map(|entry| entry.intent_at.min(entry.outcome_at)).min();
        let positions = flights.chain(oldest).chain(self.index.runs_need_from());
        positions.min().unwrap_or(self.small.last).min(self.small.last)
    }

    /// The oldest epoch of the log whose key a card number of an open flight is sealed with; none where there is no such number.
    pub fn needs_epoch(&self) -> Option<u32> {
        let pans = self.small.flights.values().map(|flight| flight.pan);
        pans.filter_map(|pan| sealed_with(pan.as_bytes()))
            .filter(|key| !key.is_stock())
            .map(|key| key.0)
            .min()
    }

    /// Hands over the image piece by piece, each at most `PIECE_BYTES_MAX` long. Entries that were handed over are shared no more: the index may use their memory.
    ///
    /// # Errors
    /// What `sink` says; the image is then incomplete.
    pub fn write<E>(self, mut sink: impl FnMut(Piece, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut buffer = Vec::with_capacity(PIECE_BYTES_MAX);
        VERSION.pack(&mut buffer);
        self.small.window_ms.pack(&mut buffer);
        self.index.pack_head(&mut buffer);
        self.small.pack_small(&mut buffer);
        let head = buffer.len() as u64;
        buffer.chunks(PIECE_BYTES_MAX).try_for_each(|piece| sink(Piece::Head, piece))?;
        buffer.clear();
        for entry in self.index.into_entries() {
            entry.pack(&mut buffer);
            if buffer.len() == ENTRIES_BYTES {
                sink(Piece::Entries, &buffer)?;
                buffer.clear();
            }
        }
        if !buffer.is_empty() {
            sink(Piece::Entries, &buffer)?;
            buffer.clear();
        }
        head.pack(&mut buffer);
        sink(Piece::End, &buffer)
    }
}

/// An image that is read back, piece by piece.
#[derive(Debug, Default)]
pub struct Restoring {
    head: Vec<u8>,
    body: Option<Body>,
    ended: bool,
}

#[derive(Debug)]
struct Body {
    small: State,
    index: Refill,
}

impl Body {
    fn of(head: &[u8]) -> Result<Self, ImageFault> {
        let mut from = Unpack(head);
        match from.u32()? {
            VERSION => {}
            other => return Err(ImageFault::Version(other)),
        }
        let window_ms = from.u64()?;
        let index = Refill::unpack_head(&mut from)?;
        let small = State::unpack_small(&mut from, window_ms)?;
        if from.0.is_empty() { Ok(Self { small, index }) } else { Err(Unreadable.into()) }
    }
}

impl Restoring {
    /// The next piece.
    ///
    /// # Errors
    /// It does not belong there, or is not what it says.
    pub fn piece(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), ImageFault> {
        if self.ended {
            return Err(ImageFault::Incomplete);
        }
        match piece {
            Piece::Head if self.body.is_none() => {
                self.head.extend_from_slice(bytes);
                Ok(())
            }
            Piece::Head => Err(ImageFault::Incomplete),
            Piece::Entries => self.entries(bytes),
            Piece::End => self.end(bytes),
        }
    }

    fn body(&mut self) -> Result<&mut Body, ImageFault> {
        if self.body.is_none() {
            self.body = Some(Body::of(&self.head)?);
        }
        self.body.as_mut().ok_or(ImageFault::Incomplete)
    }

    fn entries(&mut self, bytes: &[u8]) -> Result<(), ImageFault> {
        let body = self.body()?;
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() {
            return Err(Unreadable.into());
        }
        for entry in entries {
            body.index.push(Entry::unpack(&mut Unpack(entry))?);
        }
        Ok(())
    }

    fn end(&mut self, bytes: &[u8]) -> Result<(), ImageFault> {
        let mut from = Unpack(bytes);
        let head = from.u64()?;
        let head_read = self.head.len() as u64;
        if head != head_read || !self.body()?.index.is_whole() {
            return Err(ImageFault::Incomplete);
        }
        self.ended = true;
        Ok(())
    }

    /// The state; makes the tables of its index.
    ///
    /// # Errors
    /// The end is missing.
    pub fn finish(self) -> Result<State, ImageFault> {
        let body = self.body.filter(|_| self.ended).ok_or(ImageFault::Incomplete)?;
        Ok(State { index: body.index.end(), ..body.small })
    }
}
