//! The contract of adapters, held against every registered one, in random order and with hostile input.
//!
//! What a driver does: links come and go, orders are asked, answers arrive late, twice, cut short, changed or for nothing,
//! wake-ups come that nobody asked for. A failing case prints its steps; proptest finds the shortest.

use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use switchyard_adapters::{ADAPTERS, Made, MakeContext, Registration};
use switchyard_core::adapter::{Ask, Heard, Local, LocalAsk, LocalSale, Order, Out, Wire};
use switchyard_core::catalogue::Service;
use switchyard_core::details::{self, Detail};
use switchyard_core::ids::{FlightNo, Now, ProductId};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag};
use switchyard_core::money::Minor;
use switchyard_core::shelf::Shelf;
use switchyard_core::state::State;
use switchyard_core::text::Text;

/// Links that the driver uses.
const LINKS: u8 = 3;
/// Orders that it asks again and again.
const ORDERS: u8 = 8;
/// Appears in no output that people see.
const PAN: &str = "6006491234567890";
const PIN: &str = "9876543210987654";
/// No call may write more than this, in bytes, beyond what it was given.
const BYTES_MAX: usize = 4_096;

fn dialect() -> Arc<Dialect> {
    Arc::new(Dialect::open_shipped("prepaid87").unwrap_or_else(|error| panic!("{error}")))
}

fn make(registration: &Registration) -> Made {
    let mut table = toml::Table::new();
    for key in registration.keys.iter().filter(|key| key.required) {
        let line: toml::Table = format!("value = {}", key.example).parse().expect("an example is TOML");
        table.insert(key.name.into(), line["value"].clone());
    }
    let context = MakeContext {
        supplier: Text::new(b"supplier").expect("short"),
        seed: 11,
        dialect: &|name| Dialect::open_shipped(name).ok().map(Arc::new),
        record: b"",
    };
    (registration.make)(&table, &context).unwrap_or_else(|error| panic!("{}: {error}", registration.name))
}

fn wire(registration: &Registration) -> Option<Box<dyn Wire>> {
    match make(registration) {
        Made::Wire(wire) => Some(wire),
        Made::Local(_) => None,
    }
}

fn local(registration: &Registration) -> Option<Box<dyn Local>> {
    match make(registration) {
        Made::Wire(_) => None,
        Made::Local(local) => Some(local),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Up(u8),
    Down(u8),
    Leave(u8),
    Ask {
        link: u8,
        order: u8,
        ask: u8,
    },
    /// An answer to an order, or to the adapter's own housekeeping: whole, cut short or changed.
    Answer {
        link: u8,
        order: u8,
        mti: u16,
        code: u8,
        cut: Option<u8>,
        flip: Option<(u8, u8)>,
    },
    /// The same frame as before, perhaps on another link.
    Again(u8),
    Bytes(u8, Vec<u8>),
    /// One of the wake-ups asked for, due or not, or asked for by nobody.
    Wake(u8),
    Stray(u64),
    Pass {
        ms: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let link = 0..LINKS;
    let order = 0..ORDERS;
    prop_oneof![
        3 => link.clone().prop_map(Step::Up),
        1 => link.clone().prop_map(Step::Down),
        1 => link.clone().prop_map(Step::Leave),
        6 => (link.clone(), order.clone(), 0u8..4).prop_map(|(link, order, ask)| Step::Ask { link, order, ask }),
        8 => (
            link.clone(),
            order,
            prop_oneof![Just(210u16), Just(110), Just(430), Just(410), Just(810), Just(800), Just(200), Just(230)],
            0u8..4,
            proptest::option::weighted(0.2, any::<u8>()),
            proptest::option::weighted(0.2, any::<(u8, u8)>()),
        )
            .prop_map(|(link, order, mti, code, cut, flip)| Step::Answer { link, order, mti, code, cut, flip }),
        2 => link.clone().prop_map(Step::Again),
        1 => (link, proptest::collection::vec(any::<u8>(), 0..200)).prop_map(|(link, bytes)| Step::Bytes(link, bytes)),
        3 => any::<u8>().prop_map(Step::Wake),
        1 => any::<u64>().prop_map(Step::Stray),
        3 => (0u32..40_000).prop_map(|ms| Step::Pass { ms }),
    ]
}

fn order(number: u8, ask: u8) -> Order {
    let service = [Service::Recharge, Service::Voucher, Service::Activation, Service::BillPayment]
        [usize::from(number) % 4];
    let card = service == Service::Activation;
    let account = format!("06{:06}{:02}", 1_000 + u32::from(number), 80 + u32::from(number));
    let mut order = Order {
        flight: FlightNo(u64::from(number)),
        attempt: 1,
        ask: match ask {
            0 => Ask::Sale,
            3 => Ask::Status,
            repeat => Ask::Reversal { repeat: repeat == 2 },
        },
        stan: u32::from(number) + 1,
        transmission: *b"1121225900",
        rrn: FlightNo(u64::from(number)).rrn(1),
        service: Some(service),
        product: Text::new(b"PRODUCT").expect("short"),
        amount: Minor(1_000),
        currency: 978,
        account: if card { Text::EMPTY } else { Text::new(account.as_bytes()).expect("short") },
        terminal: Text::new(b"T0000001").expect("short"),
        merchant: Text::new(b"SHOP00000000001").expect("short"),
        network: Text::new(b"100001").expect("short"),
        local: *b"2259001121",
        ..Order::default()
    };
    if card {
        order.pan.set(PAN.as_bytes());
    }
    order
}

fn answer(dialect: &Dialect, number: u8, mti: u16, code: u8) -> Vec<u8> {
    let order = order(number, 0);
    let mut out = Vec::new();
    let mut build = Build::new(dialect, Mti::new(mti), &mut out);
    // Housekeeping counts its own STANs from 1, as the orders do here.
    build
        .text(Role::TransmissionTime, &order.transmission)
        .number(Role::Stan, u64::from(order.stan % 4 + 1))
        .text(Role::Rrn, order.rrn.as_bytes())
        .text(Role::ResponseCode, [b"00", b"05", b"91", b"94"][usize::from(code)])
        .open_tags(Role::Prepaid)
        .tag(Tag::Pin, PIN.as_bytes())
        .tag(Tag::Serial, b"SN1")
        .close_tags()
        .text(Role::Receipt, format!("PIN {PIN}").as_bytes())
        .number(Role::ManagementCode, [1, 2, 301, 101][usize::from(code)]);
    build.finish().unwrap_or_else(|error| panic!("{error}"));
    out
}

/// One adapter under the driver, and what the driver knows of it.
struct Driver {
    name: &'static str,
    adapter: Box<dyn Wire>,
    twin: Box<dyn Wire>,
    dialect: Arc<Dialect>,
    now: Now,
    ready: [bool; LINKS as usize],
    last_frame: Vec<u8>,
    wakes: Vec<u64>,
    asked: u64,
    replies: u64,
    /// The bytes of each sale, the first time it was asked.
    sales: HashMap<u8, Vec<u8>>,
}

impl Driver {
    fn new(registration: &'static Registration) -> Option<Self> {
        Some(Self {
            name: registration.name,
            adapter: wire(registration)?,
            twin: wire(registration)?,
            dialect: dialect(),
            now: Now { mono_us: 1_000_000, wall_ms: 1_798_761_599_042 },
            ready: [false; LINKS as usize],
            last_frame: Vec::new(),
            wakes: Vec::new(),
            asked: 0,
            replies: 0,
            sales: HashMap::new(),
        })
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Up(link) => {
                self.ready[usize::from(*link)] = false;
                self.hear(|| Heard::Up(*link));
            }
            Step::Down(link) => {
                self.hear(|| Heard::Down(*link));
                self.ready[usize::from(*link)] = false;
            }
            Step::Leave(link) => {
                self.hear(|| Heard::Leave(*link));
                self.ready[usize::from(*link)] = false;
            }
            Step::Ask { link, order, ask } => self.ask(*link, *order, *ask),
            Step::Answer { link, order, mti, code, cut, flip } => {
                let mut frame = answer(&self.dialect, *order, *mti, *code);
                if let Some(cut) = cut {
                    frame.truncate(usize::from(*cut) % frame.len());
                }
                if let (Some((at, bits)), false) = (flip, frame.is_empty()) {
                    let at = usize::from(*at) % frame.len();
                    frame[at] ^= bits;
                }
                self.frame(*link, frame);
            }
            Step::Again(link) => self.frame(*link, self.last_frame.clone()),
            Step::Bytes(link, bytes) => self.frame(*link, bytes.clone()),
            Step::Wake(_) if self.wakes.is_empty() => {}
            Step::Wake(which) => {
                let token = self.wakes[usize::from(*which) % self.wakes.len()];
                self.hear(|| Heard::Wake(token));
            }
            Step::Stray(token) => self.hear(|| Heard::Wake(*token)),
            Step::Pass { ms } => {
                self.now.mono_us += u64::from(*ms) * 1_000;
                self.now.wall_ms += u64::from(*ms);
            }
        }
    }

    fn frame(&mut self, link: u8, frame: Vec<u8>) {
        let before = self.replies;
        let response = self.dialect.view(&frame).is_ok_and(|view| view.mti().is_response());
        self.hear(|| Heard::Frame(link, &frame));
        assert!(self.replies <= before + u64::from(response), "{}: a reply to nothing", self.name);
        self.last_frame = frame;
    }

    fn hear<'a>(&mut self, heard: impl Fn() -> Heard<'a>) {
        let (mut out, mut twin) = (Out::default(), Out::default());
        self.adapter.heard(self.now, heard(), &mut out);
        self.twin.heard(self.now, heard(), &mut twin);
        let given = match heard() {
            Heard::Frame(_, body) => body.len(),
            _ => 0,
        };
        self.check(&out, &twin, given);
    }

    fn ask(&mut self, link: u8, number: u8, ask: u8) {
        let link = if self.adapter.needs_links() { link } else { 0 };
        let order = order(number, ask);
        let (mut out, mut twin) = (Out::default(), Out::default());
        let asked = self.adapter.ask(self.now, &order, link, &mut out);
        assert_eq!(asked, self.twin.ask(self.now, &order, link, &mut twin));
        match asked {
            Ok(()) => self.asked += 1,
            Err(_) => assert!(out.bytes.is_empty() && out.sends.is_empty() && out.records.is_empty()),
        }
        if self.adapter.needs_links() && !self.ready[usize::from(link)] {
            assert!(asked.is_err(), "{}: asked on a link that is not ready", self.name);
        }
        for (_, range) in &out.sends {
            self.check_message(&order, number, &out.bytes[range.clone()]);
        }
        self.check(&out, &twin, 0);
    }

    /// A sale is built from its order alone; a reversal repeats its original's STAN and RRN.
    fn check_message(&mut self, order: &Order, number: u8, message: &[u8]) {
        if order.ask == Ask::Sale {
            let first = self.sales.entry(number).or_insert_with(|| message.to_vec());
            assert_eq!(first, message, "{}: a sale depends on what happened before", self.name);
        }
        let view = self.dialect.view(message).unwrap_or_else(|broken| panic!("{}: {broken}", self.name));
        assert_eq!(view.value(Role::Stan).and_then(|stan| stan.number()), Some(u64::from(order.stan)));
        assert_eq!(view.value(Role::Rrn).and_then(|rrn| rrn.text()), Some(order.rrn));
    }

    fn check(&mut self, out: &Out, twin: &Out, given: usize) {
        let name = self.name;
        assert_eq!(format!("{out:?}"), format!("{twin:?}"), "{name}: not the same from the same");
        assert_eq!(out.secrets.expose(), twin.secrets.expose(), "{name}: not the same from the same");
        assert!(out.sends.len() <= 1 && out.replies.len() <= 2 && out.wakes.len() <= 2, "{name}: {out:?}");
        assert!(out.ready.len() <= 1 && out.close.len() <= 1 && out.faults.len() <= 1, "{name}: {out:?}");
        let written = out.bytes.len() + out.details.len() + out.secrets.expose().len() + out.records.len();
        assert!(written <= BYTES_MAX + 2 * given, "{name}: {written} bytes from {given}");
        assert_eq!(details::find(&out.details, Detail::Pin), None, "{name}: a PIN among the details");
        let records = String::from_utf8_lossy(&out.records);
        let shown = format!("{:?} {:?} {records}", out.replies, out.secrets);
        assert!(!shown.contains(PAN) && !shown.contains(PIN), "{name}: a secret is shown");
        self.note(out);
    }

    fn note(&mut self, out: &Out) {
        self.replies += out.replies.len() as u64;
        if !self.adapter.needs_links() {
            assert!(self.replies <= 2 * self.asked, "{}: more replies than questions", self.name);
        }
        self.wakes.extend(out.wakes.iter().map(|(_, token)| *token));
        assert!(
            out.wakes.iter().all(|(at_us, _)| *at_us > self.now.mono_us),
            "{}: a wake-up in the past",
            self.name
        );
        for link in &out.ready {
            self.ready[usize::from(*link)] = true;
        }
        for link in &out.close {
            self.ready[usize::from(*link)] = false;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_wire_keeps_the_contract(steps in proptest::collection::vec(step(), 1..120)) {
        for registration in ADAPTERS {
            let Some(mut driver) = Driver::new(registration) else { continue };
            for step in &steps {
                driver.take(step);
            }
        }
    }

    #[test]
    fn a_local_supplier_keeps_the_contract(
        product in 0u16..3,
        service in 0usize..5,
        amount in any::<i64>(),
        account in "[ -~]{0,30}",
        wall_ms in 0u64..4_000_000_000_000,
    ) {
        let ask = LocalAsk {
            product: ProductId(product),
            service: Service::ALL[service],
            amount: Minor(amount),
            currency: 978,
            exponent: 2,
            account: Text::new(account.as_bytes()).expect("short"),
        };
        let (state, now) = (State::default(), Now { mono_us: 1, wall_ms });
        for registration in ADAPTERS {
            let Some(adapter) = local(registration) else { continue };
            let mut decided = Vec::new();
            for _ in 0..2 {
                let mut sale = LocalSale::default();
                let result = adapter.decide(now, &state, &mut Shelf::default(), &ask, &mut sale);
                if result.is_ok() {
                    prop_assert!(sale.effect.is_some(), "{}: a sale that changes nothing", registration.name);
                }
                prop_assert!(sale.details.0.len() + sale.sealed.len() <= BYTES_MAX);
                prop_assert_eq!(details::find(&sale.details.0, Detail::Pin), None);
                decided.push(format!("{result:?} {sale:?}"));
            }
            prop_assert_eq!(&decided[0], &decided[1], "{}: not the same from the same", registration.name);
        }
    }
}

/// A driver that never gets to the interesting part would hold every invariant.
#[test]
fn the_driver_gets_as_far_as_a_reply() {
    for registration in ADAPTERS {
        let Some(mut driver) = Driver::new(registration) else { continue };
        let answer = |order, mti| Step::Answer { link: 0, order, mti, code: 0, cut: None, flip: None };
        for step in [Step::Up(0), answer(3, 810), Step::Ask { link: 0, order: 7, ask: 0 }, answer(7, 210)] {
            driver.take(&step);
        }
        for token in driver.wakes.clone() {
            driver.hear(|| Heard::Wake(token));
        }
        assert_eq!(driver.asked, 1, "{}", driver.name);
        assert!(driver.replies >= 1, "{}", driver.name);
    }
}

#[test]
fn every_adapter_is_of_the_kind_that_it_says() {
    for registration in ADAPTERS {
        match make(registration) {
            Made::Wire(wire) => {
                assert!(!registration.local);
                assert_eq!(wire.needs_links(), registration.links, "{}", registration.name);
            }
            Made::Local(_) => assert!(registration.local && !registration.links),
        }
    }
}
