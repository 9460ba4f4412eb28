//! A simulated supplier: decides what it does with a request, remembers it, and writes its record.
//!
//! Owns: `SimulatedSupplier`, the memory by RRN, and `Goods` (what an approval brings).
//! Invariants: one RRN is performed at most once and reversed at most once; a reversal of something
//! unknown blocks it; memory is bounded; the goods of an RRN are the same whenever they are asked for,
//! and no two RRNs have the same PIN as long as the switch's RRNs are unique.
//! Deliberately absent: wires, clocks and files. `simulator` puts it behind the contract of adapters, the
//! load test's scripted host puts it behind a socket.

use crate::behaviour::{self, Answering};
use crate::digits;
use crate::moment::Moment;
pub use crate::record::Asked;
use crate::record::{self, Action};
use rustc_hash::{FxBuildHasher, FxHashMap};
use switchyard_core::catalogue::Service;
use switchyard_core::code::Code;
use switchyard_core::money::Minor;
use switchyard_core::secret::Secret;
use switchyard_core::text::Text;

/// How to redeem a simulated voucher (DE48 tag 24).
pub const REDEEM: &str = "Dial *100*PIN# and press call";

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The response code.
    pub code: Code,
    /// How long after arrival, in milliseconds.
    pub delay_ms: u32,
    /// Whether, and how often.
    pub answering: Answering,
}

/// What is known of an RRN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Performed and not reversed.
    Performed,
    /// Performed, then reversed; how often the reversal arrived.
    Reversed { arrivals: u8 },
    /// Reversed before it was ever seen: refused should it come.
    Blocked,
}

/// The supplier.
#[derive(Debug)]
pub struct SimulatedSupplier {
    refuses_83: bool,
    memory: Memory,
}

impl SimulatedSupplier {
    /// A supplier that has seen nothing. It remembers at least the last `rrns_min` RRNs, and at most
    /// twice as many. `refuses_83`: whether it is the one that refuses 83 with 91.
    pub fn new(refuses_83: bool, rrns_min: usize) -> Self {
        Self { refuses_83, memory: Memory::new(rrns_min) }
    }

    /// Remembers what its record says: a supplier outlives its process.
    pub fn remember(&mut self, record: &[u8]) {
        for past in record::read(record) {
            let reversal = past.mti.class_digit() == REVERSAL_CLASS;
            match past.action {
                Action::Perform => self.memory.set(past.rrn, Known::Performed),
                Action::Reverse => self.memory.set(past.rrn, Known::Reversed { arrivals: 1 }),
                Action::Ignore if reversal => drop(self.reversed_again(past.rrn)),
                Action::Ignore | Action::Refuse => {}
            }
        }
    }

    /// Decides a sale and appends the record's line.
    pub fn sale(&mut self, asked: &Asked<'_>, records: &mut Vec<u8>) -> Decision {
        let plan = behaviour::plan(asked.account, self.refuses_83);
        let planned = Decision { code: plan.code, delay_ms: plan.delay_ms, answering: plan.answering };
        let (action, decision) = match self.memory.known(asked.rrn) {
            Some(Known::Performed) => (Action::Ignore, planned),
            Some(_) => (Action::Refuse, at_once(Code::CANCELLED)),
            None if plan.performs => {
                self.memory.set(asked.rrn, Known::Performed);
                (Action::Perform, planned)
            }
            None if matches!(plan.answering, Answering::Silent | Answering::Garbage) => {
                (Action::Ignore, planned)
            }
            None => (Action::Refuse, planned),
        };
        asked.record(action, records);
        decision
    }

    /// Decides a reversal and appends the record's line.
    pub fn reversal(&mut self, asked: &Asked<'_>, records: &mut Vec<u8>) -> Decision {
        let performed = self.memory.known(asked.rrn) == Some(Known::Performed);
        let arrivals = if performed {
            self.memory.set(asked.rrn, Known::Reversed { arrivals: 1 });
            Some(1)
        } else {
            self.reversed_again(asked.rrn)
        };
        asked.record(if performed { Action::Reverse } else { Action::Ignore }, records);
        let first = behaviour::plan(asked.account, self.refuses_83).reversal_answered_at;
        match arrivals {
            Some(arrivals) if arrivals < first => {
                Decision { answering: Answering::Silent, ..at_once(Code::APPROVED) }
            }
            _ => at_once(Code::APPROVED),
        }
    }

    /// Says how a sale stands: 00 performed, 17 reversed, 25 not performed. Nothing changes, and nothing is recorded.
    pub fn status(&self, rrn: Text<12>) -> Decision {
        at_once(match self.memory.known(rrn) {
            Some(Known::Performed) => Code::APPROVED,
            Some(Known::Reversed { .. }) => Code::CANCELLED,
            _ => Code::NOT_FOUND,
        })
    }

    /// Notes a reversal that undoes nothing; how often it has arrived, where it once undid something.
    fn reversed_again(&mut self, rrn: Text<12>) -> Option<u8> {
        match self.memory.known(rrn) {
            Some(Known::Reversed { arrivals }) => {
                let arrivals = arrivals.saturating_add(1);
                self.memory.set(rrn, Known::Reversed { arrivals });
                Some(arrivals)
            }
            _ => {
                self.memory.set(rrn, Known::Blocked);
                None
            }
        }
    }
}

/// Second digit of the MTI of reversals.
const REVERSAL_CLASS: u8 = 4;

fn at_once(code: Code) -> Decision {
    Decision { code, delay_ms: 0, answering: Answering::Once }
}

/// What is known by RRN, in two generations: when the young one is full it becomes the old one, and
/// what was old is forgotten. So nothing is ever moved, and memory stays what it was at the start.
#[derive(Debug)]
struct Memory {
    young: FxHashMap<Text<12>, Known>,
    old: FxHashMap<Text<12>, Known>,
    generation: usize,
}

impl Memory {
    fn new(generation: usize) -> Self {
        let map = || FxHashMap::with_capacity_and_hasher(generation, FxBuildHasher);
        Self { young: map(), old: map(), generation: generation.max(1) }
    }

    fn known(&self, rrn: Text<12>) -> Option<Known> {
        self.young.get(&rrn).or_else(|| self.old.get(&rrn)).copied()
    }

    fn set(&mut self, rrn: Text<12>, known: Known) {
        if self.young.len() >= self.generation && !self.young.contains_key(&rrn) {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(rrn, known);
    }
}

/// What an approval brings.
#[derive(Debug)]
pub struct Goods {
    /// Approval code (DE38).
    pub approval: Text<6>,
    /// Supplier's reference (tag 23).
    pub reference: Text<20>,
    /// PIN of a voucher, token of a meter (tag 20); empty where there is none.
    pub pin: Secret,
    /// Receipt text that shows the PIN (DE62); empty where there is none.
    pub receipt: Secret,
    /// The voucher that the PIN belongs to, where it does.
    pub voucher: Option<Voucher>,
}

/// What a voucher has beside its PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// Serial number (tag 21).
    pub serial: Text<20>,
    /// Expiry, YYYYMMDD (tag 22): the end of the year after next.
    pub expiry: [u8; 8],
    /// Face value and currency (tag 25).
    pub face_value: [u8; 15],
}

/// What the sale with that RRN brings; the same for the same arguments.
pub fn goods(
    seed: u64,
    service: Option<Service>,
    rrn: Text<12>,
    amount: Minor,
    currency: u16,
    wall_ms: u64,
) -> Goods {
    let mut goods = Goods {
        approval: Text::new(tail(rrn.as_bytes(), 6)).unwrap_or_default(),
        reference: prefixed(b"REF", rrn),
        pin: Secret::new(),
        receipt: Secret::new(),
        voucher: None,
    };
    match service {
        Some(Service::Voucher) => {
            let voucher = Voucher {
                serial: prefixed(b"SN", rrn),
                expiry: expiry(wall_ms),
                face_value: face_value(amount, currency),
            };
            goods.pin.set(&pin(seed, rrn));
            receipt(&mut goods.receipt, "PIN", goods.pin.expose(), voucher.serial.as_bytes());
            goods.voucher = Some(voucher);
        }
        Some(Service::BillPayment) => {
            goods.pin.set(&token(seed, rrn));
            receipt(&mut goods.receipt, "TOKEN", goods.pin.expose(), goods.reference.as_bytes());
        }
        _ => {}
    }
    goods
}

fn receipt(out: &mut Secret, what: &str, pin: &[u8], reference: &[u8]) {
    let out = out.buffer();
    out.extend_from_slice(what.as_bytes());
    for group in pin.chunks(4) {
        out.push(b' ');
        out.extend_from_slice(group);
    }
    out.extend_from_slice(b" - ");
    out.extend_from_slice(reference);
    out.extend_from_slice(b" - Thank you");
}

fn tail(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[bytes.len().saturating_sub(length)..]
}

fn prefixed(prefix: &[u8], rrn: Text<12>) -> Text<20> {
    let mut text = [0; 20];
    let length = prefix.len() + rrn.len();
    text[..prefix.len()].copy_from_slice(prefix);
    text[prefix.len()..length].copy_from_slice(rrn.as_bytes());
    Text::new(&text[..length]).unwrap_or_default()
}

fn expiry(wall_ms: u64) -> [u8; 8] {
    let mut moment = Moment::of(wall_ms);
    moment.year += 2;
    let mut expiry = *b"00001231";
    expiry[..4].copy_from_slice(&moment.year_digits());
    expiry
}

fn face_value(amount: Minor, currency: u16) -> [u8; 15] {
    let mut text = [0; 15];
    text[..12].copy_from_slice(&digits::<12>(amount.0.unsigned_abs()));
    text[12..].copy_from_slice(&digits::<3>(u64::from(currency)));
    text
}

/// How many PINs of sixteen digits there are.
const PINS: u64 = 10_000_000_000_000_000;
/// Has no factor in common with `PINS`, so that multiplying by it only changes the order of the PINs.
const STRIDE: u128 = 6_180_339_887_498_949;

/// A PIN of sixteen digits: the RRN's number, moved by the seed and spread over all PINs. Different
/// numbers have different PINs; the switch's RRNs stay apart for a thousand of its epochs.
fn pin(seed: u64, rrn: Text<12>) -> [u8; 16] {
    let place = (number(rrn) % PINS + seed % PINS) % PINS;
    digits((u128::from(place) * STRIDE % u128::from(PINS)) as u64)
}

/// A meter's token of twenty digits: a PIN, and four that depend on it.
fn token(seed: u64, rrn: Text<12>) -> [u8; 20] {
    let pin = pin(seed, rrn);
    let mut token = [0; 20];
    token[..16].copy_from_slice(&pin);
    let check = pin.iter().fold(seed, |sum, digit| sum.wrapping_mul(31).wrapping_add(u64::from(*digit)));
    token[16..].copy_from_slice(&digits::<4>(check));
    token
}

/// The RRN read in base 36, as the switch writes it.
fn number(rrn: Text<12>) -> u64 {
    rrn.as_bytes().iter().fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(36).unwrap_or(0);
        number.wrapping_mul(36).wrapping_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use switchyard_core::ids::FlightNo;
    use switchyard_core::iso8583::Mti;

    fn asked(mti: u16, rrn: &str, account: &'static str) -> Asked<'static> {
        Asked {
            wall_ms: 1_798_761_599_042,
            mti: Mti::new(mti),
            stan: 7,
            rrn: Text::new(rrn.as_bytes()).expect("short"),
            transmission: *b"1231235959",
            account: account.as_bytes(),
            card: false,
            amount: Minor(1_000),
        }
    }

    fn actions(records: &[u8]) -> Vec<&'static str> {
        record::read(records).map(|past| past.action.name()).collect()
    }

    #[test]
    fn a_repeat_is_answered_as_before_and_not_performed_twice() {
        let mut supplier = SimulatedSupplier::new(true, 8);
        let mut records = Vec::new();
        let first = supplier.sale(&asked(200, "A", "0600"), &mut records);
        let second = supplier.sale(&asked(200, "A", "0600"), &mut records);
        assert_eq!(first, second);
        assert_eq!(actions(&records), ["perform", "ignore"]);
    }

    #[test]
    fn a_reversal_undoes_once_and_is_answered_every_time() {
        let mut supplier = SimulatedSupplier::new(true, 8);
        let mut records = Vec::new();
        supplier.sale(&asked(200, "A", "0600"), &mut records);
        for mti in [420, 421, 421] {
            let decision = supplier.reversal(&asked(mti, "A", "0600"), &mut records);
            assert_eq!(decision, at_once(Code::APPROVED));
        }
        assert_eq!(supplier.sale(&asked(200, "A", "0600"), &mut records).code, Code::CANCELLED);
        assert_eq!(actions(&records), ["perform", "reverse", "ignore", "ignore", "refuse"]);
    }

    #[test]
    fn a_reversal_of_something_unknown_blocks_it() {
        let mut supplier = SimulatedSupplier::new(true, 8);
        let mut records = Vec::new();
        assert_eq!(supplier.reversal(&asked(420, "A", "0600"), &mut records), at_once(Code::APPROVED));
        assert_eq!(supplier.sale(&asked(200, "A", "0600"), &mut records), at_once(Code::CANCELLED));
        assert_eq!(actions(&records), ["ignore", "refuse"]);
    }

    #[test]
    fn the_reversal_of_90_is_answered_at_the_third_try() {
        let mut supplier = SimulatedSupplier::new(true, 8);
        let mut records = Vec::new();
        assert_eq!(supplier.sale(&asked(200, "A", "0690"), &mut records), at_once(Code::APPROVED));
        let answers: Vec<_> = [420, 421, 421, 421]
            .map(|mti| supplier.reversal(&asked(mti, "A", "0690"), &mut records).answering)
            .into();
        assert_eq!(answers, [Answering::Silent, Answering::Silent, Answering::Once, Answering::Once]);
        assert_eq!(actions(&records), ["perform", "reverse", "ignore", "ignore", "ignore"]);
    }

    #[test]
    fn a_supplier_remembers_by_its_record() {
        let mut supplier = SimulatedSupplier::new(true, 8);
        let mut records = Vec::new();
        supplier.sale(&asked(200, "A", "0600"), &mut records);
        supplier.sale(&asked(200, "B", "0690"), &mut records);
        supplier.reversal(&asked(420, "B", "0690"), &mut records);
        supplier.reversal(&asked(421, "B", "0690"), &mut records);
        supplier.reversal(&asked(420, "C", "0600"), &mut records);

        let mut again = SimulatedSupplier::new(true, 8);
        again.remember(&records);
        let mut after = Vec::new();
        assert_eq!(again.sale(&asked(200, "A", "0600"), &mut after).code, Code::APPROVED);
        assert_eq!(again.reversal(&asked(421, "B", "0690"), &mut after).answering, Answering::Once);
        assert_eq!(again.sale(&asked(200, "C", "0600"), &mut after).code, Code::CANCELLED);
        again.reversal(&asked(420, "A", "0600"), &mut after);
        assert_eq!(actions(&after), ["ignore", "ignore", "refuse", "reverse"]);
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_newest() {
        let mut memory = Memory::new(16);
        let rrn = |number: u64| FlightNo(number).rrn(1);
        for at in 0..1_000 {
            memory.set(rrn(at), Known::Performed);
            assert!(memory.young.len() + memory.old.len() <= 32);
            let oldest = (at + 1).saturating_sub(16);
            assert!((oldest..=at).all(|at| memory.known(rrn(at)).is_some()));
        }
        assert_eq!(memory.known(rrn(0)), None);
    }

    #[test]
    fn no_two_pins_are_the_same() {
        let first = FlightNo::first(3, 1_800_000_000_000);
        let pins: HashSet<_> = (0..50_000)
            .flat_map(|at| [1, 2].map(|attempt| pin(9, FlightNo(first.0 + at).rrn(attempt))))
            .collect();
        assert_eq!(pins.len(), 100_000);
        assert_ne!(pin(9, first.rrn(1)), pin(10, first.rrn(1)));
    }

    #[test]
    fn the_stride_reaches_every_pin() {
        assert!(!STRIDE.is_multiple_of(2) && !STRIDE.is_multiple_of(5));
    }

    #[test]
    fn goods_are_those_of_the_service_and_show_no_secret() {
        let of = |service| goods(1, Some(service), FlightNo(77).rrn(1), Minor(1_500), 978, 1_798_761_599_042);
        let voucher = of(Service::Voucher);
        assert_eq!(voucher.pin.expose().len(), 16);
        let details = voucher.voucher.expect("a voucher has a serial");
        assert_eq!((&details.expiry, &details.face_value), (b"20281231", b"000000001500978"));
        assert!(voucher.receipt.expose().is_ascii());
        let pin = String::from_utf8_lossy(voucher.pin.expose()).into_owned();
        assert!(!format!("{voucher:?}").contains(&pin));

        assert_eq!(of(Service::BillPayment).pin.expose().len(), 20);
        let recharge = of(Service::Recharge);
        assert!(recharge.pin.is_empty() && recharge.receipt.is_empty() && recharge.voucher.is_none());
        assert_eq!(recharge.reference.as_str(), "REF0000000000H5");
        assert_eq!(recharge.approval.as_str(), "0000H5");
    }
}
