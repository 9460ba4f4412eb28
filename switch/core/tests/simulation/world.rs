//! The world around the switch: it decides by its seed what happens next, and looks at everything that becomes visible.

use crate::support::disk::{Disk, WINDOW_MS};
use crate::host::{Host, NETWORK_US_MAX};
use crate::process::{LINKS, Process, Side};
use crate::story::{Stand, Stories};
use crate::support::books::{self, catalogue};
use crate::support::locals::{self, Stock, Wallet};
use crate::support::message::{Answer, DIALECTS, Sale, dialects};
use crate::support::random::Random;
use crate::terminals::{Terminals, Waiting};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use switchyard_core::account::Account;
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::answer::answer;
use switchyard_core::catalogue::Service;
use switchyard_core::fact::Fact;
use switchyard_core::flight::Phase;
use switchyard_core::gate::{Gate, GateOptions, Released};
use switchyard_core::ids::Now;
use switchyard_core::iso8583::{Build, Dialect, Mti, Role};
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Log;
use switchyard_core::money::Minor;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::{Pack, Unpack};
use switchyard_core::request::{Read, Rules, read};
use switchyard_core::seal::{DataKey, KeyId, Keyring};
use switchyard_core::secret::Secret;
use switchyard_core::text::Text;
use switchyard_core::ticket::{Errand, Place, Ticket};

/// 2026-11-21, noon.
const WALL_MS: u64 = 1_795_262_400_000;
/// The conduits: index of the dialect, and whether durability is relaxed.
const CONDUITS: [(u16, bool); 3] = [(0, false), (0, true), (1, false)];
/// Messages that may be open on a connection.
const WINDOW: u16 = 8;
/// A message's answer is due so long after it came.
const DEADLINE_US: u64 = 5_000_000;
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
    /// What gates and sessions counted, by name.
    counted: BTreeMap<&'static str, u64>,
    steps: u64,
}

/// A process over what the disk holds.
fn start(disk: &Disk, keyring: &Arc<Keyring>, epoch: u32, time_us: u64) -> Process {
    let now = Now { mono_us: 1, wall_ms: WALL_MS + time_us / 1_000 };
    let id = KeyId::epoch(epoch);
    keyring.insert(id, DataKey::new([epoch as u8; 32].into()).expect("a key"));
    let options = GateOptions {
        duplicates_max: 1_000_000,
        key: keyring.key(id).expect("just put in"),
        key_id: id,
        keyring: Arc::clone(keyring),
    };
    let stock: Box<dyn switchyard_core::adapter::Local> = Box::new(Stock { keyring: Arc::clone(keyring) });
    let wallet = Box::new(Wallet { balance_max: Minor(200_000) });
    let locals = vec![(books::text("stock"), stock), (books::text("wallet"), wallet as _)];
    let log = Log::new(disk.start(epoch));
    let mut gate = Gate::new(disk.fold(), log, options, catalogue(), &DIALECTS, locals, now);
    if gate.state().stock.products().is_empty() {
        let vouchers = gate.catalogue().products[0].id;
        for number in 1..=3 {
            gate.load_stock(locals::batch(vouchers, number, 40));
        }
    }
    let recovered = gate.recover(now, |_| Err("a batch holds every doubt of these runs")).expect("one batch");
    assert!(recovered.doubted <= recovered.reversals);
    let sides = gate.catalogue().suppliers.iter().filter(|supplier| !supplier.local).map(|s| Side::new(s, now)).collect();
    Process { gate, epoch, began_us: time_us, sides, requests: VecDeque::new(), recalls: VecDeque::new() }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let keyring = Arc::new(Keyring::new());
        (1..=3).for_each(|number| locals::stock_key(&keyring, number));
        let disk = Disk::default();
        let process = start(&disk, &keyring, 1, 0);
        let hosts = catalogue().suppliers.iter().filter(|s| !s.local).map(|s| Host::new(s.reversal_blocks_original)).collect();
        Self {
            random: Random(seed),
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
            "{} s, kills {}, power cuts {}, codes {:?}, sold {}, approved {}, declined {}, settled {}, parked {}, lost {}, {:?}",
            self.time_us / 1_000_000,
            self.crashes[0],
            self.crashes[1],
            self.terminals.codes,
            stands(Stand::Sold),
            stands(Stand::Approved),
            stands(Stand::Declined),
            stands(Stand::Settled),
            stands(Stand::Parked),
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
            0..130 => self.ask_new(),
            130..230 => self.ask_again(),
            230..240 => self.ask_other_contents(),
            240..243 => self.cut_over(),
            243..433 => self.gate_turn(),
            433..633 => self.supplier_turn(),
            633..713 => self.sync(),
            713..793 => self.hand_over(),
            793..853 => self.deliver(),
            853..893 => self.emit(),
            893..943 => self.advance(),
            943..973 => self.link_up(),
            973..978 => self.link_down(),
            978..988 => self.keep(),
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

    // ---- Terminals ----------------------------------------------------------------------------------------------------------

    fn local(&self) -> String {
        let at = switchyard_core::stamp::transmission(WALL_MS + self.time_us / 1_000);
        let digits = String::from_utf8_lossy(&at).into_owned();
        format!("{}{}", &digits[4..], &digits[..4])
    }

    fn ask_new(&mut self) {
        let local = self.local();
        let sale = self.terminals.new_sale(&mut self.random, local);
        self.terminals.history.push(sale.clone());
        let conduit = self.random.below(CONDUITS.len());
        self.ask(sale, conduit);
    }

    fn ask_again(&mut self) {
        // Mostly something of late, so that repeats meet what is in flight.
        let count = self.terminals.history.len();
        let from = if self.random.chance(700) { count.saturating_sub(12) } else { 0 };
        let at = from + self.random.below(count - from);
        let Some(mut sale) = self.terminals.history.get(at).cloned() else { return };
        sale.mti = if self.random.chance(500) { 201 } else { 200 };
        // The third-party identifiers are no part of the contents.
        if self.random.chance(100) {
            sale.tags.retain(|(name, _)| name != b"04");
        }
        let conduit = self.random.below(CONDUITS.len());
        self.ask(sale, conduit);
    }

    fn ask_other_contents(&mut self) {
        let Some(mut sale) = self.random.pick(&self.terminals.history).cloned() else { return };
        sale.amount = sale.amount % 5_000 + 1;
        let conduit = self.random.below(CONDUITS.len());
        self.ask(sale, conduit);
    }

    /// Sends a message, where the connection's window has room.
    fn ask(&mut self, mut sale: Sale, conduit: usize) {
        let (dialect, relaxed) = CONDUITS[conduit];
        let slot = self.random.below(2) as u32;
        let place = Place { conduit: conduit as u16, slot, generation: self.process.epoch };
        if self.terminals.open.values().filter(|waiting| waiting.place == place).count() >= usize::from(WINDOW) {
            return;
        }
        let (number, transmission) = self.terminals.next();
        sale.transmission = transmission.clone();
        let body = sale.frame(&self.dialects[usize::from(dialect)]);
        let mut ticket = self.ticket(number, place, dialect, relaxed);
        let found = self.read(&body, &mut ticket);
        assert_eq!(found, Read::Gate, "{sale:?}");
        if relaxed {
            self.relaxed.insert(ticket.request.key);
        }
        self.note(format_args!("ticket {number}: {} {} stan {} of {} over conduit {conduit}", sale.mti, sale.product, sale.stan, sale.terminal));
        self.terminals.open.insert(number, Waiting { place, transmission, cut_over: false });
        self.process.requests.push_back(ticket);
    }

    fn cut_over(&mut self) {
        let place = Place { conduit: 0, slot: 9, generation: self.process.epoch };
        let (number, transmission) = self.terminals.next();
        let mut body = Vec::new();
        let mut build = Build::new(&self.dialects[0], Mti::new(800), &mut body);
        build.text(Role::TransmissionTime, transmission.as_bytes()).number(Role::Stan, number);
        build.text(Role::Network, b"100001").number(Role::ManagementCode, 201);
        build.finish().expect("fits");
        let mut ticket = self.ticket(number, place, 0, false);
        assert_eq!(self.read(&body, &mut ticket), Read::Gate);
        self.terminals.open.insert(number, Waiting { place, transmission, cut_over: true });
        self.process.requests.push_back(ticket);
    }

    fn ticket(&self, number: u64, place: Place, dialect: u16, relaxed: bool) -> Box<Ticket> {
        let now = self.now();
        Box::new(Ticket {
            place,
            dialect,
            relaxed,
            window: WINDOW,
            received_us: now.mono_us,
            deadline_us: now.mono_us + DEADLINE_US,
            header: number.to_be_bytes().to_vec(),
            ..Ticket::default()
        })
    }

    fn read(&self, body: &[u8], ticket: &mut Ticket) -> Read {
        let rules = Rules {
            catalogue: self.process.gate.catalogue(),
            networks: &[],
            bound: None,
            sign_on: false,
            signed_on: &[],
            window_h: (WINDOW_MS / 3_600_000) as u32 - 28,
            keys: &self.keys,
        };
        read(&self.dialects[usize::from(ticket.dialect)], body, self.now(), &rules, ticket)
    }

    // ---- The gate -----------------------------------------------------------------------------------------------------------

    fn gate_turn(&mut self) {
        let now = self.now();
        let gate = &mut self.process.gate;
        gate.set_room(self.room);
        for side in &mut self.process.sides {
            self.never_sent.extend(side.never_sent.drain(..));
            let items = self.random.below(6);
            for report in side.reports.drain(..items.min(side.reports.len())) {
                gate.heard(now, side.id, report);
            }
        }
        for _ in 0..self.random.below(6) {
            let Some(ticket) = self.process.requests.pop_front() else { break };
            gate.ask(now, ticket);
        }
        // Sometimes the turn's effects must wait for a later write.
        if self.random.chance(900) {
            self.write();
        }
        self.release();
        self.look();
    }

    fn write(&mut self) {
        let durable = self.disk.durable();
        let Some(batch) = self.process.gate.log().take(durable) else { return };
        let facts = self.disk.write(&batch, self.process.epoch);
        for (at, bytes) in &facts {
            self.stories.tell(*at, &Fact::unpack(bytes).expect("a fact reads back"));
        }
    }

    fn release(&mut self) {
        let (written, durable) = (self.disk.written(), self.disk.durable());
        let mut released = Released::default();
        self.process.gate.release(written, durable, &mut released);
        for order in released.orders {
            self.check_order(&order);
            let side = self.process.sides.iter_mut().find(|side| side.id == order.supplier);
            side.expect("an order for a supplier over a wire").orders.push_back(order);
        }
        for ticket in released.tickets {
            match ticket.errand {
                Errand::Recall => self.process.recalls.push_back(ticket),
                _ => self.respond(ticket),
            }
        }
    }

    /// `durable-before-visible`, for what goes to a supplier.
    fn check_order(&mut self, order: &Order) {
        let story = self.stories.flights.get(&order.flight).expect("durable-before-visible: an order before its intent is written");
        let (written, durable) = (self.disk.written(), self.disk.durable());
        let tried = &story.tries[usize::from(order.attempt) - 1];
        assert_eq!((tried.supplier, tried.rrn), (order.supplier, order.rrn));
        match order.ask {
            Ask::Sale => {
                let relaxed = self.relaxed.contains(&story.key) && story.service != Service::Voucher;
                assert!(tried.at < if relaxed { written } else { durable }, "durable-before-visible: a sale before its intent");
            }
            Ask::Reversal { .. } => {
                let needs = story.doubted_at.expect("durable-before-visible: a reversal before its doubt");
                assert!(needs < durable, "durable-before-visible: a reversal before its doubt");
            }
        }
    }

    /// The answer of a ticket is written.
    fn respond(&mut self, ticket: Box<Ticket>) {
        let outcome = Outcome::unpack(&mut Unpack(&ticket.outcome)).expect("an outcome");
        let story = self.stories.flights.get(&outcome.flight);
        if let Some(story) = story {
            let at = story.answered_at.expect("durable-before-visible: an answer before its outcome is written");
            let secret = story.service == Service::Voucher && outcome.verdict == Verdict::Approved;
            let upto = if ticket.relaxed && !secret { self.disk.written() } else { self.disk.durable() };
            assert!(at < upto, "durable-before-visible: an answer before its outcome");
        } else if ticket.request.kind != switchyard_core::request::Kind::CutOver {
            assert_eq!(outcome.verdict, Verdict::Declined, "durable-before-visible: an answer before its outcome is written");
        }
        let (mut secret, mut body) = (Secret::new(), Vec::new());
        answer(&self.dialects, &ticket, &self.keyring, &mut secret, &mut body).expect("an answer can be built");
        let read = Answer::read(&self.dialects[usize::from(ticket.dialect)], &body);
        let line = format!("answer {} to ticket {:?}, {}", read.code, &ticket.header[6..], outcome.flight);
        self.terminals.hear(&ticket, read, story);
        self.note(line);
    }

    /// The keeper reads stored answers.
    fn keep(&mut self) {
        while let Some(mut ticket) = self.process.recalls.pop_front() {
            let request = Fact::unpack(self.disk.fact(ticket.intent_at)).expect("a fact reads back");
            let (Fact::Intent { dialect, frame, .. } | Fact::Sale { dialect, frame, .. }) = request else {
                panic!("no request lies at {}", ticket.intent_at);
            };
            ticket.original_dialect = dialect;
            ticket.original = frame.to_vec();
            let stored = Fact::unpack(self.disk.fact(ticket.outcome_at)).expect("a fact reads back");
            let (Fact::Outcome { outcome, .. } | Fact::Doubt { outcome, .. } | Fact::Sale { outcome, .. }) = stored else {
                panic!("no outcome lies at {}", ticket.outcome_at);
            };
            ticket.outcome.clear();
            outcome.pack(&mut ticket.outcome);
            ticket.errand = Errand::Answer;
            self.respond(ticket);
        }
    }

    /// What must hold at every moment.
    fn look(&mut self) {
        let gate = &mut self.process.gate;
        assert_eq!(gate.misfit(), None);
        assert_eq!(gate.state().accounts.sum(), 0, "money-conserved");
        for supplier in &gate.catalogue().suppliers {
            let supply = gate.supply(supplier.id).expect("known");
            assert!(supply.in_flight() <= supply.window(), "bounded: a supplier's window");
            assert!(supply.advices() <= supplier.advices_max + self.stories.flights.len() as u32);
        }
        if gate.log().facts() > 0 {
            return;
        }
        for network in &gate.catalogue().networks {
            let balance = gate.state().accounts.balance(Account::Network(network.id));
            let reserved = self.stories.reserved.get(&network.id).copied().unwrap_or(0);
            let posted = self.stories.posted.get(&network.id).copied().unwrap_or(0);
            assert_eq!((balance.posted.0, balance.reserved.0), (posted, reserved), "money-conserved: {}", network.code);
            assert!(posted - reserved >= -network.funding.line().0, "a network sold more than it can pay");
        }
    }

    // ---- Suppliers ----------------------------------------------------------------------------------------------------------

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
            let (due, rest) = std::mem::take(&mut self.hosts[at].sendings).into_iter().partition(|s| s.due_us <= now_us);
            self.hosts[at].sendings = rest;
            let due: Vec<crate::host::Sending> = due;
            for sending in due {
                let links = &mut self.process.sides[at].links;
                let own = links.iter().position(|link| link.connection == sending.connection);
                // A host may answer over another connection when the one that asked is gone.
                let other = links.iter().position(|link| link.connection != 0).filter(|_| self.random.chance(500));
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

    // ---- Time, disk, crashes ------------------------------------------------------------------------------------------------

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
                while self.hosts[at].flows[flow].frames.front().is_some_and(|(sent_us, _)| *sent_us <= before_us) {
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
            assert!(self.disk.fold() == *self.process.gate.state(), "fold: the state is not the fold of its log");
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
        self.process = start(&self.disk, &self.keyring, self.process.epoch + 1, self.time_us);
        self.room = true;
    }

    /// Tells the stories again from what is left, and notes what is lost.
    fn recount(&mut self) {
        let before = std::mem::take(&mut self.stories);
        for (at, bytes) in self.disk.facts() {
            self.stories.tell(*at, &Fact::unpack(bytes).expect("a fact reads back"));
        }
        for (flight, story) in before.flights {
            let left = self.stories.flights.get(&flight);
            let tries = left.map_or(0, |left| left.tries.len());
            for tried in &story.tries[tries..] {
                assert!(self.relaxed.contains(&story.key) || !self.seen(tried.rrn), "durable-before-visible: a sale before its intent");
                self.orphans.insert(tried.rrn);
            }
            if story.answered_at.is_some() && left.is_none_or(|left| left.answered_at.is_none()) {
                assert!(!self.terminals.lose(flight) || self.relaxed.contains(&story.key), "durable-before-visible: an answer is gone");
                self.lost += 1;
            }
        }
    }

    /// Adds up what this life of the switch counted.
    fn count(&mut self) {
        let gate = self.process.gate.counters;
        let mut counted = vec![
            ("refused", gate.refused),
            ("repeats", gate.repeats),
            ("joined", gate.joined),
            ("moved", gate.moved),
            ("late", gate.late),
            ("stale", gate.stale),
        ];
        for side in &self.process.sides {
            let counters = side.session.counters;
            counted.extend([
                ("asked", counters.asked),
                ("timed out", counters.timed_out),
                ("cut", counters.cut),
                ("not sent", counters.not_sent),
                ("reversals", counters.reversals_sent),
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

    // ---- The end ------------------------------------------------------------------------------------------------------------

    /// Everything moves on by so much time.
    fn move_on(&mut self, by_us: u64) {
        self.time_us += by_us;
        for at in 0..self.hosts.len() {
            for link in 0..LINKS {
                self.raise(at, link);
                self.process.sides[at].hand_over(self.time_us, link, u64::MAX >> 1, &mut self.hosts[at]);
            }
            while let Some(flow) = self.hosts[at].flows.iter().position(|flow| !flow.frames.is_empty()) {
                self.deliver_from(at, flow);
            }
        }
        self.emit();
        let now = self.now();
        for _ in 0..3 {
            for side in &mut self.process.sides {
                side.turn(now, usize::MAX);
                for report in side.reports.drain(..) {
                    self.process.gate.heard(now, side.id, report);
                }
                self.never_sent.extend(side.never_sent.drain(..));
            }
            while let Some(ticket) = self.process.requests.pop_front() {
                self.process.gate.ask(now, ticket);
            }
            self.write();
            self.disk.sync(usize::MAX >> 1);
            self.release();
            self.keep();
        }
        self.look();
    }

    /// First the suppliers say nothing: every terminal must get its answer all the same (S-13). Then they answer, and everything must come to its end.
    fn settle(&mut self) {
        self.room = true;
        self.process.gate.set_room(true);
        self.hosts.iter_mut().for_each(|host| host.mute = true);
        self.note("the suppliers fall silent");
        for _ in 0..8 {
            self.move_on(1_000_000);
        }
        assert!(self.terminals.open.is_empty(), "answered-once: {} tickets have no answer", self.terminals.open.len());
        assert_eq!(self.process.gate.waiting(), 0, "bounded: flights wait that nobody waits for");
        for host in &mut self.hosts {
            (host.mute, host.calm) = (false, true);
        }
        self.note("the suppliers answer again");
        for _ in 0..80 {
            self.move_on(1_000_000);
        }
        let gate = &self.process.gate;
        for supplier in &gate.catalogue().suppliers {
            let supply = gate.supply(supplier.id).expect("known");
            assert_eq!((supply.in_flight(), supply.advices()), (0, 0), "bounded: credits of {}", supplier.code);
        }
        for side in &self.process.sides {
            assert_eq!(side.session.open(), 0, "bounded: the session of {:?}", side.id);
        }
        assert!(gate.state().flights().all(|flight| matches!(flight.phase, Phase::Settled | Phase::Parked)));
    }

    fn account_for_everything(&mut self) {
        assert!(self.disk.fold() == *self.process.gate.state(), "fold: the state is not the fold of its log");
        let ends = [Stand::Sold, Stand::Approved, Stand::Declined, Stand::Settled, Stand::Parked];
        let mut owners = std::collections::HashMap::new();
        for (flight, story) in &self.stories.flights {
            assert!(ends.contains(&story.stand), "one-terminal-outcome: {flight} is {:?}", story.stand);
            let last = story.tries.len() - 1;
            for (at, tried) in story.tries.iter().enumerate() {
                owners.insert(tried.rrn, (*flight, story.stand, at == last));
            }
            if story.stand == Stand::Approved {
                let rrn = story.tries[last].rrn;
                let performed = self.hosts.iter().filter(|host| host.ledger.get(&rrn).is_some_and(|deed| deed.stands())).count();
                assert_eq!(performed, 1, "performed-once: {flight} is approved and was performed {performed} times");
            }
        }
        for host in &self.hosts {
            for (rrn, deed) in &host.ledger {
                assert!(!self.never_sent.contains(rrn) || deed.asked == 0, "a sale that was never sent arrived: {rrn}");
                if !deed.stands() || self.orphans.contains(rrn) {
                    continue;
                }
                let owner = owners.get(rrn);
                let right = matches!(owner, Some((_, Stand::Approved | Stand::Parked, true)));
                assert!(right, "performed-once: {rrn} stands at the supplier, and is {owner:?}");
            }
        }
        // Everything that was ever asked is asked again: what was told before must be told again.
        for sale in std::mem::take(&mut self.terminals.history) {
            let conduit = self.random.below(CONDUITS.len());
            self.ask(Sale { mti: 201, ..sale }, conduit);
            self.move_on(1_000);
        }
        for _ in 0..60 {
            self.move_on(1_000_000);
        }
        assert!(self.terminals.open.is_empty(), "answered-once");
        assert!(self.disk.fold() == *self.process.gate.state(), "fold: the state is not the fold of its log");
        let counters = self.process.gate.counters;
        assert_eq!(counters.tickets, counters.answers, "answered-once");
        self.count();
    }
}
