//! A message read: which elements it has and where they lie.
//!
//! Owns [`View`]. Invariants: every element that the view has lies within the message and was checked against its field; the
//! length of a variable element can be read again from its prefix; nothing is allocated. Deliberately absent: copies of values,
//! and whether a message has what its kind needs.

use std::{fmt, iter};

use super::build::Build;
use super::charset::{from_ebcdic, hex_value};
use super::dialect::Dialect;
use super::error::{Broken, BuildError, FormatError, Rule};
use super::field::{Encoding, Field, Nested};
use super::mti::Mti;
use super::role::{Role, Tag};
use super::tags::{self, Tags};
use super::value::Value;
use super::{ELEMENT_MAX, MESSAGE_BYTES_MAX};

const BITMAP_COUNT: usize = 3;
const BITMAP_BYTES: usize = 8;

/// A message read in one walk, borrowing its bytes and its dialect.
#[derive(Clone)]
pub struct View<'a> {
    dialect: &'a Dialect,
    message: &'a [u8],
    mti: Mti,
    /// Bitmaps on the wire, 1 to 3, the second possibly empty.
    bitmaps: u8,
    /// Elements read, the first in the highest bit; the bits that announce bitmaps are cleared.
    present: [u64; BITMAP_COUNT],
    /// The bits of the roles of all elements that were read.
    roles: u64,
    /// Where each present element's value begins, behind its prefix. Indexed by element number.
    starts: [u16; ELEMENT_MAX as usize + 1],
}

/// Where everything lies in a message that was read, so that the same bytes need not be read again.
#[derive(Clone, Copy)]
pub struct Layout {
    mti: Mti,
    bitmaps: u8,
    present: [u64; BITMAP_COUNT],
    roles: u64,
    starts: [u16; ELEMENT_MAX as usize + 1],
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layout({})", self.mti)
    }
}

/// Elements of the first bitmap that lie one behind the other.
pub(super) struct Run<'a> {
    pub(super) first: u8,
    pub(super) last: u8,
    /// The bits of all.
    pub(super) bits: u64,
    pub(super) bytes: &'a [u8],
}

/// A fault met at an element. `next` is where the element after it begins, when the fault leaves that known.
struct Fault {
    offset: usize,
    tag: Option<Tag>,
    rule: Rule,
    next: Option<usize>,
}

impl<'a> View<'a> {
    pub(super) fn read(dialect: &'a Dialect, message: &'a [u8]) -> Result<View<'a>, Box<Broken<'a>>> {
        // The view is filled where it is returned: moving it would cost as much as reading a short message.
        let mut result = Ok(View {
            dialect,
            message,
            mti: Mti::new(0),
            bitmaps: 0,
            present: [0; BITMAP_COUNT],
            roles: 0,
            starts: [0; ELEMENT_MAX as usize + 1],
        });
        if let Ok(view) = &mut result
            && let Err(error) = view.fill()
        {
            result = Err(view.broken(error));
        }
        result
    }

    /// Where everything lies.
    pub fn layout(&self) -> Layout {
        let Self { mti, bitmaps, present, roles, starts, .. } = *self;
        Layout { mti, bitmaps, present, roles, starts }
    }

    /// The view of a message that was read before. With bytes of another message it would find the wrong values or none; it stays within them.
    pub fn again(dialect: &'a Dialect, message: &'a [u8], layout: &Layout) -> View<'a> {
        let Layout { mti, bitmaps, present, roles, starts } = *layout;
        View { dialect, message, mti, bitmaps, present, roles, starts }
    }

    fn fill(&mut self) -> Result<(), FormatError> {
        let at = self.read_head()?;
        self.walk(at)
    }

    #[cold]
    fn broken(&self, error: FormatError) -> Box<Broken<'a>> {
        // Every fault behind the head names an element or the end of the message.
        let is_head = matches!(error.rule, Rule::MessageLength | Rule::Mti | Rule::Version | Rule::Bitmap);
        let read = (!is_head).then(|| self.clone());
        Box::new(Broken { error, read })
    }

    /// Reads the MTI and the bitmaps; gives the offset of the first element.
    fn read_head(&mut self) -> Result<usize, FormatError> {
        let fail = |offset, rule| Err(FormatError { element: None, tag: None, offset, rule });
        if self.message.len() > MESSAGE_BYTES_MAX {
            return fail(MESSAGE_BYTES_MAX, Rule::MessageLength);
        }
        let Some((mti, mut at)) = read_mti(self.dialect.mti, self.message) else {
            return fail(0, Rule::Mti);
        };
        self.mti = mti;
        if mti.version() != Some(self.dialect.version()) {
            return fail(0, Rule::Version);
        }
        let width = self.dialect.bitmap.bytes(BITMAP_BYTES);
        let mut announced = true;
        while announced {
            let bitmap =
                self.message.get(at..at + width).and_then(|bytes| read_bitmap(self.dialect.bitmap, bytes));
            let Some(bitmap) = bitmap else {
                return fail(at, Rule::Bitmap);
            };
            let index = usize::from(self.bitmaps);
            self.bitmaps += 1;
            announced = bitmap >> 63 == 1 && self.bitmaps < self.dialect.bitmaps_max;
            // Where no further bitmap can come, the first bit is an ordinary element's.
            self.present[index] = if announced { bitmap & !(1 << 63) } else { bitmap };
            at += width;
        }
        Ok(at)
    }

    fn walk(&mut self, mut at: usize) -> Result<(), FormatError> {
        for index in 0..BITMAP_COUNT {
            let mut bits = self.present[index];
            while bits != 0 {
                let de = take_element(&mut bits, index);
                match self.step(de, at) {
                    Ok(next) => at = next,
                    Err(fault) => return Err(self.stop(de, fault)),
                }
            }
        }
        if at < self.message.len() {
            return Err(FormatError { element: None, tag: None, offset: at, rule: Rule::Trailing });
        }
        Ok(())
    }

    /// Reads the element at this offset; gives the offset of the next.
    #[inline(always)]
    fn step(&mut self, de: u8, at: usize) -> Result<usize, Fault> {
        let dialect = self.dialect;
        let Some(field) = dialect.field(de) else {
            return Err(Fault { offset: at, tag: None, rule: Rule::Undefined, next: None });
        };
        let fail = |rule, next| Err(Fault { offset: at, tag: None, rule, next });
        let mut start = at;
        let mut units = usize::from(field.units_max);
        if !field.is_fixed() {
            start = at + field.prefix.width();
            let Some(prefix) = self.message.get(at..start) else {
                return fail(Rule::Ends, None);
            };
            units = match field.prefix.read(prefix) {
                Some(units) => units,
                None => return fail(Rule::LengthDigits, None),
            };
        }
        let end = start + field.encoding.bytes(units);
        let Some(bytes) = self.message.get(start..end) else {
            return fail(Rule::Ends, None);
        };
        if units > usize::from(field.units_max) {
            return fail(Rule::TooLong(field.units_max), Some(end));
        }
        if let Err(rule) = field.check(bytes, units) {
            return Err(Fault { offset: start, tag: None, rule, next: Some(end) });
        }
        if field.nested != Nested::Plain {
            check_nested(dialect, field, bytes, units).map_err(|fault| Fault {
                offset: start + fault.offset,
                tag: fault.tag,
                rule: fault.rule,
                next: Some(end),
            })?;
        }
        self.starts[usize::from(de)] = start as u16;
        self.roles |= field.role_bit;
        Ok(end)
    }

    #[cold]
    fn step_again(&mut self, de: u8, at: usize) -> Result<usize, Fault> {
        self.step(de, at)
    }

    /// Keeps what was read before the fault, and the STAN if it can be found behind it.
    #[cold]
    fn stop(&mut self, de: u8, fault: Fault) -> FormatError {
        let announced = self.present;
        self.forget_from(de);
        if let (Some(at), Some(stan)) = (fault.next, self.dialect.de(Role::Stan)) {
            self.find_stan(stan, de, at, announced);
        }
        FormatError { element: Some(de), tag: fault.tag, offset: fault.offset, rule: fault.rule }
    }

    fn forget_from(&mut self, de: u8) {
        let (word, bit) = place_of(de);
        let bits_before = !(u64::MAX >> bit);
        self.present[word] &= bits_before;
        self.present[word + 1..].fill(0);
    }

    fn find_stan(&mut self, stan: u8, broken: u8, mut at: usize, announced: [u64; BITMAP_COUNT]) {
        let is_announced = |de: u8| {
            let (word, bit) = place_of(de);
            announced[word] & (1 << 63 >> bit) != 0
        };
        if !is_announced(stan) {
            return;
        }
        for de in (broken + 1..stan).filter(|de| is_announced(*de)) {
            at = match self.step_again(de, at) {
                Ok(next) | Err(Fault { next: Some(next), .. }) => next,
                Err(_) => return,
            };
        }
        if stan > broken && self.step_again(stan, at).is_ok() {
            let (word, bit) = place_of(stan);
            self.present[word] |= 1 << 63 >> bit;
        }
    }

    /// The message type indicator.
    pub fn mti(&self) -> Mti {
        self.mti
    }

    /// The dialect that the message was read in.
    pub fn dialect(&self) -> &'a Dialect {
        self.dialect
    }

    /// The message's bytes, from the MTI on.
    pub fn message(&self) -> &'a [u8] {
        self.message
    }

    /// Bitmaps on the wire, 1 to 3; a second one may be empty.
    pub fn bitmaps(&self) -> u8 {
        self.bitmaps
    }

    /// Whether the message has the element with this role.
    #[inline]
    pub fn has(&self, role: Role) -> bool {
        self.dialect.de(role).is_some_and(|de| self.has_element(de))
    }

    /// The bits of the roles of its elements ([`Role::bit`], [`Role::NONE_BIT`]); of a message that is broken somewhere, of all that were read.
    pub fn roles(&self) -> u64 {
        self.roles
    }

    /// The element with this role.
    #[inline]
    pub fn value(&self, role: Role) -> Option<Value<'a>> {
        self.element(self.dialect.de(role)?)
    }

    /// The element with this number.
    #[inline]
    pub fn element(&self, de: u8) -> Option<Value<'a>> {
        if !self.has_element(de) {
            return None;
        }
        let field = self.dialect.field(de)?;
        let start = usize::from(self.starts[usize::from(de)]);
        let units = if field.is_fixed() {
            usize::from(field.units_max)
        } else {
            field.prefix.read(self.message.get(start - field.prefix.width()..start)?)?
        };
        let bytes = self.message.get(start..start + field.encoding.bytes(units))?;
        Some(field.value(bytes, units))
    }

    /// The bytes of an element with its prefix, as they lie in the message.
    #[inline]
    pub(super) fn extent(&self, de: u8) -> Option<&'a [u8]> {
        if !self.has_element(de) {
            return None;
        }
        let begin = usize::from(self.starts[usize::from(de)]) - self.dialect.field(de)?.prefix.width();
        self.message.get(begin..self.end(de)?)
    }

    /// Where an element that the message has ends.
    #[inline]
    fn end(&self, de: u8) -> Option<usize> {
        let field = self.dialect.field(de)?;
        let start = usize::from(self.starts[usize::from(de)]);
        let units = match field.is_fixed() {
            true => usize::from(field.units_max),
            false => field.prefix.read(self.message.get(start - field.prefix.width()..start)?)?,
        };
        Some(start + field.encoding.bytes(units))
    }

    /// The bytes of the elements with these roles, where the message has them all, one behind the other: the first, the last, and their bits in the first bitmap.
    #[inline]
    pub(super) fn run(&self, roles: &[Role]) -> Option<Run<'a>> {
        let mut bits = 0_u64;
        for role in roles {
            let (0, bit) = place_of(self.dialect.de(*role)?) else { return None };
            bits |= 1 << 63 >> bit;
        }
        if bits == 0 {
            return None;
        }
        let (first, last) = (bits.leading_zeros(), 63 - bits.trailing_zeros());
        let between = (u64::MAX >> first) & (u64::MAX << (63 - last));
        if self.present[0] & between != bits {
            return None;
        }
        let (first, last) = (first as u8 + 1, last as u8 + 1);
        let begin = usize::from(self.starts[usize::from(first)]) - self.dialect.field(first)?.prefix.width();
        let end = self.end(last)?;
        Some(Run { first, last, bits, bytes: self.message.get(begin..end)? })
    }

    /// Every element, in ascending order.
    pub fn elements(&self) -> impl Iterator<Item = (u8, Value<'a>)> + '_ {
        self.numbers().filter_map(|de| Some((de, self.element(de)?)))
    }

    /// Numbers of the elements that the message has, in ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        let mut present = self.present;
        let mut word = 0;
        iter::from_fn(move || {
            while *present.get(word)? == 0 {
                word += 1;
            }
            Some(take_element(&mut present[word], word))
        })
    }

    /// The first element of the prepaid data with this tag.
    pub fn tag(&self, tag: Tag) -> Option<Value<'a>> {
        let name = self.dialect.tag(tag)?;
        self.tags().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The elements of the prepaid data, in order.
    pub fn tags(&self) -> Tags<'a> {
        self.value(Role::Prepaid).map_or(Tags::NONE, |value| value.tags())
    }

    /// A positional part of the element with this role, counted from 0; `None` when the dialect divides it otherwise.
    pub fn part(&self, role: Role, index: usize) -> Option<Value<'a>> {
        let de = self.dialect.de(role)?;
        let parts = self.dialect.element(de)?.parts();
        let units = usize::from(*parts.get(index)?);
        let from = parts[..index].iter().map(|part| usize::from(*part)).sum();
        self.element(de)?.part(from, units)
    }

    /// Builds the same message again at the end of `out`, element by element: the same bytes, but for hex digits of the bitmap
    /// that came in lower case. Gives the bytes written.
    ///
    /// # Errors
    /// None for a view that was read whole.
    pub fn rebuild(&self, out: &mut Vec<u8>) -> Result<usize, BuildError> {
        let mut build = Build::again(self, out);
        for (de, value) in self.elements() {
            build.copy(de, &value);
        }
        build.finish()
    }

    #[inline]
    fn has_element(&self, de: u8) -> bool {
        let (word, bit) = place_of(de);
        self.present.get(word).is_some_and(|bits| bits & (1 << 63 >> bit) != 0)
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} {}, elements", self.dialect.name(), self.mti)?;
        for de in self.numbers() {
            write!(f, " {de}")?;
        }
        f.write_str(")")
    }
}

/// Word and bit (from the highest) of an element. Number 0, which is none, lies outside of all words.
#[inline]
pub(super) fn place_of(de: u8) -> (usize, u32) {
    let index = usize::from(de.wrapping_sub(1));
    (index / 64, (index % 64) as u32)
}

/// Takes the lowest element number out of a bitmap word.
#[inline]
pub(super) fn take_element(bits: &mut u64, word: usize) -> u8 {
    let bit = bits.leading_zeros();
    *bits &= !(1 << 63 >> bit);
    (word as u32 * 64 + bit + 1) as u8
}

fn check_nested(dialect: &Dialect, field: &Field, bytes: &[u8], units: usize) -> Result<(), tags::TagFault> {
    match field.nested {
        Nested::Plain => Ok(()),
        Nested::Tags => tags::check(dialect, bytes, field.encoding),
        Nested::Ber if tags::is_ber(&field.value(bytes, units)) => Ok(()),
        Nested::Ber => Err(tags::TagFault { offset: 0, tag: None, rule: Rule::Ber }),
    }
}

pub(super) fn read_mti(encoding: Encoding, message: &[u8]) -> Option<(Mti, usize)> {
    let length = encoding.bytes(4);
    let bytes = message.get(..length)?;
    let number = match encoding {
        Encoding::Bcd => number_of(bytes.iter().flat_map(|b| [b >> 4, b & 0x0F])),
        Encoding::Ebcdic => number_of(bytes.iter().map(|b| b.wrapping_sub(0xF0))),
        _ => number_of(bytes.iter().map(|b| b.wrapping_sub(b'0'))),
    };
    Some((Mti::new(number?), length))
}

fn number_of(digits: impl Iterator<Item = u8>) -> Option<u16> {
    digits.into_iter().try_fold(0, |number, digit| (digit < 10).then(|| number * 10 + u16::from(digit)))
}

fn read_bitmap(encoding: Encoding, bytes: &[u8]) -> Option<u64> {
    match encoding {
        Encoding::Binary => Some(u64::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::EbcdicHex => hex_number(bytes.iter().map(|b| hex_value(from_ebcdic(*b)))),
        _ => hex_number(bytes.iter().map(|b| hex_value(*b))),
    }
}

fn hex_number(digits: impl Iterator<Item = u8>) -> Option<u64> {
    let (number, faults) = digits.fold((0_u64, 0_u8), |(number, faults), digit| {
        (number << 4 | u64::from(digit & 0x0F), faults | digit)
    });
    (faults < 16).then_some(number)
}
