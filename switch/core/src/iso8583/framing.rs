//! Where messages begin and end in a byte stream.
//!
//! Owns [`Framing`]: a length, then perhaps a header, then the message. Invariants: pure, it looks at bytes and never waits; a
//! length over the limit is refused as soon as it is read, before its bytes are awaited; a length of nothing is a keep-alive.
//! Deliberately absent: sockets, deadlines, and what to do after an error but this: a framing error ends the connection (S-20),
//! since nothing after it can be trusted.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::charset::{hex_digit, hex_value};

/// Longest fixed header, in bytes.
pub const HEADER_BYTES_MAX: usize = 32;
/// Bytes of a TPDU (NAC) header: an identifier, then destination and source address of two bytes each.
const TPDU_BYTES: usize = 5;
/// Room for the longest length, before it is known.
const NO_LENGTH: [u8; 4] = [0; 4];
/// The TPDU of a message that answers none: identifier 60, addresses of zero.
const TPDU_OWN: [u8; TPDU_BYTES] = [0x60, 0, 0, 0, 0];

/// How the length before a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LengthForm {
    /// Two bytes.
    Binary2,
    /// Four bytes.
    Binary4,
    /// Four ASCII digits.
    Ascii4,
    /// Four packed digits in two bytes.
    Bcd4,
}

impl LengthForm {
    /// Bytes that the length takes.
    pub const fn width(self) -> usize {
        match self {
            LengthForm::Binary2 | LengthForm::Bcd4 => 2,
            LengthForm::Binary4 | LengthForm::Ascii4 => 4,
        }
    }

    const fn most(self) -> usize {
        match self {
            LengthForm::Binary2 => u16::MAX as usize,
            LengthForm::Binary4 => u32::MAX as usize,
            LengthForm::Ascii4 | LengthForm::Bcd4 => 9999,
        }
    }
}

/// Order of the bytes of a binary length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The most significant first.
    #[default]
    Big,
    /// The least significant first.
    Little,
}

/// What stands between the length and the message. The length counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// Nothing.
    #[default]
    None,
    /// A TPDU of five bytes; these are sent where there is none to mirror.
    Tpdu([u8; TPDU_BYTES]),
    /// A header of this many bytes; these are sent where there is none to mirror. Of a received one only its length matters.
    Fixed(HeaderBytes),
}

/// The bytes of a fixed header, at most [`HEADER_BYTES_MAX`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    length: usize,
}

impl HeaderBytes {
    /// The header of these bytes; `None` if there are none, or more than [`HEADER_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut header = Self { bytes: [0; HEADER_BYTES_MAX], length: bytes.len() };
        header.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(header)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        let is_hex = digits.len().is_multiple_of(2) && digits.iter().all(|digit| hex_value(*digit) < 16);
        if !is_hex || digits.len() > 2 * HEADER_BYTES_MAX {
            return None;
        }
        let mut bytes = [0; HEADER_BYTES_MAX];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = hex_value(pair[0]) << 4 | hex_value(pair[1]);
        }
        Self::new(&bytes[..digits.len() / 2])
    }
}

impl fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_bytes() {
            write!(f, "{}{}", char::from(hex_digit(byte >> 4)), char::from(hex_digit(*byte)))?;
        }
        Ok(())
    }
}

impl Header {
    fn len(&self) -> usize {
        match self {
            Header::None => 0,
            Header::Tpdu(_) => TPDU_BYTES,
            Header::Fixed(bytes) => bytes.length,
        }
    }
}

/// Where the header of an answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderMode {
    /// From the request: a fixed header unchanged, a TPDU with its addresses exchanged.
    #[default]
    Mirror,
    /// From the configuration.
    Rewrite,
}

/// How messages are cut out of a byte stream. `{ length = "binary2" }` is the least that a configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framing {
    /// How the length is written: `binary2`, `binary4`, `ascii4` or `bcd4`.
    pub length: LengthForm,
    /// `big` (the default) or `little`, for binary lengths.
    #[serde(default)]
    pub order: Order,
    /// Whether the length counts its own bytes.
    #[serde(default)]
    pub inclusive: bool,
    /// `none` (the default), `tpdu`, `{ tpdu = "6000010002" }` or `{ fixed = "…" }` in hex digits.
    #[serde(default)]
    pub header: Header,
    /// `mirror` (the default) or `rewrite`.
    #[serde(default)]
    pub header_mode: HeaderMode,
}

/// A frame at the start of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes to consume.
    pub total: usize,
    /// Where the header lies; empty when the framing has none.
    pub header: Range<usize>,
    /// Where the message lies; empty for a keep-alive, which is to be ignored (S-20).
    pub body: Range<usize>,
}

/// A frame begun in an output buffer, to be closed when its message is written.
#[derive(Clone, Copy, Debug)]
#[must_use = "a frame that is not closed has no length"]
pub struct FrameMark {
    at: usize,
}

/// What is wrong with a frame. Of one received the peer is at fault and the connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The length is not four digits.
    NotDigits,
    /// The length is over the limit, in bytes.
    TooLong {
        /// Most bytes that header and message may have.
        most: usize,
    },
    /// The length does not even cover itself (when inclusive) and the header.
    TooShort,
    /// A message to be sent is longer than the length can say; ours is the fault, and nothing was sent.
    CannotSay,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::NotDigits => f.write_str("frame length is not four digits"),
            FrameError::TooLong { most } => write!(f, "frame longer than {most} bytes"),
            FrameError::TooShort => f.write_str("frame length does not cover its header"),
            FrameError::CannotSay => f.write_str("message longer than its frame's length can say"),
        }
    }
}

impl std::error::Error for FrameError {}

impl Framing {
    /// Two bytes, the most significant first, not counting themselves; no header.
    pub const DEFAULT: Framing = Framing {
        length: LengthForm::Binary2,
        order: Order::Big,
        inclusive: false,
        header: Header::None,
        header_mode: HeaderMode::Mirror,
    };

    /// The first frame of the input; `None` until all of it is there. Header and message together may have
    /// `frame_bytes_max` bytes.
    ///
    /// # Errors
    /// The peer's fault; the connection cannot be used further.
    pub fn next(&self, input: &[u8], frame_bytes_max: usize) -> Result<Option<Frame>, FrameError> {
        let width = self.length.width();
        let Some(prefix) = input.get(..width) else {
            return Ok(None);
        };
        let said = self.read_length(prefix)?;
        if said == 0 {
            return Ok(Some(Frame { total: width, header: width..width, body: width..width }));
        }
        let counted =
            if self.inclusive { said.checked_sub(width).ok_or(FrameError::TooShort)? } else { said };
        if counted > frame_bytes_max {
            return Err(FrameError::TooLong { most: frame_bytes_max });
        }
        // An inclusive length of itself alone is a keep-alive too.
        let header = if counted == 0 { 0 } else { self.header.len() };
        if counted < header {
            return Err(FrameError::TooShort);
        }
        let total = width + counted;
        if input.len() < total {
            return Ok(None);
        }
        Ok(Some(Frame { total, header: width..width + header, body: width + header..total }))
    }

    /// Begins a frame at the end of `out`: room for the length, and the header. `request_header` is the header of the message
    /// that is answered, empty when none is.
    pub fn open(&self, request_header: &[u8], out: &mut Vec<u8>) -> FrameMark {
        let mark = FrameMark { at: out.len() };
        out.extend_from_slice(&NO_LENGTH[..self.length.width()]);
        let mirrors = self.header_mode == HeaderMode::Mirror && request_header.len() == self.header.len();
        match &self.header {
            Header::None => {}
            Header::Tpdu(own) => match <[u8; TPDU_BYTES]>::try_from(request_header) {
                Ok([id, to_high, to_low, from_high, from_low]) if mirrors => {
                    out.extend_from_slice(&[id, from_high, from_low, to_high, to_low]);
                }
                _ => out.extend_from_slice(own),
            },
            Header::Fixed(own) => {
                out.extend_from_slice(if mirrors { request_header } else { own.as_bytes() })
            }
        }
        mark
    }

    /// Ends the frame: writes its length.
    ///
    /// # Errors
    /// [`FrameError::CannotSay`]; `out` is then as it was before [`Framing::open`].
    pub fn close(&self, mark: FrameMark, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let width = self.length.width();
        let counted = out.len() - mark.at - width;
        let said = if self.inclusive { counted + width } else { counted };
        if said > self.length.most() {
            out.truncate(mark.at);
            return Err(FrameError::CannotSay);
        }
        self.write_length(said, &mut out[mark.at..mark.at + width]);
        Ok(())
    }

    fn read_length(&self, prefix: &[u8]) -> Result<usize, FrameError> {
        match self.length {
            LengthForm::Binary2 | LengthForm::Binary4 => {
                let add = |length: usize, byte: &u8| length << 8 | usize::from(*byte);
                Ok(match self.order {
                    Order::Big => prefix.iter().fold(0, add),
                    Order::Little => prefix.iter().rev().fold(0, add),
                })
            }
            LengthForm::Ascii4 => decimal(prefix.iter().map(|byte| byte.wrapping_sub(b'0'))),
            LengthForm::Bcd4 => decimal(prefix.iter().flat_map(|byte| [byte >> 4, byte & 0x0F])),
        }
    }

    fn write_length(&self, said: usize, prefix: &mut [u8]) {
        let mut rest = said;
        for byte in prefix.iter_mut().rev() {
            match self.length {
                LengthForm::Binary2 | LengthForm::Binary4 => {
                    *byte = rest as u8;
                    rest >>= 8;
                }
                LengthForm::Ascii4 => {
                    *byte = b'0' + (rest % 10) as u8;
                    rest /= 10;
                }
                LengthForm::Bcd4 => {
                    *byte = (((rest / 10 % 10) << 4) | (rest % 10)) as u8;
                    rest /= 100;
                }
            }
        }
        if self.order == Order::Little && matches!(self.length, LengthForm::Binary2 | LengthForm::Binary4) {
            prefix.reverse();
        }
    }
}

fn decimal(digits: impl Iterator<Item = u8>) -> Result<usize, FrameError> {
    digits.into_iter().try_fold(0, |number, digit| {
        if digit > 9 {
            return Err(FrameError::NotDigits);
        }
        Ok(number * 10 + usize::from(digit))
    })
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"none\", \"tpdu\", { tpdu = \"hex\" } or { fixed = \"hex\" }")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Header, E> {
        match word {
            "none" => Ok(Header::None),
            "tpdu" => Ok(Header::Tpdu(TPDU_OWN)),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let Some((key, hex)) = map.next_entry::<String, String>()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        if map.next_key::<String>()?.is_some() {
            return Err(de::Error::custom("a header is either a tpdu or fixed"));
        }
        let bytes = HeaderBytes::from_hex(&hex).ok_or_else(|| {
            de::Error::custom(format!("a header is 1 to {HEADER_BYTES_MAX} bytes in hex digits"))
        })?;
        match key.as_str() {
            "fixed" => Ok(Header::Fixed(bytes)),
            "tpdu" => bytes.as_bytes().try_into().map(Header::Tpdu).map_err(|_| {
                de::Error::custom(format!("a tpdu is {TPDU_BYTES} bytes, {} hex digits", 2 * TPDU_BYTES))
            }),
            _ => Err(de::Error::unknown_field(&key, &["tpdu", "fixed"])),
        }
    }
}
