//! Packing of facts: little helpers that put values into bytes and take them out again.
//!
//! Owns: `Pack` (writing), `Fields` (writing many at once) and `Unpack` (reading). All numbers little-endian; bytes and texts with a two-byte length.
//! Invariants: what was packed unpacks to the same value; reading past the end is an error, never a panic.
//! Deliberately absent: versions and schemas; a fact's first byte says what it is (`fact`).

use crate::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use crate::money::Minor;
use crate::text::Text;

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record ends early or holds a value that it cannot hold")]
pub struct Unreadable;

/// Writing.
pub trait Pack {
    /// Appends the value.
    fn pack(&self, out: &mut Vec<u8>);
}

/// Fields that follow each other, put together in room of a fixed size and appended at once: what each sale packs does not ask the buffer for room field by field.
/// `N` is at least what all of them take at their longest.
#[derive(Debug)]
pub struct Fields<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Default for Fields<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Fields<N> {
    /// Bytes as they are; numbers as their `to_le_bytes`.
    #[inline]
    pub fn put<const M: usize>(&mut self, bytes: [u8; M]) {
        self.bytes[self.length..self.length + M].copy_from_slice(&bytes);
        self.length += M;
    }

    /// A text, with its length.
    #[inline]
    pub fn text<const M: usize>(&mut self, text: &Text<M>) {
        self.put([text.len() as u8]);
        // All of its room, which the compiler knows; the next field begins where the text ends.
        self.bytes[self.length..self.length + M].copy_from_slice(text.padded());
        self.length += text.len();
    }

    /// Appends what was put together.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.length]);
    }

    /// Appends what was put together, and behind it bytes with their length, in the form that they have by themselves.
    #[inline]
    pub fn append_with(mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.put(length.to_le_bytes());
        self.append(out);
        if length > 0 {
            out.extend_from_slice(&bytes[..usize::from(length)]);
        }
    }
}

/// Reading: the bytes still to be read.
#[derive(Clone, Copy, Debug)]
pub struct Unpack<'a>(pub &'a [u8]);

impl<'a> Unpack<'a> {
    /// The next `N` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The next byte.
    ///
    /// # Errors
    /// None is left.
    pub fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.array::<1>()?[0])
    }

    /// Bytes with their length before them.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = usize::from(self.u16()?);
        let (head, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(head)
    }

    /// A text.
    ///
    /// # Errors
    /// It is too long, or not ASCII.
    pub fn text<const N: usize>(&mut self) -> Result<Text<N>, Unreadable> {
        let length = usize::from(self.byte()?);
        let (head, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Text::new(head).ok_or(Unreadable)
    }

    /// An amount.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn minor(&mut self) -> Result<Minor, Unreadable> {
        Ok(Minor(i64::from_le_bytes(self.array()?)))
    }

    /// A flight's number.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn flight(&mut self) -> Result<FlightNo, Unreadable> {
        Ok(FlightNo(self.u64()?))
    }

    /// A list, with how many it has before it. Grows as it is read, so that a wrong count allocates nothing.
    ///
    /// # Errors
    /// Too few bytes are left, or one of it is unreadable.
    pub fn list<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let count = self.u32()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(each(self)?);
        }
        Ok(list)
    }

    /// Yes or no.
    ///
    /// # Errors
    /// None is left, or it is neither.
    pub fn flag(&mut self) -> Result<bool, Unreadable> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unreadable),
        }
    }

    /// A network's id.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn network(&mut self) -> Result<NetworkId, Unreadable> {
        Ok(NetworkId(self.u16()?))
    }

    /// A product's id.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn product(&mut self) -> Result<ProductId, Unreadable> {
        Ok(ProductId(self.u16()?))
    }

    /// A supplier's id.
    ///
    /// # Errors
    /// Too few bytes are left.
    pub fn supplier(&mut self) -> Result<SupplierId, Unreadable> {
        Ok(SupplierId(self.u16()?))
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {
        impl Unpack<'_> {
            $(
                /// A number.
                ///
                /// # Errors
                /// Too few bytes are left.
                pub fn $name(&mut self) -> Result<$name, Unreadable> {
                    Ok($name::from_le_bytes(self.array()?))
                }
            )*
        }
        $(
            impl Pack for $name {
                fn pack(&self, out: &mut Vec<u8>) {
                    out.extend_from_slice(&self.to_le_bytes());
                }
            }
        )*
    };
}

numbers! { u16 u32 u64 u128 }

impl Pack for u8 {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl Pack for Minor {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }
}

macro_rules! ids {
    ($($name:ty)*) => {
        $(
            impl Pack for $name {
                fn pack(&self, out: &mut Vec<u8>) {
                    self.0.pack(out);
                }
            }
        )*
    };
}

ids! { FlightNo NetworkId ProductId SupplierId }

/// Appends a list: how many (four bytes), then each.
pub fn list<T>(
    out: &mut Vec<u8>,
    items: impl ExactSizeIterator<Item = T>,
    mut each: impl FnMut(T, &mut Vec<u8>),
) {
    (items.len() as u32).pack(out);
    for item in items {
        each(item, out);
    }
}

impl Pack for bool {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl<const N: usize> Pack for Text<N> {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(self.len() as u8);
        out.extend_from_slice(self.as_bytes());
    }
}

impl<const N: usize> Pack for [u8; N] {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

/// Bytes with a two-byte length. Longer than 65,535 bytes cannot be: every input is bounded by its conduit's frame limit.
impl Pack for &[u8] {
    fn pack(&self, out: &mut Vec<u8>) {
        let length = u16::try_from(self.len()).unwrap_or(u16::MAX);
        length.pack(out);
        out.extend_from_slice(&self[..usize::from(length)]);
    }
}
