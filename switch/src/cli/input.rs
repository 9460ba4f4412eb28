//! A message as somebody has it: in hex, base64 or raw, perhaps with a frame around it.
//!
//! Owns: which readings an input allows. Invariants: every reading is of the whole input; an input that could be several things
//! gives several readings, likeliest first, and the codec decides; buffers are wiped. Deliberately absent: the codec.

use base64::Engine as _;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt;
use switchyard_core::iso8583::{FrameError, Framing};
use zeroize::Zeroizing;

/// How an input is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Hex digits; white space, colons and a leading 0x do not count.
    Hex,
    /// Base64, standard or URL-safe.
    Base64,
    /// The bytes themselves.
    Raw,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Raw => "raw bytes",
        })
    }
}

/// An input read in one way.
pub struct Reading {
    /// Which way.
    pub form: Form,
    /// The bytes that it stands for.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What an input may be, likeliest first; only `form` where that is known. Empty where it cannot be that.
pub fn readings(input: &[u8], form: Option<Form>) -> Vec<Reading> {
    let all =
        [(Form::Hex, hex(input)), (Form::Base64, base64(input)), (Form::Raw, raw(input, form.is_some()))];
    let wanted = all.into_iter().filter(|(found, _)| form.is_none_or(|form| form == *found));
    wanted.filter_map(|(form, bytes)| Some(Reading { form, bytes: Zeroizing::new(bytes?) })).collect()
}

fn hex(input: &[u8]) -> Option<Vec<u8>> {
    let digits: Zeroizing<Vec<u8>> = Zeroizing::new(
        input.iter().copied().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':').collect(),
    );
    let digits = digits.strip_prefix(b"0x").unwrap_or(&digits);
    if digits.is_empty() { None } else { hex::decode(digits).ok() }
}

fn base64(input: &[u8]) -> Option<Vec<u8>> {
    use base64::alphabet;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text: Zeroizing<Vec<u8>> =
        Zeroizing::new(input.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let standard = GeneralPurpose::new(&alphabet::STANDARD, config).decode(text.as_slice());
    let decoded =
        standard.or_else(|_| GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(text.as_slice()));
    decoded.ok().filter(|bytes| !bytes.is_empty())
}

/// The bytes themselves; of a text without the line end that editors and shells leave, unless they are said to be raw.
fn raw(input: &[u8], exactly: bool) -> Option<Vec<u8>> {
    let is_text = input.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n'));
    let bytes = if is_text && !exactly { input.trim_ascii_end() } else { input };
    (!bytes.is_empty()).then(|| bytes.to_vec())
}

/// Cuts a stream into the messages of its frames, keep-alives left out; where each begins in the stream.
///
/// # Errors
/// What is wrong with a frame; `None`: it is not complete.
pub fn cut(stream: &[u8], framing: &Framing) -> Result<Vec<(usize, Vec<u8>)>, Option<FrameError>> {
    let mut messages = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let frame = framing.next(&stream[at..], usize::from(u16::MAX)).map_err(Some)?.ok_or(None)?;
        if !frame.body.is_empty() {
            messages.push((at + frame.body.start, stream[at..][frame.body.clone()].to_vec()));
        }
        at += frame.total;
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(input: &[u8]) -> Vec<Form> {
        readings(input, None).iter().map(|reading| reading.form).collect()
    }

    #[test]
    fn every_reading_that_is_possible_is_given() {
        assert_eq!(forms(b"0800 8220\n00"), [Form::Hex, Form::Raw]);
        assert_eq!(forms(b"08008220"), [Form::Hex, Form::Base64, Form::Raw]);
        assert_eq!(forms(b"MDgwMA=="), [Form::Base64, Form::Raw]);
        assert_eq!(forms(b"0800\xff\x00"), [Form::Raw]);
        assert_eq!(forms(b""), []);
    }

    #[test]
    fn readings_are_of_the_same_bytes() {
        for input in [&b"30383030"[..], b"0x30383030", b"30:38:30:30", b"MDgwMA==", b"MDgwMA", b"0800\n"] {
            let all = readings(input, None);
            assert!(all.iter().any(|reading| reading.bytes.as_slice() == b"0800"), "{input:?}");
        }
    }

    #[test]
    fn raw_bytes_are_left_alone_where_they_are_said_to_be_raw() {
        let raw = readings(b"0800\n", Some(Form::Raw));
        assert_eq!(raw[0].bytes.as_slice(), b"0800\n");
        assert!(readings(b"xyz", Some(Form::Hex)).is_empty());
    }

    #[test]
    fn a_stream_is_cut_into_its_messages() {
        let cut = |stream: &[u8]| super::cut(stream, &Framing::DEFAULT);
        assert_eq!(cut(b"\0\x02ab\0\0\0\x01c"), Ok(vec![(2, b"ab".to_vec()), (8, b"c".to_vec())]));
        assert_eq!(cut(b"\0\x05ab"), Err(None));
    }
}
