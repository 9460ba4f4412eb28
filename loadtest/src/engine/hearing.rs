//! Which message an answer ends, and what of it is compared.
//!
//! Owns: `Engine::end` and the reading of an answer into [`Heard`]. Invariants: a PIN leaves here as a digest only; two answers have
//! one digest when all their elements but DE7 are equal. Deliberately absent: what is concluded from it (`ledger`).

use super::{Ended, Engine, Open};
use crate::ledger::{Heard, Message};
use std::hash::{DefaultHasher, Hash, Hasher};
use switchyard_core::iso8583::{Role, Tag, Value, View};
use switchyard_core::text::Text;

impl Engine {
    /// Ends the open message that an answer belongs to.
    pub(super) fn end(&mut self, connection: u32, view: &View<'_>) -> Option<Ended> {
        let code = view.value(Role::ResponseCode).and_then(|code| code.text::<2>()).unwrap_or_default();
        let code = code.as_bytes().try_into().unwrap_or([b'?'; 2]);
        if self.ledger.is_some() {
            return self.end_remembered(connection, code, view);
        }
        let stan = view.value(Role::Stan).and_then(|stan| stan.number()).unwrap_or(0);
        let since_ns = self.close(connection, stan as usize)?;
        let sale = view.mti().class_digit() == 2 && view.mti().is_response();
        sale.then_some(Ended { message: Message::Sale, since_ns, code })
    }

    fn end_remembered(&mut self, connection: u32, code: [u8; 2], view: &View<'_>) -> Option<Ended> {
        if !view.mti().is_response() {
            return None;
        }
        let heard = read(code, view);
        let opened = self.ledger.as_mut()?.hear(connection, &heard)?;
        if opened.message == Message::Sale {
            let stan = view.value(Role::Stan).and_then(|stan| stan.number()).unwrap_or(0);
            self.close(connection, stan as usize);
        }
        Some(Ended { message: opened.message, since_ns: opened.since_ns, code })
    }

    /// Ends the open request of that STAN; when it was meant to be sent.
    fn close(&mut self, connection: u32, stan: usize) -> Option<u64> {
        let open = self.table.get_mut(stan)?;
        if open.since_ns == 0 || open.connection != connection {
            return None;
        }
        let since_ns = open.since_ns - 1;
        *open = Open::default();
        self.open -= 1;
        Some(since_ns)
    }
}

fn read(code: [u8; 2], view: &View<'_>) -> Heard {
    let tag = |tag: Tag| view.tag(tag).map(|value| digest_of(&value));
    let reference = view.tag(Tag::SupplierReference).and_then(|reference| reference.text::<20>());
    Heard {
        class: view.mti().class_digit(),
        number: view.value(Role::Rrn).and_then(|rrn| rrn.number()).unwrap_or(0),
        code,
        digest: digest(view),
        serial: tag(Tag::Serial),
        pin: tag(Tag::Pin),
        reference: reference.map(rrn_of).unwrap_or_default(),
    }
}

/// The RRN in a simulated supplier's reference, which is the RRN behind three letters.
fn rrn_of(reference: Text<20>) -> Text<12> {
    reference.as_bytes().strip_prefix(b"REF").and_then(Text::new).unwrap_or_default()
}

/// A digest of all elements but DE7, which a repeat's answer has from the repeat (S-2).
fn digest(view: &View<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    view.mti().number().hash(&mut hasher);
    let transmission = view.dialect().de(Role::TransmissionTime);
    for (de, value) in view.elements().filter(|(de, _)| Some(*de) != transmission) {
        (de, value.raw()).hash(&mut hasher);
    }
    hasher.finish()
}

fn digest_of(value: &Value<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.raw().hash(&mut hasher);
    hasher.finish()
}
