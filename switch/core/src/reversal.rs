//! Reversals: what the journal remembers of one, and what it undid.
//!
//! Owns: `Reversal` (the message), `Named` (how it names its original), `Undone` (what became of the original), and their packed forms.
//! Invariants: a reversal is whole (S-6); what it undid is in one fact that needs no other to be folded, so that the original may have left memory long ago.
//! Deliberately absent: deciding what is undone (`gate::reverse`), and what that changes (`State::apply`).

use crate::adapter::{LinkNo, LocalEffect};
use crate::fact::Fact;
use crate::flight::{Attempt, Flight};
use crate::ids::{FlightNo, NetworkId};
use crate::index::{Entry, Standing};
use crate::log::Lsn;
use crate::money::Minor;
use crate::pack::{Pack, Unpack, Unreadable};
use crate::text::Text;

/// A reversal message that was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reversal {
    /// Its own number, from which its answer's RRN is made where it had none.
    pub number: FlightNo,
    /// Its own key of S-1, hashed.
    pub key: u128,
    /// Its own key of S-5, hashed.
    pub named: u128,
    /// What it names and for how much, hashed: its repeat has the same.
    pub contents: u64,
    /// The network that sent it.
    pub network: NetworkId,
    /// Why, DE39 of the request; empty where it says nothing.
    pub reason: Text<2>,
}

/// How a reversal, or an inquiry, names its original (S-5): by either key, hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The key of S-1, where it carries DE12 and DE13.
    pub key: Option<u128>,
    /// The key of S-5, where it carries DE90 or the transmission time of its original.
    pub named: Option<u128>,
}

/// The original, as the index knows it: enough to block its key again when it has left memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Key of S-1, hashed.
    pub key: u128,
    /// Key of S-5, hashed.
    pub named: u128,
    /// Contents, hashed.
    pub contents: u64,
    /// Its flight.
    pub flight: FlightNo,
    /// When it was admitted, Unix milliseconds.
    pub admitted_ms: u64,
    /// Where its fact lies, which knows its amount; 0 where the fact that cancelled it does, and in what earlier releases wrote.
    pub intent_at: Lsn,
}

impl Original {
    /// The original of an entry.
    pub fn of(entry: &Entry) -> Self {
        let Entry { key, named, contents, flight, admitted_ms, intent_at, .. } = *entry;
        Self { key, named, contents, flight, admitted_ms, intent_at }
    }

    /// The entry that says it is cancelled, by the fact at `at`.
    pub fn cancelled(&self, at: Lsn) -> Entry {
        let Self { key, named, contents, flight, admitted_ms, intent_at } = *self;
        let standing = Standing::Cancelled;
        Entry {
            key,
            named,
            contents,
            flight,
            admitted_ms,
            intent_at: if intent_at == Lsn(0) { at } else { intent_at },
            outcome_at: at,
            standing,
            secret: false,
        }
    }
}

impl From<&Flight> for Original {
    fn from(flight: &Flight) -> Self {
        let Flight { key, named, contents, admitted_ms, number, intent_at, .. } = *flight;
        Self { key, named, contents, flight: number, admitted_ms, intent_at }
    }
}

/// How an approved sale is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Its supplier is asked to reverse it; the amount waits in suspense until it does (S-15).
    Asked {
        /// Our STAN for the reversal at the supplier, 1 to 999,999.
        stan: u32,
    },
    /// A voucher of our stock: never sold again (S-10).
    Withdrawn {
        /// Whether the network gets its money at once; else it waits in suspense for an operator.
        credited: bool,
    },
    /// Value that an account held here gives back.
    Unloaded,
    /// Value that the account no longer has: an operator settles it (S-9).
    Spent,
}

impl Taken {
    /// Whether an operator settles it, from the start.
    pub fn is_parked(self) -> bool {
        matches!(self, Self::Withdrawn { credited: false } | Self::Spent)
    }
}

/// What a reversal undid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// Nothing is known of the original: it is blocked should it come later (S-5).
    Blocked(Named),
    /// The original is open, or its doubt is: it is cancelled, and whatever it turns out to be is reversed.
    Open(Original),
    /// Nothing of the original stood.
    Nothing(Original),
    /// It was reversed or blocked before.
    Again,
    /// An approved sale.
    Sold {
        /// It, with its last attempt.
        flight: Box<Flight>,
        /// The link its answer came on, for a supplier over a wire.
        link: LinkNo,
        /// How.
        taken: Taken,
    },
}

impl Undone {
    /// The flight of the original, where the reversal found it.
    pub fn flight(&self) -> Option<FlightNo> {
        match self {
            Self::Blocked(_) | Self::Again => None,
            Self::Open(original) | Self::Nothing(original) => Some(original.flight),
            Self::Sold { flight, .. } => Some(flight.number),
        }
    }

    /// The original as far as it is known here.
    fn item(&self) -> Flight {
        match self {
            Self::Sold { flight, .. } => **flight,
            other => Flight { number: other.flight().unwrap_or_default(), ..Flight::default() },
        }
    }
}

/// What the journal says of a request that is to be reversed, as the keeper read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The item, with its last attempt where it was approved.
    pub flight: Flight,
    /// The reversal that was read, or by which the item was read.
    pub reversal: Option<FlightNo>,
    /// The link its answer came on, where it was approved over one.
    pub link: LinkNo,
    /// What a local sale changed.
    pub effect: Option<LocalEffect>,
}

impl Recalled {
    /// From the two facts of a request; for a local sale and for a reversal both are the same one. What was cancelled may be read by what cancelled it.
    pub fn of(intent: &Fact<'_>, outcome: &Fact<'_>) -> Option<Self> {
        let item = |flight: Flight| Self { flight, reversal: None, link: 0, effect: None };
        match (intent, outcome) {
            (Fact::Intent { flight, .. }, Fact::Outcome { link, moved, .. }) => {
                let attempt: Attempt = moved.unwrap_or(flight.attempt);
                Some(Self { link: *link, ..item(Flight { attempt, ..*flight }) })
            }
            // Its attempt may have been another one; what is asked of an unknown, and of what was cancelled, is its amount.
            (Fact::Intent { flight, .. }, _) => Some(item(*flight)),
            (Fact::Sale { flight, effect, .. }, _) => Some(Self { effect: Some(*effect), ..item(*flight) }),
            (Fact::Undo { reversal, undone, .. }, _) => {
                Some(Self { reversal: Some(reversal.number), ..item(undone.item()) })
            }
            (Fact::Recognised { undone, .. }, _) => Some(item(undone.item())),
            _ => None,
        }
    }

    /// The amount of what has that number; zero where it has none, or it is not known: a reversal, and what the journal of an earlier release says is cancelled. None: another
    /// request was read.
    pub fn amount_of(&self, number: FlightNo) -> Option<Minor> {
        let is_item = self.flight.number == number;
        let amount = if is_item { self.flight.amount } else { Minor::ZERO };
        (is_item || self.reversal == Some(number)).then_some(amount)
    }
}

impl Pack for Reversal {
    fn pack(&self, out: &mut Vec<u8>) {
        self.number.pack(out);
        self.key.pack(out);
        self.named.pack(out);
        self.contents.pack(out);
        self.network.pack(out);
        self.reason.pack(out);
    }
}

impl Reversal {
    /// Reads a packed reversal.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            number: from.flight()?,
            key: from.u128()?,
            named: from.u128()?,
            contents: from.u64()?,
            network: from.network()?,
            reason: from.text()?,
        })
    }
}

impl Pack for Original {
    fn pack(&self, out: &mut Vec<u8>) {
        self.key.pack(out);
        self.named.pack(out);
        self.contents.pack(out);
        self.flight.pack(out);
        self.admitted_ms.pack(out);
    }
}

/// Originals under either of two numbers: the first is without `intent_at`.
fn pack_original(numbers: [u8; 2], original: &Original, out: &mut Vec<u8>) {
    let is_placed = original.intent_at != Lsn(0);
    out.push(numbers[usize::from(is_placed)]);
    original.pack(out);
    if is_placed {
        original.intent_at.0.pack(out);
    }
}

fn original(from: &mut Unpack<'_>, is_placed: bool) -> Result<Original, Unreadable> {
    let original = Original {
        key: from.u128()?,
        named: from.u128()?,
        contents: from.u64()?,
        flight: from.flight()?,
        admitted_ms: from.u64()?,
        intent_at: Lsn(0),
    };
    match is_placed.then(|| from.u64()).transpose()? {
        Some(0) => Err(Unreadable),
        intent_at => Ok(Original { intent_at: Lsn(intent_at.unwrap_or(0)), ..original }),
    }
}

fn pack_key(key: Option<u128>, out: &mut Vec<u8>) {
    out.push(u8::from(key.is_some()));
    key.unwrap_or_default().pack(out);
}

fn unpack_key(from: &mut Unpack<'_>) -> Result<Option<u128>, Unreadable> {
    let there = from.byte()? != 0;
    let key = from.u128()?;
    Ok(there.then_some(key))
}

impl Pack for Undone {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Blocked(Named { key, named }) => {
                out.push(1);
                pack_key(*key, out);
                pack_key(*named, out);
            }
            Self::Open(original) => pack_original([2, 6], original, out),
            Self::Nothing(original) => pack_original([3, 7], original, out),
            Self::Again => out.push(4),
            Self::Sold { flight, link, taken } => {
                out.push(5);
                flight.pack(out);
                out.push(*link);
                match taken {
                    Taken::Asked { stan } => {
                        out.push(1);
                        stan.pack(out);
                    }
                    Taken::Withdrawn { credited } => out.extend_from_slice(&[2, u8::from(*credited)]),
                    Taken::Unloaded => out.push(3),
                    Taken::Spent => out.push(4),
                }
            }
        }
    }
}

impl Undone {
    /// Reads what was undone.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(match from.byte()? {
            1 => Self::Blocked(Named { key: unpack_key(from)?, named: unpack_key(from)? }),
            2 => Self::Open(original(from, false)?),
            3 => Self::Nothing(original(from, false)?),
            6 => Self::Open(original(from, true)?),
            7 => Self::Nothing(original(from, true)?),
            4 => Self::Again,
            5 => Self::Sold {
                flight: Box::new(Flight::unpack(from)?),
                link: from.byte()?,
                taken: taken(from)?,
            },
            _ => return Err(Unreadable),
        })
    }
}

fn taken(from: &mut Unpack<'_>) -> Result<Taken, Unreadable> {
    Ok(match from.byte()? {
        1 => Taken::Asked { stan: from.u32()? },
        2 => Taken::Withdrawn { credited: from.byte()? != 0 },
        3 => Taken::Unloaded,
        4 => Taken::Spent,
        _ => return Err(Unreadable),
    })
}
