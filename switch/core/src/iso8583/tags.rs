//! Elements within an element: the tagged form of the prepaid data, and BER-TLV.
//!
//! Owns the iterators [`Tags`] and [`Ber`] and the check that a view makes of both. Invariants: every step ends within the
//! bytes given; nothing allocates. Deliberately absent: what a tag means, which the dialect says.

use super::charset::{Content, from_ebcdic};
use super::dialect::Dialect;
use super::error::Rule;
use super::field::{Encoding, Field, ascii_digits};
use super::role::Tag;
use super::value::Value;

/// Characters of a tag.
pub(super) const TAG_CHARACTERS: usize = 2;
/// Digits of a tagged element's length.
pub(super) const TAG_LENGTH_DIGITS: usize = 3;
/// Characters before a tagged element's value.
pub(super) const TAG_HEADER: usize = TAG_CHARACTERS + TAG_LENGTH_DIGITS;
/// Longest value of a tagged element.
pub(super) const TAG_VALUE_MAX: usize = 999;

/// How a tag is written in a dialect, and what its value may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagRule {
    pub(super) tag: Tag,
    pub(super) content: Content,
    pub(super) units_max: u16,
    pub(super) is_variable: bool,
}

/// The tagged elements of a value, in order: tag (in ASCII) and value.
#[derive(Clone, Copy)]
pub struct Tags<'a> {
    rest: &'a [u8],
    encoding: Encoding,
}

impl<'a> Tags<'a> {
    pub(super) fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { rest: bytes, encoding }
    }

    /// No tags at all.
    pub(super) const NONE: Tags<'static> = Tags { rest: &[], encoding: Encoding::Ascii };

    /// The next element, or the rule that it breaks. At the end `None`.
    #[inline]
    fn step(&mut self) -> Option<Result<([u8; TAG_CHARACTERS], Value<'a>), Rule>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.read_one())
    }

    #[inline]
    fn read_one(&mut self) -> Result<([u8; TAG_CHARACTERS], Value<'a>), Rule> {
        let (header, rest) = self.rest.split_first_chunk::<TAG_HEADER>().ok_or(Rule::TagHeader)?;
        let [first, second, hundreds, tens, ones] = match self.encoding {
            Encoding::Ascii => *header,
            Encoding::Ebcdic => header.map(from_ebcdic),
            _ => return Err(Rule::TagHeader),
        };
        let is_name = first.is_ascii_graphic() & second.is_ascii_graphic();
        let length = ascii_digits([hundreds, tens, ones]).filter(|_| is_name).ok_or(Rule::TagHeader)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(Rule::TagRunsPast)?;
        self.rest = rest;
        Ok(([first, second], Value::new(value, length, self.encoding, 0)))
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = ([u8; TAG_CHARACTERS], Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.step()?.ok();
        if taken.is_none() {
            self.rest = &[];
        }
        taken
    }
}

/// A fault in tagged data: how many bytes into it, in which tag, and the rule broken.
#[derive(Debug)]
pub(super) struct TagFault {
    pub(super) offset: usize,
    pub(super) tag: Option<Tag>,
    pub(super) rule: Rule,
}

/// Checks tagged data whole: headers, lengths, repeats, each known tag's format, and items one level down. `bytes` are of the field's class.
pub(super) fn check(dialect: &Dialect, bytes: &[u8], field: &Field) -> Result<(), TagFault> {
    if field.encoding == Encoding::Ascii && is_usual(dialect, bytes, field.content) {
        return Ok(());
    }
    check_level(dialect, bytes, field.encoding, false)
}

/// Whether these are known tags of two digits, no items, and nothing is wrong with them. Of anything else `check_level` knows.
fn is_usual(dialect: &Dialect, bytes: &[u8], class: Content) -> bool {
    let (mut rest, mut seen) = (bytes, 0_u32);
    while let Some((&[tens, ones, length @ ..], behind)) = rest.split_first_chunk::<TAG_HEADER>() {
        let Some((rule, bit)) = dialect.numeric_tag(tens, ones) else { return false };
        let Some(length) = ascii_digits(length) else { return false };
        let Some((value, behind)) = behind.split_at_checked(length) else { return false };
        let most = usize::from(rule.units_max);
        let fits = length == most || (length < most && rule.is_variable);
        // What is of the whole element's class need not be looked at again where the tag has the same one.
        if !fits
            || seen & bit != 0
            || rule.tag == Tag::Item
            || (rule.content != class && !rule.content.holds(value))
        {
            return false;
        }
        seen |= bit;
        rest = behind;
    }
    rest.is_empty()
}

fn check_level(
    dialect: &Dialect,
    bytes: &[u8],
    encoding: Encoding,
    within_item: bool,
) -> Result<(), TagFault> {
    let mut tags = Tags::new(bytes, encoding);
    let mut seen = Seen::default();
    loop {
        let offset = bytes.len() - tags.rest.len();
        let fault = |tag, rule| TagFault { offset, tag, rule };
        let (name, value) = match tags.step() {
            None => break,
            Some(step) => step.map_err(|rule| fault(None, rule))?,
        };
        let Some(rule) = dialect.tag_rule(name) else {
            seen.add(name).map_err(|rule| fault(None, rule))?;
            continue;
        };
        if rule.tag == Tag::Item {
            if within_item {
                return Err(fault(Some(Tag::Item), Rule::TagNesting));
            }
            check_level(dialect, value.raw(), encoding, true)
                .map_err(|inner| TagFault { offset: offset + TAG_HEADER + inner.offset, ..inner })?;
            continue;
        }
        seen.add(name)
            .and_then(|()| check_value(rule, &value))
            .map_err(|broken| fault(Some(rule.tag), broken))?;
    }
    if seen.has_others && others_repeat(bytes, encoding) {
        return Err(TagFault { offset: 0, tag: None, rule: Rule::TagRepeated });
    }
    Ok(())
}

fn check_value(rule: &TagRule, value: &Value<'_>) -> Result<(), Rule> {
    let most = usize::from(rule.units_max);
    if value.len() > most {
        return Err(Rule::TooLong(rule.units_max));
    }
    if !rule.is_variable && value.len() < most {
        return Err(Rule::TooShort(rule.units_max));
    }
    let good = match value.encoding() {
        Encoding::Ascii => rule.content.holds(value.raw()),
        _ => (0..value.len()).all(|index| rule.content.holds(&[value.character(index)])),
    };
    if good { Ok(()) } else { Err(Rule::Content(rule.content)) }
}

/// The tags met so far. Two-digit tags are remembered in a word; that there were others is remembered too.
#[derive(Default)]
struct Seen {
    numeric: u128,
    has_others: bool,
}

impl Seen {
    fn add(&mut self, name: [u8; TAG_CHARACTERS]) -> Result<(), Rule> {
        let (tens, ones) = (name[0].wrapping_sub(b'0'), name[1].wrapping_sub(b'0'));
        if tens > 9 || ones > 9 {
            self.has_others = true;
            return Ok(());
        }
        let bit = 1_u128 << (tens * 10 + ones);
        if self.numeric & bit != 0 {
            return Err(Rule::TagRepeated);
        }
        self.numeric |= bit;
        Ok(())
    }
}

/// Whether a tag that is not two digits comes twice. A table of all printable tags keeps the work linear.
#[cold]
fn others_repeat(bytes: &[u8], encoding: Encoding) -> bool {
    const PRINTABLE: usize = 94;
    let mut seen = [0_u64; (PRINTABLE * PRINTABLE).div_ceil(64)];
    Tags::new(bytes, encoding).filter(|(name, _)| !name.iter().all(u8::is_ascii_digit)).any(|(name, _)| {
        let [first, second] = name.map(|b| usize::from(b.wrapping_sub(b'!')));
        let index = first * PRINTABLE + second;
        let bit = 1 << (index % 64);
        let repeats = seen[index / 64] & bit != 0;
        seen[index / 64] |= bit;
        repeats
    })
}

/// The BER-TLV elements of a value, in order: tag (its bytes as a number) and value. One level; a constructed value is opened
/// with [`Value::ber`] again.
#[derive(Clone, Copy)]
pub struct Ber<'a> {
    whole: Value<'a>,
    at: usize,
}

impl<'a> Ber<'a> {
    /// Most bytes of a tag (chip data uses at most three).
    const TAG_BYTES_MAX: usize = 4;
    /// Most bytes of a length, not counting the first.
    const LENGTH_BYTES_MAX: usize = 2;

    pub(super) fn new(whole: Value<'a>) -> Self {
        Self { whole, at: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = (self.at < self.whole.len()).then(|| self.whole.character(self.at))?;
        self.at += 1;
        Some(byte)
    }

    fn read_one(&mut self) -> Option<(u32, Value<'a>)> {
        let tag = self.tag()?;
        let length = self.length()?;
        let value = self.whole.part(self.at, length)?;
        self.at += length;
        Some((tag, value))
    }

    fn tag(&mut self) -> Option<u32> {
        let mut tag = u32::from(self.byte()?);
        if tag & 0x1F != 0x1F {
            return Some(tag);
        }
        for _ in 1..Self::TAG_BYTES_MAX {
            let byte = self.byte()?;
            tag = tag << 8 | u32::from(byte);
            if byte & 0x80 == 0 {
                return Some(tag);
            }
        }
        None
    }

    fn length(&mut self) -> Option<usize> {
        let first = usize::from(self.byte()?);
        if first < 0x80 {
            return Some(first);
        }
        let bytes = first & 0x7F;
        if bytes == 0 || bytes > Self::LENGTH_BYTES_MAX {
            return None;
        }
        (0..bytes).try_fold(0, |length, _| Some(length << 8 | usize::from(self.byte()?)))
    }
}

impl<'a> Iterator for Ber<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.whole.len() {
            return None;
        }
        let taken = self.read_one();
        if taken.is_none() {
            self.at = self.whole.len();
        }
        taken
    }
}

/// Whether a value is a sequence of well-formed BER-TLV elements.
pub(super) fn is_ber(value: &Value<'_>) -> bool {
    let mut ber = Ber::new(*value);
    while ber.at < value.len() {
        if ber.read_one().is_none() {
            return false;
        }
    }
    true
}
