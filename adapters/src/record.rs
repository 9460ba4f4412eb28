//! The record of a simulated supplier: one JSON line for everything it did.
//!
//! Owns: the line's form, written and read.
//! Invariants: a line is written before the answer that it belongs to leaves; a card number is never in
//! it whole; a line that was cut short reads as nothing.
//! Deliberately absent: files (the shell writes the lines) and what follows from them (`simulated_supplier`).

use crate::moment::Moment;
use serde::Deserialize;
use switchyard_core::iso8583::Mti;
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// What was done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A sale was performed.
    Perform,
    /// A performed sale was undone.
    Reverse,
    /// A sale was refused.
    Refuse,
    /// Nothing changed: a repeat, a reversal of something unknown, a request that is not answered.
    Ignore,
}

impl Action {
    /// The word in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Perform => "perform",
            Self::Reverse => "reverse",
            Self::Refuse => "refuse",
            Self::Ignore => "ignore",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Perform, Self::Reverse, Self::Refuse, Self::Ignore]
            .into_iter()
            .find(|action| action.name() == word)
    }
}

/// A request, as the supplier saw it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// When it arrived, milliseconds since 1970-01-01 UTC.
    pub wall_ms: u64,
    /// Its message type.
    pub mti: Mti,
    /// DE11.
    pub stan: u32,
    /// DE37; a reversal has its original's.
    pub rrn: Text<12>,
    /// DE7.
    pub transmission: [u8; 10],
    /// Account, meter or card; empty where it has none.
    pub account: &'a [u8],
    /// Whether `account` is a card number; only its first six and last four digits are recorded.
    pub card: bool,
    /// Minor units.
    pub amount: Minor,
}

impl Asked<'_> {
    /// Appends the line that says what was done, with its line feed.
    pub fn record(&self, action: Action, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"time":""#);
        Moment::of(self.wall_ms).write_rfc3339(out);
        out.extend_from_slice(br#"","mti":""#);
        out.extend_from_slice(&self.mti.digits());
        out.extend_from_slice(br#"","stan":""#);
        out.extend_from_slice(&crate::digits::<6>(u64::from(self.stan)));
        out.extend_from_slice(br#"","rrn":""#);
        write_escaped(self.rrn.as_bytes(), out);
        out.extend_from_slice(br#"","de7":""#);
        write_escaped(&self.transmission, out);
        out.extend_from_slice(br#"","account":""#);
        self.write_account(out);
        out.extend_from_slice(br#"","amount":"#);
        out.extend_from_slice(self.amount.0.to_string().as_bytes());
        out.extend_from_slice(br#","action":""#);
        out.extend_from_slice(action.name().as_bytes());
        out.extend_from_slice(b"\"}\n");
    }

    fn write_account(&self, out: &mut Vec<u8>) {
        if !self.card {
            return write_escaped(self.account, out);
        }
        let length = self.account.len();
        for (at, &byte) in self.account.iter().enumerate() {
            // A number too short to hide anything between its ends shows its last four only.
            let shown = at + 4 >= length || (at < 6 && length > 12);
            write_escaped(&[if shown { byte } else { b'*' }], out);
        }
    }
}

fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(br"\u003f"),
        }
    }
}

/// What a line says that a supplier must remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Message type of the request.
    pub mti: Mti,
    /// DE37 of the request.
    pub rrn: Text<12>,
    /// What was done.
    pub action: Action,
}

#[derive(Deserialize)]
struct Line<'a> {
    mti: &'a str,
    rrn: &'a str,
    action: &'a str,
}

/// Reads what a record says, line by line, passing over what is no line of it.
pub fn read(record: &[u8]) -> impl Iterator<Item = Past> {
    record.split(|byte| *byte == b'\n').filter_map(|line| {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        Some(Past {
            mti: Mti::new(line.mti.parse().ok()?),
            rrn: Text::new(line.rrn.as_bytes())?,
            action: Action::parse(line.action)?,
        })
    })
}

/// How much of a record is whole lines. A kill can leave a part of a line at the end; the answer that it
/// belongs to never left, so whoever opens the file cuts it there.
pub fn whole_lines(record: &[u8]) -> usize {
    record.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(account: &[u8], card: bool) -> String {
        let asked = Asked {
            wall_ms: 1_798_761_599_042,
            mti: Mti::new(200),
            stan: 42,
            rrn: Text::new(b"00000000001Z").expect("short"),
            transmission: *b"1231235959",
            account,
            card,
            amount: Minor(1_000),
        };
        let mut out = Vec::new();
        asked.record(Action::Perform, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn a_line_has_the_form_that_the_documents_give() {
        assert_eq!(
            line(b"0612345600", false),
            concat!(
                r#"{"time":"2026-12-31T23:59:59.042Z","mti":"0200","stan":"000042","rrn":"00000000001Z","#,
                r#""de7":"1231235959","account":"0612345600","amount":1000,"action":"perform"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_card_number_is_never_whole() {
        assert!(line(b"6006491234567890", true).contains(r#""account":"600649******7890""#));
        assert!(line(b"60064912", true).contains(r#""account":"****4912""#));
    }

    #[test]
    fn any_account_makes_a_json_line_that_reads_back() {
        let record = line(b"a\"b\\c\x07", false);
        let past: Vec<_> = read(record.as_bytes()).collect();
        let rrn = Text::new(b"00000000001Z").expect("short");
        assert_eq!(past, [Past { mti: Mti::new(200), rrn, action: Action::Perform }]);
    }

    #[test]
    fn a_line_cut_short_reads_as_nothing() {
        let record = line(b"06", false);
        for cut in 0..record.len() - 2 {
            assert_eq!(read(&record.as_bytes()[..cut]).count(), 0);
            assert_eq!(whole_lines(&record.as_bytes()[..cut]), 0);
        }
        assert_eq!(whole_lines(record.as_bytes()), record.len());
    }
}
