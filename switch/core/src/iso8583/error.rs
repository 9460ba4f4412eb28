//! What can be wrong with a dialect, a message read and a message built.
//!
//! Owns the error types of the codec but the framing's. Invariants: an error names element, tag, offset and rule, never a
//! value. Deliberately absent: response codes, which are the answer's business.

use std::fmt;

use super::charset::Content;
use super::role::Tag;
use super::view::View;

/// A rule of the wire that a message broke. The sender is at fault; sending the same bytes again cannot help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The message is longer than [`super::MESSAGE_BYTES_MAX`].
    MessageLength,
    /// The message type indicator is missing or not four digits.
    Mti,
    /// The message type indicator is of another edition of the standard than the dialect's.
    Version,
    /// A bitmap is cut off or holds something that is not a hex digit.
    Bitmap,
    /// The bitmap announces an element that the dialect does not define.
    Undefined,
    /// The message ends before the element does.
    Ends,
    /// The length prefix is not a number.
    LengthDigits,
    /// The value is longer than the dialect allows; the most units it may have.
    TooLong(u16),
    /// The value is shorter than its fixed length; the units it must have.
    TooShort(u16),
    /// The value holds something that its class of characters does not.
    Content(Content),
    /// The nibble that fills an odd number of digits is neither 0 nor F.
    Filler,
    /// Bytes follow the last element.
    Trailing,
    /// A tag is not two printable characters and three digits of length.
    TagHeader,
    /// A tagged element runs past the one that holds it.
    TagRunsPast,
    /// A tag that may come once comes again.
    TagRepeated,
    /// Items lie within items.
    TagNesting,
    /// The element is not well-formed BER-TLV.
    Ber,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::MessageLength => write!(f, "message longer than {} bytes", super::MESSAGE_BYTES_MAX),
            Rule::Mti => f.write_str("message type indicator is not four digits"),
            Rule::Version => f.write_str("message type indicator is of another edition of the standard"),
            Rule::Bitmap => f.write_str("bitmap cut off or not hex digits"),
            Rule::Undefined => f.write_str("not defined in this dialect"),
            Rule::Ends => f.write_str("message ends before the element does"),
            Rule::LengthDigits => f.write_str("length prefix is not a number"),
            Rule::TooLong(most) => write!(f, "longer than {most}"),
            Rule::TooShort(least) => write!(f, "shorter than {least}"),
            Rule::Content(content) => write!(f, "holds something that is not of class {}", content.name()),
            Rule::Filler => f.write_str("filler nibble of an odd number of digits is not 0 or F"),
            Rule::Trailing => f.write_str("bytes follow the last element"),
            Rule::TagHeader => f.write_str("tag is not two printable characters and three digits of length"),
            Rule::TagRunsPast => f.write_str("tagged element runs past the one that holds it"),
            Rule::TagRepeated => f.write_str("tag comes more than once"),
            Rule::TagNesting => f.write_str("items lie within items"),
            Rule::Ber => f.write_str("not well-formed BER-TLV"),
        }
    }
}

/// Why a message could not be read: element, tag, offset and rule, never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Number of the element; `None` for the MTI, the bitmaps and the message as a whole.
    pub element: Option<u8>,
    /// Tag within the element, when the dialect gives it a meaning.
    pub tag: Option<Tag>,
    /// Offset in bytes from the start of the message (the MTI's first byte).
    pub offset: usize,
    /// The rule that was broken.
    pub rule: Rule,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(element) = self.element {
            write!(f, "DE{element} ")?;
        }
        if let Some(tag) = self.tag {
            write!(f, "tag {} ", tag.name())?;
        }
        write!(f, "at byte {}: {}", self.offset, self.rule)
    }
}

impl std::error::Error for FormatError {}

/// A message that could not be read to its end.
#[derive(Clone, Debug)]
pub struct Broken<'a> {
    /// The first fault.
    pub error: FormatError,
    /// What was read before the fault, and the STAN where it can be read behind it (R-7: a message whose MTI and STAN can
    /// be read is answered). `None` when not even the MTI and the bitmap could be read.
    pub read: Option<View<'a>>,
}

impl fmt::Display for Broken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Broken<'_> {}

/// A rule that a message being built broke. The caller is at fault: what it put does not fit the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildRule {
    /// The dialect does not define the element.
    Undefined,
    /// The element was put twice.
    Twice,
    /// The value breaks the element's format.
    Format(Rule),
    /// A tag was put while no tagged element was open, or an item was closed that was not open.
    NotOpen,
    /// Something else was put, or the message finished, while a tagged element was open.
    StillOpen,
    /// The element does not hold tags.
    NotTagged,
    /// The message would be longer than [`super::MESSAGE_BYTES_MAX`].
    MessageLength,
}

/// Why a message could not be built: element, tag and rule, never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// Number of the element; `None` for the message as a whole.
    pub element: Option<u8>,
    /// Tag within the element, when the dialect gives it a meaning.
    pub tag: Option<Tag>,
    /// The rule that was broken.
    pub rule: BuildRule,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(element) = self.element {
            write!(f, "DE{element} ")?;
        }
        if let Some(tag) = self.tag {
            write!(f, "tag {} ", tag.name())?;
        }
        f.write_str("cannot be built: ")?;
        match self.rule {
            BuildRule::Undefined => f.write_str("not defined in this dialect"),
            BuildRule::Twice => f.write_str("put twice"),
            BuildRule::Format(rule) => rule.fmt(f),
            BuildRule::NotOpen => f.write_str("no tagged element is open"),
            BuildRule::StillOpen => f.write_str("a tagged element is still open"),
            BuildRule::NotTagged => f.write_str("the element does not hold tags"),
            BuildRule::MessageLength => Rule::MessageLength.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}

/// What is wrong with a dialect file, and where. The file's author is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectError {
    /// Name of the base dialect when the fault lies in it and not in the text given.
    pub base: Option<String>,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 when the file as a whole is meant.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(base) = &self.base {
            write!(f, "in base dialect `{base}`: ")?;
        }
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DialectError {}
