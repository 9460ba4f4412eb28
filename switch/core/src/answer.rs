//! Answers: the only builder of responses, live or replayed.
//!
//! Owns: which elements a response has, and in what dialect.
//! Invariants: a response depends on the request's frame, the outcome and the moment alone, so that a repeat gets every field as first sent, but DE7 (S-2);
//! a PIN is clear only here, while the response is written, and wiped after.
//! Deliberately absent: what became of the request (`Outcome` says it), framing, and the MAC.

use crate::code::Code;
use crate::details::{self, Detail};
use crate::iso8583::{Build, BuildError, Dialect, Element, Role, Tag, View};
use crate::outcome::{Outcome, Verdict, open_details};
use crate::pack::Unpack;
use crate::seal::Keyring;
use crate::secret::Secret;
use crate::text::Text;
use crate::ticket::Ticket;
use std::sync::Arc;

/// Why a response could not be written. The outcome stands; a repeat asks for it again.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// The dialect cannot express it.
    #[error("the response cannot be built: {0}")]
    Build(#[from] BuildError),
    /// The stored frame or outcome cannot be read.
    #[error("the stored request or outcome cannot be read")]
    Stored,
    /// The secret does not open: its key is missing.
    #[error("{0}")]
    Sealed(#[from] crate::outcome::Unopenable),
}

/// Characters before the value of an element of prepaid data: its tag and its length.
const TAG_HEAD_CHARACTERS: usize = 5;

/// What a response has beside what it echoes.
struct Addition<'a> {
    code: Code,
    day: Option<[u8; 4]>,
    rrn: Text<12>,
    approval: Text<6>,
    transmission: Option<&'a [u8]>,
    pan: &'a [u8],
    details: &'a [u8],
    secret: &'a [u8],
}

/// Writes the response to `ticket` from its frame and outcome. `secret` is the writer's own, and empty again afterwards.
///
/// # Errors
/// See `Unanswerable`; `out` is as it was.
pub fn answer(
    dialects: &[Arc<Dialect>],
    ticket: &Ticket,
    keyring: &Keyring,
    secret: &mut Secret,
    out: &mut Vec<u8>,
) -> Result<usize, Unanswerable> {
    let outcome = Outcome::unpack(&mut Unpack(&ticket.outcome)).map_err(|_| Unanswerable::Stored)?;
    // What came for a sale that was unknown or cancelled belongs to nobody (S-10).
    let approved = outcome.verdict == Verdict::Approved;
    if approved && !outcome.sealed.is_empty() {
        open_details(&outcome, keyring, secret)?;
    }
    let dialect = dialects.get(usize::from(ticket.dialect)).ok_or(Unanswerable::Stored)?;
    let view = match (&ticket.layout, ticket.original.is_empty()) {
        (Some(layout), true) => View::again(dialect, &ticket.frame, layout),
        (None, true) => dialect.view(&ticket.frame).map_err(|_| Unanswerable::Stored)?,
        (_, false) => {
            let source = dialects.get(usize::from(ticket.original_dialect)).ok_or(Unanswerable::Stored)?;
            source.view(&ticket.original).map_err(|_| Unanswerable::Stored)?
        }
    };
    let addition = Addition {
        code: outcome.code,
        day: Some(outcome.day),
        rrn: outcome.rrn,
        approval: if approved { outcome.approval } else { Text::EMPTY },
        // Network management may come without DE7: then there is nothing to echo.
        transmission: ticket.request.transmission[0].is_ascii_digit().then_some(&ticket.request.transmission),
        pan: if ticket.request.pan_echoed { ticket.pan.expose() } else { &[] },
        details: if matches!(outcome.verdict, Verdict::Approved | Verdict::Declined) {
            outcome.details
        } else {
            &[]
        },
        secret: secret.expose(),
    };
    let response = ticket.mti.response().ok_or(Unanswerable::Stored)?;
    let written = respond(dialect, response, &view, &addition, out)
        // What a supplier sent may not fit the terminal's dialect. Its clear words are dropped then: the answer is worth more than they are.
        .or_else(|_| respond(dialect, response, &view, &Addition { details: &[], ..addition }, out));
    secret.clear();
    Ok(written?)
}

/// Writes the response to a message that is refused at the conduit, or the answer to network management (with `Code::APPROVED` too): echoes what
/// could be read of `body`. `day` gives DE15 for the network that the message names, where it can be read.
///
/// # Errors
/// See `Unanswerable`; `out` is as it was.
pub fn refuse(
    dialect: &Dialect,
    body: &[u8],
    code: Code,
    rrn: Text<12>,
    day: impl FnOnce(Option<Text<11>>) -> [u8; 4],
    out: &mut Vec<u8>,
) -> Result<usize, Unanswerable> {
    match dialect.view(body) {
        Ok(view) => refuse_view(dialect, &view, code, rrn, day, out),
        Err(broken) => {
            let view = broken.read.as_ref().ok_or(Unanswerable::Stored)?;
            refuse_view(dialect, view, code, rrn, day, out)
        }
    }
}

fn refuse_view(
    dialect: &Dialect,
    view: &View<'_>,
    code: Code,
    rrn: Text<12>,
    day: impl FnOnce(Option<Text<11>>) -> [u8; 4],
    out: &mut Vec<u8>,
) -> Result<usize, Unanswerable> {
    let response = view.mti().response().ok_or(Unanswerable::Stored)?;
    let mut pan = Secret::new();
    if let Some(value) = view.value(Role::Pan) {
        value.append_to(pan.buffer());
    }
    let own = view.value(Role::Rrn).and_then(|value| value.text());
    let network = view.value(Role::Network).and_then(|value| value.text());
    let mut transmission = Vec::new();
    if let Some(value) = view.value(Role::TransmissionTime) {
        value.append_to(&mut transmission);
    }
    let addition = Addition {
        code,
        day: Some(day(network)),
        rrn: own.unwrap_or(rrn),
        approval: Text::EMPTY,
        transmission: (!transmission.is_empty()).then_some(&transmission[..]),
        pan: pan.expose(),
        details: &[],
        secret: &[],
    };
    Ok(respond(dialect, response, view, &addition, out)?)
}

fn respond(
    dialect: &Dialect,
    response: crate::iso8583::Mti,
    request: &View<'_>,
    addition: &Addition<'_>,
    out: &mut Vec<u8>,
) -> Result<usize, BuildError> {
    let management = response.class_digit() == 8;
    let mut build = Build::new(dialect, response, out);
    // In the order of the reference dialect's elements: what comes in another order is moved into place.
    if !addition.pan.is_empty() {
        build.text(Role::Pan, addition.pan);
    }
    build.echo_all(request, &[Role::ProcessingCode, Role::Amount]);
    if let Some(transmission) = addition.transmission {
        match transmission.as_array::<10>() {
            Some(transmission) => build.characters(Role::TransmissionTime, transmission),
            None => build.text(Role::TransmissionTime, transmission),
        };
    }
    build.echo_all(request, &[Role::Stan, Role::LocalTime, Role::LocalDate]);
    if let (Some(day), false) = (addition.day, management) {
        build.characters(Role::SettlementDate, &day);
    }
    build.echo(request, Role::Network);
    if !management {
        build.short_text(Role::Rrn, &addition.rrn);
        if !addition.approval.is_empty() {
            build.short_text(Role::ApprovalCode, &addition.approval);
        }
    }
    build.characters(Role::ResponseCode, &addition.code.0);
    build.echo_all(request, &[Role::Terminal, Role::Merchant]);
    if !management {
        prepaid(dialect, &mut build, request, addition);
    }
    build.echo(request, Role::Currency);
    if !management {
        texts(&mut build, addition);
    }
    build.echo(request, Role::ManagementCode).echo(request, Role::Original);
    build.finish()
}

/// The prepaid data: third-party identifiers, item reference and unknown elements of the request unaltered, then what the answer adds.
fn prepaid(dialect: &Dialect, build: &mut Build<'_, '_>, request: &View<'_>, addition: &Addition<'_>) {
    let echoed = |name| {
        matches!(request.dialect().tag_meaning(name), None | Some(Tag::ThirdParty | Tag::ItemReference))
    };
    let used = request
        .tags()
        .filter(|(name, _)| echoed(*name))
        .map(|(_, value)| TAG_HEAD_CHARACTERS + value.len())
        .sum();
    let mut added = fitting(dialect, addition, used).peekable();
    if used == 0 && added.peek().is_none() {
        return;
    }
    build.open_tags(Role::Prepaid);
    for (name, value) in request.tags().filter(|(name, _)| echoed(*name)) {
        build.copy_tag(name, &value);
    }
    for (tag, value) in added {
        build.tag(tag, value);
    }
    build.close_tags();
}

/// What the answer adds to the prepaid data, secrets first, as far as there is room beside `used` characters: what does not fit is left out.
fn fitting<'a>(
    dialect: &Dialect,
    addition: &Addition<'a>,
    mut used: usize,
) -> impl Iterator<Item = (Tag, &'a [u8])> {
    let room = dialect.de(Role::Prepaid).and_then(|de| dialect.element(de)).map_or(0, Element::max_len);
    let details = details::iter(addition.secret).chain(details::iter(addition.details));
    details.filter_map(|(detail, value)| Some((tag(detail)?, value))).filter(move |(_, value)| {
        let after = used + TAG_HEAD_CHARACTERS + value.len();
        let fits = after <= room;
        used = if fits { after } else { used };
        fits
    })
}

fn texts(build: &mut Build<'_, '_>, addition: &Addition<'_>) {
    for (detail, value) in details::iter(addition.secret).chain(details::iter(addition.details)) {
        match detail {
            Detail::Balances => build.text(Role::Balances, value),
            Detail::Receipt => build.text(Role::Receipt, value),
            _ => continue,
        };
    }
}

/// The element of prepaid data that shows a detail; none for those that have a field of their own.
fn tag(detail: Detail) -> Option<Tag> {
    Some(match detail {
        Detail::Pin => Tag::Pin,
        Detail::Serial => Tag::Serial,
        Detail::Expiry => Tag::Expiry,
        Detail::SupplierReference => Tag::SupplierReference,
        Detail::Redeem => Tag::Redeem,
        Detail::FaceValue => Tag::FaceValue,
        Detail::Receipt | Detail::Balances => return None,
    })
}
