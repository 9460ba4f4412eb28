//! Supply and session together, against a supplier that knows nothing but STANs: over three wraps of a small space no answer meets another flight.

use super::*;
use crate::adapter::{Ask, Heard, LinkNo, Order, Out, Reply, ReplyTo, Unaskable, Wire};
use crate::breaker::BreakerRules;
use crate::catalogue::{AfterUnknown, CodeTable, Meaning, ReversalMeaning};
use crate::ids::{FlightNo, SupplierId};
use crate::session::{Report, Session};
use crate::text::Text;
use proptest::prelude::*;
use std::collections::HashMap;

const STANS: u32 = 60;
const WINDOW: u32 = 8;
const LATE_MAX: u32 = 20;
const TIMEOUT_MS: u32 = 100;
const LATE_WINDOW_MS: u32 = 1_000;
const PLACE: Place = Place { conduit: 0, slot: 0, generation: 0 };

fn text<const N: usize>(of: &str) -> Text<N> {
    Text::new(of.as_bytes()).expect("short")
}

fn supplier() -> Supplier {
    Supplier {
        id: SupplierId(0),
        code: text("model"),
        name: String::new(),
        adapter: String::new(),
        local: false,
        window_requests_max: WINDOW,
        advices_max: 1_000,
        late_max: LATE_MAX,
        timeout_ms: TIMEOUT_MS,
        late_window_ms: LATE_WINDOW_MS,
        advice_retry_ms: 50,
        advice_retry_max_ms: 200,
        advice_expires_ms: 600_000,
        after_unknown: AfterUnknown::Reverse,
        reversal_blocks_original: false,
        breaker: BreakerRules { requests_min: 1_000_000, ..BreakerRules::default() },
        codes: CodeTable {
            sale: [(text("00"), Meaning::Approved)].into_iter().collect(),
            reversal: [(text("00"), ReversalMeaning::Reversed)].into_iter().collect(),
            ..CodeTable::default()
        },
    }
}

/// Says `S` or `R`, the STAN, and the flight; an answer carries the flight where it cannot be matched by it.
struct Model;

impl Wire for Model {
    fn ask(&mut self, _: Now, order: &Order, link: LinkNo, out: &mut Out) -> Result<(), Unaskable> {
        let kind = if order.ask == Ask::Sale { 'S' } else { 'R' };
        let line = format!("{kind} {} {}", order.stan, order.flight.0);
        out.send(link, |bytes| bytes.extend_from_slice(line.as_bytes()));
        Ok(())
    }

    fn heard(&mut self, _: Now, heard: Heard<'_>, out: &mut Out) {
        match heard {
            Heard::Up(link) => out.ready.push(link),
            Heard::Frame(link, body) => {
                let words: Vec<_> = std::str::from_utf8(body).expect("a line").split(' ').collect();
                out.replies.push(Reply {
                    link,
                    to: if words[0] == "S" { ReplyTo::Sale } else { ReplyTo::Reversal },
                    stan: words[1].parse().expect("a STAN"),
                    transmission: None,
                    rrn: None,
                    code: text("00"),
                    approval: text(words[2]),
                    details: 0..0,
                    secret: 0..0,
                });
            }
            _ => {}
        }
    }
}

struct World {
    supply: Supply,
    session: Session,
    now: Now,
    random: u64,
    last: u32,
    sales: u64,
    late: u64,
    /// Answers on their way.
    answers: Vec<(u64, Vec<u8>)>,
    /// Doubts by flight: STAN, and whether it is settled.
    doubts: HashMap<FlightNo, (u32, bool)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Now { mono_us: 1_000_000, wall_ms: 0 };
        let mut supply = Supply { stan_max: STANS, ..Supply::default() };
        supply.configure(&supplier());
        let mut session = Session::new(supplier(), Box::new(Model), 1, now);
        session.up(now, 0);
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let (answers, doubts) = (Vec::new(), HashMap::new());
        Self { supply, session, now, random, last: 0, sales: 0, late: 0, answers, doubts }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    fn step(&mut self) {
        self.now.mono_us += 1_000 + self.below(20_000);
        let now = self.now;
        let (due, rest) =
            std::mem::take(&mut self.answers).into_iter().partition(|(at, _)| *at <= now.mono_us);
        self.answers = rest;
        let due: Vec<(u64, Vec<u8>)> = due;
        due.iter().for_each(|(_, body)| self.session.frame(now, 0, body));
        self.session.tick(now);
        self.carry_out();
        while let Some(report) = self.session.report() {
            self.hear(report);
        }
        if self.supply.takes(now, PLACE, 1_000) {
            self.sell();
        }
        assert!(self.session.open() <= (WINDOW + LATE_MAX) as usize, "bounded: the late table");
        assert!(self.supply.late() <= LATE_MAX + WINDOW, "bounded: STANs");
    }

    fn sell(&mut self) {
        self.sales += 1;
        self.last = self.supply.take(self.now, self.last, PLACE);
        let order = Order {
            flight: FlightNo(self.sales),
            attempt: 1,
            stan: self.last,
            deadline_us: self.now.mono_us + u64::from(TIMEOUT_MS) * 1_000,
            ..Order::default()
        };
        self.session.order(self.now, Box::new(order));
        self.carry_out();
    }

    /// What the session sends reaches the supplier, which answers when it likes: a sale in time, late in any moment of the window, twice, or never.
    fn carry_out(&mut self) {
        let sent: Vec<Vec<u8>> = self
            .session
            .out()
            .sends
            .iter()
            .map(|(_, range)| self.session.out().bytes[range.clone()].to_vec())
            .collect();
        self.session.sent();
        for body in sent {
            let window_us = u64::from(LATE_WINDOW_MS) * 1_000;
            let longest_us = if body[0] == b'S' { window_us } else { window_us / 4 };
            let (late, never) = (self.below(100) < 50, self.below(100) < 15);
            let delay_us = self.below(if late { longest_us } else { 60_000 });
            if never {
                continue;
            }
            // A second answer only where the first one is late: the STAN of what is answered in time is free at once.
            if late && delay_us > u64::from(TIMEOUT_MS) * 1_000 + 50_000 {
                let again_us = delay_us + self.below(longest_us.saturating_sub(delay_us).max(1));
                self.answers.push((self.now.mono_us + again_us, body.clone()));
            }
            self.answers.push((self.now.mono_us + delay_us, body));
        }
    }

    fn undo(&mut self, flight: FlightNo, stan: u32) {
        let order = Order { flight, stan, ask: Ask::Reversal { repeat: false }, ..Order::default() };
        self.session.order(self.now, Box::new(order));
        self.carry_out();
    }

    fn hear(&mut self, report: Report) {
        let now = self.now;
        match report {
            Report::Answered(order) => {
                assert_eq!(
                    order.answer.approval,
                    text(&order.flight.0.to_string()),
                    "another flight's answer"
                );
                self.supply.give_back(order.stan, Some(PLACE), true);
            }
            Report::TimedOut(order) => {
                self.supply.give_back(order.stan, Some(PLACE), false);
                self.doubts.insert(order.flight, (order.stan, false));
                self.undo(order.flight, order.stan);
            }
            Report::Undone(order) => {
                self.supply.settled(now, order.stan);
                self.doubts.insert(order.flight, (order.stan, true));
            }
            Report::Late { flight, answer, .. } => {
                assert_eq!(answer.approval, text(&flight.0.to_string()), "another flight's late answer");
                self.late += 1;
                let (stan, settled) = self.doubts[&flight];
                if settled {
                    self.supply.reopened(stan);
                    self.doubts.insert(flight, (stan, false));
                    self.undo(flight, stan);
                }
            }
            Report::Contradicted { .. } | Report::Stray { .. } | Report::Cut(_) | Report::NotSent(_) => {
                panic!("{report:?}")
            }
            Report::Ready(ready) => self.supply.link_ready(ready),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_meets_another_flight_over_three_wraps(seed in any::<u64>()) {
        let mut world = World::new(seed);
        let mut steps = 0;
        while world.sales < u64::from(3 * STANS) + 10 {
            world.step();
            steps += 1;
            prop_assert!(steps < 100_000, "a full late table keeps itself full");
        }
        prop_assert!(world.late > 10, "only {} answers were late", world.late);
    }
}

#[test]
fn a_full_late_table_takes_no_sale_until_time_makes_room() {
    let mut supply = Supply::default();
    supply.configure(&supplier());
    supply.link_ready(true);
    let at = |ms: u64| Now { mono_us: ms * 1_000, wall_ms: 0 };
    let mut last = 0;
    for _ in 0..LATE_MAX {
        assert!(supply.takes(at(0), PLACE, 1_000));
        last = supply.take(at(0), last, PLACE);
        supply.give_back(last, Some(PLACE), false);
        supply.settled(at(0), last);
    }
    assert_eq!((supply.in_flight(), supply.advices(), supply.late()), (0, 0, LATE_MAX));
    assert!(!supply.takes(at(u64::from(LATE_WINDOW_MS) - 1), PLACE, 1_000));
    assert!(supply.takes(at(u64::from(LATE_WINDOW_MS)), PLACE, 1_000));
    assert_eq!(supply.late(), 0);
}
