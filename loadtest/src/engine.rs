//! The generator without its sockets: which request comes next, which answer belongs to which request.
//!
//! Owns: `Engine`, its table of open requests by STAN, and the counts.
//! Invariants: a STAN is open at most once, so an answer belongs to at most one request; keys (terminal,
//! STAN, second) are never used twice; the table never grows.
//! Deliberately absent: sockets, clocks (moments are arguments) and waiting.

use crate::frames::{Frames, Request};
use crate::report::{LiveCounters, Outcomes};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use switchyard_adapters::moment::Moment;
use switchyard_core::iso8583::{Dialect, Framing, Role};

/// STANs run from 1 to this (DE11, n6).
const STAN_MAX: u64 = 999_999;
/// No more requests than this are open at once, so that a free STAN is always near.
pub(crate) const OPEN_MAX: usize = 500_000;
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
    number: u64,
    random: u64,
    second: u64,
    moment: u64,
    measured_from_ns: u64,
    latencies: Histogram<u64>,
    /// Counts since the start, published at the end of each turn.
    pub(crate) counts: Counts,
    /// Outcomes of measured requests.
    pub(crate) outcomes: Outcomes,
    live: Arc<LiveCounters>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) approved: u64,
    pub(crate) unknown: u64,
    pub(crate) lost: u64,
    pub(crate) unmatched: u64,
    pub(crate) unreadable: u64,
    pub(crate) latency_ns: u64,
}

/// Bytes that are no frame: the connection is of no further use.
#[derive(Debug)]
pub(crate) struct NoFrame;

impl Engine {
    /// `wall_us`: the start of the run, microseconds since 1970; it makes the run's keys its own.
    pub(crate) fn new(
        frames: Frames,
        dialect: Arc<Dialect>,
        framing: Framing,
        seed: u64,
        wall_us: u64,
        live: Arc<LiveCounters>,
    ) -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            frames,
            dialect,
            framing,
            table: vec![Open::default(); STAN_MAX as usize + 1],
            open: 0,
            number: wall_us % NUMBERS,
            random: seed ^ wall_us,
            second: 0,
            moment: 0,
            measured_from_ns: 0,
            latencies: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            counts: Counts::default(),
            outcomes: Outcomes::default(),
            live,
        })
    }

    /// How many requests are open.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Forgets what was measured so far; what is sent from now on is measured.
    pub(crate) fn start_measuring(&mut self, now_ns: u64) {
        self.measured_from_ns = now_ns;
        self.latencies.reset();
        self.outcomes = Outcomes::default();
    }

    /// Latencies of measured requests, nanoseconds.
    pub(crate) fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// Sets the wall clock that requests carry.
    pub(crate) fn set_clock(&mut self, wall_ms: u64) {
        if wall_ms / 1_000 != self.second {
            self.second = wall_ms / 1_000;
            let digits = Moment::of(wall_ms).transmission();
            self.moment = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        }
    }

    /// Appends the next request, meant to be sent at `meant_ns`, to a connection's output; false when too many are open.
    pub(crate) fn ask(&mut self, connection: u32, meant_ns: u64, out: &mut Vec<u8>) -> bool {
        if self.open >= OPEN_MAX {
            return false;
        }
        let stan = self.next_stan();
        let request = Request {
            number: self.number,
            stan: stan as u32,
            moment: self.moment,
            random: next_random(&mut self.random),
        };
        self.frames.write(&request, out);
        self.table[stan] = Open { since_ns: meant_ns + 1, connection };
        self.open += 1;
        self.counts.sent += 1;
        true
    }

    /// Goes on to the next number whose STAN is free.
    fn next_stan(&mut self) -> usize {
        loop {
            self.number = (self.number + 1) % NUMBERS;
            let stan = (self.number % STAN_MAX + 1) as usize;
            if self.table[stan].since_ns == 0 {
                return stan;
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
            let stan = view.value(Role::Stan).and_then(|stan| stan.number()).unwrap_or(0);
            let code = view.value(Role::ResponseCode).and_then(|code| code.text::<2>()).unwrap_or_default();
            let sale = view.mti().class_digit() == 2 && view.mti().is_response();
            match self.close(connection, stan as usize).filter(|_| sale) {
                Some(since_ns) => {
                    answered += 1;
                    self.count(since_ns, now_ns, code.as_bytes());
                }
                None => self.counts.unmatched += 1,
            }
        }
        Ok((used, answered))
    }

    /// Ends the open request of that STAN; when it was meant to be sent.
    fn close(&mut self, connection: u32, stan: usize) -> Option<u64> {
        let open = self.table.get_mut(stan)?;
        if open.since_ns == 0 || open.connection != connection {
            return None;
        }
        let since_ns = open.since_ns - 1;
        *open = Open::default();
        self.open -= 1;
        Some(since_ns)
    }

    fn count(&mut self, since_ns: u64, now_ns: u64, code: &[u8]) {
        let latency_ns = now_ns.saturating_sub(since_ns);
        self.counts.answered += 1;
        self.counts.latency_ns += latency_ns;
        match code {
            b"00" => self.counts.approved += 1,
            b"68" => self.counts.unknown += 1,
            _ => {}
        }
        if since_ns >= self.measured_from_ns {
            self.latencies.saturating_record(latency_ns);
            self.outcomes.count(code);
        }
    }

    /// A connection is gone, and the answers to what was open on it with it.
    pub(crate) fn lose(&mut self, connection: u32) {
        for open in &mut self.table {
            if open.since_ns != 0 && open.connection == connection {
                *open = Open::default();
                self.open -= 1;
                self.counts.lost += 1;
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
        live.open.store(self.open as u64, Ordering::Relaxed);
        live.latency_us.store(counts.latency_ns / 1_000, Ordering::Relaxed);
    }
}

/// The next number of a SplitMix64 sequence.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use std::collections::HashSet;
    use switchyard_core::iso8583::{Build, Mti};

    fn engine(dialect: &Arc<Dialect>) -> Engine {
        let frames = Frames::new(&Profile::demonstration(), dialect, &Framing::DEFAULT)
            .unwrap_or_else(|e| panic!("{e}"));
        let mut engine =
            Engine::new(frames, Arc::clone(dialect), Framing::DEFAULT, 1, 5_000_000, Arc::default())
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
            assert!(engine.ask(0, 0, &mut out));
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
        engine.ask(3, 1_000, &mut out);
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
            engine.ask(connection, 0, &mut out);
        }
        engine.lose(1);
        assert_eq!((engine.open(), engine.counts.lost), (1, 2));
    }

    #[test]
    fn what_was_meant_before_measuring_is_not_measured() {
        let dialect = dialect();
        let mut engine = engine(&dialect);
        let mut out = Vec::new();
        engine.ask(0, 10, &mut out);
        engine.start_measuring(20);
        engine.ask(0, 30, &mut out);
        for (_, stan) in requests(&dialect, &out) {
            engine.hear(0, 40, &answer(&dialect, stan, b"05")).expect("a frame");
        }
        assert_eq!((engine.counts.answered, engine.latencies().len()), (2, 1));
    }
}
