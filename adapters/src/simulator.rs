//! A simulated supplier inside the switch: no link, a seeded latency, the behaviours of the demonstration.
//!
//! Owns: `Simulator`, the answers that wait for their time, and the distribution of latencies.
//! Invariants: the same seed and the same orders give the same answers at the same times; answers that
//! wait are bounded by `WAITING_MAX`; no secret waits, goods are made when they are handed over.
//! Deliberately absent: what is decided (`simulated_supplier`) and the file of its record (the shell's).

use crate::behaviour::Answering;
use crate::settings::Settings;
use crate::simulated_supplier::{self, Asked, Decision, REDEEM, SimulatedSupplier};
use crate::{Made, MakeContext, MakeError, Registration};
use rustc_hash::FxHashMap;
use switchyard_core::adapter::{Ask, Fault, Heard, LinkNo, Order, Out, Reply, ReplyTo, Unaskable, Wire};
use switchyard_core::catalogue::Service;
use switchyard_core::code::Code;
use switchyard_core::details::{self, Detail};
use switchyard_core::ids::Now;
use switchyard_core::iso8583::Mti;
use switchyard_core::money::Minor;
use switchyard_core::schema::{Key, Kind};
use switchyard_core::text::Text;

/// Its line in the registry.
pub const REGISTRATION: Registration = Registration {
    name: "simulator",
    help: "A simulated supplier inside the switch, with seeded latency and scripted behaviours.",
    local: false,
    links: false,
    keys: KEYS,
    make,
};

const KEYS: &[Key] = &[
    Key::integer("latency_ms", "ms", 0, 60_000, "How long half of the answers take at most.").default("20"),
    Key::integer(
        "latency_spread",
        "percent",
        0,
        300,
        "How far latencies spread: the standard deviation of their logarithm. 0: all alike.",
    )
    .default("30"),
    Key::new(
        "refuses_83",
        Kind::Bool,
        "Whether accounts that end in 83 are refused with 91, as if out of reach.",
    )
    .default("false"),
];

/// Most answers that wait for their time; a request beyond that is never answered.
pub const WAITING_MAX: usize = 65_536;
/// How many RRNs it remembers at least.
const RRNS_MIN: usize = 65_536;
/// No latency is longer, in microseconds.
const LATENCY_US_MAX: f64 = 60_000_000.0;

fn make(table: &toml::Table, context: &MakeContext<'_>) -> Result<Made, MakeError> {
    let settings = Settings::new(KEYS, table);
    let mut supplier = SimulatedSupplier::new(settings.flag("refuses_83")?, RRNS_MIN);
    supplier.remember(context.record);
    Ok(Made::Wire(Box::new(Simulator {
        seed: context.seed,
        median_us: settings.number("latency_ms")? * 1_000,
        spread: settings.number("latency_spread")? as f64 / 100.0,
        supplier,
        waiting: FxHashMap::default(),
        token: 0,
    })))
}

/// The adapter.
struct Simulator {
    seed: u64,
    median_us: u64,
    spread: f64,
    supplier: SimulatedSupplier,
    waiting: FxHashMap<u64, Waiting>,
    token: u64,
}

/// An answer that waits for its time. What it brings is made then.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    to: ReplyTo,
    link: LinkNo,
    stan: u32,
    transmission: [u8; 10],
    rrn: Text<12>,
    code: Code,
    answering: Answering,
    service: Option<Service>,
    amount: Minor,
    currency: u16,
}

impl Wire for Simulator {
    fn needs_links(&self) -> bool {
        false
    }

    fn ask(&mut self, now: Now, order: &Order, link: LinkNo, out: &mut Out) -> Result<(), Unaskable> {
        let (to, decision) = self.decide(now, order, out);
        if matches!(decision.answering, Answering::Silent | Answering::Drop) {
            return Ok(());
        }
        let waiting = Waiting {
            to,
            link,
            stan: order.stan,
            transmission: order.transmission,
            rrn: order.rrn,
            code: decision.code,
            answering: decision.answering,
            service: order.service,
            amount: order.amount,
            currency: order.currency,
        };
        let wait_us = u64::from(decision.delay_ms) * 1_000 + self.latency_us(order.rrn, to);
        if wait_us == 0 {
            self.answer(now, &waiting, out);
        } else if self.waiting.len() < WAITING_MAX {
            self.token += 1;
            self.waiting.insert(self.token, waiting);
            out.wakes.push((now.mono_us + wait_us, self.token));
        }
        Ok(())
    }

    fn heard(&mut self, now: Now, heard: Heard<'_>, out: &mut Out) {
        if let Heard::Wake(token) = heard
            && let Some(waiting) = self.waiting.remove(&token)
        {
            self.answer(now, &waiting, out);
        }
    }
}

impl Simulator {
    fn decide(&mut self, now: Now, order: &Order, out: &mut Out) -> (ReplyTo, Decision) {
        let card = order.account.is_empty() && !order.pan.is_empty();
        let asked = |mti: u16| Asked {
            wall_ms: now.wall_ms,
            mti: Mti::new(mti),
            stan: order.stan,
            rrn: order.rrn,
            transmission: order.transmission,
            account: if card { order.pan.expose() } else { order.account.as_bytes() },
            card,
            amount: order.amount,
        };
        match order.ask {
            Ask::Sale => (ReplyTo::Sale, self.supplier.sale(&asked(200), &mut out.records)),
            Ask::Reversal { repeat } => {
                let mti = if repeat { 421 } else { 420 };
                (ReplyTo::Reversal, self.supplier.reversal(&asked(mti), &mut out.records))
            }
            Ask::Status => (ReplyTo::Status, self.supplier.status(order.rrn)),
        }
    }

    fn answer(&self, now: Now, waiting: &Waiting, out: &mut Out) {
        match waiting.answering {
            Answering::Once => self.reply(now, waiting, out),
            Answering::Twice => {
                self.reply(now, waiting, out);
                self.reply(now, waiting, out);
            }
            Answering::Garbage => out.faults.push(Fault::Garbage(waiting.link)),
            Answering::Silent | Answering::Drop => {}
        }
    }

    fn reply(&self, now: Now, waiting: &Waiting, out: &mut Out) {
        let details = out.details.len();
        let secret = out.secrets.expose().len();
        let sold = waiting.to == ReplyTo::Sale && waiting.code == Code::APPROVED;
        let approval = if sold { self.hand_over(now, waiting, out) } else { Text::EMPTY };
        out.replies.push(Reply {
            link: waiting.link,
            to: waiting.to,
            stan: waiting.stan,
            transmission: Some(waiting.transmission),
            rrn: Some(waiting.rrn),
            code: Text::new(&waiting.code.0).unwrap_or_default(),
            approval,
            details: details..out.details.len(),
            secret: secret..out.secrets.expose().len(),
        });
    }

    /// Writes the goods of a sale; gives the approval code.
    fn hand_over(&self, now: Now, sold: &Waiting, out: &mut Out) -> Text<6> {
        let goods = simulated_supplier::goods(
            self.seed,
            sold.service,
            sold.rrn,
            sold.amount,
            sold.currency,
            now.wall_ms,
        );
        details::put(&mut out.details, Detail::SupplierReference, goods.reference.as_bytes());
        if let Some(voucher) = &goods.voucher {
            details::put(&mut out.details, Detail::Serial, voucher.serial.as_bytes());
            details::put(&mut out.details, Detail::Expiry, &voucher.expiry);
            details::put(&mut out.details, Detail::FaceValue, &voucher.face_value);
            details::put(&mut out.details, Detail::Redeem, REDEEM.as_bytes());
        }
        if !goods.pin.is_empty() {
            details::put(out.secrets.buffer(), Detail::Pin, goods.pin.expose());
            details::put(out.secrets.buffer(), Detail::Receipt, goods.receipt.expose());
        }
        goods.approval
    }

    /// Log-normal, with the configured median; the same for the same seed and request.
    fn latency_us(&self, rrn: Text<12>, to: ReplyTo) -> u64 {
        if self.median_us == 0 || self.spread == 0.0 {
            return self.median_us;
        }
        let mut state = rrn.as_bytes().iter().fold(self.seed ^ to as u64, |state, byte| {
            (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
        // The sum of twelve uniform numbers less six is close to the normal distribution.
        let normal = (0..12).map(|_| uniform(&mut state)).sum::<f64>() - 6.0;
        ((self.median_us as f64) * (self.spread * normal).exp()).min(LATENCY_US_MAX) as u64
    }
}

/// The next number of a SplitMix64 sequence, from 0 to 1.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulator(latency_ms: u64) -> Simulator {
        Simulator {
            seed: 5,
            median_us: latency_ms * 1_000,
            spread: 0.3,
            supplier: SimulatedSupplier::new(true, 64),
            waiting: FxHashMap::default(),
            token: 0,
        }
    }

    fn order(number: u64, account: &str) -> Order {
        Order {
            stan: 1,
            transmission: *b"1121225000",
            rrn: switchyard_core::ids::FlightNo(number).rrn(1),
            service: Some(Service::Recharge),
            amount: Minor(500),
            currency: 978,
            account: Text::new(account.as_bytes()).expect("short"),
            ..Order::default()
        }
    }

    #[test]
    fn latencies_spread_around_their_median() {
        let simulator = simulator(20);
        let mut latencies: Vec<_> = (0..2_001)
            .map(|number| simulator.latency_us(switchyard_core::ids::FlightNo(number).rrn(1), ReplyTo::Sale))
            .collect();
        latencies.sort_unstable();
        assert!((19_000..21_000).contains(&latencies[1_000]), "median {}", latencies[1_000]);
        assert!(latencies[20] < 13_000 && latencies[1_980] > 32_000);
    }

    #[test]
    fn an_answer_waits_for_its_wake_up_and_comes_once() {
        let (mut simulator, mut out) = (simulator(20), Out::default());
        simulator.ask(Now::default(), &order(1, "0600"), 0, &mut out).expect("any order will do");
        assert!(out.replies.is_empty() && !out.records.is_empty());
        let [(due_us, token)] = out.wakes[..] else { panic!("one wake-up") };
        let then = Now { mono_us: due_us, wall_ms: 0 };
        for _ in 0..2 {
            simulator.heard(then, Heard::Wake(token), &mut out);
        }
        assert_eq!(out.replies.len(), 1);
        assert_eq!(out.replies[0].code.as_str(), "00");
        assert!(simulator.waiting.is_empty());
    }

    #[test]
    fn behaviours_without_a_link() {
        for (account, replies, faults) in
            [("0685", 0, 0), ("0687", 2, 0), ("0688", 0, 1), ("0689", 0, 0), ("0680", 1, 0)]
        {
            let (mut simulator, mut out) = (simulator(0), Out::default());
            simulator.ask(Now::default(), &order(1, account), 0, &mut out).expect("any order will do");
            assert_eq!((out.replies.len(), out.faults.len()), (replies, faults), "{account}");
        }
    }
}
