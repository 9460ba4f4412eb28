//! A backlog of reversals after an outage: many at once, a thousand a second, none lost, in order per original, and sales go on beside it.

use crate::support::books::{supplier, text};
use crate::support::random::Random;
use crate::support::scripted::{Line, Scripted, WELCOME};
use std::collections::{HashMap, VecDeque};
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::catalogue::{ReversalMeaning, Supplier};
use switchyard_core::ids::{FlightNo, Now};
use switchyard_core::session::{Report, Session};

/// The supplier serves a message in so long, one after the other: two thousand a second.
const SERVICE_US: u64 = 500;
/// There and back.
const NETWORK_US: u64 = 20_000;
/// Reversals that an outage left.
const BACKLOG: u32 = 10_000;
/// A sale comes this often.
const SALE_US: u64 = 4_000;
const STEP_US: u64 = 1_000;

/// A supplier behind a link, served in order of arrival, in a time of its own.
struct Model {
    session: Session,
    now: Now,
    random: Random,
    /// Answers on their way: when they arrive, and what they say.
    answers: VecDeque<(u64, Line)>,
    /// When the supplier has served what it has.
    busy_us: u64,
    /// How many of a thousand reversals it does not answer, and how many it wants asked again.
    silent: u64,
    again: u64,
    /// What arrived of each STAN, in order: whether it is a reversal, and whether a repeat.
    heard: HashMap<u32, Vec<(bool, bool)>>,
    /// STANs of reversals under way without an answer.
    open: HashMap<u32, u64>,
    open_most: usize,
    undone: u64,
    sale_waits_us: Vec<u64>,
}

fn wide() -> Supplier {
    let (window_requests_max, advice_retry_ms) = (1_024, 1_000);
    Supplier { window_requests_max, advice_retry_ms, late_max: 60_000, ..supplier("alpha", false) }
}

fn order(stan: u32, ask: Ask, now: Now) -> Box<Order> {
    Box::new(Order {
        flight: FlightNo(u64::from(stan)),
        attempt: 1,
        ask,
        stan,
        transmission: *b"1121120000",
        rrn: text(&format!("RRN{stan:09}")),
        deadline_us: now.mono_us + 3_000_000,
        ..Order::default()
    })
}

impl Model {
    fn new(silent: u64, again: u64) -> Self {
        let now = Now { mono_us: 1_000_000, wall_ms: 0 };
        Self {
            session: Session::new(wide(), Box::new(Scripted), 1, now),
            now,
            random: Random(7),
            answers: VecDeque::new(),
            busy_us: 0,
            silent,
            again,
            heard: HashMap::new(),
            open: HashMap::new(),
            open_most: 0,
            undone: 0,
            sale_waits_us: Vec::new(),
        }
    }

    fn connect(&mut self) {
        self.session.up(self.now, 0);
        self.session.sent();
        self.session.frame(self.now, 0, WELCOME);
        self.carry_out();
    }

    fn ask(&mut self, stan: u32, ask: Ask) {
        self.session.order(self.now, order(stan, ask, self.now));
        self.carry_out();
    }

    /// What was sent stands in line at the supplier.
    fn carry_out(&mut self) {
        let sends = self.session.out().sends.clone();
        let lines: Vec<Line> = sends
            .iter()
            .filter_map(|(_, range)| Line::decode(&self.session.out().bytes[range.clone()]))
            .collect();
        self.session.sent();
        for line in lines {
            self.heard.entry(line.stan).or_default().push((line.reversal, line.repeat));
            if line.reversal {
                self.open.insert(line.stan, self.now.mono_us);
                // What was not answered for the first wait has given up its place.
                let since_us = self.now.mono_us.saturating_sub(u64::from(wide().advice_retry_ms) * 1_000);
                let open = self.open.values().filter(|sent_us| **sent_us > since_us).count();
                self.open_most = self.open_most.max(open);
            }
            self.busy_us = self.busy_us.max(self.now.mono_us) + SERVICE_US;
            let draw = self.random.below(1_000) as u64;
            if line.reversal && draw < self.silent {
                continue;
            }
            let code = if line.reversal && draw < self.silent + self.again { "96" } else { "00" };
            self.answers.push_back((self.busy_us + NETWORK_US, line.answer(code)));
        }
    }

    fn step(&mut self) {
        self.now.mono_us += STEP_US;
        while let Some((_, line)) = self.answers.pop_front_if(|(due_us, _)| *due_us <= self.now.mono_us) {
            if line.reversal {
                self.open.remove(&line.stan);
            }
            self.session.frame(self.now, 0, &line.encode());
            self.carry_out();
        }
        // The wheel is looked at when it asks for it, as the actor does.
        if self.session.wake_us().is_some_and(|at_us| at_us <= self.now.mono_us) {
            self.session.tick(self.now);
            self.carry_out();
        }
        while let Some(report) = self.session.report() {
            match report {
                Report::Undone(order) => {
                    assert_eq!(order.answer.reversal, Some(ReversalMeaning::Reversed));
                    self.undone += 1;
                }
                Report::Answered(order) => self.sale_waits_us.push(self.now.mono_us - order.sent_us),
                Report::Ready(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The outage is over; sales go on beside the backlog until it is undone. How many were undone a second until three quarters were: the last ones
    /// wait for their repeats.
    fn undo_all(&mut self) -> u64 {
        for stan in 1..=BACKLOG {
            self.ask(stan, Ask::Reversal { repeat: false });
        }
        assert!(self.heard.is_empty(), "there is no link");
        self.connect();
        let began_us = self.now.mono_us;
        let (mut stan, mut most_us) = (BACKLOG, 0);
        let most = u64::from(BACKLOG) * 3 / 4;
        while self.undone < u64::from(BACKLOG) {
            if self.now.mono_us.is_multiple_of(SALE_US) {
                stan += 1;
                self.ask(stan, Ask::Sale);
            }
            self.step();
            if most_us == 0 && self.undone >= most {
                most_us = self.now.mono_us - began_us;
            }
            assert!(self.now.mono_us < began_us + 120_000_000, "{} undone", self.undone);
        }
        most * 1_000_000 / most_us
    }
}

#[test]
fn a_thousand_a_second_are_undone_and_sales_are_not_starved() {
    let mut model = Model::new(0, 0);
    let per_s = model.undo_all();
    assert!(per_s >= 1_000, "{per_s} reversals a second");
    assert!(model.open_most <= 128, "an eighth of the window, not {}", model.open_most);
    // A sale waits behind what is under way, never behind the backlog.
    let longest_us = model.sale_waits_us.iter().max().copied().unwrap_or(0);
    assert!(model.sale_waits_us.len() > 1_000 && longest_us < 140 * SERVICE_US + NETWORK_US, "{longest_us}");
    assert!(
        model.heard.iter().all(|(stan, said)| *stan > BACKLOG || said[..] == [(true, false)]),
        "once each"
    );
    assert_eq!((model.session.waiting(), model.session.counters.reversals_sent), (0, u64::from(BACKLOG)));
}

#[test]
fn what_is_not_answered_gives_its_place_up_and_is_repeated_until_it_is() {
    let mut model = Model::new(100, 100);
    let per_s = model.undo_all();
    assert!(per_s >= 500, "{per_s} reversals a second, with a fifth not undone at the first try");
    for (stan, said) in model.heard.iter().filter(|(stan, _)| **stan <= BACKLOG) {
        let rest_repeats = said[1..].iter().all(|said| *said == (true, true));
        assert!(said[0] == (true, false) && rest_repeats, "{stan}: {said:?}");
    }
    assert!(model.open_most <= 129, "{}", model.open_most);
}

#[test]
fn a_silent_supplier_is_not_flooded_and_nothing_is_lost() {
    let mut model = Model::new(1_000, 0);
    for stan in 1..=BACKLOG {
        model.ask(stan, Ask::Reversal { repeat: false });
    }
    model.connect();
    for _ in 0..30_000 {
        model.step();
    }
    // One place is used once a second at most.
    assert!(model.session.counters.reversals_sent <= 128 * 31, "{:?}", model.session.counters);
    assert_eq!((model.undone, model.session.open()), (0, BACKLOG as usize));
}
