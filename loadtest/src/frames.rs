//! Requests as prebuilt frames, patched in place.
//!
//! Owns: `Frames`, one frame per product, and where in it the parts lie that change from request to request; [`reversal`] builds the
//! few messages that are not worth a frame.
//! Invariants: a frame is built by the codec once, in whatever dialect; patching changes values, never
//! lengths; what is patched reads back as what was meant (a test of every shipped dialect).
//! Deliberately absent: which request comes next, and when.

mod reversal;

pub(crate) use reversal::Reversal;

use crate::profile::{Account, Item, Profile, Terminal};
use std::ops::Range;
use switchyard_core::iso8583::{
    Build, BuildError, Dialect, FrameError, Framing, Mti, Role, Tag, Value, View,
};

/// Why a profile cannot be asked for in a dialect.
#[derive(Debug, thiserror::Error)]
pub enum FramesError {
    /// The dialect cannot express a request.
    #[error("{product}: {error}")]
    Build {
        /// Which product.
        product: String,
        /// What does not fit.
        error: BuildError,
    },
    /// The framing cannot say the length of a request.
    #[error("{product}: {error}")]
    Frame {
        /// Which product.
        product: String,
        /// What does not fit.
        error: FrameError,
    },
    /// The dialect lacks an element that every request must vary.
    #[error("{product}: the dialect has no `{element}`, or writes it in a way that cannot be patched")]
    Element {
        /// Which product.
        product: String,
        /// Which element.
        element: &'static str,
    },
    /// There is nothing to ask for.
    #[error("the profile asks for nothing: give a product a weight, and some terminals")]
    Empty,
}

/// How digits lie in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One byte a digit; that of the digit zero.
    Characters { zero: u8 },
    /// Two digits a byte.
    Packed,
}

/// Digits in a frame.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: usize,
    digits: usize,
    form: Form,
}

impl Place {
    /// Where `value`, which reads `00…0`, lies in `message`; `shift` is how far the message lies in its frame.
    fn of(value: &Value<'_>, message: &[u8], shift: usize) -> Option<Self> {
        let (raw, digits) = (value.raw(), value.len());
        let at = raw.as_ptr().addr().checked_sub(message.as_ptr().addr())? + shift;
        let form = match raw.first()? {
            zero if raw.len() == digits => Form::Characters { zero: *zero },
            0 if raw.len() * 2 == digits => Form::Packed,
            _ => return None,
        };
        Some(Self { at, digits, form })
    }

    /// The last `digits` of it.
    fn tail(self, digits: usize) -> Option<Self> {
        let skipped = self.digits.checked_sub(digits)?;
        match self.form {
            Form::Characters { .. } => Some(Self { at: self.at + skipped, digits, ..self }),
            Form::Packed if skipped % 2 == 0 => Some(Self { at: self.at + skipped / 2, digits, ..self }),
            Form::Packed => None,
        }
    }

    /// Writes the last digits of `number`.
    fn write(&self, mut number: u64, frame: &mut [u8]) {
        match self.form {
            Form::Characters { zero } => {
                for byte in frame[self.at..self.at + self.digits].iter_mut().rev() {
                    *byte = zero + (number % 10) as u8;
                    number /= 10;
                }
            }
            Form::Packed => {
                for byte in frame[self.at..self.at + self.digits / 2].iter_mut().rev() {
                    let pair = (number % 100) as u8;
                    *byte = ((pair / 10) << 4) | (pair % 10);
                    number /= 100;
                }
            }
        }
    }
}

/// What a request's account is made of, beyond the beginning that its frame holds.
#[derive(Clone, Copy, Debug)]
struct Digits {
    place: Place,
    /// Everything above the last two digits is below this.
    spread: u64,
}

/// One prebuilt request.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    stan: Place,
    transmission: Place,
    time: Place,
    date: Place,
    rrn: Place,
    amount: Place,
    account: Option<Digits>,
    terminal: Range<usize>,
    merchant: Range<usize>,
    network: Range<usize>,
    step: u64,
    steps: u64,
    product: String,
    processing: u64,
    currency: u64,
    recorded: bool,
}

/// A terminal as the dialect writes it.
#[derive(Clone, Debug)]
struct Asker {
    terminal: Vec<u8>,
    merchant: Vec<u8>,
    network: Vec<u8>,
}

/// Every request of a profile, in one dialect and framing.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    templates: Vec<Template>,
    /// The same requests as repeats (0201).
    repeats: Vec<Template>,
    /// A template's number, as often as its weight says.
    mix: Vec<u16>,
    askers: Vec<Asker>,
    terminals: Vec<Terminal>,
    endings: Vec<u8>,
}

/// What distinguishes one request from the others. Nothing else is needed to write it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Counts the requests of a run; chooses the account, and is the RRN.
    pub(crate) number: u64,
    /// Which terminal of the profile asks.
    pub(crate) terminal: u32,
    /// DE11, 1 to 999,999.
    pub(crate) stan: u32,
    /// MMDDhhmmss as a number, UTC: DE7, and DE12 and 13 with UTC as local time.
    pub(crate) moment: u32,
    /// Chooses product, amount and how the account ends.
    pub(crate) random: u64,
}

/// What a request asks for, as it follows from its numbers.
struct Chosen {
    /// Which template.
    template: usize,
    /// Minor units.
    amount: u64,
    /// The last two digits of the account.
    ending: u8,
}

/// What a request asks for, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// DE41.
    pub(crate) terminal: String,
    /// DE48 tag 01.
    pub(crate) product: String,
    /// DE48 tag 02; empty where it has none, or a card instead.
    pub(crate) account: String,
    /// DE4, minor units.
    pub(crate) amount: u64,
}

impl Frames {
    /// Builds every request of `profile` once.
    pub(crate) fn new(profile: &Profile, dialect: &Dialect, framing: &Framing) -> Result<Self, FramesError> {
        let Some(asker) = profile.terminals.first() else { return Err(FramesError::Empty) };
        let mut frames = Self {
            templates: Vec::new(),
            repeats: Vec::new(),
            mix: Vec::new(),
            askers: Vec::new(),
            terminals: profile.terminals.clone(),
            endings: profile.endings.table().to_vec(),
        };
        for item in profile.items.iter().filter(|item| item.weight > 0) {
            // One template for each beginning of an account shares the item's weight.
            for beginning in beginnings(&item.account) {
                frames.templates.push(template(SALE, item, &beginning, asker, dialect, framing)?);
                frames.repeats.push(template(REPEAT, item, &beginning, asker, dialect, framing)?);
            }
        }
        if frames.templates.is_empty() || frames.endings.is_empty() {
            return Err(FramesError::Empty);
        }
        frames.mix = mix(profile);
        for terminal in &profile.terminals {
            frames.askers.push(asker_of(terminal, dialect)?);
        }
        frames.check_askers()?;
        Ok(frames)
    }

    /// Every terminal must take as much room as the one that the templates were built with.
    fn check_askers(&self) -> Result<(), FramesError> {
        let Some(template) = self.templates.first() else { return Err(FramesError::Empty) };
        let same = |asker: &Asker| {
            asker.terminal.len() == template.terminal.len()
                && asker.merchant.len() == template.merchant.len()
                && asker.network.len() == template.network.len()
        };
        if self.askers.iter().all(same) {
            return Ok(());
        }
        Err(FramesError::Element {
            product: "terminals".into(),
            element: "terminal, merchant and network of one length",
        })
    }

    /// Appends a request.
    pub(crate) fn write(&self, request: &Request, out: &mut Vec<u8>) {
        self.write_as(&self.templates, request, request.moment, out);
    }

    /// Appends its repeat (0201): the same contents, sent at another moment (DE7).
    pub(crate) fn write_repeat(&self, request: &Request, sent: u32, out: &mut Vec<u8>) {
        self.write_as(&self.repeats, request, sent, out);
    }

    fn write_as(&self, templates: &[Template], request: &Request, sent: u32, out: &mut Vec<u8>) {
        let chosen = self.chosen(request);
        let template = &templates[chosen.template];
        let asker = &self.askers[request.terminal as usize];
        let moment = u64::from(request.moment);
        let start = out.len();
        out.extend_from_slice(&template.bytes);
        let frame = &mut out[start..];
        template.stan.write(u64::from(request.stan), frame);
        template.rrn.write(request.number, frame);
        template.transmission.write(u64::from(sent), frame);
        template.time.write(moment % 1_000_000, frame);
        template.date.write(moment / 1_000_000, frame);
        template.amount.write(chosen.amount, frame);
        frame[template.terminal.clone()].copy_from_slice(&asker.terminal);
        frame[template.merchant.clone()].copy_from_slice(&asker.merchant);
        frame[template.network.clone()].copy_from_slice(&asker.network);
        if let Some(account) = &template.account {
            account.place.write(request.number % account.spread * 100 + u64::from(chosen.ending), frame);
        }
    }

    fn chosen(&self, request: &Request) -> Chosen {
        let mut random = request.random;
        let mut choose = |among: usize| {
            let chosen = random % among as u64;
            random /= among as u64;
            chosen as usize
        };
        let template = usize::from(self.mix[choose(self.mix.len())]);
        let Template { step, steps, .. } = self.templates[template];
        let amount = step * (1 + choose(steps as usize) as u64);
        Chosen { template, amount, ending: self.endings[choose(self.endings.len())] }
    }

    /// How many terminals ask.
    pub(crate) fn terminals(&self) -> usize {
        self.terminals.len()
    }

    /// Whether a supplier keeps a record of it.
    pub(crate) fn is_recorded(&self, request: &Request) -> bool {
        self.templates[self.chosen(request).template].recorded
    }

    /// What a request asks for, read from the frame that it would be.
    pub(crate) fn describe(&self, request: &Request, dialect: &Dialect, framing: &Framing) -> Described {
        let mut bytes = Vec::new();
        self.write(request, &mut bytes);
        let chosen = self.chosen(request);
        let body = framing.next(&bytes, bytes.len()).ok().flatten().map(|frame| &bytes[frame.body]);
        let account = body
            .and_then(|body| dialect.view(body).ok()?.tag(Tag::Account)?.text::<30>())
            .map_or_else(String::new, |account| account.to_string());
        Described {
            terminal: self.terminals[request.terminal as usize].terminal.clone(),
            product: self.templates[chosen.template].product.clone(),
            account,
            amount: chosen.amount,
        }
    }
}

/// The beginnings of an account; one empty one where there is none.
fn beginnings(account: &Account) -> Vec<String> {
    match account {
        Account::Account { prefixes, .. } if !prefixes.is_empty() => prefixes.clone(),
        Account::Card { prefix, .. } => vec![prefix.clone()],
        _ => vec![String::new()],
    }
}

/// A template's number as often as its item's weight says, divided evenly among the item's beginnings.
fn mix(profile: &Profile) -> Vec<u16> {
    let counts = profile.items.iter().map(|item| beginnings(&item.account).len());
    // So many turns that every number of beginnings divides them.
    let turns = counts.fold(1, |turns, count| if turns % count == 0 { turns } else { turns * count });
    let mut mix = Vec::new();
    let mut first = 0;
    for item in profile.items.iter().filter(|item| item.weight > 0) {
        let count = beginnings(&item.account).len();
        mix.extend((0..item.weight as usize * turns).map(|turn| (first + turn % count) as u16));
        first += count;
    }
    mix
}

/// An account that consists of its beginning and zeros.
fn blank(beginning: &str, length: usize) -> String {
    format!("{beginning:0<length$}")
}

/// Message types of the edition of 1987; other editions have another first digit.
const SALE: u16 = 200;
const REPEAT: u16 = 201;

fn template(
    mti: u16,
    item: &Item,
    beginning: &str,
    asker: &Terminal,
    dialect: &Dialect,
    framing: &Framing,
) -> Result<Template, FramesError> {
    let product = item.product.clone();
    let mut bytes = Vec::new();
    let mark = framing.open(&[], &mut bytes);
    let head = bytes.len();
    build(mti, item, beginning, asker, dialect, &mut bytes)
        .map_err(|error| FramesError::Build { product: product.clone(), error })?;
    framing
        .close(mark, &mut bytes)
        .map_err(|error| FramesError::Frame { product: product.clone(), error })?;
    let message = &bytes[head..];
    let missing = |element| FramesError::Element { product: product.clone(), element };
    let view = dialect.view(message).map_err(|_| missing("sale"))?;
    let place = |role: Role| {
        let value = view.value(role);
        value.and_then(|value| Place::of(&value, message, head)).ok_or_else(|| missing(role.name()))
    };
    let text = |role: Role| {
        let value = view.value(role).ok_or_else(|| missing(role.name()))?;
        let at = value.raw().as_ptr().addr() - message.as_ptr().addr() + head;
        Ok(at..at + value.raw().len())
    };
    let step = (*item.amounts.start()).max(1);
    Ok(Template {
        stan: place(Role::Stan)?,
        transmission: place(Role::TransmissionTime)?,
        time: place(Role::LocalTime)?,
        date: place(Role::LocalDate)?,
        rrn: place(Role::Rrn)?,
        amount: place(Role::Amount)?,
        account: account(item, beginning, &view, head).map_err(|()| missing("account"))?,
        terminal: text(Role::Terminal)?,
        merchant: text(Role::Merchant)?,
        network: text(Role::Network)?,
        step,
        steps: (item.amounts.end() / step).max(1),
        product,
        processing: processing(item),
        currency: u64::from(item.currency),
        recorded: !item.local,
        bytes,
    })
}

/// Where the digits of the account lie that follow its beginning.
fn account(item: &Item, beginning: &str, view: &View<'_>, head: usize) -> Result<Option<Digits>, ()> {
    let (value, length) = match &item.account {
        Account::None => return Ok(None),
        Account::Account { length, .. } => (view.tag(Tag::Account), *length),
        Account::Card { length, .. } => (view.value(Role::Pan), *length),
    };
    let free = length.checked_sub(beginning.len()).filter(|free| *free >= 2).ok_or(())?;
    let value = value.ok_or(())?;
    let raw = value.raw();
    let at = raw.as_ptr().addr() - view.message().as_ptr().addr() + head;
    let form = match raw.last().ok_or(())? {
        zero if raw.len() == length => Form::Characters { zero: *zero },
        0 if raw.len() * 2 == length => Form::Packed,
        _ => return Err(()),
    };
    let place = Place { at, digits: length, form }.tail(free).ok_or(())?;
    Ok(Some(Digits { place, spread: 10u64.pow((free - 2).min(12) as u32) }))
}

/// The message type as the dialect's edition of the standard numbers it.
fn edition(dialect: &Dialect, mti: u16) -> Mti {
    Mti::new(dialect.version().digit() * 1_000 + mti)
}

fn processing(item: &Item) -> u64 {
    u64::from(item.service.processing()) * 10_000
}

fn build(
    mti: u16,
    item: &Item,
    beginning: &str,
    asker: &Terminal,
    dialect: &Dialect,
    out: &mut Vec<u8>,
) -> Result<usize, BuildError> {
    let mut build = Build::new(dialect, edition(dialect, mti), out);
    if let Account::Card { length, .. } = &item.account {
        build.text(Role::Pan, blank(beginning, *length).as_bytes());
    }
    build
        .number(Role::ProcessingCode, processing(item))
        .number(Role::Amount, 0)
        .text(Role::TransmissionTime, b"0000000000")
        .number(Role::Stan, 0)
        .text(Role::LocalTime, b"000000")
        .text(Role::LocalDate, b"0000")
        .text(Role::Network, asker.network.as_bytes())
        .text(Role::Rrn, b"000000000000")
        .text(Role::Terminal, asker.terminal.as_bytes())
        .text(Role::Merchant, asker.merchant.as_bytes())
        .open_tags(Role::Prepaid)
        .tag(Tag::Product, item.product.as_bytes());
    if let Account::Account { length, .. } = &item.account {
        build.tag(Tag::Account, blank(beginning, *length).as_bytes());
    }
    build.close_tags().number(Role::Currency, u64::from(item.currency));
    build.finish()
}

/// The terminal's elements, as the dialect writes them: taken from a message of their own.
fn asker_of(terminal: &Terminal, dialect: &Dialect) -> Result<Asker, FramesError> {
    let product = || terminal.terminal.clone();
    let mut message = Vec::new();
    let mut build = Build::new(dialect, edition(dialect, SALE), &mut message);
    build
        .text(Role::Network, terminal.network.as_bytes())
        .text(Role::Terminal, terminal.terminal.as_bytes())
        .text(Role::Merchant, terminal.merchant.as_bytes());
    build.finish().map_err(|error| FramesError::Build { product: product(), error })?;
    let missing = |element| FramesError::Element { product: product(), element };
    let view = dialect.view(&message).map_err(|_| missing("terminal"))?;
    let raw = |role: Role| {
        let value = view.value(role).ok_or_else(|| missing(role.name()))?;
        Ok(value.raw().to_vec())
    };
    Ok(Asker { terminal: raw(Role::Terminal)?, merchant: raw(Role::Merchant)?, network: raw(Role::Network)? })
}

#[cfg(test)]
mod tests;
