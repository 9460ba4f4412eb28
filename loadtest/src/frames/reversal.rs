//! Reversals of a sale, built by the codec one by one.
//!
//! Owns: `Reversal` and what it says. Invariants: DE90 names the sale by message type, STAN and DE7 as it was first sent (S-5); it
//! says no card number and no product: the original is found by its name. Deliberately absent: when a sale is reversed.

use super::{Frames, FramesError, Request, edition};
use switchyard_core::iso8583::{Build, BuildError, Dialect, Framing, Role};

/// Why, as DE39 of a reversal says: no answer in time, or the customer went.
const REASONS: [&[u8; 2]; 2] = [b"68", b"17"];

/// One message that takes a sale back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reversal {
    /// What is reversed.
    pub(crate) original: Request,
    /// DE11: its own, or the original's.
    pub(crate) stan: u32,
    /// DE7.
    pub(crate) sent: u32,
    /// Sent as an advice (0420).
    pub(crate) advice: bool,
    /// Sent again (0401, 0421).
    pub(crate) again: bool,
}

impl Reversal {
    fn mti(&self) -> u16 {
        400 + 20 * u16::from(self.advice) + u16::from(self.again)
    }
}

impl Frames {
    /// Appends a reversal; its amount is the original's or zero, which says the same (S-6).
    pub(crate) fn write_reversal(
        &self,
        reversal: &Reversal,
        dialect: &Dialect,
        framing: &Framing,
        out: &mut Vec<u8>,
    ) -> Result<(), FramesError> {
        let product = || self.templates[self.chosen(&reversal.original).template].product.clone();
        let start = out.len();
        let mark = framing.open(&[], out);
        let built = self.build_reversal(reversal, dialect, out);
        let closed = built.map_err(|error| FramesError::Build { product: product(), error }).and_then(|_| {
            framing.close(mark, out).map_err(|error| FramesError::Frame { product: product(), error })
        });
        if closed.is_err() {
            out.truncate(start);
        }
        closed.map(drop)
    }

    fn build_reversal(
        &self,
        reversal: &Reversal,
        dialect: &Dialect,
        out: &mut Vec<u8>,
    ) -> Result<usize, BuildError> {
        let original = &reversal.original;
        let chosen = self.chosen(original);
        let template = &self.templates[chosen.template];
        let terminal = &self.terminals[original.terminal as usize];
        let amount = if original.number.is_multiple_of(3) { 0 } else { chosen.amount };
        let sent = format!("{:010}", reversal.sent);
        let local = format!("{:010}", original.moment);
        let rrn = format!("{:012}", original.number);
        let named = format!(
            "{:04}{:06}{:010}{:0>11}{:011}",
            edition(dialect, super::SALE).number(),
            original.stan,
            original.moment,
            terminal.network,
            0
        );
        let mut build = Build::new(dialect, edition(dialect, reversal.mti()), out);
        build
            .number(Role::ProcessingCode, template.processing)
            .number(Role::Amount, amount)
            .text(Role::TransmissionTime, sent.as_bytes())
            .number(Role::Stan, u64::from(reversal.stan))
            .text(Role::LocalTime, &local.as_bytes()[4..])
            .text(Role::LocalDate, &local.as_bytes()[..4])
            .text(Role::Network, terminal.network.as_bytes())
            .text(Role::Rrn, rrn.as_bytes())
            .text(Role::ResponseCode, REASONS[(original.number / 2 % 2) as usize])
            .text(Role::Terminal, terminal.terminal.as_bytes())
            .text(Role::Merchant, terminal.merchant.as_bytes())
            .number(Role::Currency, template.currency)
            .text(Role::Original, named.as_bytes());
        build.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    #[test]
    fn a_reversal_names_its_original() {
        for name in ["prepaid87", "prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"] {
            let dialect = Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}"));
            let frames = Frames::new(&Profile::demonstration(), &dialect, &Framing::DEFAULT)
                .unwrap_or_else(|error| panic!("{error}"));
            let original = Request { number: 7, terminal: 7, stan: 42, moment: 102_030_405, random: 9 };
            let reversal = Reversal { original, stan: 77, sent: 102_030_500, advice: true, again: true };
            let mut out = Vec::new();
            frames
                .write_reversal(&reversal, &dialect, &Framing::DEFAULT, &mut out)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let frame = Framing::DEFAULT.next(&out, 8_192).expect("a frame").expect("a whole one");
            let view = dialect.view(&out[frame.body]).unwrap_or_else(|broken| panic!("{name}: {broken}"));
            let shown = |role: Role| {
                let mut text = Vec::new();
                view.value(role).expect("an element").append_to(&mut text);
                String::from_utf8(text).expect("ASCII")
            };
            assert_eq!(view.mti().number(), 421);
            assert_eq!(shown(Role::Original), "020000004201020304050000010000100000000000");
            assert_eq!(
                (shown(Role::Stan), shown(Role::TransmissionTime)),
                ("000077".into(), "0102030500".into())
            );
            assert_eq!((shown(Role::LocalTime), shown(Role::LocalDate)), ("030405".into(), "0102".into()));
        }
    }
}
