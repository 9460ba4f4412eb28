//! The answers that a host gives.
//!
//! Owns: which elements of a response are details and which are secrets.
//! Invariants: a PIN, and a receipt beside a PIN, go to the secrets and nowhere else.
//! Deliberately absent: what a code means (the supplier's table) and which order it answers (the session's).

use switchyard_core::adapter::{LinkNo, Out, Reply, ReplyTo};
use switchyard_core::details::Detail;
use switchyard_core::iso8583::{Role, Tag, Value, View};

/// Tags of DE48 that are details, in clear.
const DETAILS: [(Tag, Detail); 5] = [
    (Tag::Serial, Detail::Serial),
    (Tag::Expiry, Detail::Expiry),
    (Tag::SupplierReference, Detail::SupplierReference),
    (Tag::Redeem, Detail::Redeem),
    (Tag::FaceValue, Detail::FaceValue),
];

/// Reports the answer to a sale, a reversal or a question for a status; false where the message is neither, or has no STAN.
pub(super) fn read(link: LinkNo, view: &View<'_>, out: &mut Out) -> bool {
    let to = match view.mti().class_digit() {
        2 => ReplyTo::Sale,
        4 => ReplyTo::Reversal,
        1 => ReplyTo::Status,
        _ => return false,
    };
    let stan = view.value(Role::Stan).and_then(|stan| stan.number()).and_then(|stan| stan.try_into().ok());
    let Some(stan) = stan else { return false };
    let details = out.details.len();
    let secret = out.secrets.expose().len();
    read_details(view, out);
    out.replies.push(Reply {
        link,
        to,
        stan,
        transmission: transmission(view),
        rrn: view.value(Role::Rrn).and_then(|rrn| rrn.text()),
        code: view.value(Role::ResponseCode).and_then(|code| code.text()).unwrap_or_default(),
        approval: view.value(Role::ApprovalCode).and_then(|code| code.text()).unwrap_or_default(),
        details: details..out.details.len(),
        secret: secret..out.secrets.expose().len(),
    });
    true
}

fn transmission(view: &View<'_>) -> Option<[u8; 10]> {
    view.value(Role::TransmissionTime)?.characters()
}

fn read_details(view: &View<'_>, out: &mut Out) {
    let mut pin = false;
    for (name, value) in view.tags() {
        match view.dialect().tag_meaning(name) {
            Some(Tag::Pin) => {
                pin = true;
                put(out.secrets.buffer(), Detail::Pin, &value);
            }
            Some(tag) => {
                if let Some((_, detail)) = DETAILS.iter().find(|(known, _)| *known == tag) {
                    put(&mut out.details, *detail, &value);
                }
            }
            None => {}
        }
    }
    if let Some(receipt) = view.value(Role::Receipt) {
        let run = if pin { out.secrets.buffer() } else { &mut out.details };
        put(run, Detail::Receipt, &receipt);
    }
    if let Some(balances) = view.value(Role::Balances) {
        put(&mut out.details, Detail::Balances, &balances);
    }
}

/// Appends a value to a run of details, without a copy beside it that would have to be wiped.
fn put(run: &mut Vec<u8>, detail: Detail, value: &Value<'_>) {
    let start = run.len();
    run.extend_from_slice(&[detail as u8, 0, 0]);
    value.append_to(run);
    // An element is at most 9,999 characters long, so the length always fits.
    let length = u16::try_from(run.len() - start - 3).unwrap_or(u16::MAX);
    run[start + 1..start + 3].copy_from_slice(&length.to_be_bytes());
}
