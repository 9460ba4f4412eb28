//! Where everything lies in a message that was read.
//!
//! Owns [`Layout`]: which elements a message has, and the places of those that mean something. It is a few cache lines long, so that it can go along with a
//! message whose bytes are read once. Invariants: a place is that of an element that was checked. Deliberately absent: the message, the dialect, and the places
//! of elements without a role, which are found by walking on from the element before.

use super::field::Field;
use super::mti::Mti;
use super::role::Role;
use std::fmt;

pub(super) const BITMAP_COUNT: usize = 3;

/// Where everything lies in a message that was read, so that the same bytes need not be read again.
#[derive(Clone, Copy)]
pub struct Layout {
    pub(super) mti: Mti,
    /// Bitmaps on the wire, 1 to 3, the second possibly empty.
    pub(super) bitmaps: u8,
    /// Elements read, the first in the highest bit; the bits that announce bitmaps are cleared.
    pub(super) present: [u64; BITMAP_COUNT],
    /// The bits of the roles of all elements that were read.
    pub(super) roles: u64,
    places: [Place; Role::ALL.len()],
}

/// Where a value lies.
#[derive(Clone, Copy)]
struct Place {
    /// Where it begins, behind its prefix.
    start: u16,
    /// Its characters, digits or bytes.
    units: u16,
}

impl Layout {
    /// Nothing was read yet.
    pub(super) const NONE: Self = Self {
        mti: Mti::new(0),
        bitmaps: 0,
        present: [0; BITMAP_COUNT],
        roles: 0,
        places: [Place { start: 0, units: 0 }; Role::ALL.len()],
    };

    /// Keeps where an element lies, if it means something, and that it was read.
    #[inline]
    pub(super) fn keep(&mut self, field: &Field, start: usize, units: usize) {
        if let Some(role) = field.role {
            // A message is no longer than 16 bits count.
            self.places[role as usize] = Place { start: start as u16, units: units as u16 };
        }
        self.roles |= field.role_bit;
    }

    /// Where the element with this role begins, behind its prefix, and its units; nothing that means anything where there is none.
    #[inline]
    pub(super) fn place(&self, role: Role) -> (usize, usize) {
        let Place { start, units } = self.places[role as usize];
        (usize::from(start), usize::from(units))
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({})", self.mti)
    }
}
