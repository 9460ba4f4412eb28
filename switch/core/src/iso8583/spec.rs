//! Dialect files: TOML as written, checked word by word, with the base dialect merged underneath.
//!
//! Owns [`Spec`], what a dialect file says after its words are understood, and the line and column of every complaint.
//! Invariants: unknown keys and words are refused; a key of a file overrides the same key of its base. Deliberately absent:
//! whether the whole fits together, which the compilation in `dialect` checks.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::ELEMENT_MAX;
use super::error::DialectError;
use super::field::{Encoding, Format, Nested, Pad, PrefixEncoding};
use super::mti::Version;
use super::role::{Mask, Role, Tag, Word};

/// Longest chain of `extends`.
const BASES_MAX: usize = 4;

/// The file as TOML has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    name: String,
    extends: Option<Spanned<String>>,
    version: Option<Spanned<u16>>,
    mti: Option<Spanned<String>>,
    bitmap: Option<Spanned<String>>,
    bitmaps: Option<Spanned<u8>>,
    bitmap_always_secondary: Option<bool>,
    numeric: Option<Spanned<String>>,
    text: Option<Spanned<String>>,
    track: Option<Spanned<String>>,
    binary: Option<Spanned<String>>,
    length: Option<Spanned<String>>,
    filler: Option<Spanned<String>>,
    #[serde(default)]
    element: BTreeMap<String, Spanned<RawElement>>,
    #[serde(default)]
    tag: BTreeMap<String, Spanned<RawTag>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawElement {
    name: Option<String>,
    format: Option<Spanned<String>>,
    role: Option<Spanned<String>>,
    mask: Option<Spanned<String>>,
    encoding: Option<Spanned<String>>,
    length: Option<Spanned<String>>,
    pad: Option<Spanned<String>>,
    nested: Option<Spanned<String>>,
    parts: Option<Vec<u16>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTag {
    tag: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
    mask: Option<Spanned<String>>,
}

/// What a dialect file says, and its bases where it says nothing.
#[derive(Default)]
pub(super) struct Spec {
    pub(super) name: String,
    pub(super) version: Option<Version>,
    pub(super) mti: Option<Encoding>,
    pub(super) bitmap: Option<Encoding>,
    pub(super) bitmaps: Option<u8>,
    pub(super) bitmap_always_secondary: Option<bool>,
    pub(super) numeric: Option<Encoding>,
    pub(super) text: Option<Encoding>,
    pub(super) track: Option<Encoding>,
    pub(super) binary: Option<Encoding>,
    pub(super) length: Option<PrefixEncoding>,
    pub(super) filler: Option<u8>,
    pub(super) elements: BTreeMap<u8, ElementSpec>,
    pub(super) tags: BTreeMap<Tag, TagSpec>,
}

/// One element of a dialect file.
#[derive(Clone, Default)]
pub(super) struct ElementSpec {
    pub(super) place: Place,
    pub(super) name: Option<String>,
    pub(super) format: Option<(String, Format)>,
    pub(super) role: Option<Role>,
    pub(super) mask: Option<Mask>,
    pub(super) encoding: Option<Encoding>,
    pub(super) length: Option<PrefixEncoding>,
    pub(super) pad: Option<Pad>,
    pub(super) nested: Option<Nested>,
    pub(super) parts: Option<Vec<u16>>,
}

/// One tag of a dialect file.
#[derive(Clone, Default)]
pub(super) struct TagSpec {
    pub(super) place: Place,
    pub(super) tag: Option<[u8; 2]>,
    pub(super) format: Option<Format>,
    pub(super) mask: Option<Mask>,
}

/// Where something is written.
#[derive(Clone, Default)]
pub(super) struct Place {
    base: Option<String>,
    line: usize,
    column: usize,
}

impl Place {
    /// A complaint about what is written here.
    pub(super) fn error(&self, what: impl Into<String>) -> DialectError {
        DialectError {
            base: self.base.clone(),
            line: self.line,
            column: self.column,
            what: what.into(),
            suggestion: None,
        }
    }
}

/// Reads a dialect file and its bases.
pub(super) fn read(text: &str, base: &dyn Fn(&str) -> Option<String>) -> Result<Spec, DialectError> {
    read_file(text, base, None, 0)
}

fn read_file(
    text: &str,
    base: &dyn Fn(&str) -> Option<String>,
    file: Option<&str>,
    depth: usize,
) -> Result<Spec, DialectError> {
    let reader = Reader { text, file };
    let raw: RawSpec = toml::from_str(text).map_err(|error| reader.toml_error(&error))?;
    let Some(extends) = &raw.extends else {
        return reader.spec(&raw);
    };
    if depth == BASES_MAX {
        return Err(reader.error(
            extends,
            "too many dialects extend one another; is one its own base?",
            None,
        ));
    }
    let name = extends.get_ref();
    let base_text = base(name)
        .ok_or_else(|| reader.error(extends, format!("there is no dialect `{name}` to extend"), None))?;
    let under = read_file(&base_text, base, Some(name), depth + 1)?;
    Ok(merge(reader.spec(&raw)?, under))
}

/// Lays a file over its base, key by key.
fn merge(over: Spec, under: Spec) -> Spec {
    let mut elements = under.elements;
    for (number, element) in over.elements {
        let merged = match elements.remove(&number) {
            Some(base) => merge_element(element, base),
            None => element,
        };
        elements.insert(number, merged);
    }
    let mut tags = under.tags;
    for (tag, spec) in over.tags {
        let base = tags.remove(&tag).unwrap_or_default();
        let merged = TagSpec {
            place: spec.place,
            tag: spec.tag.or(base.tag),
            format: spec.format.or(base.format),
            mask: spec.mask.or(base.mask),
        };
        tags.insert(tag, merged);
    }
    Spec {
        name: over.name,
        version: over.version.or(under.version),
        mti: over.mti.or(under.mti),
        bitmap: over.bitmap.or(under.bitmap),
        bitmaps: over.bitmaps.or(under.bitmaps),
        bitmap_always_secondary: over.bitmap_always_secondary.or(under.bitmap_always_secondary),
        numeric: over.numeric.or(under.numeric),
        text: over.text.or(under.text),
        track: over.track.or(under.track),
        binary: over.binary.or(under.binary),
        length: over.length.or(under.length),
        filler: over.filler.or(under.filler),
        elements,
        tags,
    }
}

fn merge_element(over: ElementSpec, under: ElementSpec) -> ElementSpec {
    ElementSpec {
        place: over.place,
        name: over.name.or(under.name),
        format: over.format.or(under.format),
        role: over.role.or(under.role),
        mask: over.mask.or(under.mask),
        encoding: over.encoding.or(under.encoding),
        length: over.length.or(under.length),
        pad: over.pad.or(under.pad),
        nested: over.nested.or(under.nested),
        parts: over.parts.or(under.parts),
    }
}

/// Understands the words of one file and knows where they stand.
struct Reader<'t> {
    text: &'t str,
    /// Name of the file when it is a base.
    file: Option<&'t str>,
}

impl Reader<'_> {
    fn spec(&self, raw: &RawSpec) -> Result<Spec, DialectError> {
        Ok(Spec {
            name: raw.name.clone(),
            version: raw.version.as_ref().map(|year| self.version(year)).transpose()?,
            mti: self.word(&raw.mti, "encoding")?,
            bitmap: self.word(&raw.bitmap, "encoding")?,
            bitmaps: raw.bitmaps.as_ref().map(|count| self.bitmaps(count)).transpose()?,
            bitmap_always_secondary: raw.bitmap_always_secondary,
            numeric: self.word(&raw.numeric, "encoding")?,
            text: self.word(&raw.text, "encoding")?,
            track: self.word(&raw.track, "encoding")?,
            binary: self.word(&raw.binary, "encoding")?,
            length: self.word(&raw.length, "length encoding")?,
            filler: raw.filler.as_ref().map(|filler| self.filler(filler)).transpose()?,
            elements: raw
                .element
                .iter()
                .map(|(number, element)| self.element(number, element))
                .collect::<Result<_, _>>()?,
            tags: raw.tag.iter().map(|(name, tag)| self.tag(name, tag)).collect::<Result<_, _>>()?,
        })
    }

    fn element(&self, key: &str, raw: &Spanned<RawElement>) -> Result<(u8, ElementSpec), DialectError> {
        let number =
            key.parse().ok().filter(|number| (2..=ELEMENT_MAX).contains(number) && !key.starts_with('0'));
        let Some(number) = number else {
            return Err(self.error(
                raw,
                format!("element `{key}` is not a number from 2 to {ELEMENT_MAX}"),
                None,
            ));
        };
        let element = raw.get_ref();
        let spec = ElementSpec {
            place: self.place(raw.span().start),
            name: element.name.clone(),
            format: element.format.as_ref().map(|text| self.element_format(text)).transpose()?,
            role: self.word(&element.role, "role")?,
            mask: self.word(&element.mask, "mask")?,
            encoding: self.word(&element.encoding, "encoding")?,
            length: self.word(&element.length, "length encoding")?,
            pad: self.word(&element.pad, "padding")?,
            nested: self.word(&element.nested, "nested form")?,
            parts: element.parts.clone(),
        };
        Ok((number, spec))
    }

    fn tag(&self, name: &str, raw: &Spanned<RawTag>) -> Result<(Tag, TagSpec), DialectError> {
        let Some(tag) = Tag::parse(name) else {
            return Err(self.error(raw, format!("unknown tag `{name}`"), nearest(name, words::<Tag>())));
        };
        let written = raw.get_ref();
        let spec = TagSpec {
            place: self.place(raw.span().start),
            tag: written.tag.as_ref().map(|text| self.tag_name(text)).transpose()?,
            format: written.format.as_ref().map(|text| self.tag_format(text)).transpose()?,
            mask: self.word(&written.mask, "mask")?,
        };
        Ok((tag, spec))
    }

    fn tag_name(&self, text: &Spanned<String>) -> Result<[u8; 2], DialectError> {
        <[u8; 2]>::try_from(text.get_ref().as_bytes())
            .ok()
            .filter(|name| name.iter().all(u8::is_ascii_graphic))
            .ok_or_else(|| self.error(text, "a tag is two printable characters", None))
    }

    fn format(&self, text: &Spanned<String>) -> Result<Format, DialectError> {
        Format::parse(text.get_ref())
            .map_err(|what| self.error(text, format!("format `{}`: {what}", text.get_ref()), None))
    }

    fn element_format(&self, text: &Spanned<String>) -> Result<(String, Format), DialectError> {
        let format = self.format(text)?;
        if format.is_variable && format.length_digits == 0 {
            return Err(self.error(
                text,
                "a variable length needs its length prefix, as in `n..19 LL`",
                None,
            ));
        }
        Ok((text.get_ref().clone(), format))
    }

    fn tag_format(&self, text: &Spanned<String>) -> Result<Format, DialectError> {
        let format = self.format(text)?;
        if format.length_digits != 0 {
            return Err(self.error(text, "a tag has its length before it already: leave the Ls out", None));
        }
        if usize::from(format.units_max) > super::tags::TAG_VALUE_MAX {
            return Err(self.error(text, "a tag's value is at most 999 characters", None));
        }
        Ok(format)
    }

    fn version(&self, year: &Spanned<u16>) -> Result<Version, DialectError> {
        [Version::Iso1987, Version::Iso1993, Version::Iso2003]
            .into_iter()
            .find(|version| version.year() == *year.get_ref())
            .ok_or_else(|| self.error(year, "the editions are 1987, 1993 and 2003", None))
    }

    fn bitmaps(&self, count: &Spanned<u8>) -> Result<u8, DialectError> {
        match *count.get_ref() {
            count @ 1..=3 => Ok(count),
            _ => Err(self.error(count, "a message has at most 1, 2 or 3 bitmaps", None)),
        }
    }

    fn filler(&self, text: &Spanned<String>) -> Result<u8, DialectError> {
        match text.get_ref().as_str() {
            "0" => Ok(0),
            "F" | "f" => Ok(0x0F),
            _ => Err(self.error(text, "the filler is \"0\" or \"F\"", None)),
        }
    }

    fn word<T: Word>(&self, text: &Option<Spanned<String>>, what: &str) -> Result<Option<T>, DialectError> {
        let Some(text) = text else { return Ok(None) };
        match T::of_word(text.get_ref()) {
            Some(word) => Ok(Some(word)),
            None => {
                let what = format!("unknown {what} `{}`", text.get_ref());
                Err(self.error(text, what, nearest(text.get_ref(), words::<T>())))
            }
        }
    }

    fn error<T>(&self, at: &Spanned<T>, what: impl Into<String>, suggestion: Option<String>) -> DialectError {
        DialectError { suggestion, ..self.place(at.span().start).error(what) }
    }

    fn toml_error(&self, error: &toml::de::Error) -> DialectError {
        let place = self.place(error.span().map_or(0, |span| span.start));
        let message = error.message();
        // serde puts the unknown key and those it knows between back quotes, in this order.
        let mut quoted = message.split('`').skip(1).step_by(2);
        let suggestion = match quoted.next() {
            Some(unknown) if message.starts_with("unknown field") => nearest(unknown, quoted),
            _ => None,
        };
        DialectError { suggestion, ..place.error(message.replace("unknown field", "unknown key")) }
    }

    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            base: self.file.map(str::to_owned),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

fn words<T: Word>() -> impl Iterator<Item = &'static str> {
    T::all().iter().map(|word| word.word())
}

/// Proposes the known word nearest to an unknown one, if one is near; else lists them.
fn nearest<'w>(unknown: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let known: Vec<&str> = known.collect();
    let best = known.iter().min_by_key(|word| distance(unknown, word))?;
    if distance(unknown, best) <= unknown.len().div_ceil(3) {
        return Some(format!("did you mean `{best}`?"));
    }
    Some(format!("known are {}", known.join(", ")))
}

/// Edit distance of two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
