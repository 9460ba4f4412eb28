//! A gate on a bench: every batch is written and synced at once, answers are read as a terminal would, sessions are played by hand.

use super::books::{catalogue, text};
use super::disk::{Disk, WINDOW_MS};
use super::locals::{Stock, Wallet, batch, stock_key};
use super::message::{Answer, DIALECTS, Sale, dialects};
use std::sync::Arc;
use switchyard_core::adapter::{Local, Order};
use switchyard_core::answer::{answer, refuse};
use switchyard_core::catalogue::{Catalogue, Meaning, ReversalMeaning, Supplier};
use switchyard_core::code::Code;
use switchyard_core::flight::{Flight, Phase};
use switchyard_core::gate::{Gate, GateOptions, Released, STAN_MAX};
use switchyard_core::ids::{FlightNo, Now, SupplierId};
use switchyard_core::index::ENTRY_MEMORY_BYTES;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Log;
use switchyard_core::money::Minor;
use switchyard_core::request::{Read, Rules, read};
use switchyard_core::seal::{DataKey, KeyId, Keyring};
use switchyard_core::secret::Secret;
use switchyard_core::session::{Report, Watch};
use switchyard_core::state::{BELIEVED_MS, SETTLED_KEPT_MS};
use switchyard_core::text::Text;
use switchyard_core::ticket::{Errand, Place, Ticket};

/// 2026-11-21, noon.
pub(crate) const WALL_MS: u64 = 1_795_262_400_000;

/// A late answer to a flight's first attempt.
pub(crate) fn late(flight: FlightNo, approved: bool) -> Report {
    let (code, meaning) = match approved {
        true => ("00", Meaning::Approved),
        false => ("05", Meaning::Declined(Code::REFUSED)),
    };
    let answer =
        switchyard_core::adapter::Answer { code: text(code), sale: Some(meaning), ..Default::default() };
    Report::Late { flight, attempt: 1, answer: Box::new(answer) }
}

/// Requests that the window holds here.
pub(crate) const INDEX_MAX: usize = 60;

/// Reversals that may be open at a time here.
pub(crate) const REVERSALS_MAX: usize = 24;

/// Reversals of one supplier that may be parked at a time here.
pub(crate) const PARKED_MAX: usize = 4;

/// The bench.
pub(crate) struct Bench {
    pub(crate) gate: Gate,
    pub(crate) now: Now,
    pub(crate) disk: Disk,
    pub(crate) dialects: Vec<Arc<Dialect>>,
    pub(crate) keyring: Arc<Keyring>,
    /// Orders that left for suppliers.
    pub(crate) orders: Vec<Box<Order>>,
    /// Answers, by the connection's slot.
    pub(crate) answers: Vec<(u32, Answer)>,
    /// What the sessions were to watch after the last restart.
    pub(crate) watches: Vec<Watch>,
    /// Tickets that are with the keeper.
    pub(crate) away: Vec<Box<Ticket>>,
    /// Whether stored answers wait with the keeper until they are brought back.
    pub(crate) keeper_waits: bool,
    /// Whether what is written is synced.
    pub(crate) syncing: bool,
    /// Messages that the connection's window holds.
    pub(crate) window: u16,
    pub(crate) relaxed: bool,
    /// Whether messages come when their answers are due already.
    pub(crate) overdue: bool,
    /// How long messages wait before the gate takes them.
    pub(crate) waited_us: u64,
    pub(crate) signed_on: Option<Vec<u32>>,
    keys: KeyHash,
    stan_max: u32,
    epoch: u32,
}

fn gate(
    disk: &mut Disk,
    keyring: &Arc<Keyring>,
    catalogue: Catalogue,
    stan_max: u32,
    epoch: u32,
    now: Now,
) -> Gate {
    let id = KeyId::epoch(epoch);
    keyring.insert(id, DataKey::new([epoch as u8; 32].into()).expect("a key"));
    let key = keyring.key(id).expect("just put in");
    let options = GateOptions {
        duplicate_bytes_max: INDEX_MAX * ENTRY_MEMORY_BYTES,
        repeatable_ms: WINDOW_MS,
        reversible_ms: WINDOW_MS,
        reversals_max: REVERSALS_MAX,
        parked_max: PARKED_MAX,
        voucher_credits_max: 3,
        stan_max,
        key,
        key_id: id,
        keyring: Arc::clone(keyring),
    };
    let stock: Box<dyn Local> = Box::new(Stock { keyring: Arc::clone(keyring) });
    let wallet: Box<dyn Local> = Box::new(Wallet { balance_max: Minor(10_000) });
    let locals = vec![(text("stock"), stock), (text("wallet"), wallet)];
    let (state, log) = (disk.fold(), Log::new(disk.start(epoch)));
    let write = |log: &mut Log| written(disk, log, epoch);
    Gate::new(state, log, options, catalogue, &DIALECTS, locals, now, write).expect("the disk takes it")
}

/// Writes what is open in the log of a start.
fn written(disk: &mut Disk, log: &mut Log, epoch: u32) -> Result<(), &'static str> {
    let batch = log.take(disk.durable()).ok_or("nothing was recorded and the log is full")?;
    disk.write(&batch, epoch);
    Ok(())
}

impl Bench {
    /// A gate over a catalogue, with five vouchers; suppliers over a wire are ready.
    pub(crate) fn over(catalogue: Catalogue) -> Self {
        Self::with(catalogue, STAN_MAX)
    }

    /// A gate over the usual catalogue, whose suppliers know so many STANs.
    pub(crate) fn narrow(stan_max: u32) -> Self {
        Self::with(catalogue(), stan_max)
    }

    fn with(catalogue: Catalogue, stan_max: u32) -> Self {
        let (keyring, mut disk) = (Arc::new(Keyring::new()), Disk::default());
        stock_key(&keyring, 1);
        let now = Now { mono_us: 1_000_000, wall_ms: WALL_MS };
        let mut gate = gate(&mut disk, &keyring, catalogue, stan_max, 1, now);
        let product = gate.catalogue().products[0].id;
        gate.load_stock(batch(product, 1, 5));
        let mut bench = Self {
            gate,
            now,
            disk,
            dialects: dialects(),
            keyring,
            orders: Vec::new(),
            answers: Vec::new(),
            watches: Vec::new(),
            away: Vec::new(),
            keeper_waits: false,
            syncing: true,
            window: 100,
            relaxed: false,
            overdue: false,
            waited_us: 0,
            signed_on: None,
            keys: KeyHash::new([7; 16]),
            stan_max,
            epoch: 1,
        };
        bench.everybody_ready();
        bench
    }

    /// A gate over the usual catalogue.
    pub(crate) fn new() -> Self {
        Self::over(catalogue())
    }

    fn everybody_ready(&mut self) {
        let ids: Vec<_> = self.gate.catalogue().suppliers.iter().filter(|s| !s.local).map(|s| s.id).collect();
        ids.into_iter().for_each(|id| self.gate.heard(self.now, id, Report::Ready(true)));
        self.flush();
    }

    /// The process starts again over what the disk holds, with that catalogue.
    pub(crate) fn restart(&mut self, catalogue: Catalogue) {
        self.epoch += 1;
        self.disk.sync(usize::MAX >> 1);
        self.gate = gate(&mut self.disk, &self.keyring, catalogue, self.stan_max, self.epoch, self.now);
        self.orders.clear();
        let Self { gate, disk, epoch, .. } = self;
        gate.recover(self.now, |log| written(disk, log, *epoch)).expect("the disk takes it");
        self.watches = self.gate.watches(self.now);
        self.everybody_ready();
    }

    /// Time goes by.
    pub(crate) fn pass(&mut self, by_ms: u64) {
        self.now.mono_us += by_ms * 1_000;
        self.now.wall_ms += by_ms;
    }

    /// Time goes by with a message a day, a reversal of nothing, so that the clock does not seem to leap.
    pub(crate) fn pass_by_days(&mut self, by_ms: u64) {
        self.pass_by(BELIEVED_MS, by_ms);
    }

    /// So much time goes by that what has ended is forgotten with the next message.
    pub(crate) fn pass_until_forgotten(&mut self) {
        self.pass_by(60_000, SETTLED_KEPT_MS);
        self.pass(60_001);
    }

    fn pass_by(&mut self, most_ms: u64, by_ms: u64) {
        let mut left_ms = by_ms;
        while left_ms > 0 {
            let step_ms = left_ms.min(most_ms);
            self.pass(step_ms);
            left_ms -= step_ms;
            let stan = 500_000 + (self.now.wall_ms / 1_000 % 400_000) as u32;
            assert_eq!(self.reversed(&Sale { stan, ..Sale::of("TOPUP", 21) }.reversal(stan)).code, "00");
        }
    }

    /// A supplier, by its place in the catalogue.
    pub(crate) fn supplier(&self, at: usize) -> (SupplierId, Supplier) {
        let supplier = &self.gate.catalogue().suppliers[at];
        (supplier.id, supplier.clone())
    }

    /// A message arrives on the connection of that slot.
    pub(crate) fn ask(&mut self, slot: u32, sale: &Sale) {
        let body = sale.frame(&self.dialects[0]);
        self.ask_frame(slot, 0, &body);
    }

    /// A message goes through the gate; nothing is written or released yet.
    pub(crate) fn gate_only(&mut self, sale: &Sale) {
        let body = sale.frame(&self.dialects[0]);
        self.take_in(0, 0, &body);
    }

    /// Bytes arrive on the connection of that slot, in a dialect.
    pub(crate) fn ask_frame(&mut self, slot: u32, dialect: u16, body: &[u8]) {
        self.take_in(slot, dialect, body);
        self.flush();
    }

    fn take_in(&mut self, slot: u32, dialect: u16, body: &[u8]) {
        let wait_us = if self.overdue { 0 } else { 5_000_000 };
        let mut ticket = Box::new(Ticket {
            place: Place { conduit: 0, slot, generation: 1 },
            dialect,
            relaxed: self.relaxed,
            window: self.window,
            received_us: self.now.mono_us.saturating_sub(self.waited_us),
            deadline_us: (self.now.mono_us + wait_us).saturating_sub(self.waited_us),
            ..Ticket::default()
        });
        let spoken = Arc::clone(&self.dialects[usize::from(dialect)]);
        let signed_on = self.signed_on.clone().unwrap_or_default();
        let rules = Rules {
            catalogue: self.gate.catalogue(),
            networks: &[],
            bound: None,
            sign_on: self.signed_on.is_some(),
            signed_on: &signed_on,
            window_h: (WINDOW_MS / 3_600_000) as u32 - 28,
            keys: &self.keys,
            blocked: self.gate.state().controls().blocked(),
        };
        match read(&spoken, body, self.now, &rules, &mut ticket) {
            Read::Gate => self.gate.ask(self.now, ticket),
            Read::Refuse(code) => self.refused(slot, &spoken, body, code),
            other => panic!("{other:?} is for the conduit"),
        }
    }

    fn refused(&mut self, slot: u32, dialect: &Dialect, body: &[u8], code: Code) {
        let mut out = Vec::new();
        refuse(dialect, body, code, text("RRN000000000"), |_| *b"1121", &mut out)
            .expect("a refusal can be built");
        self.answers.push((slot, Answer::read(dialect, &out)));
    }

    /// The only answer that came since the last look.
    pub(crate) fn answer(&mut self) -> Answer {
        assert_eq!(self.answers.len(), 1, "one answer is expected: {:?}", self.answers);
        self.answers.remove(0).1
    }

    /// Asks, and takes the answer that comes at once.
    pub(crate) fn asked(&mut self, sale: &Sale) -> Answer {
        self.ask(0, sale);
        self.answer()
    }

    /// The only order that left since the last look.
    pub(crate) fn order(&mut self) -> Box<Order> {
        assert_eq!(self.orders.len(), 1, "one order is expected: {:?}", self.orders);
        self.orders.remove(0)
    }

    /// A supplier answers an order with a code.
    pub(crate) fn answered(&mut self, mut order: Box<Order>, code: &str) {
        let supplier = self.gate.catalogue().supplier_of(order.supplier).expect("known").1;
        order.answer.code = text(code);
        order.answer.sale = Some(supplier.codes.sale(text(code)));
        order.sent_us = self.now.mono_us;
        let id = order.supplier;
        self.heard(id, Report::Answered(order));
    }

    /// A sale that its supplier lets time out: 68 at once. Its reversal, on its way to the supplier.
    pub(crate) fn timed_out(&mut self, sale: &Sale) -> Box<Order> {
        self.ask(0, sale);
        let order = self.order();
        self.heard(order.supplier, Report::TimedOut(order));
        assert_eq!(self.answer().code, "68");
        self.order()
    }

    /// A reversal's session reports what its supplier says of it; nothing: it has expired.
    pub(crate) fn undone(&mut self, mut order: Box<Order>, meaning: Option<ReversalMeaning>) {
        order.answer.reversal = meaning;
        self.heard(order.supplier, Report::Undone(order));
    }

    /// The gate hears a report.
    pub(crate) fn heard(&mut self, supplier: SupplierId, report: Report) {
        self.gate.heard(self.now, supplier, report);
        self.flush();
    }

    /// Writes what is open, syncs it where the bench syncs, and takes what leaves.
    pub(crate) fn flush(&mut self) {
        let durable = self.disk.durable();
        if let Some(batch) = self.gate.log().take(durable) {
            self.disk.write(&batch, self.epoch);
        }
        if self.syncing {
            self.disk.sync(usize::MAX >> 1);
        }
        assert_eq!(self.gate.misfit(), None);
        let accounts = &self.gate.state().accounts;
        assert_eq!((accounts.sum(), accounts.sum_of_each()), (0, 0), "money-conserved");
        assert!(self.disk.fold() == *self.gate.state(), "fold");
        let state = self.gate.state();
        let open = |flight: &&Flight| !flight.phase.is_over() && flight.phase != Phase::Parked;
        assert_eq!(state.open_flights(), state.flights().filter(open).count(), "those that are open");
        let mut released = Released::default();
        self.gate.release(self.disk.written(), self.disk.durable(), &mut released);
        self.orders.append(&mut released.orders);
        for ticket in released.tickets {
            self.respond(ticket);
        }
    }

    /// Writes facts that were put into the log past the gate; only a restart makes sense of them.
    pub(crate) fn write_unfolded(&mut self) {
        let durable = self.disk.durable();
        if let Some(batch) = self.gate.log().take(durable) {
            self.disk.write(&batch, self.epoch);
        }
    }

    fn respond(&mut self, mut ticket: Box<Ticket>) {
        match ticket.errand {
            Errand::Answer => {}
            Errand::Original => {
                self.disk.keep(&mut ticket);
                return self.away.push(ticket);
            }
            _ if self.keeper_waits => return self.away.push(ticket),
            _ => {
                self.disk.keep(&mut ticket);
                self.gate.recalled(self.now, ticket);
                return self.flush();
            }
        }
        let (mut secret, mut out) = (Secret::new(), Vec::new());
        answer(&self.dialects, &ticket, &self.keyring, &mut secret, &mut out)
            .expect("an answer can be built");
        assert!(secret.is_empty());
        let answer = Answer::read(&self.dialects[usize::from(ticket.dialect)], &out);
        self.answers.push((ticket.place.slot, answer));
    }

    /// The keeper hands back what it was asked for.
    pub(crate) fn bring_back(&mut self) {
        for mut ticket in std::mem::take(&mut self.away) {
            if ticket.errand != Errand::Original {
                self.disk.keep(&mut ticket);
            }
            self.gate.recalled(self.now, ticket);
        }
        self.flush();
    }

    /// Asks, and takes the answer that comes at once, or when the keeper has read what is needed.
    pub(crate) fn reversed(&mut self, sale: &Sale) -> Answer {
        self.ask(0, sale);
        self.bring_back();
        self.answer()
    }

    /// What the newest choice for a STAN of the first terminal says: supplier and reason.
    pub(crate) fn explained(&self, stan: u32) -> Vec<(String, &'static str)> {
        let terminal: Text<8> = text("T0000001");
        self.gate
            .explanations()
            .find(terminal, stan)
            .map(|explained| explained.candidates)
            .unwrap_or_default()
    }
}
