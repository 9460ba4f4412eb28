//! Vouchers for a demonstration, made rather than loaded.
//!
//! Owns: `generate`. Invariants: the serials and PINs of one batch are all different, and the same ask gives
//! the same ones. Deliberately absent: any secrecy: who knows the seed knows the PINs, so nothing of worth
//! is ever generated here.

use super::file::batch_name;
use super::load::{Loaded, Plan, known, write};
use super::{StockError, StockProduct};
use crate::keys::Kek;
use aws_lc_rs::digest;
use indicatif::ProgressBar;
use std::path::Path;
use switchyard_core::batch::{Clear, SOURCE_DIGEST_BYTES, sealed_bytes};
use switchyard_core::ids::Now;
use switchyard_core::shelf::Date;
use switchyard_core::stock::{BATCH_VOUCHERS_MAX, Stock};
use switchyard_core::text::Text;

/// Characters of a generated PIN, all digits.
const PIN_CHARACTERS: usize = 16;

/// Half of a PIN has eight digits.
const HALF: u64 = 100_000_000;

/// Rounds of the permutation; four make a good one of it (Luby and Rackoff).
const ROUNDS: u64 = 4;

/// Generated vouchers are good for so many days: two years.
const GOOD_DAYS: u16 = 730;

/// Digits of the number at the end of a generated serial.
const SERIAL_DIGITS: usize = 8;

/// What is left of a serial's 30 characters for what stands before them.
const PREFIX_CHARACTERS_MAX: usize = 30 - SERIAL_DIGITS;

/// What is to be generated.
#[derive(Clone, Copy, Debug)]
pub struct GenerateAsk<'a> {
    /// What the vouchers are.
    pub product: StockProduct,
    /// The name for the batch; a second ask with this name and the same seed, count and prefix is done already.
    pub batch: &'a str,
    /// How many, 1 to `BATCH_VOUCHERS_MAX`; others are taken as the nearest of these.
    pub count: u32,
    /// Where the PINs come from.
    pub seed: u64,
    /// How serials begin, before eight digits; the first 22 characters count, and only if they are ASCII.
    pub serial_prefix: &'a str,
    /// When they are made; they expire two years later.
    pub now: Now,
}

/// Generates a batch straight into its sealed file.
///
/// # Errors
/// Nothing became stock. See [`StockError`].
pub fn generate(
    folder: &Path,
    ask: &GenerateAsk<'_>,
    stock: &Stock,
    kek: &Kek,
) -> Result<Loaded, StockError> {
    let name = batch_name(ask.batch)?;
    let digest = digest_of(ask);
    if let Some(batch) = stock.batch_by_name(name) {
        return known(folder, batch, ask.product, &digest, kek);
    }
    let count = ask.count.clamp(1, BATCH_VOUCHERS_MAX);
    let plan =
        Plan { name, product: ask.product, count, sealed_bytes: sealed_bytes(PIN_CHARACTERS, 0), digest };
    let mut maker = Maker::new(ask);
    let pins: Vec<_> =
        (0..count).map(|index| digits::<PIN_CHARACTERS>(permuted(u64::from(index), ask.seed))).collect();
    let vouchers = (0..).zip(&pins).map(|(index, pin)| maker.voucher(index, pin));
    write(folder, &plan, stock, kek, &ProgressBar::hidden(), vouchers).map(Loaded::New)
}

struct Maker {
    serial: Vec<u8>,
    prefix_bytes: usize,
    expiry: Text<8>,
}

impl Maker {
    fn new(ask: &GenerateAsk<'_>) -> Self {
        let prefix = ask.serial_prefix.as_bytes();
        let prefix = if prefix.is_ascii() { prefix } else { b"" };
        let prefix = &prefix[..prefix.len().min(PREFIX_CHARACTERS_MAX)];
        let expiry = Text::new(Date::after(ask.now, GOOD_DAYS).digits()).unwrap_or_default();
        Self { serial: prefix.to_vec(), prefix_bytes: prefix.len(), expiry }
    }

    fn voucher<'p>(&mut self, index: u32, pin: &'p [u8]) -> Clear<'p> {
        self.serial.truncate(self.prefix_bytes);
        self.serial.extend_from_slice(&digits::<SERIAL_DIGITS>(u64::from(index) + 1));
        let serial = Text::new(&self.serial).unwrap_or_default();
        Clear { serial, expiry: self.expiry, pin, receipt: b"" }
    }
}

/// A number below 10¹⁶, another one for every index: a Feistel network over its two halves, which is a
/// permutation whatever its round function.
fn permuted(index: u64, seed: u64) -> u64 {
    let (mut left, mut right) = (index / HALF % HALF, index % HALF);
    for round in 0..ROUNDS {
        (left, right) = (right, (left + mixed(seed ^ mixed(right + round * HALF))) % HALF);
    }
    left * HALF + right
}

/// Spreads a number over 64 bits, below 2⁶³ so that a half can be added to it.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) >> 1
}

fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

fn digest_of(ask: &GenerateAsk<'_>) -> [u8; SOURCE_DIGEST_BYTES] {
    let text = format!("generated {} {} {}", ask.seed, ask.count, ask.serial_prefix);
    let mut out = [0; SOURCE_DIGEST_BYTES];
    out.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn pins_of_a_batch_are_all_different() {
        let pins: HashSet<_> = (0..100_000).map(|index| permuted(index, 7)).collect();
        assert_eq!(pins.len(), 100_000);
        assert!(pins.iter().all(|&pin| pin < HALF * HALF));
        assert_ne!(permuted(0, 7), permuted(0, 8));
    }

    proptest! {
        #[test]
        fn a_permutation_can_be_undone(index in 0..HALF * HALF, seed in any::<u64>()) {
            let pin = permuted(index, seed);
            let (mut left, mut right) = (pin / HALF, pin % HALF);
            for round in (0..ROUNDS).rev() {
                let add = mixed(seed ^ mixed(left + round * HALF)) % HALF;
                (left, right) = ((right + HALF - add) % HALF, left);
            }
            prop_assert_eq!(left * HALF + right, index);
        }
    }
}
