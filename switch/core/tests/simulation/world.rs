//! The world around the switch: it decides by its seed what happens next, and looks at everything that becomes visible.

mod asking;
mod crashing;
mod ending;
mod figures;
mod gate;
mod looking;
mod operating;
mod reversing;
mod spilling;
mod standing;
mod wires;

use crate::host::Host;
use crate::keeper::{self, Keeper};
use crate::process::{Process, catalogue, start};
use crate::shape::Shape;
use crate::story::Stories;
use crate::support::disk::Disk;
use crate::support::locals;
use crate::support::message::dialects;
use crate::support::random::Random;
use crate::terminals::Terminals;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use switchyard_core::ids::Now;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Lsn;
use switchyard_core::seal::Keyring;
use switchyard_core::text::Text;

/// 2026-11-21, noon.
pub(crate) const WALL_MS: u64 = 1_795_262_400_000;
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
    shape: Shape,
    /// Where the log of the run itself begins, and that of each life.
    log_from: Lsn,
    lives: Vec<Lsn>,
    /// What gates and sessions counted, by name.
    counted: BTreeMap<&'static str, u64>,
    steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let keyring = Arc::new(Keyring::new());
        (1..=3).for_each(|number| locals::stock_key(&keyring, number));
        let mut disk = Disk::default();
        let mut random = Random(seed);
        let shape = Shape::of(seed, &mut random);
        let log_from = match shape.requests_before {
            0 => Lsn(0),
            count => keeper::fill(&mut disk, count, WALL_MS - 3_600_000),
        };
        let process = start(&disk, &keyring, 2, 0, &shape, Keeper::default());
        let hosts = catalogue()
            .suppliers
            .iter()
            .filter(|s| !s.local)
            .map(|s| Host::new(s.reversal_blocks_original, shape.thoughts_permille))
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
            terminals: Terminals::new(&shape),
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
            shape,
            log_from,
            lives: Vec::new(),
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
            242..250 => self.operate(),
            250..433 => self.gate_turn(),
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

    fn sync(&mut self) {
        let batches = self.random.below(self.disk.unsynced() + 1);
        self.disk.sync(batches);
        self.release();
    }
}
