//! Sessions: an attempt is reported once, no answer is lost, a reversal goes on until it has an end (R-11, R-34, S-8, S-9, S-12).

use crate::support::books::{supplier, text};
use crate::support::scripted::{Line, Scripted, UNASKABLE, WELCOME};
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::catalogue::{AfterUnknown, Meaning, ReversalMeaning, StatusMeaning, Supplier};
use switchyard_core::ids::{FlightNo, Now};
use switchyard_core::session::{Report, Session, Watch};

/// A session with one link, and what went out on it.
struct Rig {
    session: Session,
    now: Now,
    position: u64,
    sent: Vec<Line>,
}

impl Rig {
    fn with(supplier: Supplier) -> Self {
        let now = Now { mono_us: 1_000_000, wall_ms: 0 };
        let session = Session::new(supplier, Box::new(Scripted), 1, now);
        let mut rig = Self { session, now, position: 0, sent: Vec::new() };
        rig.connect();
        rig
    }

    fn new() -> Self {
        Self::with(supplier("alpha", false))
    }

    fn connect(&mut self) {
        self.session.up(self.now, 0);
        self.session.frame(self.now, 0, WELCOME);
        self.carry_out();
        assert!(
            std::iter::from_fn(|| self.session.report()).any(|report| matches!(report, Report::Ready(true)))
        );
    }

    fn carry_out(&mut self) {
        for send in 0..self.session.out().sends.len() {
            let body = self.session.out().bytes[self.session.out().sends[send].1.clone()].to_vec();
            self.session.queued(send, self.position);
            self.position += body.len() as u64;
            self.sent.extend(Line::decode(&body));
        }
        self.session.sent();
    }

    fn sale(&self, stan: u32) -> Box<Order> {
        Box::new(Order {
            flight: FlightNo(u64::from(stan)),
            attempt: 1,
            stan,
            transmission: *b"1121120000",
            rrn: text(&format!("RRN{stan:09}")),
            deadline_us: self.now.mono_us + 3_000_000,
            ..Order::default()
        })
    }

    fn order(&mut self, order: Box<Order>) {
        self.session.order(self.now, order);
        self.carry_out();
    }

    /// Sends the sale with that STAN, and gives its line.
    fn ask(&mut self, stan: u32) -> Line {
        let sale = self.sale(stan);
        self.order(sale);
        self.sent.pop().expect("the sale went out")
    }

    fn hear(&mut self, line: &Line) {
        self.session.frame(self.now, 0, &line.encode());
        self.carry_out();
    }

    fn pass(&mut self, by_ms: u64) {
        self.now.mono_us += by_ms * 1_000;
        self.session.tick(self.now);
        self.carry_out();
    }

    fn down(&mut self, written: u64) {
        self.session.down(self.now, 0, written);
        self.carry_out();
    }

    /// The next report that is not about readiness.
    fn report(&mut self) -> Option<Report> {
        std::iter::from_fn(|| self.session.report()).find(|report| !matches!(report, Report::Ready(_)))
    }

    /// The order whose sale timed out, as the gate makes its reversal.
    fn doubt(&mut self, stan: u32) -> Line {
        self.ask(stan);
        self.pass(3_100);
        let Some(Report::TimedOut(mut order)) = self.report() else { panic!("it timed out") };
        order.ask = Ask::Reversal { repeat: false };
        self.order(order);
        self.sent.pop().expect("the reversal went out")
    }
}

/// Whether a report is a late answer that says this.
fn late(report: Option<Report>, approved: bool) -> bool {
    matches!(report, Some(Report::Late { answer, .. }) if (answer.sale == Some(Meaning::Approved)) == approved)
}

#[test]
fn an_answer_is_reported_once_and_its_repeat_counted() {
    let mut rig = Rig::new();
    let line = rig.ask(1);
    rig.hear(&line.answer("00"));
    let Some(Report::Answered(order)) = rig.report() else { panic!("it was answered") };
    assert_eq!((order.answer.sale, order.answer.code), (Some(Meaning::Approved), text("00")));
    rig.hear(&line.answer("00"));
    rig.pass(10_000);
    assert!(rig.report().is_none());
    assert_eq!(
        (rig.session.counters.duplicate, rig.session.counters.unmatched, rig.session.open()),
        (1, 0, 0)
    );
}

#[test]
fn what_belongs_to_nothing_is_counted_told_and_changes_nothing() {
    let mut rig = Rig::new();
    let line = rig.ask(1);
    let strangers = [
        Line { stan: 2, ..line.answer("00") },
        Line { rrn: text("RRN999999999"), ..line.answer("00") },
        Line { transmission: *b"1121120001", ..line.answer("00") },
        Line { reversal: true, ..line.answer("00") },
    ];
    strangers.iter().for_each(|line| rig.hear(line));
    rig.session.frame(rig.now, 0, b"garbage");
    for stranger in &strangers[..3] {
        let Some(Report::Stray { stray, .. }) = rig.report() else { panic!("somebody is told") };
        assert_eq!((stray.rrn, stray.stan, stray.approved), (stranger.rrn, stranger.stan, true));
    }
    assert!(rig.report().is_none(), "a reversal's answer says nothing of a sale");
    let counters = rig.session.counters;
    assert_eq!((counters.unmatched, counters.unmatched_approved, counters.garbage), (4, 3, 1));
    rig.hear(&line.answer("05"));
    assert!(matches!(rig.report(), Some(Report::Answered(_))));
}

#[test]
fn a_late_answer_is_reported_through_the_late_window() {
    let mut rig = Rig::new();
    let line = rig.ask(1);
    rig.pass(3_100);
    assert!(matches!(rig.report(), Some(Report::TimedOut(_))));
    rig.pass(19_000);
    rig.hear(&line.answer("00"));
    assert!(late(rig.report(), true));
    rig.hear(&line.answer("05"));
    assert!(late(rig.report(), false));
    rig.pass(2_000);
    rig.hear(&line.answer("00"));
    assert!(matches!(rig.report(), Some(Report::Stray { stray, .. }) if stray.rrn == line.rrn));
    assert_eq!((rig.session.counters.unmatched, rig.session.open()), (1, 0));
}

#[test]
fn never_sent_is_proved_by_the_position_and_by_nothing_less() {
    // Two sales; the link goes down when so many bytes were handed over.
    let mut rig = Rig::new();
    let first_at = rig.position;
    rig.ask(1);
    let second_at = rig.position;
    rig.ask(2);
    let end = rig.position;
    for (written, cut) in [(first_at, 0), (first_at + 1, 1), (second_at, 1), (second_at + 1, 2), (end, 2)] {
        let mut rig = Rig::new();
        rig.ask(1);
        rig.ask(2);
        rig.down(written);
        let reports: Vec<_> = std::iter::from_fn(|| rig.report()).collect();
        let cuts = reports.iter().filter(|report| matches!(report, Report::Cut(_))).count();
        assert_eq!((reports.len(), cuts), (2, cut), "{written} bytes were handed over");
        let open = usize::from(rig.session.open() > 0);
        assert_eq!(open, usize::from(cut > 0), "what was cut is matched on");
    }
}

/// Says something of its own after each sale.
struct Talker;
impl switchyard_core::adapter::Wire for Talker {
    fn ask(
        &mut self,
        now: Now,
        order: &Order,
        link: u8,
        out: &mut switchyard_core::adapter::Out,
    ) -> Result<(), switchyard_core::adapter::Unaskable> {
        Scripted.ask(now, order, link, out)?;
        out.send(link, |bytes| bytes.extend_from_slice(b"how are you"));
        Ok(())
    }

    fn heard(
        &mut self,
        now: Now,
        heard: switchyard_core::adapter::Heard<'_>,
        out: &mut switchyard_core::adapter::Out,
    ) {
        Scripted.heard(now, heard, out);
    }
}

#[test]
fn an_order_of_several_messages_was_sent_when_its_first_was() {
    let mut rig = Rig::new();
    rig.session = Session::new(supplier("alpha", false), Box::new(Talker), 1, rig.now);
    rig.position = 0;
    rig.connect();
    let at = rig.position;
    let sale = rig.sale(1);
    rig.order(sale);
    rig.down(at + 1);
    assert!(matches!(rig.report(), Some(Report::Cut(_))));
}

#[test]
fn what_cannot_be_sent_was_never_sent() {
    let mut rig = Rig::new();
    let unaskable = Box::new(Order { account: text(UNASKABLE), ..*rig.sale(1) });
    rig.order(unaskable);
    let overdue = Box::new(Order { deadline_us: rig.now.mono_us, ..*rig.sale(2) });
    rig.order(overdue);
    rig.down(0);
    let sale = rig.sale(3);
    rig.order(sale);
    for stan in 1..=3 {
        assert!(matches!(rig.report(), Some(Report::NotSent(order)) if order.stan == stan));
    }
    assert!(rig.sent.is_empty() && rig.session.open() == 0);
}

#[test]
fn a_sale_that_its_link_cannot_take_is_given_back_at_once() {
    let mut rig = Rig::new();
    let (full, taken) = (rig.sale(1), rig.sale(2));
    rig.session.order(rig.now, full);
    rig.session.order(rig.now, taken);
    rig.session.not_queued(0);
    rig.session.queued(1, 0);
    rig.session.sent();
    assert_eq!(rig.session.backlog(), 1);
    assert!(matches!(rig.report(), Some(Report::NotSent(order)) if order.stan == 1));
    assert_eq!((rig.session.open(), rig.session.backlog()), (1, 0), "the other one was sent");
    rig.pass(3_100);
    assert!(matches!(rig.report(), Some(Report::TimedOut(order)) if order.stan == 2));
    assert!(rig.report().is_none());
}

#[test]
fn a_sale_of_which_another_message_may_still_go_out_is_not_given_back() {
    let mut rig = Rig::new();
    rig.session = Session::new(supplier("alpha", false), Box::new(Talker), 1, rig.now);
    rig.position = 0;
    rig.connect();
    let sale = rig.sale(1);
    rig.session.order(rig.now, sale);
    assert!(rig.session.out().sends.len() > 1, "it makes several messages of an order");
    rig.session.not_queued(0);
    for send in 1..rig.session.out().sends.len() {
        rig.session.queued(send, 100);
    }
    rig.session.sent();
    assert!(rig.report().is_none());
    rig.pass(3_100);
    assert!(matches!(rig.report(), Some(Report::TimedOut(_))));
}

#[test]
fn a_reversal_that_its_link_cannot_take_is_sent_again() {
    let mut rig = Rig::new();
    rig.ask(1);
    rig.pass(3_100);
    let Some(Report::TimedOut(mut order)) = rig.report() else { panic!("it timed out") };
    order.ask = Ask::Reversal { repeat: false };
    rig.session.order(rig.now, order);
    rig.session.not_queued(0);
    rig.session.sent();
    assert!(rig.report().is_none());
    rig.pass(10_000);
    let line = rig.sent.pop().expect("the reversal went out");
    assert!(line.reversal);
}

#[test]
fn a_reversal_is_repeated_with_backoff_until_it_is_answered() {
    let mut rig = Rig::new();
    let first = rig.doubt(1);
    assert!(first.reversal && !first.repeat);
    let mut waits = Vec::new();
    let mut waited = 0;
    while waits.len() < 6 {
        rig.pass(10);
        waited += 10;
        let tries = rig.session.tries(1, FlightNo(1)).expect("it is under way");
        if let Some(again) = rig.sent.pop() {
            assert_eq!(again, Line { repeat: true, ..first.clone() });
            assert_eq!(usize::from(tries.sent), waits.len() + 2);
            assert!(tries.next_us.is_some_and(|next_us| next_us > rig.now.mono_us));
            waits.push(waited);
            waited = 0;
        }
    }
    for (wait, expected) in waits.iter().zip([500, 1_000, 2_000, 4_000, 4_000, 4_000]) {
        // Up to a quarter more, and the wheel's slot.
        assert!((expected..expected * 5 / 4 + 30).contains(wait), "{waits:?}");
    }
    rig.hear(&first.answer("96"));
    assert!(rig.report().is_none(), "ask again is no end");
    rig.hear(&first.answer("00"));
    let Some(Report::Undone(order)) = rig.report() else { panic!("it is undone") };
    assert_eq!(order.answer.reversal, Some(ReversalMeaning::Reversed));
    rig.hear(&first.answer("00"));
    rig.pass(60_000);
    assert!(rig.report().is_none() && rig.sent.is_empty() && rig.session.open() == 0);
    assert_eq!(rig.session.tries(1, FlightNo(1)), None);
}

#[test]
fn not_found_ends_a_reversal_where_it_blocks_or_after_the_late_window() {
    let mut rig = Rig::with(Supplier { reversal_blocks_original: true, ..supplier("beta", false) });
    let line = rig.doubt(1);
    rig.hear(&line.answer("25"));
    assert!(matches!(rig.report(), Some(Report::Undone(_))));
    let mut rig = Rig::new();
    let line = rig.doubt(1);
    rig.hear(&line.answer("25"));
    assert!(rig.report().is_none());
    rig.pass(20_000);
    rig.hear(&line.answer("25"));
    let Some(Report::Undone(order)) = rig.report() else { panic!("it is over") };
    assert_eq!(order.answer.reversal, Some(ReversalMeaning::NotFound));
}

#[test]
fn a_reversal_that_nobody_answers_expires_link_or_no_link() {
    for connected in [true, false] {
        let mut rig = Rig::new();
        rig.doubt(1);
        if !connected {
            rig.down(u64::MAX);
        }
        for _ in 0..70 {
            rig.pass(1_000);
        }
        let reports: Vec<_> = std::iter::from_fn(|| rig.report()).collect();
        let [Report::Undone(order)] = &reports[..] else {
            panic!("expired once, link {connected}: {reports:?}")
        };
        assert_eq!(order.answer.reversal, None);
        rig.pass(20_000);
        assert_eq!(rig.session.open(), 0);
    }
}

#[test]
fn an_approval_is_matched_through_the_late_window_after_its_reversals_end_however_long_that_took() {
    let mut rig = Rig::new();
    let line = rig.doubt(1);
    rig.pass(30_000);
    rig.hear(&line.answer("00"));
    assert!(matches!(rig.report(), Some(Report::Undone(_))));
    rig.pass(19_000);
    let sale = Line { reversal: false, repeat: false, ..line };
    rig.hear(&sale.answer("00"));
    assert!(matches!(rig.report(), Some(Report::Late { .. })));
    rig.pass(2_000);
    assert_eq!(rig.session.open(), 0);
    rig.hear(&sale.answer("00"));
    assert_eq!(rig.report().map(|_| ()), None, "beyond the window it is counted");
}

#[test]
fn a_late_answer_that_nobody_understands_is_reported_once_and_takes_nothing_back() {
    let mut rig = Rig::new();
    let line = rig.doubt(1);
    let sale = Line { reversal: false, repeat: false, ..line };
    rig.hear(&sale.answer("00"));
    assert!(late(rig.report(), true));
    rig.hear(&sale.answer("X9"));
    let unmapped =
        |report| matches!(report, Some(Report::Late { answer, .. }) if answer.sale == Some(Meaning::Unknown));
    assert!(unmapped(rig.report()));
    for code in ["X9", "00", "X9"] {
        rig.hear(&sale.answer(code));
        assert!(rig.report().is_none(), "nothing new");
    }
    assert_eq!((rig.session.counters.late, rig.session.counters.contradictory), (2, 0));
    rig.hear(&sale.answer("05"));
    assert!(late(rig.report(), false), "that says otherwise");
    assert_eq!(rig.session.counters.contradictory, 1);
}

#[test]
fn a_reversal_waits_for_a_link_and_goes_first() {
    let mut rig = Rig::new();
    rig.ask(1);
    rig.down(u64::MAX);
    let Some(Report::Cut(mut order)) = rig.report() else { panic!("it was cut") };
    order.ask = Ask::Reversal { repeat: false };
    rig.order(order);
    assert!(rig.sent.is_empty());
    rig.pass(5_000);
    rig.position = 0;
    rig.connect();
    assert!(rig.sent.pop().is_some_and(|line| line.reversal && !line.repeat));
}

#[test]
fn a_reversal_of_another_life_still_notices_a_late_approval() {
    let mut rig = Rig::new();
    let mut order = rig.sale(7);
    order.ask = Ask::Reversal { repeat: false };
    rig.order(order);
    let line = rig.sent.pop().expect("the reversal went out");
    rig.hear(&line.answer("00"));
    assert!(matches!(rig.report(), Some(Report::Undone(_))));
    rig.pass(1_000);
    rig.hear(&Line { reversal: false, ..line.answer("00") });
    assert!(late(rig.report(), true));
}

#[test]
fn an_attempt_of_another_life_is_matched_through_what_is_left_of_its_window() {
    let mut rig = Rig::new();
    let sale = rig.sale(7);
    let watch = Watch {
        supplier: sale.supplier,
        flight: sale.flight,
        attempt: 1,
        stan: 7,
        transmission: sale.transmission,
        rrn: sale.rrn,
        until_us: rig.now.mono_us + 5_000_000,
    };
    rig.session.watch(&watch);
    rig.pass(4_900);
    rig.hear(&Line::of(&sale).answer("00"));
    assert!(late(rig.report(), true));
    assert!(rig.sent.is_empty(), "nothing is sent");
    rig.pass(200);
    rig.hear(&Line::of(&sale).answer("05"));
    assert_eq!((rig.session.counters.unmatched, rig.session.open()), (1, 0));
}

#[test]
fn a_watch_never_stands_in_the_way_of_a_reversal() {
    let mut rig = Rig::new();
    let sale = rig.sale(7);
    let watch = Watch {
        supplier: sale.supplier,
        flight: FlightNo(sale.flight.0 + 1),
        attempt: 1,
        stan: 7,
        transmission: sale.transmission,
        rrn: text("ANOTHERSALE0"),
        until_us: rig.now.mono_us + 5_000_000,
    };
    rig.session.watch(&watch);
    let mut reversal = sale;
    reversal.ask = Ask::Reversal { repeat: false };
    rig.order(reversal);
    let line = rig.sent.pop().expect("the reversal went out");
    rig.hear(&line.answer("00"));
    assert!(matches!(rig.report(), Some(Report::Undone(_))));
}

#[test]
fn a_second_answer_that_says_otherwise_is_reported_once() {
    for (first, second) in [("00", "05"), ("05", "00"), ("91", "00")] {
        let mut rig = Rig::new();
        let line = rig.ask(1);
        rig.hear(&line.answer(first));
        assert!(matches!(rig.report(), Some(Report::Answered(_))));
        for _ in 0..3 {
            rig.hear(&line.answer(second));
        }
        let Some(Report::Contradicted { flight, attempt, answer, undo }) = rig.report() else {
            panic!("{first} and then {second} is a contradiction")
        };
        assert_eq!((flight, attempt, answer.code), (FlightNo(1), 1, text(second)));
        match undo {
            Some(order) => assert_eq!(
                (order.stan, order.rrn, order.transmission),
                (1, line.rrn, line.transmission),
                "what was not approved and is now is to be undone"
            ),
            None => assert_eq!(first, "00", "an approval stands"),
        }
        assert!(rig.report().is_none());
        let counters = rig.session.counters;
        assert_eq!((counters.contradictory, counters.duplicate, counters.unmatched), (1, 2, 0));
    }
}

#[test]
fn late_answers_are_reported_when_they_say_something_new() {
    let mut rig = Rig::new();
    let reversal = rig.doubt(1);
    let sale = Line { reversal: false, ..reversal.clone() };
    for (code, new) in [("05", true), ("05", false), ("00", true), ("00", false)] {
        rig.hear(&sale.answer(code));
        assert_eq!(rig.report().is_some(), new, "{code}");
    }
    rig.hear(&reversal.answer("00"));
    assert!(matches!(rig.report(), Some(Report::Undone(_))));
    rig.hear(&sale.answer("00"));
    assert!(late(rig.report(), true), "after the reversal's end an approval is news (S-8)");
}

#[test]
fn an_answer_that_nobody_understands_leaves_the_sale_matched() {
    let mut rig = Rig::new();
    let line = rig.ask(1);
    rig.hear(&line.answer("77"));
    let Some(Report::Answered(order)) = rig.report() else { panic!("it was answered") };
    assert_eq!(order.answer.sale, Some(Meaning::Unknown));
    rig.hear(&line.answer("00"));
    assert!(late(rig.report(), true));
    rig.pass(21_000);
    assert_eq!(rig.session.open(), 0);
}

#[test]
fn what_finds_no_room_on_its_link_was_never_sent() {
    let mut rig = Rig::new();
    let sale = rig.sale(1);
    rig.session.order(rig.now, sale);
    rig.session.not_queued(0);
    rig.session.sent();
    assert!(matches!(rig.report(), Some(Report::NotSent(order)) if order.stan == 1));
    rig.pass(10_000);
    assert!(rig.report().is_none() && rig.session.open() == 0);
    // A reversal stays, and is repeated.
    let mut order = rig.sale(2);
    order.ask = Ask::Reversal { repeat: false };
    rig.session.order(rig.now, order);
    rig.session.not_queued(0);
    rig.session.sent();
    rig.pass(700);
    assert!(rig.report().is_none());
    assert!(rig.sent.pop().is_some_and(|line| line.reversal && line.repeat));
}

/// A session whose supplier is asked for a status first, and the question about a doubt.
fn questioned() -> (Rig, Line) {
    let mut rig = Rig::with(Supplier { after_unknown: AfterUnknown::Status, ..supplier("alpha", false) });
    let question = rig.doubt(1);
    assert!(question.status && !question.reversal, "{question:?}");
    (rig, question)
}

#[test]
fn what_was_performed_is_reversed_after_its_status() {
    let (mut rig, question) = questioned();
    rig.hear(&question.answer("96"));
    rig.pass(700);
    assert!(rig.sent.pop().is_some_and(|line| line.status), "asked again");
    rig.hear(&question.answer("00"));
    let reversal = rig.sent.pop().expect("the reversal went out");
    assert!(reversal.reversal && !reversal.status && !reversal.repeat, "{reversal:?}");
    rig.hear(&question.answer("00"));
    rig.pass(300);
    assert!(rig.sent.is_empty(), "the question's own repeat is void");
    rig.hear(&reversal.answer("00"));
    let Some(Report::Undone(order)) = rig.report() else { panic!("it is undone") };
    assert_eq!((order.answer.reversal, order.answer.status), (Some(ReversalMeaning::Reversed), None));
    assert_eq!((rig.session.counters.status_asked, rig.session.counters.reversals_sent), (2, 1));
}

#[test]
fn not_performed_spares_the_reversal_when_it_can_no_longer_be_performed() {
    let (mut rig, question) = questioned();
    rig.hear(&question.answer("25"));
    assert!(rig.report().is_none(), "the sale may still be on its way");
    rig.pass(20_000);
    rig.hear(&question.answer("25"));
    let Some(Report::Undone(order)) = rig.report() else { panic!("it is over") };
    assert_eq!((order.answer.reversal, order.answer.status), (None, Some(StatusMeaning::NotPerformed)));
    assert_eq!(rig.session.counters.reversals_sent, 0);
}

#[test]
fn a_late_approval_ends_the_questions() {
    let (mut rig, question) = questioned();
    rig.hear(&Line { status: false, ..question.clone() }.answer("00"));
    assert!(late(rig.report(), true));
    rig.pass(700);
    assert!(rig.sent.pop().is_some_and(|line| line.reversal));
}

#[test]
fn what_the_supplier_says_it_performed_is_reversed_without_a_question() {
    let status = Supplier { after_unknown: AfterUnknown::Status, ..supplier("alpha", false) };
    // Approved for a terminal that has reversed it meanwhile; or approved after it was refused.
    for answers in [&["00"][..], &["05", "00"]] {
        let mut rig = Rig::with(status.clone());
        let line = rig.ask(1);
        answers.iter().for_each(|code| rig.hear(&line.answer(code)));
        let sale = rig.sale(1);
        rig.order(Box::new(Order { ask: Ask::Reversal { repeat: false }, original_stan: 1, ..*sale }));
        assert!(rig.sent.pop().is_some_and(|line| line.reversal), "{answers:?}");
        assert_eq!(rig.session.counters.status_asked, 0);
    }
}

#[test]
fn the_reversal_of_an_approved_sale_asks_nothing() {
    let mut rig = Rig::with(Supplier { after_unknown: AfterUnknown::Status, ..supplier("alpha", false) });
    let sale = rig.sale(8);
    rig.order(Box::new(Order { ask: Ask::Reversal { repeat: false }, original_stan: 7, ..*sale }));
    assert!(rig.sent.pop().is_some_and(|line| line.reversal));
}

#[test]
fn deadlines_are_bounded_by_what_is_open_and_not_by_what_was_asked() {
    let mut rig = Rig::new();
    let silent = rig.ask(1);
    for stan in 2..10_000 {
        let line = rig.ask(stan);
        rig.hear(&line.answer("00"));
        rig.report();
        assert!(rig.session.deadlines() <= 4_100, "{} after {stan}", rig.session.deadlines());
    }
    rig.pass(3_100);
    assert!(matches!(rig.report(), Some(Report::TimedOut(order)) if order.stan == silent.stan));
    assert_eq!(rig.session.deadlines(), 1, "the late window of the one that is open");
}
