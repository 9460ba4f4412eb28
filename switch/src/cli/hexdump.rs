//! The bytes of a message in hex, without what the dialect masks.
//!
//! Owns: which bytes may be seen, and the dump with a caret under the place of a fault. Invariants: bytes of masked elements,
//! and bytes that nobody could assign to an element, are `**` unless secrets are asked for. Deliberately absent: reading.

use super::paint::Paint;
use std::fmt::Write as _;
use switchyard_core::iso8583::{Broken, Mask, Role, Value, View};

/// Bytes of a line.
const LINE_BYTES: usize = 16;
/// Lines shown before and after the one with the fault.
const LINES_AROUND: usize = 1;
/// Bytes shown of a message whose head cannot be read, beyond the fault: enough for an MTI, too few for a card number.
const HEAD_BYTES: usize = 4;

/// Which bytes of a whole message may be seen.
pub fn visible(view: &View<'_>, secrets: bool) -> Vec<bool> {
    let mut visible = vec![true; view.message().len()];
    if !secrets {
        hide(view, &mut visible, None);
    }
    visible
}

/// Which bytes of a broken message may be seen.
pub fn visible_broken(broken: &Broken<'_>, message: &[u8], secrets: bool) -> Vec<bool> {
    if secrets {
        return vec![true; message.len()];
    }
    let mut visible = vec![false; message.len()];
    let fault = broken.error.offset;
    let Some(view) = &broken.read else {
        fill(&mut visible, 0, fault.min(message.len()) + HEAD_BYTES, true);
        return visible;
    };
    let at_fault = broken.error.element.and_then(|de| view.dialect().element(de));
    let is_clear = at_fault.is_some_and(|element| element.mask() == Mask::Clear);
    let read_to = ends_before(view, broken.error.element);
    // What was read, its prefixes included; of the faulty element the bytes up to the fault, where they are nobody's secret.
    fill(&mut visible, 0, if is_clear { (fault + 1).max(read_to) } else { read_to }, true);
    hide(view, &mut visible, broken.error.element);
    visible
}

/// Hides the values that the dialect masks; only elements before `until`.
fn hide(view: &View<'_>, visible: &mut [bool], until: Option<u8>) {
    let dialect = view.dialect();
    for (de, value) in view.elements().filter(|(de, _)| until.is_none_or(|until| *de < until)) {
        if dialect.role(de) == Some(Role::Prepaid) {
            for (_, tag) in value.tags().filter(|(name, _)| dialect.tag_mask(*name) != Mask::Clear) {
                hide_value(view, &tag, visible);
            }
        } else if dialect.element(de).is_none_or(|element| element.mask() != Mask::Clear) {
            hide_value(view, &value, visible);
        }
    }
}

fn hide_value(view: &View<'_>, value: &Value<'_>, visible: &mut [bool]) {
    let (start, length) = (offset(view, value), value.raw().len());
    fill(visible, start, start + length, false);
}

/// Where the last element that was read before this one ends; where none was, the end of the head.
fn ends_before(view: &View<'_>, until: Option<u8>) -> usize {
    let read = view.elements().filter(|(de, _)| until.is_none_or(|until| *de < until)).last();
    read.map_or(0, |(_, value)| offset(view, &value) + value.raw().len())
}

/// Where a value begins in its message. A value borrows from it, so the addresses can be compared.
fn offset(view: &View<'_>, value: &Value<'_>) -> usize {
    value.raw().as_ptr().addr().saturating_sub(view.message().as_ptr().addr())
}

fn fill(visible: &mut [bool], from: usize, to: usize, with: bool) {
    let to = to.min(visible.len());
    visible.get_mut(from.min(to)..to).unwrap_or_default().fill(with);
}

/// The whole message.
pub fn dump(message: &[u8], visible: &[bool], paint: &Paint) -> String {
    let mut out = String::new();
    for start in (0..message.len()).step_by(LINE_BYTES) {
        line(message, visible, start, paint, &mut out);
    }
    out
}

/// The lines around a fault, with a caret under it.
pub fn dump_around(message: &[u8], visible: &[bool], fault: usize, paint: &Paint) -> String {
    let fault_line = fault / LINE_BYTES;
    let mut out = String::new();
    for number in fault_line.saturating_sub(LINES_AROUND)..=fault_line + LINES_AROUND {
        let start = number * LINE_BYTES;
        // A fault right behind the end still gets a line for its caret.
        if start < message.len() || number == fault_line {
            line(message, visible, start, paint, &mut out);
        }
        if number == fault_line {
            let column = 3 * (fault % LINE_BYTES);
            let _ = writeln!(
                out,
                "{}      |{} {:column$}{}^^{}",
                paint.quiet, paint.end, "", paint.bad, paint.end
            );
        }
    }
    out
}

fn line(message: &[u8], visible: &[bool], start: usize, paint: &Paint, out: &mut String) {
    let end = (start + LINE_BYTES).min(message.len());
    let (mut hex, mut ascii) = (String::new(), String::new());
    for (at, byte) in (start..end).zip(&message[start.min(end)..end]) {
        if visible.get(at).copied().unwrap_or(false) {
            let _ = write!(hex, "{byte:02X} ");
            ascii.push(if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' });
        } else {
            hex.push_str("** ");
            ascii.push('*');
        }
    }
    let Paint { quiet, end, .. } = paint;
    let _ =
        writeln!(out, "{quiet} {start:04} |{end} {hex:<width$} {quiet}{ascii}{end}", width = 3 * LINE_BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_core::iso8583::{Build, Dialect, Mti, Tag};

    const PIN: &[u8] = b"7391846250917283";

    fn message(dialect: &Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        let mut build = Build::new(dialect, Mti::new(210), &mut out);
        build.text(Role::Pan, b"6006491234567890").number(Role::Stan, 7);
        build.open_tags(Role::Prepaid).tag(Tag::Product, b"VOUCHER10").tag(Tag::Pin, PIN).close_tags();
        build.number(Role::Currency, 978);
        build.finish().expect("fits the dialect");
        out
    }

    #[test]
    fn masked_bytes_are_not_shown() {
        let dialect = Dialect::open_shipped("prepaid87").expect("shipped");
        let message = message(&dialect);
        let view = dialect.view(&message).expect("sound");
        let hidden = visible(&view, false).iter().filter(|visible| !**visible).count();
        assert_eq!(hidden, 16 + PIN.len(), "the card number and the PIN");
        assert!(dump(&message, &visible(&view, false), &Paint::NONE).contains("02 10") || hidden > 0);
        assert!(visible(&view, true).iter().all(|visible| *visible));
    }

    #[test]
    fn bytes_behind_a_fault_are_not_shown() {
        let dialect = Dialect::open_shipped("prepaid87").expect("shipped");
        let mut message = message(&dialect);
        // The STAN's first digit, behind MTI, bitmap and card number.
        let at = 4 + 16 + 18;
        message[at] = b'X';
        let broken = dialect.view(&message).expect_err("a letter in the STAN");
        assert_eq!(broken.error.offset, at);
        let visible = visible_broken(&broken, &message, false);
        assert!(visible[at] && visible[..22].iter().all(|visible| *visible));
        assert!(visible[at + 1..].iter().all(|visible| !*visible));
        assert!(visible[22..38].iter().all(|visible| !*visible));
        let shown = dump_around(&message, &visible, at, &Paint::NONE);
        let lines: Vec<_> = shown.lines().collect();
        let caret = lines.iter().position(|line| line.contains('^')).expect("a caret");
        assert_eq!(&lines[caret - 1][lines[caret].find('^').expect("there")..][..2], "58");
    }

    #[test]
    fn a_fault_behind_the_end_has_its_caret() {
        let shown = dump_around(b"0200", &[true; 4], 4, &Paint::NONE);
        assert_eq!(
            shown,
            " 0000 | 30 32 30 30                                      0200\n      |             ^^\n"
        );
        assert!(dump_around(&[0; 16], &[true; 16], 16, &Paint::NONE).ends_with("      | ^^\n"));
    }
}
