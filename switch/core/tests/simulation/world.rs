//! The world around the switch: it decides by its seed what happens next, and looks at everything that becomes visible.

mod asking;
mod ending;
mod gate;
mod looking;
mod operating;
mod reversing;
mod spilling;

use crate::host::{Host, NETWORK_US_MAX, Sending};
use crate::keeper::{self, Keeper};
use crate::process::{LINKS, Process, Side};
use crate::story::{Stand, Stories};
use crate::support::books;
use crate::support::disk::Disk;
use crate::support::locals::{self, Stock, Wallet};
use crate::support::message::{DIALECTS, dialects};
use crate::support::random::Random;
use crate::terminals::Terminals;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use switchyard_core::catalogue::{Catalogue, Funding};
use switchyard_core::fact::Fact;
use switchyard_core::gate::{Gate, GateOptions};
use switchyard_core::ids::Now;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::{Log, Lsn};
use switchyard_core::money::Minor;
use switchyard_core::seal::{DataKey, KeyId, Keyring};
use switchyard_core::text::Text;

/// 2026-11-21, noon.
const WALL_MS: u64 = 1_795_262_400_000;
/// The conduits: index of the dialect, and whether durability is relaxed.
const CONDUITS: [(u16, bool); 3] = [(0, false), (0, true), (1, false)];
/// Messages that may be open on a connection.
const WINDOW: u16 = 8;
/// A message's answer is due so long after it came.
const DEADLINE_US: u64 = 5_000_000;
/// Vouchers taken back that a terminal is credited for on a business day.
pub(crate) const CREDITS_MAX: u16 = 2;
/// Long pauses of a run: together with everything else shorter than the window of duplicates.
const PAUSES_MAX: u64 = 4;
/// Steps remembered, to be shown when a run fails.
const TRACE: usize = 60;

pub(crate) struct World {
    random: Random,
    time_us: u64,
    dialects: Vec<Arc<Dialect>>,
    keys: KeyHash,
    keyring: Arc<Keyring>,
    disk: Disk,
    process: Process,
    hosts: Vec<Host>,
    terminals: Terminals,
    stories: Stories,
    /// Keys of which a message came over a relaxed conduit.
    relaxed: HashSet<u128>,
    /// Answers that power cuts took back.
    lost: usize,
    /// RRNs whose intent a power cut took back.
    orphans: HashSet<Text<12>>,
    never_sent: HashSet<Text<12>>,
    connections: u64,
    room: bool,
    trace: VecDeque<String>,
    crashes: [u64; 2],
    pauses: u64,
    /// Reversals that may be open at a time.
    reversals_max: usize,
    /// Bytes that the index may take.
    duplicate_bytes_max: usize,
    /// Where the log of the run itself begins.
    log_from: Lsn,
    /// What gates and sessions counted, by name.
    counted: BTreeMap<&'static str, u64>,
    steps: u64,
}

/// The usual catalogue, where the first network's only merchant pays too, from less than its network has.
fn catalogue() -> Catalogue {
    let mut catalogue = books::catalogue();
    catalogue.merchants[0].funding = Some(Funding::Prefunded { opening: Minor(100_000) });
    catalogue
}

/// A process over what the disk holds.
fn start(
    disk: &Disk,
    keyring: &Arc<Keyring>,
    epoch: u32,
    time_us: u64,
    maxima: (usize, usize),
    keeper: Keeper,
) -> Process {
    let (reversals_max, duplicate_bytes_max) = maxima;
    let (state, keeper) = keeper.restart(disk);
    let now = Now { mono_us: 1, wall_ms: WALL_MS + time_us / 1_000 };
    let id = KeyId::epoch(epoch);
    keyring.insert(id, DataKey::new([epoch as u8; 32].into()).expect("a key"));
    let options = GateOptions {
        duplicate_bytes_max,
        repeatable_ms: u64::MAX,
        reversible_ms: u64::MAX,
        reversals_max,
        voucher_credits_max: CREDITS_MAX,
        key: keyring.key(id).expect("just put in"),
        key_id: id,
        keyring: Arc::clone(keyring),
    };
    let stock: Box<dyn switchyard_core::adapter::Local> = Box::new(Stock { keyring: Arc::clone(keyring) });
    let wallet = Box::new(Wallet { balance_max: Minor(200_000) });
    let locals = vec![(books::text("stock"), stock), (books::text("wallet"), wallet as _)];
    let log = Log::new(disk.start(epoch));
    let full = |_: &mut Log| Err("a batch holds every name of these runs");
    let gate = Gate::new(state, log, options, catalogue(), &DIALECTS, locals, now, full);
    let mut gate = gate.expect("one batch");
    if gate.state().stock.products().is_empty() {
        let vouchers = gate.catalogue().products[0].id;
        for number in 1..=3 {
            gate.load_stock(locals::batch(vouchers, number, 40));
        }
    }
    let recovered = gate.recover(now, |_| Err("a batch holds every doubt of these runs")).expect("one batch");
    assert!(recovered.doubted <= recovered.reversals);
    let mut sides = gate
        .catalogue()
        .suppliers
        .iter()
        .filter(|supplier| !supplier.local)
        .map(|s| Side::new(s, now))
        .collect::<Vec<_>>();
    for watch in gate.watches(now) {
        let side = sides.iter_mut().find(|side: &&mut Side| side.id == watch.supplier);
        side.expect("a supplier over a wire").session.watch(&watch);
    }
    Process {
        gate,
        epoch,
        began_us: time_us,
        sides,
        requests: VecDeque::new(),
        recalls: Vec::new(),
        keeper,
        undoing: HashMap::new(),
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let keyring = Arc::new(Keyring::new());
        (1..=3).for_each(|number| locals::stock_key(&keyring, number));
        let mut disk = Disk::default();
        // In some runs reversals of approved sales find no room.
        let reversals_max = if seed.is_multiple_of(8) { 12 } else { 100_000 };
        // In some, requests spill to runs; the first ones of the run itself soon.
        let mut random = Random(seed);
        let (mut duplicate_bytes_max, mut log_from) = (usize::MAX, Lsn(0));
        if seed.is_multiple_of(3) {
            duplicate_bytes_max = keeper::TIGHT_BYTES;
            log_from = keeper::fill(&mut disk, random.between(930, 1_015), WALL_MS - 3_600_000);
        }
        let maxima = (reversals_max, duplicate_bytes_max);
        let process = start(&disk, &keyring, 2, 0, maxima, Keeper::default());
        let hosts = catalogue()
            .suppliers
            .iter()
            .filter(|s| !s.local)
            .map(|s| Host::new(s.reversal_blocks_original))
            .collect();
        Self {
            random,
            time_us: 0,
            dialects: dialects(),
            keys: KeyHash::new([7; 16]),
            keyring,
            disk,
            process,
            hosts,
            terminals: Terminals::default(),
            stories: Stories::default(),
            relaxed: HashSet::new(),
            lost: 0,
            orphans: HashSet::new(),
            never_sent: HashSet::new(),
            connections: 0,
            room: true,
            trace: VecDeque::new(),
            crashes: [0; 2],
            pauses: 0,
            reversals_max,
            duplicate_bytes_max,
            log_from,
            counted: BTreeMap::new(),
            steps: 0,
        }
    }

    fn now(&self) -> Now {
        Now { mono_us: self.time_us - self.process.began_us + 1, wall_ms: WALL_MS + self.time_us / 1_000 }
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>9} us  step {}: {what}", self.time_us, self.steps));
    }

    /// The last steps.
    pub(crate) fn trace(&self) -> String {
        self.trace.iter().map(|line| format!("{line}\n")).collect()
    }

    /// What the run saw.
    pub(crate) fn figures(&self) -> String {
        let stands = |stand| self.stories.flights.values().filter(|story| story.stand == stand).count();
        format!(
            "{} s, kills {}, power cuts {}, codes {:?}, sold {}, approved {}, declined {}, cancelled {}, settled {}, parked {}, withdrawn {}, unloaded {}, reversed {}, lost {}, {:?}",
            self.time_us / 1_000_000,
            self.crashes[0],
            self.crashes[1],
            self.terminals.codes,
            stands(Stand::Sold),
            stands(Stand::Approved),
            stands(Stand::Declined),
            stands(Stand::Cancelled),
            stands(Stand::Settled),
            stands(Stand::Parked),
            stands(Stand::Withdrawn),
            stands(Stand::Unloaded),
            self.stories.flights.values().filter(|story| story.reversed_at.is_some()).count(),
            self.lost,
            self.counted,
        )
    }

    /// The run: so many random steps, then quiet, then the account.
    pub(crate) fn run(&mut self, steps: u64) {
        for step in 0..steps {
            self.steps = step;
            self.step();
        }
        self.settle();
        self.account_for_everything();
    }

    fn step(&mut self) {
        match self.random.below(1_000) {
            0..110 => self.ask_new(),
            110..180 => self.ask_again(),
            180..185 => self.ask_other_contents(),
            185..215 => self.reverse(),
            215..225 => self.reverse_again(),
            225..240 => self.inquire(),
            240..242 => self.cut_over(),
            242 => self.operate(),
            243..433 => self.gate_turn(),
            433..633 => self.supplier_turn(),
            633..713 => self.sync(),
            713..793 => self.hand_over(),
            793..853 => self.deliver(),
            853..893 => self.emit(),
            893..943 => self.advance(),
            943..973 => self.link_up(),
            973..978 => self.link_down(),
            978..987 => self.keep_some(),
            987 => self.pause(),
            988..990 => self.room = false,
            990..997 => self.room = true,
            997 => self.crash(false),
            998 => self.crash(true),
            _ => self.calm_turns(),
        }
    }

    /// Everybody does what waits, so that runs come out of a jam too.
    fn calm_turns(&mut self) {
        (0..4).for_each(|_| self.move_on(20_000));
    }

    fn supplier_turn(&mut self) {
        let now = self.now();
        let at = self.random.below(self.process.sides.len());
        let items = self.random.below(8);
        self.process.sides[at].turn(now, items);
    }

    fn hand_over(&mut self) {
        let (at, link) = (self.random.below(self.hosts.len()), self.random.below(LINKS));
        let all = self.process.sides[at].waiting(link);
        let bytes = if self.random.chance(700) { all } else { self.random.between(0, all) };
        self.process.sides[at].hand_over(self.time_us, link, bytes, &mut self.hosts[at]);
    }

    fn deliver(&mut self) {
        let at = self.random.below(self.hosts.len());
        let flow = self.random.below(self.hosts[at].flows.len());
        self.deliver_from(at, flow);
    }

    fn deliver_from(&mut self, at: usize, flow: usize) {
        let host = &mut self.hosts[at];
        let Some(flow) = host.flows.get_mut(flow) else { return };
        let (connection, frame) = (flow.connection, flow.frames.pop_front());
        if let Some((_, body)) = frame {
            host.hear(self.time_us, &mut self.random, connection, &body);
        }
    }

    /// What the host has to say, and what is due by now.
    fn emit(&mut self) {
        for at in 0..self.hosts.len() {
            let now_us = self.time_us;
            let (due, rest) =
                std::mem::take(&mut self.hosts[at].sendings).into_iter().partition(|s| s.due_us <= now_us);
            self.hosts[at].sendings = rest;
            let due: Vec<Sending> = due;
            for sending in due {
                let links = &mut self.process.sides[at].links;
                let own = links.iter().position(|link| link.connection == sending.connection);
                // A host may answer over another connection when the one that asked is gone.
                let other =
                    links.iter().position(|link| link.connection != 0).filter(|_| self.random.chance(500));
                if let Some(link) = own.or(other) {
                    links[link].inbound.push_back(sending.body);
                }
            }
        }
    }

    fn link_up(&mut self) {
        let (at, link) = (self.random.below(self.hosts.len()), self.random.below(LINKS));
        self.raise(at, link);
    }

    fn raise(&mut self, at: usize, link: usize) {
        let now = self.now();
        let side = &mut self.process.sides[at];
        if side.links[link].connection == 0 {
            self.connections += 1;
            side.up(now, link, self.connections, &mut self.hosts[at]);
        }
    }

    fn link_down(&mut self) {
        let now = self.now();
        let (at, link) = (self.random.below(self.hosts.len()), self.random.below(LINKS));
        let arrive = self.random.below(4);
        if self.process.sides[at].links[link].connection != 0 {
            self.process.sides[at].down(now, link, arrive, &mut self.hosts[at]);
            self.note(format_args!("link {link} of supplier {at} is down"));
        }
    }

    /// Nobody does anything for hours: what was settled is forgotten, and the next business day begins.
    fn pause(&mut self) {
        if self.pauses == PAUSES_MAX {
            return;
        }
        self.pauses += 1;
        // What is on its way arrives before: nothing is on the network for longer than the late window.
        (0..4).for_each(|_| self.move_on(4_000_000));
        let minutes = if self.random.chance(500) { 15 } else { self.random.between(60, 700) };
        self.time_us += minutes * 60_000_000;
        self.note(format_args!("{minutes} minutes go by"));
    }

    fn advance(&mut self) {
        let longest = if self.random.chance(150) { 2_000_000 } else { 150_000 };
        self.time_us += self.random.between(100, longest);
        self.arrivals();
    }

    /// Nothing stays on the network for ever.
    fn arrivals(&mut self) {
        let before_us = self.time_us.saturating_sub(NETWORK_US_MAX);
        for at in 0..self.hosts.len() {
            for flow in 0..self.hosts[at].flows.len() {
                while self.hosts[at].flows[flow]
                    .frames
                    .front()
                    .is_some_and(|(sent_us, _)| *sent_us <= before_us)
                {
                    self.deliver_from(at, flow);
                }
            }
            let current: Vec<u64> = self.process.sides[at].links.iter().map(|link| link.connection).collect();
            self.hosts[at].flows.retain(|flow| !flow.frames.is_empty() || current.contains(&flow.connection));
        }
    }

    fn sync(&mut self) {
        let batches = self.random.below(self.disk.unsynced() + 1);
        self.disk.sync(batches);
        self.release();
    }

    /// The process is killed, or the power fails with it.
    fn crash(&mut self, power: bool) {
        self.note(if power { "the power fails" } else { "the process is killed" });
        self.crashes[usize::from(power)] += 1;
        self.count();
        if self.process.gate.log().facts() == 0 {
            assert!(
                self.disk.fold() == *self.process.gate.state(),
                "fold: the state is not the fold of its log"
            );
        }
        for side in &mut self.process.sides {
            self.never_sent.extend(side.never_sent.drain(..));
            for link in &side.links {
                let arrive = self.random.below(4);
                let host = &mut self.hosts[usize::from(side.id.0) - books::ALPHA];
                if let Some(flow) = host.flows.iter_mut().find(|flow| flow.connection == link.connection) {
                    flow.frames.truncate(arrive);
                }
            }
        }
        self.terminals.open.clear();
        if power {
            let survive = self.random.below(self.disk.unsynced() + 1);
            self.disk.cut(survive);
            self.recount();
        }
        // What is left is synced before anything else happens.
        self.disk.sync(usize::MAX >> 1);
        let epoch = self.process.epoch + 1;
        let keeper = std::mem::take(&mut self.process.keeper);
        let maxima = (self.reversals_max, self.duplicate_bytes_max);
        self.process = start(&self.disk, &self.keyring, epoch, self.time_us, maxima, keeper);
        self.room = true;
    }

    /// Tells the stories again from what is left, and notes what is lost.
    fn recount(&mut self) {
        let mut before = std::mem::take(&mut self.stories);
        self.stories.wanted = std::mem::take(&mut before.wanted);
        for (at, bytes) in self.disk.facts().filter(|(at, _)| *at >= self.log_from) {
            self.stories.tell(*at, &Fact::unpack(bytes).expect("a fact reads back"));
        }
        for (flight, story) in before.flights {
            let left = self.stories.flights.get(&flight);
            let tries = left.map_or(0, |left| left.tries.len());
            for tried in &story.tries[tries..] {
                assert!(
                    self.relaxed.contains(&story.key) || !self.seen(tried.rrn),
                    "durable-before-visible: a sale before its intent"
                );
                self.orphans.insert(tried.rrn);
            }
            if story.answered_at.is_some() && left.is_none_or(|left| left.answered_at.is_none()) {
                assert!(
                    !self.terminals.lose(flight) || self.relaxed.contains(&story.key),
                    "durable-before-visible: an answer is gone"
                );
                self.lost += 1;
            }
        }
        for flight in before.undos.keys().filter(|flight| !self.stories.undos.contains_key(flight)) {
            assert!(!self.terminals.was_told(*flight), "durable-before-visible: a reversal is gone");
        }
    }

    /// Adds up what this life of the switch counted.
    fn count(&mut self) {
        let gate = self.process.gate.counters;
        let mut counted = vec![
            ("sought", gate.sought),
            ("refused", gate.refused),
            ("repeats", gate.repeats),
            ("joined", gate.joined),
            ("moved", gate.moved),
            ("late", gate.late),
            ("stale", gate.stale),
            ("reversals accepted", gate.reversals),
            ("blocked", gate.blocked),
            ("partial", gate.partial),
            ("withdrawn", gate.withdrawn),
            ("inquiries", gate.inquiries),
        ];
        for side in &self.process.sides {
            let counters = side.session.counters;
            counted.extend([
                ("asked", counters.asked),
                ("timed out", counters.timed_out),
                ("cut", counters.cut),
                ("not sent", counters.not_sent),
                ("reversals", counters.reversals_sent),
                ("status", counters.status_asked),
                ("undone", counters.undone),
                ("duplicate", counters.duplicate),
                ("unmatched", counters.unmatched),
                ("garbage", counters.garbage),
            ]);
        }
        counted.into_iter().for_each(|(name, number)| *self.counted.entry(name).or_default() += number);
    }

    fn seen(&self, rrn: Text<12>) -> bool {
        self.hosts.iter().any(|host| host.ledger.get(&rrn).is_some_and(|deed| deed.asked > 0))
    }
}
