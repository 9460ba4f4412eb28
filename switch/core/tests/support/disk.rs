//! The journal's file, in memory: what was written, and how much of it a power cut leaves.

use std::convert::Infallible;
use switchyard_core::fact::Fact;
use switchyard_core::log::{
    Batch, Expect, LogStart, Lsn, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES, read_batch, read_fact,
};
use switchyard_core::pack::Pack;
use switchyard_core::reversal::Recalled;
use switchyard_core::state::{ImageFault, PIECE_BYTES_MAX, Piece, Restoring, State};
use switchyard_core::ticket::{Errand, Ticket};

/// One batch as it was written.
struct Written {
    at: Lsn,
    end: Lsn,
    checksum: u64,
    bytes: Vec<u8>,
    facts: Vec<(Lsn, Vec<u8>)>,
}

/// The file.
#[derive(Default)]
pub(crate) struct Disk {
    batches: Vec<Written>,
    synced: usize,
}

/// How long a request stays in the index: longer than any run.
pub(crate) const WINDOW_MS: u64 = 100 * 3_600_000;

impl Disk {
    /// Takes a batch; gives its facts, read back.
    pub(crate) fn write(&mut self, batch: &Batch<'_>, epoch: u32) -> Vec<(Lsn, Vec<u8>)> {
        let expect = Expect { epoch, at: batch.at, chain: self.checksum() };
        let view = read_batch(batch.bytes, expect).expect("a batch reads back");
        assert!(batch.at >= self.written() && view.end == batch.end);
        let facts: Vec<_> = view.facts().map(|(at, fact)| (at, fact.to_vec())).collect();
        for (_, bytes) in &facts {
            let mut again = Vec::new();
            Fact::unpack(bytes).expect("a fact reads back").pack(&mut again);
            assert_eq!(*bytes, again, "a fact reads back as it was");
        }
        self.batches.push(Written {
            at: batch.at,
            end: batch.end,
            checksum: view.checksum,
            bytes: batch.bytes.to_vec(),
            facts: facts.clone(),
        });
        facts
    }

    fn checksum(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.checksum)
    }

    /// Everything below is written.
    pub(crate) fn written(&self) -> Lsn {
        self.batches.last().map_or(Lsn(SEGMENT_HEADER_BYTES as u64), |batch| batch.end)
    }

    /// Everything below is durable.
    pub(crate) fn durable(&self) -> Lsn {
        self.batches[..self.synced].last().map_or(Lsn(SEGMENT_HEADER_BYTES as u64), |batch| batch.end)
    }

    /// Batches that wait for their sync.
    pub(crate) fn unsynced(&self) -> usize {
        self.batches.len() - self.synced
    }

    /// So many more batches are durable.
    pub(crate) fn sync(&mut self, batches: usize) {
        self.synced = self.batches.len().min(self.synced + batches);
    }

    /// The power fails: of what was not durable only the first `survive` batches are there afterwards.
    pub(crate) fn cut(&mut self, survive: usize) {
        self.batches.truncate(self.synced + survive);
        self.sync(survive);
    }

    /// Where a new epoch begins: in a segment of its own.
    pub(crate) fn start(&self, epoch: u32) -> LogStart {
        let segment = self.batches.last().map_or(0, |batch| (batch.end.0 - 1) / SEGMENT_BYTES_MIN + 1);
        let at = Lsn(segment * SEGMENT_BYTES_MIN + SEGMENT_HEADER_BYTES as u64);
        LogStart { epoch, at, chain: self.checksum(), segment_bytes: SEGMENT_BYTES_MIN }
    }

    /// The facts, in order.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &(Lsn, Vec<u8>)> {
        self.batches.iter().flat_map(|batch| &batch.facts)
    }

    /// The fact at a position.
    pub(crate) fn fact(&self, at: Lsn) -> &[u8] {
        let place = self.batches.partition_point(|batch| batch.end <= at);
        let batch =
            self.batches.get(place).expect("a stored answer is looked for where something was written");
        read_fact(&batch.bytes[(at.0 - batch.at.0) as usize..], at).expect("a fact lies there")
    }

    /// Does for a ticket what the keeper does: reads what its errand needs.
    pub(crate) fn keep(&self, ticket: &mut Ticket) {
        let stored = Fact::unpack(self.fact(ticket.outcome_at)).expect("a fact reads back");
        let request = || Fact::unpack(self.fact(ticket.intent_at)).expect("a fact reads back");
        match ticket.errand {
            Errand::Original | Errand::Cancelled => {
                let recalled = Recalled::of(&request(), &stored).expect("a sale lies there");
                ticket.recalled = Some(Box::new(recalled));
                return;
            }
            Errand::Recall => {
                let (Fact::Intent { dialect, frame, .. }
                | Fact::Sale { dialect, frame, .. }
                | Fact::Undo { dialect, frame, .. }) = request()
                else {
                    panic!("no request lies at {}", ticket.intent_at);
                };
                (ticket.original_dialect, ticket.original) = (dialect, frame.to_vec());
            }
            _ => {}
        }
        let outcome = stored.outcome().expect("an outcome lies there");
        let outcome = if ticket.errand == Errand::Status { outcome.status() } else { outcome };
        ticket.outcome.clear();
        outcome.pack(&mut ticket.outcome);
        ticket.errand = Errand::Answer;
    }

    /// The state, as a start finds it: from a checkpoint somewhere in the log and the facts after it. It equals the fold from scratch.
    pub(crate) fn fold(&self) -> State {
        let whole = self.fold_all();
        let facts = self.facts().count();
        let state = self.fold_through(facts.wrapping_mul(7_919) % (facts + 1));
        assert!(state == whole, "fold: a checkpoint and the rest of the log make another state");
        state
    }

    /// The state, from scratch.
    pub(crate) fn fold_all(&self) -> State {
        let mut state = State::new(WINDOW_MS);
        self.facts().for_each(|fact| apply(&mut state, fact));
        state
    }

    /// The state, by way of a checkpoint after so many facts.
    pub(crate) fn fold_through(&self, cut: usize) -> State {
        let mut before = State::new(WINDOW_MS);
        self.facts().take(cut).for_each(|fact| apply(&mut before, fact));
        let mut state = restore(&image(&before)).expect("a checkpoint reads back");
        assert!(state == before, "a checkpoint is another state");
        self.facts().skip(cut).for_each(|fact| apply(&mut state, fact));
        state
    }
}

fn apply(state: &mut State, (at, bytes): &(Lsn, Vec<u8>)) {
    let fact = Fact::unpack(bytes).expect("a fact reads back");
    state.apply(*at, &fact).expect("every fact of the log fits");
}

/// The image of a state, in pieces.
pub(crate) fn image(state: &State) -> Vec<(Piece, Vec<u8>)> {
    let mut pieces = Vec::new();
    let written = state.snapshot().write(|piece, bytes| {
        assert!(bytes.len() <= PIECE_BYTES_MAX);
        pieces.push((piece, bytes.to_vec()));
        Ok::<(), Infallible>(())
    });
    written.expect("nothing refuses a piece");
    pieces
}

/// The state of an image.
pub(crate) fn restore(pieces: &[(Piece, Vec<u8>)]) -> Result<State, ImageFault> {
    let mut restoring = Restoring::default();
    pieces.iter().try_for_each(|(piece, bytes)| restoring.piece(*piece, bytes))?;
    restoring.finish()
}
