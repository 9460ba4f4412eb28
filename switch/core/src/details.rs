//! What an answer carries beside its code: serials, references, texts; in a form of our own.
//!
//! Owns: `Detail` (which one) and `Details` (a run of them: kind, two-byte length, value).
//! Invariants: a run written here reads back; a damaged run reads as far as it is whole.
//! Deliberately absent: field numbers and tags; `answer` maps details to a dialect's elements.

/// One kind of detail. The numbers are the journal's and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Detail {
    /// PIN. Only ever in a secret or sealed run.
    Pin = 1,
    /// Serial number of a voucher.
    Serial = 2,
    /// Expiry, YYYYMMDD.
    Expiry = 3,
    /// The supplier's reference (confirmation code).
    SupplierReference = 4,
    /// How to redeem.
    Redeem = 5,
    /// Face value: twelve digits and three of the currency.
    FaceValue = 6,
    /// Receipt text. In a secret run where it shows a PIN.
    Receipt = 7,
    /// Balances, in the form of DE54.
    Balances = 8,
}

impl Detail {
    /// The kind of that number.
    pub fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Pin,
            2 => Self::Serial,
            3 => Self::Expiry,
            4 => Self::SupplierReference,
            5 => Self::Redeem,
            6 => Self::FaceValue,
            7 => Self::Receipt,
            8 => Self::Balances,
            _ => return None,
        })
    }
}

/// A run of details. Clear ones only: secrets of this form live in `Secret`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details(pub Vec<u8>);

impl Details {
    /// Appends one.
    pub fn put(&mut self, detail: Detail, value: &[u8]) {
        put(&mut self.0, detail, value);
    }

    /// Empties it, keeps the buffer.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The details, in order.
    pub fn iter(&self) -> Iter<'_> {
        iter(&self.0)
    }
}

/// Appends a detail to a run. A value longer than 65,535 bytes is cut.
pub fn put(run: &mut Vec<u8>, detail: Detail, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    run.push(detail as u8);
    run.extend_from_slice(&length.to_be_bytes());
    run.extend_from_slice(&value[..usize::from(length)]);
}

/// The details of a run, in order.
pub fn iter(run: &[u8]) -> Iter<'_> {
    Iter(run)
}

/// The first detail of that kind in a run.
pub fn find(run: &[u8], detail: Detail) -> Option<&[u8]> {
    iter(run).find(|(kind, _)| *kind == detail).map(|(_, value)| value)
}

/// Iterates over a run.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (Detail, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&[kind, high, low], rest) = self.0.split_first_chunk::<3>()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            self.0 = rest;
            if let Some(detail) = Detail::of(kind) {
                return Some((detail, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_and_unknown_kinds_are_passed_over() {
        let mut run = Vec::new();
        put(&mut run, Detail::Serial, b"S1");
        run.extend_from_slice(&[200, 0, 1, b'x']);
        put(&mut run, Detail::Expiry, b"20271231");
        let read: Vec<_> = iter(&run).collect();
        assert_eq!(read, [(Detail::Serial, &b"S1"[..]), (Detail::Expiry, &b"20271231"[..])]);
        assert_eq!(iter(&run[..run.len() - 1]).count(), 1);
    }
}
