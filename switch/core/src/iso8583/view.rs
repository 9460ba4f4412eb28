//! A message read: which elements it has and where they lie.
//!
//! Owns [`View`]. Invariants: every element that the view has lies within the message and was checked against its
//! field; where one with a role lies is kept, another is found by walking on from the element before it; nothing is allocated.
//! Deliberately absent: copies of values, and whether a message has what its kind needs.

use std::{fmt, iter};

use super::MESSAGE_BYTES_MAX;
use super::build::Build;
use super::charset::{Content, from_ebcdic, hex_number};
use super::dialect::{Dialect, Row};
use super::error::{Broken, BuildError, FormatError, Rule};
use super::field::{Encoding, Field, Nested, ascii_digits};
use super::layout::{BITMAP_COUNT, Layout};
use super::mti::Mti;
use super::role::{Role, Tag};
use super::tags::{self, Tags};
use super::value::Value;

const BITMAP_BYTES: usize = 8;

/// A message read in one walk, borrowing its bytes and its dialect.
#[derive(Clone)]
pub struct View<'a> {
    dialect: &'a Dialect,
    message: &'a [u8],
    layout: Layout,
}

/// Elements of the first bitmap that lie one behind the other.
pub(super) struct Run<'a> {
    pub(super) first: u8,
    pub(super) last: u8,
    /// The bits of all.
    pub(super) bits: u64,
    pub(super) bytes: &'a [u8],
}

/// Neighbours of one class, to be looked at together: from there to where the walk is.
struct Unchecked {
    content: Content,
    from: usize,
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
        let mut result = Ok(View { dialect, message, layout: Layout::NONE });
        if let Ok(view) = &mut result
            && let Err(error) = view.fill()
        {
            result = Err(view.broken(error));
        }
        result
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The view of a message that was read before. With bytes of another message it would find the wrong values or none; it stays within them.
    pub fn again(dialect: &'a Dialect, message: &'a [u8], layout: &Layout) -> View<'a> {
        View { dialect, message, layout: *layout }
    }

    fn fill(&mut self) -> Result<(), FormatError> {
        let at = self.read_head()?;
        if self.skim(at) {
            return Ok(());
        }
        self.layout.roles = 0;
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
        self.layout.mti = mti;
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
            let index = usize::from(self.layout.bitmaps);
            self.layout.bitmaps += 1;
            announced = bitmap >> 63 == 1 && self.layout.bitmaps < self.dialect.bitmaps_max;
            // Where no further bitmap can come, the first bit is an ordinary element's.
            self.layout.present[index] = if announced { bitmap & !(1 << 63) } else { bitmap };
            at += width;
        }
        Ok(at)
    }

    /// The walk of a message that is as it should be: neighbours of one class of characters are looked at together. False where anything is wrong, which
    /// [`View::walk`] then finds.
    fn skim(&mut self, mut at: usize) -> bool {
        let (dialect, message) = (self.dialect, self.message);
        let mut unchecked = Unchecked { content: Content::Bytes, from: at };
        for index in 0..BITMAP_COUNT {
            let mut bits = self.layout.present[index];
            while bits != 0 {
                let de = take_element(&mut bits, index);
                let Some(field) = dialect.field(de) else { return false };
                if field.content != unchecked.content || !field.joins {
                    if !unchecked.holds(message, at) {
                        return false;
                    }
                    unchecked = Unchecked { content: field.content, from: at };
                }
                if !field.joins {
                    let Ok(end) = self.step(de, at) else { return false };
                    (at, unchecked) = (end, Unchecked { content: Content::Bytes, from: end });
                    continue;
                }
                let mut units = usize::from(field.units_max);
                if !field.is_fixed() {
                    let prefix = message.get(at..at + field.prefix.width());
                    match prefix.and_then(|prefix| field.prefix.read_ascii(prefix)) {
                        Some(read) if read <= units => units = read,
                        _ => return false,
                    }
                    at += field.prefix.width();
                }
                self.layout.keep(field, at, units);
                at += units;
                if at > message.len() {
                    return false;
                }
            }
        }
        at == message.len() && unchecked.holds(message, at)
    }

    /// The walk of a message that may be broken: element by element, up to the first fault.
    #[cold]
    fn walk(&mut self, mut at: usize) -> Result<(), FormatError> {
        for index in 0..BITMAP_COUNT {
            let mut bits = self.layout.present[index];
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
    #[inline(never)]
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
        self.layout.keep(field, start, units);
        Ok(end)
    }

    /// Keeps what was read before the fault, and the STAN if it can be found behind it.
    #[cold]
    fn stop(&mut self, de: u8, fault: Fault) -> FormatError {
        let announced = self.layout.present;
        self.forget_from(de);
        if let (Some(at), Some(stan)) = (fault.next, self.dialect.de(Role::Stan)) {
            self.find_stan(stan, de, at, announced);
        }
        FormatError { element: Some(de), tag: fault.tag, offset: fault.offset, rule: fault.rule }
    }

    fn forget_from(&mut self, de: u8) {
        let (word, bit) = place_of(de);
        let bits_before = !(u64::MAX >> bit);
        self.layout.present[word] &= bits_before;
        self.layout.present[word + 1..].fill(0);
    }

    fn find_stan(&mut self, stan: u8, broken: u8, mut at: usize, announced: [u64; BITMAP_COUNT]) {
        let is_announced = |de: u8| {
            let (word, bit) = place_of(de);
            announced[word] & (1 << 63 >> bit) != 0
        };
        if !is_announced(stan) {
            return;
        }
        let roles = self.layout.roles;
        for de in (broken + 1..stan).filter(|de| is_announced(*de)) {
            at = match self.step(de, at) {
                Ok(next) | Err(Fault { next: Some(next), .. }) => next,
                Err(_) => break,
            };
        }
        let found = stan > broken && self.step(stan, at).is_ok();
        // What lies between the fault and the STAN was passed over, not read.
        self.layout.roles = roles;
        if found {
            self.layout.roles |= Role::Stan.bit();
            let (word, bit) = place_of(stan);
            self.layout.present[word] |= 1 << 63 >> bit;
        }
    }

    /// The message type indicator.
    pub fn mti(&self) -> Mti {
        self.layout.mti
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
        self.layout.bitmaps
    }

    /// Whether the message has the element with this role.
    #[inline]
    pub fn has(&self, role: Role) -> bool {
        self.layout.roles & role.bit() != 0
    }

    /// The bits of the roles of its elements ([`Role::bit`], [`Role::NONE_BIT`]); of a message that is broken somewhere, of those that it has.
    pub fn roles(&self) -> u64 {
        self.layout.roles
    }

    /// The element with this role.
    #[inline]
    pub fn value(&self, role: Role) -> Option<Value<'a>> {
        if !self.has(role) {
            return None;
        }
        let (start, units) = self.layout.place(role);
        match self.dialect.row(role).encoding {
            Encoding::Ascii => {
                Some(Value::new(self.message.get(start..start + units)?, units, Encoding::Ascii, 0))
            }
            encoding => self.encoded(encoding, start, units),
        }
    }

    #[inline(never)]
    fn encoded(&self, encoding: Encoding, start: usize, units: usize) -> Option<Value<'a>> {
        let bytes = self.message.get(start..start + encoding.bytes(units))?;
        Some(Value::new(bytes, units, encoding, encoding.skip(units)))
    }

    /// The element with this number.
    pub fn element(&self, de: u8) -> Option<Value<'a>> {
        match self.dialect.role(de) {
            Some(role) => self.value(role),
            None => self.elements().find(|(number, _)| *number == de).map(|(_, value)| value),
        }
    }

    /// Every element, in ascending order.
    pub fn elements(&self) -> impl Iterator<Item = (u8, Value<'a>)> + '_ {
        let mut at = self.first_element();
        self.numbers().filter_map(move |de| {
            let (value, end) = self.element_at(de, at)?;
            at = end;
            Some((de, value))
        })
    }

    /// An element that the message has, and where the next one begins. `at`: where it begins, unless it has a role, by which it is found.
    fn element_at(&self, de: u8, at: usize) -> Option<(Value<'a>, usize)> {
        let field = self.dialect.field(de)?;
        let (start, units) = match field.role.map(|role| self.layout.place(role)) {
            Some(place) => place,
            None if field.is_fixed() => (at, usize::from(field.units_max)),
            None => {
                let start = at + field.prefix.width();
                (start, field.prefix.read(self.message.get(at..start)?)?)
            }
        };
        let end = start + field.encoding.bytes(units);
        Some((field.value(self.message.get(start..end)?, units), end))
    }

    fn first_element(&self) -> usize {
        self.dialect.mti.bytes(4) + usize::from(self.layout.bitmaps) * self.dialect.bitmap.bytes(BITMAP_BYTES)
    }

    /// The element with this role: its number, and its bytes with their prefix as they lie in the message.
    #[inline]
    pub(super) fn extent(&self, role: Role) -> Option<(u8, &'a [u8])> {
        let (begin, end, row) = self.reach(role)?;
        Some((row.de, self.message.get(begin..end)?))
    }

    /// From where to where the element with this role lies with its prefix; its row.
    #[inline]
    fn reach(&self, role: Role) -> Option<(usize, usize, Row)> {
        if !self.has(role) {
            return None;
        }
        let row = self.dialect.row(role);
        let (start, units) = self.layout.place(role);
        // Where the layout is another message's the extent may be none, which nothing can be cut out of.
        let begin = start.wrapping_sub(usize::from(row.prefix_bytes));
        Some((begin, start + row.encoding.bytes(units), row))
    }

    /// The bytes of the elements with these roles, where the message has them all, one behind the other: the first, the last, and their bits in the first bitmap.
    #[inline]
    pub(super) fn run(&self, roles: &[Role]) -> Option<Run<'a>> {
        let (mut run, mut from, mut to) = (Run { first: 0, last: 0, bits: 0, bytes: &[] }, 0, 0);
        for role in roles {
            let (begin, end, row) = self.reach(*role)?;
            let (0, bit) = place_of(row.de) else { return None };
            if run.bits == 0 {
                (run.first, from) = (row.de, begin);
            } else if begin != to {
                return None;
            }
            (run.last, to) = (row.de, end);
            run.bits |= 1 << 63 >> bit;
        }
        run.bytes = self.message.get(from..to)?;
        (run.bits != 0).then_some(run)
    }

    /// Numbers of the elements that the message has, in ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        let mut present = self.layout.present;
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
        let parts = self.dialect.element(self.dialect.de(role)?)?.parts();
        let units = usize::from(*parts.get(index)?);
        let from = parts[..index].iter().map(|part| usize::from(*part)).sum();
        self.value(role)?.part(from, units)
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
}

impl Unchecked {
    /// Whether what lies from there to `end` is of its class.
    #[inline]
    fn holds(&self, message: &[u8], end: usize) -> bool {
        self.from == end || message.get(self.from..end).is_some_and(|bytes| self.content.holds(bytes))
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} {}, elements", self.dialect.name(), self.mti())?;
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
        Nested::Tags => tags::check(dialect, bytes, field),
        Nested::Ber if tags::is_ber(&field.value(bytes, units)) => Ok(()),
        Nested::Ber => Err(tags::TagFault { offset: 0, tag: None, rule: Rule::Ber }),
    }
}

pub(super) fn read_mti(encoding: Encoding, message: &[u8]) -> Option<(Mti, usize)> {
    let length = encoding.bytes(4);
    let bytes = message.get(..length)?;
    let number = match encoding {
        Encoding::Ascii => ascii_number(bytes.try_into().ok()?),
        Encoding::Bcd => number_of(bytes.iter().flat_map(|b| [b >> 4, b & 0x0F])),
        Encoding::Ebcdic => number_of(bytes.iter().map(|b| b.wrapping_sub(0xF0))),
        _ => number_of(bytes.iter().map(|b| b.wrapping_sub(b'0'))),
    };
    Some((Mti::new(number?), length))
}

fn ascii_number([a, b, c, d]: [u8; 4]) -> Option<u16> {
    Some((ascii_digits([b'0', a, b])? * 100 + ascii_digits([b'0', c, d])?) as u16)
}

fn number_of(digits: impl Iterator<Item = u8>) -> Option<u16> {
    digits.into_iter().try_fold(0, |number, digit| (digit < 10).then(|| number * 10 + u16::from(digit)))
}

fn read_bitmap(encoding: Encoding, bytes: &[u8]) -> Option<u64> {
    match encoding {
        Encoding::Binary => Some(u64::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::EbcdicHex => {
            hex_number(std::array::from_fn(|at| from_ebcdic(*bytes.get(at).unwrap_or(&0))))
        }
        _ => hex_number(bytes.try_into().ok()?),
    }
}

#[cfg(test)]
mod tests;
