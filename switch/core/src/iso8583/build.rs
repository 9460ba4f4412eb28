//! A message being written, straight into the output buffer.
//!
//! Owns [`Build`]. Invariants: what was written before it in the buffer is never touched; a message that is finished can be read
//! by the same dialect; on an error the buffer is as it was before. Deliberately absent: which elements an answer has.

use super::MESSAGE_BYTES_MAX;
use super::decimal::{NUMBER_DIGITS, decimal, length};
use super::dialect::Dialect;
use super::encode::{Source, in_charset, tag_length, write_bitmap, write_field, write_mti};
use super::error::{BuildError, BuildRule, Rule};
use super::field::{Encoding, Field, Nested};
use super::layout::BITMAP_COUNT;
use super::mti::Mti;
use super::role::{Role, Tag};
use super::tags::{self, TAG_CHARACTERS, TAG_HEADER, TAG_VALUE_MAX};
use super::value::Value;
use super::view::{View, place_of, take_element};
use crate::text::Text;

const BITMAP_BYTES: usize = 8;
const BITMAP_BITS: u8 = 64;
/// Room for the longest length prefix.
const NO_PREFIX: [u8; 4] = [0; 4];

/// Writes one message at the end of a buffer.
///
/// Elements may be put in any order; ascending is fastest, others are moved into place. Roles and tags that the dialect does not
/// have are passed over, so that one piece of code answers in every dialect. The first error is kept and given by
/// [`Build::finish`]; what comes after it does nothing.
pub struct Build<'d, 'o> {
    dialect: &'d Dialect,
    out: &'o mut Vec<u8>,
    /// Where the message begins in `out`.
    start: usize,
    bitmaps: u8,
    present: [u64; BITMAP_COUNT],
    /// The highest element put so far.
    last: u8,
    /// The highest element that can be put without ado behind the last one: 0 while an element is open and after an error, else what the bitmaps hold.
    reach: u8,
    open: Open,
    error: Option<BuildError>,
}

/// The tagged element that is being written, if any.
#[derive(Clone, Copy)]
enum Open {
    Nothing,
    /// The dialect has no such element: its tags are passed over.
    Skipped,
    /// Element `de`, begun at `at` in the buffer; `item` is where the header of an open item stands.
    Tags {
        de: u8,
        at: usize,
        item: Option<usize>,
    },
}

/// Numbers are mostly STANs, amounts and currencies: copies of these lengths are a few wide operations.
#[inline]
fn write_digits(digits: &[u8], out: &mut Vec<u8>) {
    if let Some(digits) = digits.as_array::<6>() {
        out.extend_from_slice(digits);
    } else if let Some(digits) = digits.as_array::<12>() {
        out.extend_from_slice(digits);
    } else if let Some(digits) = digits.as_array::<3>() {
        out.extend_from_slice(digits);
    } else {
        out.extend_from_slice(digits);
    }
}

impl<'d, 'o> Build<'d, 'o> {
    /// Begins a message at the end of `out`.
    pub fn new(dialect: &'d Dialect, mti: Mti, out: &'o mut Vec<u8>) -> Self {
        Self::with_bitmaps(dialect, mti, dialect.bitmaps_min, out)
    }

    /// Begins a message like this one: same dialect, MTI and number of bitmaps, even if the second is empty.
    pub fn again(view: &View<'d>, out: &'o mut Vec<u8>) -> Self {
        Self::with_bitmaps(view.dialect(), view.mti(), view.bitmaps(), out)
    }

    fn with_bitmaps(dialect: &'d Dialect, mti: Mti, bitmaps: u8, out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        write_mti(dialect.mti, mti, out);
        for _ in 0..bitmaps {
            // Of one length each that the compiler knows.
            match dialect.bitmap {
                Encoding::Binary => out.extend_from_slice(&[0; BITMAP_BYTES]),
                _ => out.extend_from_slice(&[0; 2 * BITMAP_BYTES]),
            }
        }
        let (present, reach) = ([0; BITMAP_COUNT], bitmaps * BITMAP_BITS);
        Self { dialect, out, start, bitmaps, present, last: 0, reach, open: Open::Nothing, error: None }
    }

    /// Puts the element with this role. Shorter than a fixed element is padded as the dialect says; longer is an error.
    #[inline]
    pub fn text(&mut self, role: Role, ascii: &[u8]) -> &mut Self {
        match self.dialect.de(role) {
            Some(de) => self.element(de, ascii),
            None => self,
        }
    }

    /// As [`Build::text`], of a number of characters that the compiler knows: they are looked at and written in a few wide operations.
    #[inline]
    pub fn characters<const N: usize>(&mut self, role: Role, ascii: &[u8; N]) -> &mut Self {
        let Some(de) = self.dialect.de(role) else { return self };
        match self.next_field(de) {
            Some(field) if field.takes_all(ascii) => self.append(de, field, ascii),
            _ => self.put(de, Source::Slice(ascii)),
        }
    }

    /// As [`Build::text`], of a short text, which often is as long as it can be.
    #[inline]
    pub fn short_text<const N: usize>(&mut self, role: Role, text: &Text<N>) -> &mut Self {
        if text.len() == N { self.characters(role, text.padded()) } else { self.text(role, text.as_bytes()) }
    }

    /// Puts a number, with zeros before it up to the length of a fixed element.
    #[inline]
    pub fn number(&mut self, role: Role, number: u64) -> &mut Self {
        let dialect: &'d Dialect = self.dialect;
        let Some(de) = dialect.de(role) else { return self };
        let Some(field) = dialect.field(de) else { return self.put(de, Source::Slice(&[])) };
        let least = if field.is_fixed() { usize::from(field.units_max) } else { 1 };
        let digits = decimal(number);
        let digits = &digits[NUMBER_DIGITS.saturating_sub(length(number, least))..];
        if self.takes_next(de) && field.takes_digits(digits.len()) {
            field.prefix.write_ascii(digits.len(), self.out);
            write_digits(digits, self.out);
            self.mark_last(de);
            return self;
        }
        self.put(de, Source::Slice(digits))
    }

    /// Puts the element with this number from its canonical form: ASCII characters, for `b` its bytes.
    #[inline]
    pub fn element(&mut self, de: u8, ascii: &[u8]) -> &mut Self {
        match self.next_field(de) {
            Some(field) if field.takes_as_is(ascii) => self.append(de, field, ascii),
            _ => self.put(de, Source::Slice(ascii)),
        }
    }

    /// The field of an element behind all that were put, where nothing stands against it.
    #[inline]
    fn next_field(&self, de: u8) -> Option<&'d Field> {
        let dialect: &'d Dialect = self.dialect;
        if self.takes_next(de) { dialect.field(de) } else { None }
    }

    /// Whether this element comes behind all that were put, and may.
    #[inline]
    fn takes_next(&self, de: u8) -> bool {
        self.last < de && de <= self.reach
    }

    /// Writes what the field takes as it is, as the last element so far.
    #[inline(always)]
    fn append(&mut self, de: u8, field: &Field, ascii: &[u8]) -> &mut Self {
        field.prefix.write_ascii(ascii.len(), self.out);
        self.out.extend_from_slice(ascii);
        self.mark_last(de);
        self
    }

    #[inline]
    fn mark_last(&mut self, de: u8) {
        let (word, bit) = place_of(de);
        self.present[word] |= 1 << 63 >> bit;
        self.last = de;
    }

    /// Puts a value read elsewhere: its bytes as they are where both dialects write it alike, else written anew.
    pub fn copy(&mut self, de: u8, value: &Value<'_>) -> &mut Self {
        self.put(de, Source::Value(value))
    }

    /// Puts the element with this role as a message has it, or nothing where it has none. Within one dialect its bytes are taken over as they are: the view has
    /// checked them.
    #[inline]
    pub fn echo(&mut self, view: &View<'_>, role: Role) -> &mut Self {
        if !std::ptr::eq(self.dialect, view.dialect()) {
            return self.echo_anew(view, role);
        }
        let Some((de, bytes)) = view.extent(role) else { return self };
        if self.takes_next(de) {
            self.out.extend_from_slice(bytes);
            self.mark_last(de);
        } else if self.error.is_none()
            && let Err(rule) = self.put_extent(de, bytes)
        {
            self.fail(Some(de), None, rule);
        }
        self
    }

    /// As [`Build::echo`] of each role in turn. Those that the message has all, one behind the other, are taken over at once.
    pub fn echo_all(&mut self, view: &View<'_>, roles: &[Role]) -> &mut Self {
        let run = std::ptr::eq(self.dialect, view.dialect()).then(|| view.run(roles)).flatten();
        match run.filter(|run| self.takes_next(run.first)) {
            Some(run) => {
                self.out.extend_from_slice(run.bytes);
                self.last = run.last;
                self.present[0] |= run.bits;
            }
            None => roles.iter().for_each(|role| {
                self.echo(view, *role);
            }),
        }
        self
    }

    fn echo_anew(&mut self, view: &View<'_>, role: Role) -> &mut Self {
        match (self.dialect.de(role), view.value(role)) {
            (Some(de), Some(value)) => self.copy(de, &value),
            _ => self,
        }
    }

    /// Opens an element that holds tags, to be filled by [`Build::tag`] and its like.
    pub fn open_tags(&mut self, role: Role) -> &mut Self {
        if self.error.is_some() {
            return self;
        }
        let Some(de) = self.dialect.de(role) else {
            self.set_open(Open::Skipped);
            return self;
        };
        match self.begin_tags(de) {
            Ok(at) => self.set_open(Open::Tags { de, at, item: None }),
            Err(rule) => self.fail(Some(de), None, rule),
        }
        self
    }

    fn begin_tags(&mut self, de: u8) -> Result<usize, BuildRule> {
        let field = self.may_put(de)?;
        if field.nested != Nested::Tags {
            return Err(BuildRule::NotTagged);
        }
        self.make_bitmap(de);
        let at = self.out.len();
        self.out.extend_from_slice(&NO_PREFIX[..field.prefix.width()]);
        Ok(at)
    }

    /// Puts a tag in the open element.
    pub fn tag(&mut self, tag: Tag, ascii: &[u8]) -> &mut Self {
        match self.dialect.tag(tag) {
            Some(name) => self.raw_tag(name, ascii),
            None => self,
        }
    }

    /// Puts a tag by the two characters it is written with.
    pub fn raw_tag(&mut self, name: [u8; TAG_CHARACTERS], ascii: &[u8]) -> &mut Self {
        self.put_tag(name, Source::Slice(ascii))
    }

    /// Puts a tag with a value read elsewhere; an item comes whole.
    pub fn copy_tag(&mut self, name: [u8; TAG_CHARACTERS], value: &Value<'_>) -> &mut Self {
        self.put_tag(name, Source::Value(value))
    }

    /// Opens an item in the open element; the tags put until [`Build::close_item`] lie within it.
    pub fn open_item(&mut self) -> &mut Self {
        let Some(name) = self.dialect.tag(Tag::Item) else {
            self.fail(None, Some(Tag::Item), BuildRule::Undefined);
            return self;
        };
        let begun = self.out.len();
        self.raw_tag(name, b"");
        match &mut self.open {
            Open::Tags { item: item @ None, .. } => *item = Some(begun),
            Open::Skipped => {}
            _ => self.fail(None, Some(Tag::Item), BuildRule::Format(Rule::TagNesting)),
        }
        self
    }

    /// Closes the open item.
    pub fn close_item(&mut self) -> &mut Self {
        match self.open {
            Open::Tags { de, at, item: Some(begun) } => {
                self.open = Open::Tags { de, at, item: None };
                self.write_item_length(de, begun);
            }
            Open::Skipped => {}
            _ => self.fail(None, Some(Tag::Item), BuildRule::NotOpen),
        }
        self
    }

    fn write_item_length(&mut self, de: u8, begun: usize) {
        let length = self.out.len() - begun - TAG_HEADER;
        if length > TAG_VALUE_MAX {
            return self.fail(
                Some(de),
                Some(Tag::Item),
                BuildRule::Format(Rule::TooLong(TAG_VALUE_MAX as u16)),
            );
        }
        let Some(field) = self.dialect.field(de) else { return };
        let digits = tag_length(length);
        for (byte, digit) in self.out[begun + TAG_CHARACTERS..begun + TAG_HEADER].iter_mut().zip(digits) {
            *byte = in_charset(field.encoding, digit);
        }
    }

    /// Closes the open element: writes its length, checks it whole and moves it into place.
    pub fn close_tags(&mut self) -> &mut Self {
        if self.error.is_some() {
            return self;
        }
        match self.open {
            Open::Tags { de, at, item: None } => {
                self.set_open(Open::Nothing);
                if let Err((tag, rule)) = self.end_tags(de, at) {
                    self.fail(Some(de), tag, rule);
                }
            }
            Open::Skipped => self.set_open(Open::Nothing),
            Open::Tags { de, item: Some(_), .. } => {
                self.fail(Some(de), Some(Tag::Item), BuildRule::StillOpen)
            }
            Open::Nothing => self.fail(None, None, BuildRule::NotOpen),
        }
        self
    }

    fn set_open(&mut self, open: Open) {
        self.open = open;
        self.set_reach();
    }

    fn set_reach(&mut self) {
        let free = self.error.is_none() && matches!(self.open, Open::Nothing);
        self.reach = if free { self.bitmaps * BITMAP_BITS } else { 0 };
    }

    fn end_tags(&mut self, de: u8, at: usize) -> Result<(), (Option<Tag>, BuildRule)> {
        let field = *self.dialect.field(de).ok_or((None, BuildRule::Undefined))?;
        let value = at + field.prefix.width();
        let length = self.out.len() - value;
        if length > usize::from(field.units_max) {
            return Err((None, BuildRule::Format(Rule::TooLong(field.units_max))));
        }
        let written = &self.out[value..];
        field.check(written, length).map_err(|rule| (None, BuildRule::Format(rule)))?;
        tags::check(self.dialect, written, &field)
            .map_err(|fault| (fault.tag, BuildRule::Format(fault.rule)))?;
        field.prefix.write(length, &mut self.out[at..value]);
        self.settle(de, at);
        Ok(())
    }

    /// Writes the bitmaps and ends the message; gives the bytes written.
    ///
    /// # Errors
    /// The first thing that did not fit the dialect; `out` is then as it was before the message.
    pub fn finish(mut self) -> Result<usize, BuildError> {
        if !matches!(self.open, Open::Nothing) {
            self.fail(None, None, BuildRule::StillOpen);
        }
        if self.out.len() - self.start > MESSAGE_BYTES_MAX {
            self.fail(None, None, BuildRule::MessageLength);
        }
        if let Some(error) = self.error {
            self.out.truncate(self.start);
            return Err(error);
        }
        self.write_bitmaps();
        Ok(self.out.len() - self.start)
    }

    fn write_bitmaps(&mut self) {
        if self.bitmaps > 1 {
            self.present[0] |= 1 << 63;
        }
        if self.bitmaps > 2 {
            self.present[1] |= 1 << 63;
        }
        let width = self.dialect.bitmap.bytes(BITMAP_BYTES);
        let mut at = self.start + self.dialect.mti.bytes(4);
        for bitmap in &self.present[..usize::from(self.bitmaps)] {
            write_bitmap(self.dialect.bitmap, *bitmap, &mut self.out[at..at + width]);
            at += width;
        }
    }

    #[inline(never)]
    fn put(&mut self, de: u8, source: Source<'_>) -> &mut Self {
        if self.error.is_some() {
            return self;
        }
        if let Err(rule) = self.try_put(de, source) {
            self.fail(Some(de), None, rule);
        }
        self
    }

    /// Puts what was checked as it lies in a message of the same dialect.
    #[inline(never)]
    fn put_extent(&mut self, de: u8, extent: &[u8]) -> Result<(), BuildRule> {
        self.may_put(de)?;
        self.make_bitmap(de);
        let at = self.out.len();
        self.out.extend_from_slice(extent);
        self.settle(de, at);
        Ok(())
    }

    fn try_put(&mut self, de: u8, source: Source<'_>) -> Result<(), BuildRule> {
        let field = self.may_put(de)?;
        self.make_bitmap(de);
        let at = self.out.len();
        write_field(field, source, self.out).map_err(BuildRule::Format)?;
        if field.nested != Nested::Plain {
            self.check_nested(field, at)?;
        }
        self.settle(de, at);
        Ok(())
    }

    fn check_nested(&self, field: &Field, at: usize) -> Result<(), BuildRule> {
        let (prefix, bytes) = self.out[at..].split_at(field.prefix.width());
        let units = if field.is_fixed() {
            usize::from(field.units_max)
        } else {
            field.prefix.read(prefix).unwrap_or(0)
        };
        let fault = match field.nested {
            Nested::Tags => tags::check(self.dialect, bytes, field).err().map(|fault| fault.rule),
            Nested::Ber if !tags::is_ber(&field.value(bytes, units)) => Some(Rule::Ber),
            _ => None,
        };
        fault.map_or(Ok(()), |rule| Err(BuildRule::Format(rule)))
    }

    fn put_tag(&mut self, name: [u8; TAG_CHARACTERS], source: Source<'_>) -> &mut Self {
        if self.error.is_some() {
            return self;
        }
        let de = match self.open {
            Open::Tags { de, .. } => de,
            Open::Skipped => return self,
            Open::Nothing => {
                self.fail(None, self.dialect.tag_meaning(name), BuildRule::NotOpen);
                return self;
            }
        };
        let Some(encoding) = self.dialect.field(de).map(|field| field.encoding) else { return self };
        if source.len() > TAG_VALUE_MAX {
            let rule = BuildRule::Format(Rule::TooLong(TAG_VALUE_MAX as u16));
            self.fail(Some(de), self.dialect.tag_meaning(name), rule);
            return self;
        }
        let ([first, second], [hundreds, tens, ones]) = (name, tag_length(source.len()));
        let header = [first, second, hundreds, tens, ones];
        self.out.extend_from_slice(&match encoding {
            Encoding::Ascii => header,
            _ => header.map(|byte| in_charset(encoding, byte)),
        });
        match source {
            Source::Slice(ascii) if encoding == Encoding::Ascii => self.out.extend_from_slice(ascii),
            Source::Value(value) if value.encoding() == encoding => self.out.extend_from_slice(value.raw()),
            _ => self.out.extend((0..source.len()).map(|index| in_charset(encoding, source.byte(index)))),
        }
        self
    }

    /// Whether the element may be put now; gives its field.
    #[inline(always)]
    fn may_put(&self, de: u8) -> Result<&'d Field, BuildRule> {
        if !matches!(self.open, Open::Nothing) {
            return Err(BuildRule::StillOpen);
        }
        let dialect: &'d Dialect = self.dialect;
        let field = dialect.field(de).ok_or(BuildRule::Undefined)?;
        let (word, bit) = place_of(de);
        if self.present[word] & (1 << 63 >> bit) != 0 {
            return Err(BuildRule::Twice);
        }
        Ok(field)
    }

    /// Makes room for the bitmap that this element's bit lies in.
    #[inline(always)]
    fn make_bitmap(&mut self, de: u8) {
        let needed = place_of(de).0 as u8 + 1;
        if needed > self.bitmaps {
            self.insert_bitmaps(needed);
        }
    }

    #[inline(never)]
    fn insert_bitmaps(&mut self, needed: u8) {
        let width = self.dialect.bitmap.bytes(BITMAP_BYTES);
        let more = usize::from(needed - self.bitmaps) * width;
        let at = self.first_element();
        let end = self.out.len();
        self.out.resize(end + more, 0);
        self.out.copy_within(at..end, at + more);
        self.bitmaps = needed;
        self.set_reach();
    }

    fn first_element(&self) -> usize {
        self.start
            + self.dialect.mti.bytes(4)
            + usize::from(self.bitmaps) * self.dialect.bitmap.bytes(BITMAP_BYTES)
    }

    /// Takes the element written at `at`, the end of the message, into it: moves it before those with higher numbers.
    #[inline(always)]
    fn settle(&mut self, de: u8, at: usize) {
        if de < self.last {
            self.move_into_place(de, at);
        } else {
            self.last = de;
        }
        let (word, bit) = place_of(de);
        self.present[word] |= 1 << 63 >> bit;
    }

    #[inline(never)]
    fn move_into_place(&mut self, de: u8, at: usize) {
        let place = self.place_before(de);
        let length = self.out.len() - at;
        self.out[place..].rotate_right(length);
    }

    /// Where in the buffer the first element with a higher number begins.
    fn place_before(&self, de: u8) -> usize {
        let mut at = self.first_element();
        for (word, bits) in self.present.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let lower = take_element(&mut bits, word);
                if lower > de {
                    return at;
                }
                at += self.written_length(lower, at);
            }
        }
        at
    }

    fn written_length(&self, de: u8, at: usize) -> usize {
        let Some(field) = self.dialect.field(de) else { return 0 };
        let width = field.prefix.width();
        let units = match field.is_fixed() {
            true => usize::from(field.units_max),
            false => field.prefix.read(&self.out[at..at + width]).unwrap_or(0),
        };
        width + field.encoding.bytes(units)
    }

    #[cold]
    fn fail(&mut self, element: Option<u8>, tag: Option<Tag>, rule: BuildRule) {
        self.error.get_or_insert(BuildError { element, tag, rule });
        self.set_reach();
    }
}
