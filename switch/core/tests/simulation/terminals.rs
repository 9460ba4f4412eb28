//! The terminals: what they ask, what they were told, and whether they may be told that.

mod reversals;

use crate::shape::Shape;
use crate::story::{Stories, Story};
use crate::support::locals::pin_of;
use crate::support::message::{Answer, Sale};
use crate::support::random::Random;
use std::collections::{HashMap, HashSet};
use switchyard_core::ids::FlightNo;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::request::Kind;
use switchyard_core::ticket::{Place, Ticket};

/// A message that waits for its answer.
pub(crate) struct Waiting {
    pub(crate) place: Place,
    pub(crate) transmission: String,
}

/// A sale that some terminal has in mind, and the transmission times that it was sent with.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) sale: Sale,
    pub(crate) sent: Vec<String>,
}

/// The terminals.
#[derive(Default)]
pub(crate) struct Terminals {
    /// Everything that was ever asked, or reversed before it was, to be repeated.
    pub(crate) history: Vec<Known>,
    /// Reversals that were sent, to be repeated.
    pub(crate) reversals: Vec<Sale>,
    /// By the ticket's number.
    pub(crate) open: HashMap<u64, Waiting>,
    /// What was said of each flight, first of all.
    told: HashMap<FlightNo, Answer>,
    /// Which flight was told for a key and its contents.
    flights: HashMap<(u128, u64), FlightNo>,
    serials: HashMap<Vec<u8>, FlightNo>,
    /// Keys, of either kind, of originals whose reversal was answered with 00.
    reversed: HashSet<u128>,
    /// Answers to reversals, by the reversal's key and contents.
    undone: HashMap<(u128, u64), (FlightNo, Answer)>,
    /// Reversals that were answered with 00.
    accepted: HashSet<FlightNo>,
    stans: HashMap<u32, u32>,
    stan_max: u32,
    roomy: bool,
    tickets: u64,
    transmissions: u64,
    /// Codes given, counted.
    pub(crate) codes: std::collections::BTreeMap<String, u64>,
    /// Tickets answered.
    pub(crate) answered: u64,
}

/// Codes of refusals that perform and store nothing.
const REFUSALS: [&str; 10] = ["12", "13", "14", "57", "61", "79", "91", "92", "94", "96"];

impl Terminals {
    /// Terminals with the STANs of a shape.
    pub(crate) fn new(shape: &Shape) -> Self {
        Self { stan_max: shape.terminal_stan_max, roomy: shape.is_roomy(), ..Self::default() }
    }

    /// The number of the next ticket, and a transmission time of its own.
    pub(crate) fn next(&mut self) -> (u64, String) {
        self.tickets += 1;
        self.transmissions += 1;
        (self.tickets, format!("{:010}", self.transmissions))
    }

    /// A sale never asked before.
    pub(crate) fn new_sale(&mut self, random: &mut Random, local: String) -> Sale {
        let terminal = random.between(1, 8) as u32;
        let stan = self.stan(&format!("T{terminal:07}"));
        let mut sale = match random.below(100) {
            0..20 => Sale::of("VOUCHER10", 0),
            20..30 => Sale::of("WALLET", 21),
            30..45 => Sale::of("JIT", 0),
            45..75 => Sale::of("TOPUP", 21),
            75..85 => Sale::of("GIFT", 28),
            85..97 => Sale::of("ENERGY", 50),
            97 => Sale::of("NOTHING", 0),
            98 => Sale::of("METRO", 21),
            _ => Sale::of("TOPUP", 50),
        };
        sale.account = match &sale.product[..] {
            "WALLET" => format!("00000000{:02}", random.below(5)),
            "TOPUP" if random.chance(20) => crate::support::scripted::UNASKABLE.into(),
            "TOPUP" if random.chance(10) => "12".into(),
            "TOPUP" => format!("06{:08}", random.below(1_000)),
            "ENERGY" => format!("{:011}", random.below(1_000)),
            _ => String::new(),
        };
        if sale.product == "GIFT" {
            let card = format!("600649{:010}", random.below(1_000_000));
            if random.chance(500) { sale.pan = card } else { sale.track = format!("{card}=2812") }
        }
        sale.amount = if random.chance(20) { 99 } else { random.between(100, 5_000) };
        sale.stan = stan;
        sale.local = local;
        sale.terminal = format!("T{terminal:07}");
        sale.merchant = format!("MERCHANT{:07}", terminal.div_ceil(4));
        sale.network = format!("10000{}", terminal.div_ceil(4));
        if random.chance(300) {
            sale.tags.push((*b"04", format!("THIRD{terminal}")));
        }
        if random.chance(300) {
            sale.rrn = format!("OWN{:09}", random.below(1_000_000));
        }
        sale
    }

    /// The next STAN of its terminal.
    pub(crate) fn stan(&mut self, terminal: &str) -> u32 {
        let terminal = terminal[1..].parse().expect("a terminal's number");
        let stan = self.stans.entry(terminal).or_default();
        *stan = *stan % self.stan_max + 1;
        *stan
    }

    /// An answer arrives at its terminal.
    pub(crate) fn hear(&mut self, ticket: &Ticket, answer: Answer, stories: &Stories) {
        let number = u64::from_be_bytes(ticket.header[..].try_into().expect("the ticket's number"));
        let waiting = self.open.remove(&number).expect("answered-once: a ticket is answered twice");
        self.answered += 1;
        *self.codes.entry(answer.code.clone()).or_default() += 1;
        if ticket.request.kind == Kind::CutOver {
            assert_eq!((&answer.code[..], answer.mti), ("00", 810));
            return;
        }
        assert_eq!(answer.transmission, waiting.transmission, "DE7 is the message's own");
        let outcome =
            Outcome::unpack(&mut switchyard_core::pack::Unpack(&ticket.outcome)).expect("an outcome");
        assert_eq!(answer.code.as_bytes(), outcome.code.0);
        match ticket.request.kind {
            Kind::Reversal => self.hear_reversal(ticket, answer, &outcome, stories),
            Kind::Inquiry => self.hear_inquiry(ticket, &answer, &outcome, stories),
            _ => self.hear_sale(number, ticket, answer, &outcome, stories),
        }
    }

    fn hear_sale(
        &mut self,
        number: u64,
        ticket: &Ticket,
        answer: Answer,
        outcome: &Outcome<'_>,
        stories: &Stories,
    ) {
        assert_eq!(answer.mti, 210);
        let request = &ticket.request;
        if self.reversed.contains(&request.key) || self.reversed.contains(&request.named) {
            assert!(
                matches!(&answer.code[..], "17" | "94"),
                "after its reversal was answered ticket {number} is told {} of {} (S-4)",
                answer.code,
                outcome.flight
            );
        }
        // By now the switch knows which sale the reversal meant that named this message: nothing of it stands any more (S-4).
        if answer.code == "17"
            && self.roomy
            && self.reversed.contains(&request.named)
            && stories.is_there(request)
        {
            self.reversed.insert(request.key);
        }
        match stories.flights.get(&outcome.flight) {
            Some(story) => self.stored(ticket, answer, outcome, story),
            None => self.refused(ticket, &answer, outcome, stories),
        }
    }

    fn refused(&self, ticket: &Ticket, answer: &Answer, outcome: &Outcome<'_>, stories: &Stories) {
        assert_eq!(outcome.verdict, Verdict::Declined);
        if answer.code == "17" {
            assert!(stories.reversed_at(&ticket.request).is_some(), "17, and nobody reversed it");
            return;
        }
        assert!(REFUSALS.contains(&&answer.code[..]), "a refusal with {}", answer.code);
        assert!(answer.tag(b"20").is_none() && answer.element(38).is_none());
        let key = (ticket.request.key, ticket.request.contents);
        assert_eq!(
            self.flights.get(&key),
            None,
            "a repeat of a stored answer is refused with {}",
            answer.code
        );
    }

    /// An answer that the log has: the same to everybody, for ever.
    fn stored(&mut self, ticket: &Ticket, answer: Answer, outcome: &Outcome<'_>, story: &Story) {
        let flight = outcome.flight;
        assert_eq!(
            (story.key, story.contents),
            (ticket.request.key, ticket.request.contents),
            "another's answer"
        );
        let key = (story.key, story.contents);
        if let Some(before) = self.flights.insert(key, flight) {
            assert_eq!(before, flight, "performed-once: a key has two flights");
        }
        assert_eq!(Some(outcome.verdict), story.verdict, "{flight} is {:?}", story.stand);
        self.secrets(&answer, outcome, story);
        let mut same = answer;
        same.transmission.clear();
        // DE2 is shown to who sent it: the same card may come by swipe the next time.
        same.elements.retain(|(de, _)| *de != 2);
        let first = self.told.entry(flight).or_insert_with(|| same.clone());
        assert_eq!(*first, same, "a repeat's answer differs from the first one");
    }

    /// A PIN is told with an approved voucher only, and a voucher to one flight only.
    fn secrets(&mut self, answer: &Answer, outcome: &Outcome<'_>, story: &Story) {
        let voucher = story.service == switchyard_core::catalogue::Service::Voucher;
        if !voucher || outcome.verdict != Verdict::Approved {
            assert!(answer.tag(b"20").is_none(), "a PIN where none belongs");
            return;
        }
        let serial = answer.tag(b"21").expect("a voucher has its serial").to_vec();
        let pin = pin_of(std::str::from_utf8(&serial).expect("ASCII"));
        assert_eq!(answer.tag(b"20"), Some(pin.as_bytes()), "the PIN of another voucher");
        let before = self.serials.insert(serial, outcome.flight);
        assert!(
            before.is_none_or(|before| before == outcome.flight),
            "voucher-once: a voucher is told to two flights"
        );
    }

    /// What terminals hold of each flight that they were told of: whether it is sold.
    pub(crate) fn last_words(&self) -> impl Iterator<Item = (FlightNo, bool)> {
        let told = self
            .flights
            .iter()
            .filter_map(|((key, _), flight)| Some((*key, *flight, self.told.get(flight)?)));
        told.map(|(key, flight, answer)| (flight, answer.code == "00" && !self.reversed.contains(&key)))
    }

    /// Whether a terminal was told that this reversal is accepted.
    pub(crate) fn was_told(&self, reversal: FlightNo) -> bool {
        self.accepted.contains(&reversal)
    }

    /// A power cut took the answer of a flight back; whether some terminal was told it.
    pub(crate) fn lose(&mut self, lost: FlightNo) -> bool {
        self.flights.retain(|_, flight| *flight != lost);
        self.told.remove(&lost).is_some()
    }
}
