//! A dialect: the field table that a TOML file compiles to.
//!
//! Owns [`Dialect`] and [`Element`]. Invariants: every element of the table can be read and built; a role and a tag each belong
//! to one element; the table never changes once compiled. Deliberately absent: reading files, which the shell does.

use super::ELEMENT_MAX;
use super::charset::Content;
use super::error::{Broken, DialectError};
use super::field::{Encoding, Field, Nested, Pad, Prefix, PrefixEncoding};
use super::mti::{Mti, Version};
use super::role::{Mask, Role, Tag};
use super::spec::{self, ElementSpec, Spec, TagSpec};
use super::tags::TagRule;
use super::view::{View, read_mti};

const TABLE_LENGTH: usize = ELEMENT_MAX as usize + 1;
const TWO_DIGITS: usize = 100;

/// One network's way of writing ISO 8583, compiled once from a dialect file.
#[derive(Debug)]
pub struct Dialect {
    name: String,
    version: Version,
    pub(super) mti: Encoding,
    pub(super) bitmap: Encoding,
    pub(super) bitmaps_max: u8,
    pub(super) bitmaps_min: u8,
    /// Indexed by element number.
    fields: Box<[Option<Field>; TABLE_LENGTH]>,
    elements: Vec<Option<Element>>,
    /// Indexed by role.
    rows: [Row; Role::ALL.len()],
    tags: Vec<TagRule>,
    tag_masks: Vec<Mask>,
    /// Indexed by tag.
    tag_names: [Option<[u8; 2]>; Tag::ALL.len()],
    /// Place in `tags` of each two-digit tag, counted from 1.
    numeric_tags: [u8; TWO_DIGITS],
}

/// What is asked of a role's element for every message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its number; 0 where the dialect has no such element.
    pub(super) de: u8,
    pub(super) encoding: Encoding,
    pub(super) prefix_bytes: u8,
}

impl Row {
    const NONE: Self = Self { de: 0, encoding: Encoding::Ascii, prefix_bytes: 0 };
}

/// What people and tools want to know of an element.
#[derive(Clone, Debug)]
pub struct Element {
    name: String,
    format: String,
    mask: Mask,
    role: Option<Role>,
    units_max: u16,
    parts: Vec<u16>,
}

impl Element {
    /// The element's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format as the dialect file writes it, like `n..19 LL`.
    pub fn format(&self) -> &str {
        &self.format
    }

    /// How much of it people may see.
    pub fn mask(&self) -> Mask {
        self.mask
    }

    /// What it means to the switch, if anything.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Length of a fixed element, greatest length of a variable one, in characters, digits or (for `b`) bytes.
    pub fn max_len(&self) -> usize {
        usize::from(self.units_max)
    }

    /// Lengths of its positional parts, in order; empty when it has none.
    pub fn parts(&self) -> &[u16] {
        &self.parts
    }
}

impl Dialect {
    /// Compiles a dialect file. `base` gives the text of a dialect that the file extends.
    ///
    /// # Errors
    /// Names line, column, what is wrong and what was probably meant; unknown keys and words are refused.
    pub fn parse(toml: &str, base: impl Fn(&str) -> Option<String>) -> Result<Dialect, DialectError> {
        compile(&spec::read(toml, &base)?)
    }

    /// The dialect's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The edition of ISO 8583 that its messages name in their MTI.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Number of the element with this role.
    #[inline]
    pub fn de(&self, role: Role) -> Option<u8> {
        match self.rows[role as usize].de {
            0 => None,
            number => Some(number),
        }
    }

    #[inline]
    pub(super) fn row(&self, role: Role) -> Row {
        self.rows[role as usize]
    }

    /// Role of the element with this number.
    pub fn role(&self, de: u8) -> Option<Role> {
        self.field(de)?.role
    }

    /// How the dialect writes this tag.
    #[inline]
    pub fn tag(&self, tag: Tag) -> Option<[u8; 2]> {
        self.tag_names[tag as usize]
    }

    /// What this tag means.
    #[inline]
    pub fn tag_meaning(&self, name: [u8; 2]) -> Option<Tag> {
        self.tag_rule(name).map(|rule| rule.tag)
    }

    /// How much of this tag's value people may see; nothing of a tag that the dialect does not know.
    pub fn tag_mask(&self, name: [u8; 2]) -> Mask {
        self.tag_index(name).map_or(Mask::Secret, |index| self.tag_masks[index])
    }

    /// What the dialect says of the element with this number.
    pub fn element(&self, de: u8) -> Option<&Element> {
        self.elements.get(usize::from(de))?.as_ref()
    }

    /// Reads a message in one walk, borrowing from it. A view is whole: lengths, characters and nested tags are checked.
    ///
    /// # Errors
    /// The sender's fault; the error says where, and what could be read (R-7, S-20). This is the only path that allocates.
    pub fn view<'a>(&'a self, message: &'a [u8]) -> Result<View<'a>, Box<Broken<'a>>> {
        View::read(self, message)
    }

    /// What kind of message it is, without a look at the rest of it; `None` where its first digits are none.
    pub fn mti_of(&self, message: &[u8]) -> Option<Mti> {
        read_mti(self.mti, message).map(|(mti, _)| mti)
    }

    #[inline]
    pub(super) fn field(&self, de: u8) -> Option<&Field> {
        self.fields.get(usize::from(de))?.as_ref()
    }

    #[inline]
    pub(super) fn tag_rule(&self, name: [u8; 2]) -> Option<&TagRule> {
        self.tag_index(name).map(|index| &self.tags[index])
    }

    /// The rule of a tag of two digits, and its bit in a set of such tags.
    #[inline]
    pub(super) fn numeric_tag(&self, tens: u8, ones: u8) -> Option<(&TagRule, u32)> {
        let (tens, ones) = (usize::from(tens.wrapping_sub(b'0')), usize::from(ones.wrapping_sub(b'0')));
        if tens > 9 || ones > 9 {
            return None;
        }
        let place = self.numeric_tags[tens * 10 + ones];
        let rule = self.tags.get(usize::from(place).wrapping_sub(1))?;
        Some((rule, 1 << (place % 32)))
    }

    #[inline]
    fn tag_index(&self, name: [u8; 2]) -> Option<usize> {
        let (tens, ones) = (usize::from(name[0].wrapping_sub(b'0')), usize::from(name[1].wrapping_sub(b'0')));
        if tens < 10 && ones < 10 {
            return usize::from(self.numeric_tags[tens * 10 + ones]).checked_sub(1);
        }
        self.tags.iter().position(|rule| self.tag_names[rule.tag as usize] == Some(name))
    }

    /// Whether this bit of a bitmap announces the next bitmap and not an element.
    pub(super) fn is_continuation(&self, de: u8) -> bool {
        de == 1 || (de == 65 && self.bitmaps_max == 3)
    }
}

fn compile(spec: &Spec) -> Result<Dialect, DialectError> {
    let whole = spec::Place::default();
    let missing = |key: &str| whole.error(format!("the dialect does not say `{key}`"));
    let mti = spec.mti.ok_or_else(|| missing("mti"))?;
    if !matches!(mti, Encoding::Ascii | Encoding::Ebcdic | Encoding::Bcd) {
        return Err(whole.error("`mti` is ascii, ebcdic or bcd"));
    }
    let bitmap = spec.bitmap.ok_or_else(|| missing("bitmap"))?;
    if !is_byte_encoding(bitmap) {
        return Err(whole.error("`bitmap` is binary, hex or ebcdic-hex"));
    }
    let bitmaps_max = spec.bitmaps.ok_or_else(|| missing("bitmaps"))?;
    let always_secondary = spec.bitmap_always_secondary.unwrap_or(false);
    if always_secondary && bitmaps_max < 2 {
        return Err(whole.error("`bitmap_always_secondary` needs `bitmaps` of 2 or 3"));
    }
    let mut dialect = Dialect {
        name: spec.name.clone(),
        version: spec.version.ok_or_else(|| missing("version"))?,
        mti,
        bitmap,
        bitmaps_max,
        bitmaps_min: if always_secondary { 2 } else { 1 },
        fields: Box::new([None; TABLE_LENGTH]),
        elements: vec![None; TABLE_LENGTH],
        rows: [Row::NONE; Role::ALL.len()],
        tags: Vec::new(),
        tag_masks: Vec::new(),
        tag_names: [None; Tag::ALL.len()],
        numeric_tags: [0; TWO_DIGITS],
    };
    for (number, element) in &spec.elements {
        add_element(&mut dialect, spec, *number, element)?;
    }
    for (tag, tag_spec) in &spec.tags {
        add_tag(&mut dialect, *tag, tag_spec)?;
    }
    Ok(dialect)
}

fn add_element(
    dialect: &mut Dialect,
    spec: &Spec,
    number: u8,
    element: &ElementSpec,
) -> Result<(), DialectError> {
    let fail = |what: &str| Err(element.place.error(format!("element {number}: {what}")));
    if number > dialect.bitmaps_max * 64 {
        return fail("lies beyond the dialect's bitmaps");
    }
    if dialect.is_continuation(number) {
        return fail("is the bit that announces the third bitmap");
    }
    let Some((format_text, format)) = &element.format else {
        return fail("has no `format`");
    };
    let Some(name) = &element.name else {
        return fail("has no `name`");
    };
    let Some(encoding) = element.encoding.or_else(|| default_encoding(spec, format.content)) else {
        return fail("neither it nor the dialect says how its content is encoded");
    };
    if !fits(format.content, encoding) {
        return fail(&format!("content {} cannot be encoded as {}", format.content.name(), encoding.name()));
    }
    let prefix = match (format.length_digits, element.length.or(spec.length)) {
        (0, _) => Prefix::NONE,
        (digits, Some(encoding)) => Prefix::new(encoding, digits),
        (_, None) => return fail("neither it nor the dialect says how its length is encoded"),
    };
    if prefix.encoding == PrefixEncoding::Binary && prefix.width == 1 && format.units_max > 255 {
        return fail("its length does not fit a one-byte binary prefix");
    }
    let nested = element.nested.unwrap_or(Nested::Plain);
    if nested == Nested::Tags && !matches!(encoding, Encoding::Ascii | Encoding::Ebcdic) {
        return fail("tags lie in ASCII or EBCDIC text");
    }
    if nested == Nested::Ber && !is_byte_encoding(encoding) {
        return fail("BER-TLV lies in bytes: content b");
    }
    let parts = element.parts.clone().unwrap_or_default();
    if !parts.is_empty()
        && parts.iter().map(|part| u32::from(*part)).sum::<u32>() != u32::from(format.units_max)
    {
        return fail("its parts do not add up to its length");
    }
    if let Some(role) = element.role {
        let row = &mut dialect.rows[role as usize];
        if row.de != 0 {
            return fail(&format!("element {} has the role `{}` already", row.de, role.name()));
        }
        *row = Row { de: number, encoding, prefix_bytes: prefix.width };
    }
    let plain =
        encoding == Encoding::Ascii && nested == Nested::Plain && prefix.encoding == PrefixEncoding::Ascii;
    dialect.fields[usize::from(number)] = Some(Field {
        content: format.content,
        encoding,
        prefix,
        units_max: format.units_max,
        pad: element.pad.unwrap_or(Pad::standard(format.content)),
        nested,
        filler: spec.filler.unwrap_or(0),
        role: element.role,
        role_bit: element.role.map_or(Role::NONE_BIT, Role::bit),
        plain,
        joins: plain && format.content.has_digits(),
    });
    dialect.elements[usize::from(number)] = Some(Element {
        name: name.clone(),
        format: format_text.clone(),
        mask: element.mask.unwrap_or(Mask::Clear),
        role: element.role,
        units_max: format.units_max,
        parts,
    });
    Ok(())
}

fn add_tag(dialect: &mut Dialect, tag: Tag, spec: &TagSpec) -> Result<(), DialectError> {
    let fail = |what: &str| Err(spec.place.error(format!("tag {}: {what}", tag.name())));
    let Some(name) = spec.tag else {
        return fail("has no `tag`");
    };
    let Some(format) = spec.format else {
        return fail("has no `format`");
    };
    if !fits(format.content, Encoding::Ascii) {
        return fail("its content is not text");
    }
    if dialect.tag_index(name).is_some() {
        return fail("another tag is written the same");
    }
    dialect.tags.push(TagRule {
        tag,
        content: format.content,
        units_max: format.units_max,
        is_variable: format.is_variable,
    });
    dialect.tag_masks.push(spec.mask.unwrap_or(Mask::Clear));
    dialect.tag_names[tag as usize] = Some(name);
    let [tens, ones] = name.map(|b| usize::from(b.wrapping_sub(b'0')));
    if tens < 10 && ones < 10 {
        dialect.numeric_tags[tens * 10 + ones] = dialect.tags.len() as u8;
    }
    Ok(())
}

fn default_encoding(spec: &Spec, content: Content) -> Option<Encoding> {
    match content {
        Content::Digits => spec.numeric,
        Content::Track => spec.track,
        Content::Bytes => spec.binary,
        Content::Signed => match spec.numeric? {
            Encoding::Bcd | Encoding::BcdLeft => Some(Encoding::SignedBcd),
            characters => Some(characters),
        },
        _ => spec.text,
    }
}

fn fits(content: Content, encoding: Encoding) -> bool {
    match content {
        Content::Bytes => is_byte_encoding(encoding),
        Content::Digits | Content::Track => {
            matches!(encoding, Encoding::Ascii | Encoding::Ebcdic | Encoding::Bcd | Encoding::BcdLeft)
        }
        Content::Signed => matches!(encoding, Encoding::Ascii | Encoding::Ebcdic | Encoding::SignedBcd),
        _ => matches!(encoding, Encoding::Ascii | Encoding::Ebcdic),
    }
}

fn is_byte_encoding(encoding: Encoding) -> bool {
    matches!(encoding, Encoding::Binary | Encoding::Hex | Encoding::EbcdicHex)
}
