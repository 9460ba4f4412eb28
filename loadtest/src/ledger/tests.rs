use super::*;
use crate::verdict::Verdict;

const NEVER: FollowUps = FollowUps {
    repeat_answered: 0.0,
    repeat_in_flight: 0.0,
    reverse_approved: 0.0,
    reverse_in_flight: 0.0,
    reverse_timed_out: 0.0,
    reverse_unknown: 0.0,
    reversal_repeated: 0.0,
    repeat_reversed: 0.0,
    advices: 0.0,
    own_stans: 0.0,
    repeat_all: false,
    remember: true,
};

struct Table {
    ledger: Ledger,
    number: u64,
}

impl Table {
    fn new(shares: FollowUps) -> Self {
        Self { ledger: Ledger::new(shares, 1), number: 0 }
    }

    /// Begins a sale and sends its first message.
    fn begin(&mut self) -> Message {
        self.number += 1;
        let request =
            Request { number: self.number, terminal: 0, stan: self.number as u32, moment: 1, random: 0 };
        let next = self.ledger.begin(request);
        self.send(next)
    }

    fn send(&mut self, next: FollowUp) -> Message {
        self.ledger.sent(0, next, 0);
        next.message
    }

    /// Sends what follows, if anything does.
    fn follow(&mut self) -> Option<Message> {
        let next = self.ledger.next_follow_up()?;
        Some(self.send(next))
    }

    fn tell(&mut self, class: u8, code: &[u8; 2], digest: u64) {
        let heard = Heard { class, number: self.number, code: *code, digest, ..Heard::default() };
        assert!(self.ledger.hear(0, &heard).is_some(), "it was open");
    }

    fn broken(&self) -> Vec<Rule> {
        let mut words = Faults::default();
        words.add(&self.ledger.faults, ToString::to_string);
        let verdict = Verdict::of(words);
        verdict.rules.iter().filter(|line| line.broken > 0).map(|line| line.rule).collect()
    }
}

const AGAIN: Message = Message::Reversal { again: true };
const REVERSAL: Message = Message::Reversal { again: false };

#[test]
fn an_approval_is_repeated_reversed_and_repeated_again() {
    let mut table = Table::new(FollowUps {
        repeat_answered: 1.0,
        reverse_approved: 1.0,
        reversal_repeated: 1.0,
        repeat_reversed: 1.0,
        ..NEVER
    });
    assert_eq!(table.begin(), Message::Sale);
    assert_eq!(table.follow(), None, "nothing follows before the answer");
    table.tell(2, b"00", 7);
    assert_eq!((table.follow(), table.follow()), (Some(Message::Repeat), Some(REVERSAL)));
    table.tell(2, b"00", 7);
    table.tell(4, b"00", 8);
    assert_eq!((table.follow(), table.follow(), table.follow()), (Some(AGAIN), Some(Message::Repeat), None));
    table.tell(4, b"00", 8);
    table.tell(2, b"17", 9);
    assert_eq!((table.broken(), table.ledger.open()), (vec![], 0));
    let sale = table.ledger.sale(0);
    assert_eq!((sale.code, sale.reversed, sale.is_sold()), (Some(*b"00"), Reversed::Accepted, false));
}

#[test]
fn a_reversal_may_come_before_its_sale() {
    let mut table = Table::new(FollowUps { reverse_unknown: 1.0, repeat_reversed: 1.0, ..NEVER });
    assert_eq!(table.begin(), REVERSAL);
    assert!(!table.ledger.sale(0).sent);
    table.tell(4, b"00", 8);
    assert_eq!(table.follow(), Some(Message::Sale));
    table.tell(2, b"00", 7);
    assert_eq!(table.broken(), [Rule::Cancelled]);
}

#[test]
fn an_answer_on_its_way_while_the_reversal_is_accepted_is_no_fault() {
    let mut table = Table::new(FollowUps { repeat_in_flight: 1.0, reverse_in_flight: 1.0, ..NEVER });
    table.begin();
    assert_eq!((table.follow(), table.follow()), (Some(Message::Repeat), Some(REVERSAL)));
    table.tell(4, b"00", 8);
    table.tell(2, b"17", 9);
    table.tell(2, b"00", 7);
    assert_eq!(table.broken(), []);
}

#[test]
fn repeats_told_otherwise_are_faults() {
    for (first, then, broken) in [
        (b"00", (b"00", 8), vec![Rule::Repeats]),
        (b"00", (b"68", 8), vec![Rule::Repeats]),
        (b"00", (b"17", 8), vec![Rule::Cancelled]),
        (b"05", (b"00", 8), vec![Rule::Repeats]),
        // Refused without a trace, so that a repeat is a new attempt; and overload, which says nothing.
        (b"91", (b"00", 8), vec![]),
        (b"00", (b"96", 8), vec![]),
        (b"68", (b"68", 7), vec![]),
    ] {
        let mut table = Table::new(FollowUps { repeat_answered: 1.0, ..NEVER });
        table.begin();
        table.tell(2, first, 7);
        assert_eq!(table.follow(), Some(Message::Repeat));
        table.tell(2, then.0, then.1);
        assert_eq!(table.broken(), broken, "{first:?}, then {then:?}");
    }
}

#[test]
fn what_is_lost_is_asked_again_once() {
    let mut table = Table::new(FollowUps { reverse_in_flight: 1.0, ..NEVER });
    table.begin();
    assert_eq!(table.follow(), Some(REVERSAL));
    table.ledger.lose(1);
    assert_eq!((table.ledger.open(), table.ledger.asked_again()), (2, 0));
    table.ledger.lose(0);
    assert_eq!((table.ledger.open(), table.ledger.asked_again()), (0, 2));
    let mut again = [table.follow(), table.follow()];
    again.sort_by_key(|message| message.map(Message::class));
    assert_eq!(again, [Some(Message::Repeat), Some(AGAIN)]);
    assert_eq!(table.follow(), None);
    // While they are open they are not asked a third time.
    table.ledger.ask_again();
    assert_eq!(table.follow(), None);
    table.tell(2, b"96", 1);
    table.tell(4, b"96", 1);
    table.ledger.ask_again();
    assert_eq!(table.follow(), Some(AGAIN), "overload is no answer to a reversal");
}

#[test]
fn goods_belong_to_one_sale() {
    let mut table = Table::new(FollowUps { repeat_answered: 1.0, ..NEVER });
    let tell = |table: &mut Table, code: &[u8; 2], pin| {
        let heard = Heard {
            class: 2,
            number: table.number,
            code: *code,
            digest: 7,
            pin: Some(pin),
            ..Heard::default()
        };
        table.ledger.hear(0, &heard);
    };
    table.begin();
    tell(&mut table, b"00", 5);
    table.follow();
    tell(&mut table, b"00", 5);
    assert_eq!(table.broken(), [], "a repeat gives the same PIN");
    table.begin();
    tell(&mut table, b"00", 5);
    assert_eq!(table.broken(), [Rule::Vouchers]);
    let mut table = Table::new(NEVER);
    table.begin();
    tell(&mut table, b"68", 6);
    assert_eq!(table.broken(), [Rule::Vouchers], "a PIN without an approval");
}

#[test]
fn the_sweep_repeats_every_sale_that_was_sent() {
    let mut table = Table::new(FollowUps { reverse_unknown: 0.5, ..NEVER });
    let sent = (0..100).filter(|_| table.begin() == Message::Sale).count();
    table.ledger.repeat_all();
    let mut repeats = 0;
    while table.ledger.has_follow_up() {
        repeats += usize::from(table.follow() == Some(Message::Repeat));
    }
    assert_eq!((repeats, sent > 20 && sent < 80), (sent, true));
}
