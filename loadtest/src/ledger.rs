//! What was asked, and what was told: every sale of a load with its repeats and reversals.
//!
//! Owns: `Ledger`, its open messages by connection and RRN, what is still to follow, and the faults that answers show by themselves.
//! Invariants: a message is open once and ends once; a message whose connection is lost is asked again; a sale is a few numbers,
//! from which its messages are written anew; PINs are kept as digests only.
//! Deliberately absent: what the suppliers did (`check`), sockets, clocks and frames.

use crate::frames::Request;
use crate::profile::FollowUps;
use crate::random::next_random;
use crate::verdict::{Faults, Rule};
use std::collections::{HashMap, VecDeque};
use switchyard_core::text::Text;

/// Most sales that are remembered; a load ends when it has asked so many.
pub(crate) const SALES_MAX: usize = 2_000_000;
/// Codes of refusals that performed nothing and are not stored: a repeat is a new attempt (S-2).
const NOT_STORED: [&[u8; 2]; 5] = [b"61", b"79", b"91", b"92", b"96"];
/// Cancelled: reversed (S-4).
const CANCELLED: &[u8; 2] = b"17";
/// Overload, which may meet any message and says nothing about the sale.
const OVERLOAD: &[u8; 2] = b"96";
pub(crate) const APPROVED: &[u8; 2] = b"00";
const UNKNOWN: &[u8; 2] = b"68";
/// So often a sale's connection may be lost before its messages are given up: who ends every connection must not hold up a load.
const LOST_MAX: u8 = 12;

/// What a message asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// 0200.
    Sale,
    /// 0201.
    Repeat,
    /// 0400 or 0420; 0401 or 0421 when sent again.
    Reversal {
        /// Whether it was sent before.
        again: bool,
    },
}

impl Message {
    /// Second digit of its message type.
    pub(crate) fn class(self) -> u8 {
        if matches!(self, Self::Reversal { .. }) { 4 } else { 2 }
    }

    /// The message that is sent where no answer came.
    fn again(self) -> Self {
        match self {
            Self::Sale | Self::Repeat => Self::Repeat,
            Self::Reversal { .. } => Self::Reversal { again: true },
        }
    }
}

/// What is to follow a sale, drawn when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Plan {
    repeat_answered: bool,
    repeat_in_flight: bool,
    reverse_approved: bool,
    reverse_in_flight: bool,
    reverse_timed_out: bool,
    /// Reversed before it is sent.
    reverse_unknown: bool,
    reversal_repeated: bool,
    repeat_reversed: bool,
    advice: bool,
    own_stan: bool,
}

impl Plan {
    fn drawn(shares: &FollowUps, random: &mut u64) -> Self {
        let mut draw = |share: f64| (next_random(random) as f64) < share * 2f64.powi(64);
        Self {
            repeat_answered: draw(shares.repeat_answered),
            repeat_in_flight: draw(shares.repeat_in_flight),
            reverse_approved: draw(shares.reverse_approved),
            reverse_in_flight: draw(shares.reverse_in_flight),
            reverse_timed_out: draw(shares.reverse_timed_out),
            reverse_unknown: draw(shares.reverse_unknown),
            reversal_repeated: draw(shares.reversal_repeated),
            repeat_reversed: draw(shares.repeat_reversed),
            advice: draw(shares.advices),
            own_stan: draw(shares.own_stans),
        }
    }
}

/// What became of a sale's reversal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reversed {
    /// None was sent.
    #[default]
    Never,
    /// Sent, and not answered yet.
    Asked,
    /// Answered 00: nothing of the sale may stand.
    Accepted,
    /// Answered otherwise.
    Refused,
}

/// One sale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sale {
    pub(crate) request: Request,
    plan: Plan,
    /// Whether the sale itself was ever sent.
    pub(crate) sent: bool,
    /// Whether a message of it is open, or waits to be sent: how many.
    pending: u16,
    /// The code of its answer; none yet.
    pub(crate) code: Option<[u8; 2]>,
    answer: u64,
    /// The supplier's reference of an approval, without its letters: the RRN at the supplier.
    pub(crate) reference: Text<12>,
    pub(crate) reversed: Reversed,
    reversal_answer: u64,
    /// How often its connection was lost.
    lost: u8,
}

impl Sale {
    /// The STAN of its reversal: its own, or one after it, which no sale has.
    pub(crate) fn reversal_stan(&self) -> u32 {
        self.request.stan + u32::from(self.plan.own_stan)
    }

    /// Whether its reversal is sent as an advice (0420).
    pub(crate) fn advice(&self) -> bool {
        self.plan.advice
    }

    /// Whether it was told 00 and not taken back.
    pub(crate) fn is_sold(&self) -> bool {
        self.code.as_ref() == Some(APPROVED) && self.reversed != Reversed::Accepted
    }
}

/// A message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FollowUp {
    pub(crate) sale: u32,
    pub(crate) message: Message,
}

/// A message that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    pub(crate) sale: u32,
    pub(crate) message: Message,
    /// When it was meant to be sent, nanoseconds since the start of the run.
    pub(crate) since_ns: u64,
    /// Whether its sale's reversal had been accepted when it was sent.
    after_reversal: bool,
}

/// An answer, as far as it is compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heard {
    /// Second digit of its message type.
    pub(crate) class: u8,
    /// The number in DE37.
    pub(crate) number: u64,
    /// DE39.
    pub(crate) code: [u8; 2],
    /// Digest of all elements but DE7.
    pub(crate) digest: u64,
    /// Digests of serial number and PIN, where it has them.
    pub(crate) serial: Option<u64>,
    pub(crate) pin: Option<u64>,
    /// See [`Sale::reference`].
    pub(crate) reference: Text<12>,
}

/// Open messages are told apart by connection, class and RRN.
type Key = (u32, u8, u64);

/// Everything that was asked, and told.
pub(crate) struct Ledger {
    shares: FollowUps,
    random: u64,
    sales: Vec<Sale>,
    opens: HashMap<Key, VecDeque<Opened>>,
    open: usize,
    follow_ups: VecDeque<FollowUp>,
    /// Which sale is repeated next in the sweep over all of them.
    sweep: Option<u32>,
    goods: HashMap<u64, u32>,
    asked_again: u64,
    pub(crate) faults: Faults<u32>,
}

impl Ledger {
    pub(crate) fn new(shares: FollowUps, seed: u64) -> Self {
        Self {
            shares,
            random: seed,
            sales: Vec::new(),
            opens: HashMap::new(),
            open: 0,
            follow_ups: VecDeque::new(),
            sweep: None,
            goods: HashMap::new(),
            asked_again: 0,
            faults: Faults::default(),
        }
    }

    pub(crate) fn sales(&self) -> &[Sale] {
        &self.sales
    }

    pub(crate) fn sale(&self, at: u32) -> &Sale {
        &self.sales[at as usize]
    }

    /// Messages that wait for their answers.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Messages that were sent again because their connection was lost.
    pub(crate) fn asked_again(&self) -> u64 {
        self.asked_again
    }

    /// Whether no further sale may begin.
    pub(crate) fn is_full(&self) -> bool {
        self.sales.len() >= SALES_MAX
    }

    /// Whether something is to be sent without a new sale.
    pub(crate) fn has_follow_up(&self) -> bool {
        !self.follow_ups.is_empty() || self.sweep.is_some()
    }

    /// Begins a sale; the first message of it.
    pub(crate) fn begin(&mut self, request: Request) -> FollowUp {
        let plan = Plan::drawn(&self.shares, &mut self.random);
        let sale = self.sales.len() as u32;
        self.sales.push(Sale {
            request,
            plan,
            sent: false,
            pending: 1,
            code: None,
            answer: 0,
            reference: Text::default(),
            reversed: Reversed::Never,
            reversal_answer: 0,
            lost: 0,
        });
        let message = if plan.reverse_unknown { Message::Reversal { again: false } } else { Message::Sale };
        FollowUp { sale, message }
    }

    /// The next message that follows one before.
    pub(crate) fn next_follow_up(&mut self) -> Option<FollowUp> {
        self.follow_ups.pop_front().or_else(|| self.next_of_sweep())
    }

    fn next_of_sweep(&mut self) -> Option<FollowUp> {
        let mut at = self.sweep?;
        while let Some(sale) = self.sales.get_mut(at as usize) {
            self.sweep = Some(at + 1);
            if sale.sent {
                sale.pending += 1;
                return Some(FollowUp { sale: at, message: Message::Repeat });
            }
            at += 1;
        }
        self.sweep = None;
        None
    }

    /// Repeats every sale once more.
    pub(crate) fn repeat_all(&mut self) {
        self.sweep = Some(0);
    }

    /// Asks again what got no answer, or none that counts.
    pub(crate) fn ask_again(&mut self) {
        for at in 0..self.sales.len() as u32 {
            let sale = self.sale(at);
            if sale.pending > 0 {
                continue;
            }
            if sale.reversed == Reversed::Asked {
                self.follow(at, Message::Reversal { again: true });
            } else if sale.sent && sale.code.is_none() {
                self.follow(at, Message::Repeat);
            }
        }
    }

    fn follow(&mut self, sale: u32, message: Message) {
        self.sales[sale as usize].pending += 1;
        self.follow_ups.push_back(FollowUp { sale, message });
    }

    /// A message is on its way.
    pub(crate) fn sent(&mut self, connection: u32, FollowUp { sale: at, message }: FollowUp, since_ns: u64) {
        let sale = &mut self.sales[at as usize];
        let after_reversal = sale.reversed == Reversed::Accepted;
        let first = !sale.sent;
        match message {
            Message::Sale | Message::Repeat => sale.sent = true,
            Message::Reversal { .. } => {
                if sale.reversed == Reversed::Never {
                    sale.reversed = Reversed::Asked;
                }
            }
        }
        let (plan, number) = (sale.plan, sale.request.number);
        let opened = Opened { sale: at, message, since_ns, after_reversal };
        self.opens.entry((connection, message.class(), number)).or_default().push_back(opened);
        self.open += 1;
        if first && message == Message::Sale && !plan.reverse_unknown {
            if plan.repeat_in_flight {
                self.follow(at, Message::Repeat);
            }
            if plan.reverse_in_flight {
                self.follow(at, Message::Reversal { again: false });
            }
        }
    }

    /// An answer came; which message it ends, if any.
    pub(crate) fn hear(&mut self, connection: u32, heard: &Heard) -> Option<Opened> {
        let opened = self.end((connection, heard.class, heard.number))?;
        match opened.message {
            Message::Reversal { .. } => self.told_of_reversal(&opened, heard),
            Message::Sale | Message::Repeat => self.told_of_sale(&opened, heard),
        }
        Some(opened)
    }

    fn end(&mut self, key: Key) -> Option<Opened> {
        let opens = self.opens.get_mut(&key)?;
        let opened = opens.pop_front()?;
        if opens.is_empty() {
            self.opens.remove(&key);
        }
        self.open -= 1;
        self.sales[opened.sale as usize].pending -= 1;
        Some(opened)
    }

    fn told_of_sale(&mut self, opened: &Opened, heard: &Heard) {
        let at = opened.sale;
        self.note_goods(at, heard);
        if opened.after_reversal {
            return self.told_after_reversal(at, heard);
        }
        let sale = self.sales[at as usize];
        if heard.code == *CANCELLED {
            self.faults.judge(Rule::Cancelled, sale.reversed != Reversed::Never, at, || {
                "told 17, never reversed".into()
            });
            return self.keep(at, heard);
        }
        let Some(first) = sale.code else {
            self.keep(at, heard);
            return self.follow_answer(at);
        };
        if heard.code == *OVERLOAD || (first == *CANCELLED && sale.reversed != Reversed::Never) {
            return;
        }
        if NOT_STORED.contains(&&first) {
            // Nothing was performed then, so this is the answer to a new attempt.
            self.sales[at as usize].code = None;
            return self.keep(at, heard);
        }
        self.faults.judge(Rule::Repeats, heard.digest == sale.answer, at, || {
            let (first, now) = (shown(first), shown(heard.code));
            if first == now {
                format!("told {now} again, with other elements")
            } else {
                format!("told {first}, then {now}")
            }
        });
    }

    /// Its reversal had been accepted before the message was sent.
    fn told_after_reversal(&mut self, at: u32, heard: &Heard) {
        if heard.code == *OVERLOAD {
            return;
        }
        let held = heard.code == *CANCELLED;
        self.faults
            .judge(Rule::Cancelled, held, at, || format!("told {} after its reversal", shown(heard.code)));
        self.keep(at, heard);
    }

    /// The first answer stands.
    fn keep(&mut self, at: u32, heard: &Heard) {
        let sale = &mut self.sales[at as usize];
        if sale.code.is_none() {
            sale.code = Some(heard.code);
            sale.answer = heard.digest;
            sale.reference = heard.reference;
        }
    }

    fn follow_answer(&mut self, at: u32) {
        let Sale { plan, code, reversed, .. } = *self.sale(at);
        if plan.repeat_answered {
            self.follow(at, Message::Repeat);
        }
        let reverse = (plan.reverse_approved && code.as_ref() == Some(APPROVED))
            || (plan.reverse_timed_out && code.as_ref() == Some(UNKNOWN));
        if reverse && reversed == Reversed::Never && !plan.reverse_in_flight {
            self.follow(at, Message::Reversal { again: false });
        }
    }

    fn told_of_reversal(&mut self, opened: &Opened, heard: &Heard) {
        let at = opened.sale;
        if heard.code == *OVERLOAD {
            return;
        }
        let sale = &mut self.sales[at as usize];
        let accepted = heard.code == *APPROVED;
        if sale.reversed == Reversed::Accepted {
            let same = heard.digest == sale.reversal_answer;
            return self
                .faults
                .judge(Rule::Repeats, same, at, || "its repeated reversal was told otherwise".into());
        }
        sale.reversed = if accepted { Reversed::Accepted } else { Reversed::Refused };
        sale.reversal_answer = heard.digest;
        let (plan, sent) = (sale.plan, sale.sent);
        self.faults
            .judge(Rule::Reversals, accepted, at, || format!("its reversal was told {}", shown(heard.code)));
        if accepted && plan.reversal_repeated {
            self.follow(at, Message::Reversal { again: true });
        }
        if accepted && plan.repeat_reversed {
            self.follow(at, if sent { Message::Repeat } else { Message::Sale });
        }
    }

    /// A serial number or PIN belongs to one sale, and is given with an approval only.
    fn note_goods(&mut self, at: u32, heard: &Heard) {
        let approved = heard.code == *APPROVED;
        if heard.pin.is_some() {
            self.faults.judge(Rule::Vouchers, approved, at, || format!("a PIN with {}", shown(heard.code)));
        }
        for (what, goods) in [("serial number", heard.serial), ("PIN", heard.pin)] {
            let Some(goods) = goods.filter(|_| approved) else { continue };
            let first = *self.goods.entry(goods).or_insert(at);
            self.faults
                .judge(Rule::Vouchers, first == at, at, || format!("a {what} that another sale was given"));
        }
    }

    /// A connection is gone: what was open on it is asked again, on any connection.
    pub(crate) fn lose(&mut self, connection: u32) {
        let keys: Vec<Key> = self.opens.keys().filter(|key| key.0 == connection).copied().collect();
        for key in keys {
            while let Some(opened) = self.end(key) {
                let sale = &mut self.sales[opened.sale as usize];
                sale.lost = sale.lost.saturating_add(1);
                if sale.lost <= LOST_MAX {
                    self.follow(opened.sale, opened.message.again());
                    self.asked_again += 1;
                }
            }
        }
    }
}

pub(crate) fn shown(code: [u8; 2]) -> String {
    String::from_utf8_lossy(&code).into_owned()
}

#[cfg(test)]
mod tests;
