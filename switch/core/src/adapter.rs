//! The two contracts of supply adapters, and what crosses them.
//!
//! Owns: `Wire` (a supplier that is asked over a wire), `Local` (a supplier that the gate itself
//! decides), `Order` (what is asked), `Out` (everything an adapter wants done).
//! Invariants: adapters are pure. They have no clock, socket, thread or randomness; `now` and seeds are
//! arguments; they hold protocol state only, never money. Every message to a supplier is built from
//! the order alone, and an order can be rebuilt from journalled fields alone (S-14).
//! Deliberately absent: transports (the shell's), matching, time-outs and repeats (the session's).

use crate::catalogue::{Meaning, ReversalMeaning, Service, StatusMeaning};
use crate::code::Code;
use crate::details::Details;
use crate::ids::{FlightNo, Now, ProductId, SupplierId};
use crate::money::Minor;
use crate::secret::Secret;
use crate::shelf::Shelf;
use crate::state::State;
use crate::text::Text;
use std::fmt;
use std::ops::Range;

/// A link of a supplier: an index into its configured links, 0 to 31.
pub type LinkNo = u8;

/// What a supplier is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// Perform the sale.
    #[default]
    Sale,
    /// Undo it (S-8). `repeat` is true from the second sending on.
    Reversal {
        /// Whether it was sent before.
        repeat: bool,
    },
    /// Say whether it was performed, and change nothing.
    Status,
}

/// One item asked of one supplier. Boxed, recycled; it travels gate → session → gate.
#[derive(Debug, Default)]
pub struct Order {
    /// Whose flight.
    pub flight: FlightNo,
    /// Which attempt of it, from 1.
    pub attempt: u8,
    /// Who is asked.
    pub supplier: SupplierId,
    /// Sale, reversal, or status.
    pub ask: Ask,
    /// Our STAN at this supplier (DE11), 1 to 999,999; the reversal of an unknown has its original's, that of an approved sale one of its own.
    pub stan: u32,
    /// The STAN of the sale that a reversal undoes (DE90).
    pub original_stan: u32,
    /// Our transmission time at this supplier (DE7), MMDDhhmmss UTC digits.
    pub transmission: [u8; 10],
    /// Our RRN at this supplier (DE37), unique per attempt.
    pub rrn: Text<12>,
    /// What is sold, as a kind.
    pub service: Option<Service>,
    /// The supplier's own code for the product.
    pub product: Text<20>,
    /// Minor units of `currency`.
    pub amount: Minor,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// Account, meter, contract; empty where there is none.
    pub account: Text<30>,
    /// DE41 of the terminal that asks.
    pub terminal: Text<8>,
    /// DE42 of its merchant.
    pub merchant: Text<15>,
    /// DE32 of its network.
    pub network: Text<11>,
    /// Terminal's local time and date, hhmmssMMDD digits.
    pub local: [u8; 10],
    /// The card number; empty where there is none.
    pub pan: Secret,
    /// When the outcome becomes unknown, monotonic microseconds.
    pub deadline_us: u64,
    /// The link to prefer: a reversal goes on its original's link while that lives (S-8).
    pub link: Option<LinkNo>,
    /// When it was handed to the link, monotonic microseconds; 0 while it was not.
    pub sent_us: u64,
    /// How often this reversal was sent.
    pub tries: u16,
    /// Whether the supplier said that it performed what this reversal undoes: it need not be asked for the status.
    pub performed: bool,
    /// What was answered.
    pub answer: Answer,
}

impl Order {
    /// Terminal's local time, hhmmss (DE12).
    pub fn local_time(&self) -> &[u8; 6] {
        let [time @ .., _, _, _, _] = &self.local;
        time
    }

    /// Terminal's local date, MMDD (DE13).
    pub fn local_date(&self) -> &[u8; 4] {
        let [_, _, _, _, _, _, date @ ..] = &self.local;
        date
    }

    /// Room of its buffers, in bytes.
    pub fn room_bytes(&self) -> usize {
        self.pan.room_bytes() + self.answer.details.0.capacity() + self.answer.secret.room_bytes()
    }
}

/// What a supplier answered, as the session hands it to the gate.
#[derive(Debug, Default)]
pub struct Answer {
    /// The supplier's code.
    pub code: Text<4>,
    /// What it means for a sale; `None` where nothing was answered or a reversal was.
    pub sale: Option<Meaning>,
    /// What it means for a reversal.
    pub reversal: Option<ReversalMeaning>,
    /// What the supplier said about the sale when it was asked for its status, where that ended a doubt.
    pub status: Option<StatusMeaning>,
    /// The supplier's approval code (DE38), empty where it gave none.
    pub approval: Text<6>,
    /// References, serials, texts.
    pub details: Details,
    /// PIN and what shows it, in the form of `Details`.
    pub secret: Secret,
}

impl Answer {
    /// Empties it, keeps the buffers, wipes the secret.
    pub fn clear(&mut self) {
        self.code = Text::EMPTY;
        self.sale = None;
        self.reversal = None;
        self.status = None;
        self.approval = Text::EMPTY;
        self.details.clear();
        self.secret.clear();
    }
}

/// What an adapter hears.
#[derive(Debug)]
pub enum Heard<'a> {
    /// The transport of a link is up; nothing was sent on it yet.
    Up(LinkNo),
    /// The transport of a link is gone.
    Down(LinkNo),
    /// One frame's body arrived on a link.
    Frame(LinkNo, &'a [u8]),
    /// A wake-up that the adapter asked for is due; the token is its own.
    Wake(u64),
    /// The switch is stopping or the supplier is being drained: say goodbye on this link (sign-off).
    Leave(LinkNo),
}

/// Which request a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// A sale.
    Sale,
    /// A reversal.
    Reversal,
    /// A question for a sale's status.
    Status,
}

/// A reply that an adapter read. The session matches it; unmatched ones are counted.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The link that it came on.
    pub link: LinkNo,
    /// What it answers.
    pub to: ReplyTo,
    /// DE11 of the reply.
    pub stan: u32,
    /// DE7 of the reply, where it has one.
    pub transmission: Option<[u8; 10]>,
    /// DE37 of the reply, where it has one.
    pub rrn: Option<Text<12>>,
    /// The supplier's code.
    pub code: Text<4>,
    /// The supplier's approval code.
    pub approval: Text<6>,
    /// Where its details stand in `Out::details`.
    pub details: Range<usize>,
    /// Where its secrets stand in `Out::secrets`.
    pub secret: Range<usize>,
}

/// Something that an adapter reports about a frame it could not use; counted by the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are no message of the dialect.
    Garbage(LinkNo),
    /// A message that an adapter of this kind does not expect.
    Unexpected(LinkNo),
}

/// Everything that an adapter wants done. The session empties it after every call; buffers are kept.
#[derive(Default)]
pub struct Out {
    /// Message bodies, one after the other; the shell frames them.
    pub bytes: Vec<u8>,
    /// Which part of `bytes` goes out on which link, in order.
    pub sends: Vec<(LinkNo, Range<usize>)>,
    /// Replies read.
    pub replies: Vec<Reply>,
    /// Details of the replies, in the form of `Details`.
    pub details: Vec<u8>,
    /// Secrets of the replies, in the form of `Details`.
    pub secrets: Secret,
    /// Wake-ups: when (monotonic microseconds), and a token of the adapter's own.
    pub wakes: Vec<(u64, u64)>,
    /// Links that are now ready for orders (signed on).
    pub ready: Vec<LinkNo>,
    /// Links that must be closed, because the peer broke the protocol.
    pub close: Vec<LinkNo>,
    /// Lines for the supplier's record file (simulators); each ends with a line feed.
    pub records: Vec<u8>,
    /// Frames that could not be used.
    pub faults: Vec<Fault>,
}

/// How much of each there is, and no bytes: messages carry card numbers, and records what a supplier knows.
impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out")
            .field("sends", &self.sends.len())
            .field("replies", &self.replies.len())
            .field("wakes", &self.wakes.len())
            .field("ready", &self.ready)
            .field("close", &self.close)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Out {
    /// Appends a body for `link`, written by `write` straight into the buffer.
    pub fn send(&mut self, link: LinkNo, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.sends.push((link, start..self.bytes.len()));
    }

    /// Whether there is nothing for the shell to do.
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.close.is_empty() && self.records.is_empty()
    }

    /// Empties everything, keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sends.clear();
        self.replies.clear();
        self.details.clear();
        self.secrets.clear();
        self.wakes.clear();
        self.ready.clear();
        self.close.clear();
        self.records.clear();
        self.faults.clear();
    }
}

/// A supplier that is asked over a wire.
pub trait Wire: Send {
    /// Whether orders go out over links; false: the adapter answers by itself (a simulator), and the
    /// session passes link 0.
    fn needs_links(&self) -> bool {
        true
    }

    /// Asks: writes the message of `order` for `link`.
    ///
    /// # Errors
    /// The order cannot be expressed in the supplier's protocol. Nothing was written: certainly not sent.
    fn ask(&mut self, now: Now, order: &Order, link: LinkNo, out: &mut Out) -> Result<(), Unaskable>;

    /// Hears: reads what came, answers protocol housekeeping, reports replies.
    fn heard(&mut self, now: Now, heard: Heard<'_>, out: &mut Out);
}

/// An order that a supplier's protocol cannot express; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the supplier's protocol cannot express this order: {0}; nothing was sent")]
pub struct Unaskable(pub String);

/// What a local supplier is asked.
#[derive(Clone, Copy, Debug)]
pub struct LocalAsk {
    /// The product.
    pub product: ProductId,
    /// What kind of thing it is.
    pub service: Service,
    /// Minor units.
    pub amount: Minor,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// Decimal places of the currency.
    pub exponent: u8,
    /// Account; empty where the product needs none.
    pub account: Text<30>,
}

/// What a local sale changes, beyond the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalEffect {
    /// A voucher is sold.
    Voucher {
        /// Of which product.
        product: ProductId,
        /// Of which batch.
        batch: u32,
        /// Which one of it, from 0.
        index: u32,
    },
    /// Value goes into an account that the switch holds.
    Load {
        /// The account.
        account: Text<30>,
        /// Minor units.
        amount: Minor,
    },
}

/// A local sale, as the adapter fills it in. Recycled.
#[derive(Debug, Default)]
pub struct LocalSale {
    /// What changes.
    pub effect: Option<LocalEffect>,
    /// References, serials, balances.
    pub details: Details,
    /// Sealed secrets of the answer, as they lie in the stock; empty where there are none.
    pub sealed: Vec<u8>,
}

impl LocalSale {
    /// Empties it, keeps the buffers.
    pub fn clear(&mut self) {
        self.effect = None;
        self.details.clear();
        self.sealed.clear();
    }
}

/// A supplier that the gate itself decides. Its state lives in `State`, changed by facts alone.
pub trait Local: Send {
    /// Decides a sale: fills `sale`, or refuses with a code that performed nothing.
    ///
    /// # Errors
    /// The response code of the refusal (79 out of stock, 51, 14, 96).
    fn decide(
        &self,
        now: Now,
        state: &State,
        shelf: &mut Shelf,
        ask: &LocalAsk,
        sale: &mut LocalSale,
    ) -> Result<(), Code>;
}
