//! A filter: whether a run can hold a key, asked without its file.
//!
//! Owns: a Bloom filter in blocks of 32 bytes, so that an answer costs one line of cache.
//! Invariants: a key that was put in is always found; of keys that were not, fewer than one in two hundred are.
//! Deliberately absent: taking keys out. Keys are keyed hashes already (`keyhash`), so nobody can choose ones that collide, and nothing is hashed again here.

/// Bits for each key.
pub(super) const BITS_PER_KEY: usize = 16;

/// A block: one bit in each of its words belongs to a key.
pub const FILTER_BLOCK_BYTES: usize = 32;

const WORDS: usize = 8;

/// Odd numbers that spread 32 bits of a key over a block's words (those of the Parquet format).
const SPREAD: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    blocks: Vec<[u32; WORDS]>,
}

fn bits(key: u128) -> [u32; WORDS] {
    let low = key as u32;
    SPREAD.map(|spread| 1 << (low.wrapping_mul(spread) >> 27))
}

impl Filter {
    /// An empty one, for so many keys.
    pub fn new(keys: usize) -> Self {
        Self { blocks: vec![[0; WORDS]; Self::blocks_for(keys)] }
    }

    /// Blocks of a filter for so many keys; at least one.
    pub fn blocks_for(keys: usize) -> usize {
        (keys * BITS_PER_KEY).div_ceil(FILTER_BLOCK_BYTES * 8).max(1)
    }

    /// Room in bytes.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * FILTER_BLOCK_BYTES
    }

    /// The lower half of a key chooses: the higher one says where the key lies in its run.
    fn block(&self, key: u128) -> usize {
        let high = u64::from((key >> 32) as u32);
        ((high * self.blocks.len() as u64) >> 32) as usize
    }

    /// Puts a key in.
    pub fn add(&mut self, key: u128) {
        let at = self.block(key);
        for (word, bit) in self.blocks[at].iter_mut().zip(bits(key)) {
            *word |= bit;
        }
    }

    /// Whether the key may have been put in.
    pub fn may_hold(&self, key: u128) -> bool {
        let block = &self.blocks[self.block(key)];
        block.iter().zip(bits(key)).all(|(word, bit)| word & bit != 0)
    }

    /// The blocks as they lie on disk, one after the other.
    pub fn blocks(&self) -> impl Iterator<Item = [u8; FILTER_BLOCK_BYTES]> {
        self.blocks.iter().map(|block| {
            let mut bytes = [0; FILTER_BLOCK_BYTES];
            for (place, word) in bytes.chunks_exact_mut(4).zip(block) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        })
    }

    /// Puts a block back as it lay on disk.
    pub fn put_block(&mut self, at: usize, bytes: &[u8; FILTER_BLOCK_BYTES]) {
        let (words, _) = bytes.as_chunks::<4>();
        if let Some(block) = self.blocks.get_mut(at) {
            for (word, bytes) in block.iter_mut().zip(words) {
                *word = u32::from_le_bytes(*bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyhash::KeyHash;

    #[test]
    fn what_was_put_in_is_found_and_little_else() {
        const KEYS: u32 = 20_000;
        let hash = KeyHash::new([3; 16]);
        let key = |number: u32| hash.digest(1, &[&number.to_le_bytes()]);
        let mut filter = Filter::new(KEYS as usize);
        (0..KEYS).for_each(|number| filter.add(key(number)));
        assert!((0..KEYS).all(|number| filter.may_hold(key(number))));
        let wrong = (KEYS..KEYS * 6).filter(|number| filter.may_hold(key(*number))).count();
        assert!(wrong < KEYS as usize * 5 / 200, "{wrong} of {}", KEYS * 5);

        let mut back = Filter::new(KEYS as usize);
        for (at, block) in filter.blocks().enumerate() {
            back.put_block(at, &block);
        }
        assert_eq!(filter, back);
    }
}
