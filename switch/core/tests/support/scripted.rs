//! A supplier's protocol of one line a message, and the adapter that speaks it.

use super::books::text;
use super::locals::pin_of;
use switchyard_core::adapter::{Ask, Fault, Heard, LinkNo, Order, Out, Reply, ReplyTo, Unaskable, Wire};
use switchyard_core::catalogue::Service;
use switchyard_core::details::{Detail, put};
use switchyard_core::ids::Now;
use switchyard_core::text::Text;

/// What the switch says first on a link.
pub(crate) const HELLO: &[u8] = b"hello";
/// What the supplier answers to it.
pub(crate) const WELCOME: &[u8] = b"welcome";
/// An account that the protocol cannot express.
pub(crate) const UNASKABLE: &str = "0699999999";

/// What stands in a request where its answer has the PIN.
const WANTED: &str = "?";

/// A message about a sale or its reversal, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) reversal: bool,
    /// Whether it is about the sale's status.
    pub(crate) status: bool,
    pub(crate) repeat: bool,
    pub(crate) stan: u32,
    pub(crate) transmission: [u8; 10],
    pub(crate) rrn: Text<12>,
    pub(crate) amount: i64,
    /// Empty in a request.
    pub(crate) code: Text<4>,
    /// In a request for a voucher `WANTED`, in its answer the PIN; else empty.
    pub(crate) pin: String,
}

impl Line {
    /// As it goes over the wire.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let transmission = String::from_utf8_lossy(&self.transmission);
        let repeat = u8::from(self.repeat);
        let kind = if self.status { 2 } else { u8::from(self.reversal) };
        let (stan, rrn, amount, code, pin) = (self.stan, self.rrn, self.amount, self.code, &self.pin);
        format!("{kind}|{repeat}|{stan}|{transmission}|{rrn}|{amount}|{code}|{pin}").into_bytes()
    }

    /// Reads it; `None` for anything else.
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        let parts: Vec<&str> = std::str::from_utf8(body).ok()?.split('|').collect();
        let [kind, repeat, stan, transmission, rrn, amount, code, pin] = parts[..] else { return None };
        Some(Self {
            reversal: kind == "1",
            status: kind == "2",
            repeat: repeat == "1",
            stan: stan.parse().ok()?,
            transmission: transmission.as_bytes().try_into().ok()?,
            rrn: Text::new(rrn.as_bytes())?,
            amount: amount.parse().ok()?,
            code: Text::new(code.as_bytes())?,
            pin: pin.into(),
        })
    }

    /// The line of an order.
    pub(crate) fn of(order: &Order) -> Self {
        Self {
            reversal: matches!(order.ask, Ask::Reversal { .. }),
            status: order.ask == Ask::Status,
            repeat: order.ask == Ask::Reversal { repeat: true },
            stan: order.stan,
            transmission: order.transmission,
            rrn: order.rrn,
            amount: order.amount.0,
            code: Text::EMPTY,
            pin: if order.service == Some(Service::Voucher) { WANTED.into() } else { String::new() },
        }
    }

    /// The answer to it. An approved voucher has its PIN.
    pub(crate) fn answer(&self, code: &str) -> Self {
        let pin = match code {
            "00" if !self.reversal && !self.status && self.pin == WANTED => pin_of(self.rrn.as_str()),
            _ => String::new(),
        };
        Self { code: text(code), pin, ..self.clone() }
    }
}

/// The adapter.
#[derive(Debug, Default)]
pub(crate) struct Scripted;

impl Wire for Scripted {
    fn ask(&mut self, _: Now, order: &Order, link: LinkNo, out: &mut Out) -> Result<(), Unaskable> {
        if order.ask == Ask::Sale && order.account.as_str() == UNASKABLE {
            return Err(Unaskable("this account".into()));
        }
        let line = Line::of(order).encode();
        out.send(link, |bytes| bytes.extend_from_slice(&line));
        Ok(())
    }

    fn heard(&mut self, _: Now, heard: Heard<'_>, out: &mut Out) {
        match heard {
            Heard::Up(link) => out.send(link, |bytes| bytes.extend_from_slice(HELLO)),
            Heard::Frame(link, body) if body == WELCOME => out.ready.push(link),
            Heard::Frame(link, body) => match Line::decode(body) {
                Some(line) => reply(link, &line, out),
                None => out.faults.push(Fault::Garbage(link)),
            },
            Heard::Down(_) | Heard::Wake(_) | Heard::Leave(_) => {}
        }
    }
}

fn reply(link: LinkNo, line: &Line, out: &mut Out) {
    let details = out.details.len();
    put(&mut out.details, Detail::SupplierReference, line.rrn.as_bytes());
    let secrets = out.secrets.expose().len();
    if !line.pin.is_empty() {
        put(&mut out.details, Detail::Serial, line.rrn.as_bytes());
        put(out.secrets.buffer(), Detail::Pin, line.pin.as_bytes());
    }
    out.replies.push(Reply {
        link,
        to: match line {
            Line { status: true, .. } => ReplyTo::Status,
            Line { reversal: true, .. } => ReplyTo::Reversal,
            _ => ReplyTo::Sale,
        },
        stan: line.stan,
        transmission: Some(line.transmission),
        rrn: Some(line.rrn),
        code: line.code,
        approval: Text::EMPTY,
        details: details..out.details.len(),
        secret: secrets..out.secrets.expose().len(),
    });
}
