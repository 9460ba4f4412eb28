//! What terminals send: new sales, repeats, other contents under a key, cut-overs.

use super::{CONDUITS, DEADLINE_US, WALL_MS, WINDOW, World};
use crate::support::disk::WINDOW_MS;
use crate::support::message::Sale;
use crate::terminals::Waiting;
use switchyard_core::iso8583::{Build, Mti, Role};
use switchyard_core::request::{Read, Rules, read};
use switchyard_core::ticket::{Place, Ticket};

impl World {
    pub(super) fn local(&self) -> String {
        let at = switchyard_core::stamp::transmission(WALL_MS + self.time_us / 1_000);
        let digits = String::from_utf8_lossy(&at).into_owned();
        format!("{}{}", &digits[4..], &digits[..4])
    }

    pub(super) fn ask_new(&mut self) {
        let local = self.local();
        let sale = self.terminals.new_sale(&mut self.random, local);
        self.terminals.history.push(sale.clone());
        let conduit = self.random.below(CONDUITS.len());
        self.ask(sale, conduit);
    }

    pub(super) fn ask_again(&mut self) {
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

    pub(super) fn ask_other_contents(&mut self) {
        let Some(mut sale) = self.random.pick(&self.terminals.history).cloned() else { return };
        sale.amount = sale.amount % 5_000 + 1;
        let conduit = self.random.below(CONDUITS.len());
        self.ask(sale, conduit);
    }

    /// Sends a message, where the connection's window has room.
    pub(super) fn ask(&mut self, mut sale: Sale, conduit: usize) {
        let (dialect, relaxed) = CONDUITS[conduit];
        let slot = self.random.below(2) as u32;
        let place = Place { conduit: conduit as u16, slot, generation: self.process.epoch };
        if self.terminals.open.values().filter(|waiting| waiting.place == place).count()
            >= usize::from(WINDOW)
        {
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
        self.note(format_args!(
            "ticket {number}: {} {} stan {} of {} over conduit {conduit}",
            sale.mti, sale.product, sale.stan, sale.terminal
        ));
        self.terminals.open.insert(number, Waiting { place, transmission, cut_over: false });
        self.process.requests.push_back(ticket);
    }

    pub(super) fn cut_over(&mut self) {
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

    pub(super) fn ticket(&self, number: u64, place: Place, dialect: u16, relaxed: bool) -> Box<Ticket> {
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

    pub(super) fn read(&self, body: &[u8], ticket: &mut Ticket) -> Read {
        let rules = Rules {
            catalogue: self.process.gate.catalogue(),
            networks: &[],
            bound: None,
            sign_on: false,
            signed_on: &[],
            window_h: (WINDOW_MS / 3_600_000) as u32 - 28,
            keys: &self.keys,
            blocked: self.process.gate.state().controls().blocked(),
        };
        read(&self.dialects[usize::from(ticket.dialect)], body, self.now(), &rules, ticket)
    }
}
