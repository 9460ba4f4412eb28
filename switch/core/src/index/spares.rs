//! Chunks that entries have left, for those that come.
//!
//! Owns: the memory of entries that lie in a run now. Entries leave for a run many at a time and come back one by one: were their memory given back, what the process takes would go up
//! and down by a run's worth, and each page would be made anew.
//! Invariants: a chunk that a snapshot shares is not used before that has gone; what is kept and what is in use never take more than was in use when entries began to leave. While a
//! snapshot holds what leaves, new chunks are made; as many of those that leave are then given back.
//! Deliberately absent: what is in a chunk.

use super::{CHUNK_ENTRIES, Chunk};
use std::collections::VecDeque;
use std::sync::Arc;

/// The chunks, those that were left first in front.
#[derive(Clone, Debug, Default)]
pub(super) struct Spares {
    chunks: VecDeque<Chunk>,
    /// Chunks in use and spare ones, at most.
    together_max: usize,
}

impl Spares {
    /// From now on as many as are in use at this moment are enough, spare ones among them.
    pub(super) fn bound(&mut self, in_use: usize) {
        self.together_max = in_use;
        self.chunks.clear();
    }

    /// Keeps a chunk that nobody needs any more, `in_use` others being in use.
    pub(super) fn keep(&mut self, chunk: Chunk, in_use: usize) {
        if in_use + self.chunks.len() < self.together_max {
            self.chunks.push_back(chunk);
        }
    }

    /// An empty chunk: one that was kept, or else a new one.
    pub(super) fn take(&mut self) -> Chunk {
        let is_free = |chunk: &mut Chunk| Arc::get_mut(chunk).map(Vec::clear).is_some();
        let kept = self.chunks.pop_front_if(is_free);
        kept.unwrap_or_else(|| Arc::new(Vec::with_capacity(CHUNK_ENTRIES)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Where they lie.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> Vec<*const Vec<super::Entry>> {
        self.chunks.iter().map(Arc::as_ptr).collect()
    }
}
