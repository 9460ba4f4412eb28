//! The generator without its sockets: which request comes next, which answer belongs to which request.
//!
//! Owns: `Engine`, its table of open requests by STAN, and the counts. Where repeats and reversals follow, a [`Ledger`] beside the
//! table knows which message an answer ends.
//! Invariants: a STAN is open at most once, so an answer belongs to at most one request; the table never grows.
//! Deliberately absent: sockets, clocks (moments are arguments) and waiting; which key comes next (`keys`).

mod hearing;

use crate::frames::{Frames, Request, Reversal};
use crate::keys::Keys;
use crate::ledger::{APPROVED, FollowUp, Ledger, Message};
use crate::random::next_random;
use crate::report::{LiveCounters, Outcomes};
use crate::told::Told;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use switchyard_adapters::moment::Moment;
use switchyard_core::iso8583::{Dialect, Framing};

/// STANs run from 1 to this (DE11, n6).
const STAN_MAX: u64 = 999_999;
/// No more requests than this are open at once, half of the STANs that sales have, so that a free one is always near.
pub(crate) const OPEN_MAX: usize = 250_000;
/// Longest latency that is told apart, in nanoseconds.
const LATENCY_NS_MAX: u64 = 120_000_000_000;
/// Largest answer that is read, in bytes.
const FRAME_BYTES_MAX: usize = 65_535;
/// RRNs have twelve digits.
const NUMBERS: u64 = 1_000_000_000_000;

/// An open request: 0 in `since_ns` is none.
#[derive(Clone, Copy, Default)]
struct Open {
    /// When it was meant to be sent, nanoseconds since the start of the run, plus one.
    since_ns: u64,
    /// On which connection.
    connection: u32,
}

/// The generator.
pub(crate) struct Engine {
    frames: Frames,
    dialect: Arc<Dialect>,
    framing: Framing,
    table: Vec<Open>,
    open: usize,
    keys: Keys,
    number: u64,
    random: u64,
    /// Of the wall clock.
    second: u64,
    /// A second, and how elements write it: the last one that was asked for.
    moment: (u64, u32),
    measured_from_ns: u64,
    patience_ns: u64,
    latencies: Histogram<u64>,
    refusal_latencies: Histogram<u64>,
    reversal_latencies: Histogram<u64>,
    /// Everything that was asked, where something follows it.
    ledger: Option<Ledger>,
    /// Counts since the start, published at the end of each turn.
    pub(crate) counts: Counts,
    /// Outcomes of measured requests.
    pub(crate) outcomes: Outcomes,
    /// Answers to repeats, in the whole run.
    pub(crate) repeats: Outcomes,
    /// Answers to reversals, in the whole run.
    pub(crate) reversals: Outcomes,
    live: Arc<LiveCounters>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) approved: u64,
    /// Approved before patience was over.
    pub(crate) in_time: u64,
    pub(crate) unknown: u64,
    pub(crate) lost: u64,
    pub(crate) unmatched: u64,
    pub(crate) unreadable: u64,
    pub(crate) latency_ns: u64,
}

/// A message that got its answer.
struct Ended {
    message: Message,
    since_ns: u64,
    code: [u8; 2],
}

/// Bytes that are no frame: the connection is of no further use.
#[derive(Debug)]
pub(crate) struct NoFrame;

impl Engine {
    /// `first`: the number before the first request's, which makes accounts the run's own. `lane`: of the loads that run at once, which one it is.
    pub(crate) fn new(
        frames: Frames,
        dialect: Arc<Dialect>,
        framing: Framing,
        seed: u64,
        first: u64,
        lane: u64,
        live: Arc<LiveCounters>,
    ) -> Result<Self, hdrhistogram::CreationError> {
        let latencies = || Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Ok(Self {
            keys: Keys::new(frames.terminals(), lane, first),
            frames,
            dialect,
            framing,
            table: vec![Open::default(); STAN_MAX as usize + 1],
            open: 0,
            number: first % NUMBERS,
            random: seed ^ first,
            second: 0,
            moment: (0, 0),
            measured_from_ns: 0,
            patience_ns: u64::MAX,
            latencies: latencies()?,
            refusal_latencies: latencies()?,
            reversal_latencies: latencies()?,
            ledger: None,
            counts: Counts::default(),
            outcomes: Outcomes::default(),
            repeats: Outcomes::default(),
            reversals: Outcomes::default(),
            live,
        })
    }

    /// Sets how long an approval is worth something.
    pub(crate) fn be_patient(&mut self, patience_ms: u64) {
        self.patience_ns = patience_ms.saturating_mul(1_000_000);
    }

    /// Remembers everything from now on, and sends what follows.
    pub(crate) fn remember(&mut self, ledger: Ledger) {
        self.ledger = Some(ledger);
    }

    /// What is remembered.
    pub(crate) fn ledger(&mut self) -> Option<&mut Ledger> {
        self.ledger.as_mut()
    }

    /// Ends; what was remembered.
    pub(crate) fn into_told(self) -> Option<Told> {
        let Self { frames, dialect, framing, ledger, .. } = self;
        ledger.map(|ledger| Told { ledger, frames, dialect, framing })
    }

    /// How many messages are open.
    pub(crate) fn open(&self) -> usize {
        self.ledger.as_ref().map_or(self.open, Ledger::open)
    }

    /// Where it shows how it goes.
    pub(crate) fn live(&self) -> &Arc<LiveCounters> {
        &self.live
    }

    /// Whether something is to be sent without a new request.
    pub(crate) fn has_follow_up(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::has_follow_up)
    }

    /// Whether no new request may be sent any more.
    pub(crate) fn is_full(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_full)
    }

    /// Forgets what was measured so far; what is sent from now on is measured.
    pub(crate) fn start_measuring(&mut self, now_ns: u64) {
        self.measured_from_ns = now_ns;
        self.latencies.reset();
        self.refusal_latencies.reset();
        self.reversal_latencies.reset();
        self.outcomes = Outcomes::default();
    }

    /// Latencies of measured requests, nanoseconds.
    pub(crate) fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// Those of sales that were told something else than 00.
    pub(crate) fn refusal_latencies(&self) -> &Histogram<u64> {
        &self.refusal_latencies
    }

    /// Those of reversals.
    pub(crate) fn reversal_latencies(&self) -> &Histogram<u64> {
        &self.reversal_latencies
    }

    /// Sets the wall clock that requests carry.
    pub(crate) fn set_clock(&mut self, wall_ms: u64) {
        self.second = wall_ms / 1_000;
        self.keys.set_second(self.second);
    }

    /// The second of the last key.
    pub(crate) fn last_second(&self) -> u64 {
        self.keys.second()
    }

    /// A second as DE7 writes it.
    fn moment(&mut self, second: u64) -> u32 {
        if self.moment.0 != second {
            let digits = Moment::of(second * 1_000).transmission();
            let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
            self.moment = (second, number);
        }
        self.moment.1
    }

    /// Appends the next message, meant to be sent at `meant_ns`, to a connection's output: what follows an earlier one, or a new
    /// request where `new` ones may be sent. False when there is none, or too many are open.
    pub(crate) fn ask(&mut self, connection: u32, meant_ns: u64, new: bool, out: &mut Vec<u8>) -> bool {
        if self.open() >= OPEN_MAX {
            return false;
        }
        if self.ledger.is_some() {
            return self.ask_remembered(connection, meant_ns, new, out);
        }
        if !new {
            return false;
        }
        let request = self.next_request();
        self.frames.write(&request, out);
        self.open_stan(request.stan, connection, meant_ns);
        true
    }

    /// The next request, under the next key whose STAN is free.
    fn next_request(&mut self) -> Request {
        let mut key = self.keys.next();
        while self.table[key.stan as usize].since_ns != 0 {
            key = self.keys.next();
        }
        self.number = (self.number + 1) % NUMBERS;
        Request {
            number: self.number,
            terminal: key.terminal,
            stan: key.stan,
            moment: self.moment(key.second),
            random: next_random(&mut self.random),
        }
    }

    fn open_stan(&mut self, stan: u32, connection: u32, since_ns: u64) {
        self.table[stan as usize] = Open { since_ns: since_ns + 1, connection };
        self.open += 1;
        self.counts.sent += 1;
    }

    fn ask_remembered(&mut self, connection: u32, meant_ns: u64, new: bool, out: &mut Vec<u8>) -> bool {
        let Some(mut ledger) = self.ledger.take() else { return false };
        let next = match ledger.next_follow_up() {
            None if new && !ledger.is_full() => Some(ledger.begin(self.next_request())),
            next => next,
        };
        if let Some(next) = next {
            self.write(&ledger, next, out);
            ledger.sent(connection, next, meant_ns);
            if next.message == Message::Sale {
                self.open_stan(ledger.sale(next.sale).request.stan, connection, meant_ns);
            } else {
                self.counts.sent += 1;
            }
        }
        self.ledger = Some(ledger);
        next.is_some()
    }

    /// Writes a message of a sale.
    fn write(&mut self, ledger: &Ledger, FollowUp { sale, message }: FollowUp, out: &mut Vec<u8>) {
        let sale = ledger.sale(sale);
        let (original, sent) = (sale.request, self.moment(self.second));
        match message {
            Message::Sale => self.frames.write(&original, out),
            Message::Repeat => self.frames.write_repeat(&original, sent, out),
            Message::Reversal { again } => {
                let reversal =
                    Reversal { original, stan: sale.reversal_stan(), sent, advice: sale.advice(), again };
                // A sale of the same terminal could be written, so its reversal can; where the dialect has no room for one, it is
                // missed as unanswered.
                let _ = self.frames.write_reversal(&reversal, &self.dialect, &self.framing, out);
            }
        }
    }

    /// Reads every whole answer of the input; gives the bytes used and the requests answered.
    pub(crate) fn hear(
        &mut self,
        connection: u32,
        now_ns: u64,
        input: &[u8],
    ) -> Result<(usize, usize), NoFrame> {
        let dialect = Arc::clone(&self.dialect);
        let (mut used, mut answered) = (0, 0);
        while let Some(frame) = self.framing.next(&input[used..], FRAME_BYTES_MAX).map_err(|_| NoFrame)? {
            let body = &input[used..][frame.body];
            used += frame.total;
            if body.is_empty() {
                continue;
            }
            let Ok(view) = dialect.view(body) else {
                self.counts.unreadable += 1;
                continue;
            };
            match self.end(connection, &view) {
                Some(ended) => {
                    answered += 1;
                    self.count(ended, now_ns);
                }
                None => self.counts.unmatched += 1,
            }
        }
        Ok((used, answered))
    }

    fn count(&mut self, ended: Ended, now_ns: u64) {
        let latency_ns = now_ns.saturating_sub(ended.since_ns);
        let measured = ended.since_ns >= self.measured_from_ns;
        self.counts.answered += 1;
        self.counts.latency_ns += latency_ns;
        match ended.message {
            Message::Sale => self.count_sale(&ended.code, latency_ns, measured),
            Message::Repeat => self.repeats.count(&ended.code),
            Message::Reversal { .. } => self.reversals.count(&ended.code),
        }
        if measured {
            let reversal = matches!(ended.message, Message::Reversal { .. });
            let latencies = if reversal { &mut self.reversal_latencies } else { &mut self.latencies };
            latencies.saturating_record(latency_ns);
        }
    }

    fn count_sale(&mut self, code: &[u8; 2], latency_ns: u64, measured: bool) {
        match code {
            APPROVED => {
                self.counts.approved += 1;
                self.counts.in_time += u64::from(latency_ns <= self.patience_ns);
            }
            b"68" => self.counts.unknown += 1,
            _ => {}
        }
        if measured {
            self.outcomes.count(code);
            if code != APPROVED {
                self.refusal_latencies.saturating_record(latency_ns);
            }
        }
    }

    /// A connection is gone, and the answers to what was open on it with it. What is remembered is asked again.
    pub(crate) fn lose(&mut self, connection: u32) {
        let asked_again = self.ledger.as_mut().map(|ledger| ledger.lose(connection)).is_some();
        for open in &mut self.table {
            if open.since_ns != 0 && open.connection == connection {
                *open = Open::default();
                self.open -= 1;
                self.counts.lost += u64::from(!asked_again);
            }
        }
    }

    /// Shows the counts to whoever looks on.
    pub(crate) fn publish(&self) {
        let (counts, live) = (&self.counts, &self.live);
        live.sent.store(counts.sent, Ordering::Relaxed);
        live.answered.store(counts.answered, Ordering::Relaxed);
        live.approved.store(counts.approved, Ordering::Relaxed);
        live.unknown.store(counts.unknown, Ordering::Relaxed);
        live.lost.store(counts.lost, Ordering::Relaxed);
        live.open.store(self.open() as u64, Ordering::Relaxed);
        live.latency_us.store(counts.latency_ns / 1_000, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use std::collections::HashSet;
    use switchyard_core::iso8583::{Build, Mti, Role};

    fn engine(dialect: &Arc<Dialect>) -> Engine {
        let frames = Frames::new(&Profile::demonstration(), dialect, &Framing::DEFAULT)
            .unwrap_or_else(|e| panic!("{e}"));
        let mut engine =
            Engine::new(frames, Arc::clone(dialect), Framing::DEFAULT, 1, 5_000_000, 0, Arc::default())
                .expect("bounds");
        engine.set_clock(1_798_761_599_042);
        engine
    }

    fn dialect() -> Arc<Dialect> {
        Arc::new(Dialect::open_shipped("prepaid87").unwrap_or_else(|error| panic!("{error}")))
    }

    fn requests(dialect: &Dialect, mut bytes: &[u8]) -> Vec<(String, u64)> {
        let mut read = Vec::new();
        while let Ok(Some(frame)) = Framing::DEFAULT.next(bytes, 8_192) {
            let view = dialect.view(&bytes[frame.body]).unwrap_or_else(|broken| panic!("{broken}"));
            let terminal =
                view.value(Role::Terminal).and_then(|value| value.text::<8>()).expect("a terminal");
            let stan = view.value(Role::Stan).and_then(|stan| stan.number()).expect("a STAN");
            read.push((terminal.to_string(), stan));
            bytes = &bytes[frame.total..];
        }
        read
    }

    fn answer(dialect: &Dialect, stan: u64, code: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mark = Framing::DEFAULT.open(&[], &mut out);
        let mut build = Build::new(dialect, Mti::new(210), &mut out);
        build.number(Role::Stan, stan).text(Role::ResponseCode, code);
        build.finish().unwrap_or_else(|error| panic!("{error}"));
        Framing::DEFAULT.close(mark, &mut out).unwrap_or_else(|error| panic!("{error}"));
        out
    }

    #[test]
    fn keys_of_one_second_are_never_used_twice() {
        let dialect = dialect();
        let mut engine = engine(&dialect);
        let mut keys = HashSet::new();
        let mut out = Vec::new();
        for _ in 0..100_000 {
            out.clear();
            assert!(engine.ask(0, 0, true, &mut out));
            for key in requests(&dialect, &out) {
                assert!(keys.insert(key));
            }
        }
        assert_eq!((keys.len(), engine.open()), (100_000, 100_000));
    }

    #[test]
    fn an_answer_belongs_to_one_request_on_its_own_connection() {
        let dialect = dialect();
        let mut engine = engine(&dialect);
        let mut out = Vec::new();
        engine.ask(3, 1_000, true, &mut out);
        let stan = requests(&dialect, &out)[0].1;
        let answer = answer(&dialect, stan, b"00");
        assert_eq!(engine.hear(2, 5_000, &answer).expect("a frame").1, 0);
        assert_eq!(engine.hear(3, 5_000, &answer[..7]).expect("half of one"), (0, 0));
        assert_eq!(engine.hear(3, 5_000, &answer).expect("a frame"), (answer.len(), 1));
        assert_eq!(engine.hear(3, 5_000, &answer).expect("a frame").1, 0);
        assert_eq!((engine.counts.answered, engine.counts.approved, engine.counts.unmatched), (1, 1, 2));
        assert_eq!(engine.latencies().max() / 8, 4_000 / 8);
        assert_eq!(engine.open(), 0);
    }

    #[test]
    fn a_lost_connection_loses_its_own_requests_only() {
        let dialect = dialect();
        let mut engine = engine(&dialect);
        let mut out = Vec::new();
        for connection in [0, 1, 1] {
            engine.ask(connection, 0, true, &mut out);
        }
        engine.lose(1);
        assert_eq!((engine.open(), engine.counts.lost), (1, 2));
    }

    #[test]
    fn what_was_meant_before_measuring_is_not_measured() {
        let dialect = dialect();
        let mut engine = engine(&dialect);
        let mut out = Vec::new();
        engine.ask(0, 10, true, &mut out);
        engine.start_measuring(20);
        engine.ask(0, 30, true, &mut out);
        for (_, stan) in requests(&dialect, &out) {
            engine.hear(0, 40, &answer(&dialect, stan, b"05")).expect("a frame");
        }
        assert_eq!((engine.counts.answered, engine.latencies().len()), (2, 1));
    }
}
