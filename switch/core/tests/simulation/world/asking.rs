//! What terminals send: new sales, repeats, other contents under a key, cut-overs; and how any message gets to the gate.

use super::{CONDUITS, DEADLINE_US, WALL_MS, WINDOW, World};
use crate::story::Wanted;
use crate::support::disk::WINDOW_MS;
use crate::support::message::Sale;
use crate::terminals::{Known, Waiting};
use switchyard_core::code::Code;
use switchyard_core::iso8583::{Build, Mti, Role};
use switchyard_core::request::{Kind, Read, Rules, read};
use switchyard_core::text::Text;
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
        self.terminals.history.push(Known { sale, sent: Vec::new() });
        self.ask(self.terminals.history.len() - 1);
    }

    /// Something that was asked before, mostly of late, so that it meets what is in flight.
    pub(super) fn pick(&mut self) -> Option<usize> {
        let count = self.terminals.history.len();
        let from = if self.random.chance(700) { count.saturating_sub(12) } else { 0 };
        (count > 0).then(|| from + self.random.below(count - from))
    }

    /// Sends a sale, under a transmission time of its own or, the same message again, under one it had before.
    fn ask(&mut self, at: usize) {
        let known = &self.terminals.history[at];
        let before = if self.random.chance(300) { self.random.pick(&known.sent).cloned() } else { None };
        let conduit = self.random.below(CONDUITS.len());
        if let Some(transmission) = self.send(known.sale.clone(), conduit, before) {
            self.terminals.history[at].sent.push(transmission);
        }
    }

    pub(super) fn ask_again(&mut self) {
        let Some(at) = self.pick() else { return };
        if self.random.chance(800) {
            return self.ask(at);
        }
        // The third-party identifiers are no part of the contents.
        let mut sale = self.terminals.history[at].sale.clone();
        sale.mti = if self.random.chance(500) { 201 } else { 200 };
        sale.tags.retain(|(name, _)| name != b"04");
        let conduit = self.random.below(CONDUITS.len());
        if let Some(transmission) = self.send(sale, conduit, None) {
            self.terminals.history[at].sent.push(transmission);
        }
    }

    pub(super) fn ask_other_contents(&mut self) {
        let Some(mut sale) = self.random.pick(&self.terminals.history).map(|known| known.sale.clone()) else {
            return;
        };
        sale.amount = sale.amount % 5_000 + 1;
        let conduit = self.random.below(CONDUITS.len());
        self.send(sale, conduit, None);
    }

    /// Sends a message where the connection's window has room, under that transmission time or a new one. The one that it had.
    pub(super) fn send(
        &mut self,
        mut sale: Sale,
        conduit: usize,
        transmission: Option<String>,
    ) -> Option<String> {
        let (dialect, relaxed) = CONDUITS[conduit];
        let slot = self.random.below(2) as u32;
        let place = Place { conduit: conduit as u16, slot, generation: self.process.epoch };
        if self.terminals.open.values().filter(|waiting| waiting.place == place).count()
            >= usize::from(WINDOW)
        {
            return None;
        }
        let (number, fresh) = self.terminals.next();
        let transmission = transmission.unwrap_or(fresh);
        sale.transmission = transmission.clone();
        let body = sale.frame(&self.dialects[usize::from(dialect)]);
        let mut ticket = self.ticket(number, place, dialect, relaxed);
        match self.read(&body, &mut ticket) {
            Read::Gate => {}
            Read::Refuse(code) => return self.refused(&sale, code),
            found => panic!("{found:?} is for the conduit: {sale:?}"),
        }
        let request = &ticket.request;
        if request.kind == Kind::Reversal {
            let wanted = Wanted { named: request.original, amount: request.amount.0 };
            self.stories.wanted.insert((request.key, request.contents), wanted);
        } else if relaxed {
            self.relaxed.insert(request.key);
        }
        self.note(format_args!(
            "ticket {number}: {} {} stan {} of {} at {transmission} naming {:?} over conduit {conduit}",
            sale.mti, sale.product, sale.stan, sale.terminal, sale.original
        ));
        self.terminals.open.insert(number, Waiting { place, transmission: transmission.clone() });
        self.process.requests.push_back(ticket);
        Some(transmission)
    }

    /// A conduit refuses what comes from a blocked terminal, and nothing else here; never a reversal (S-7).
    fn refused(&mut self, sale: &Sale, code: Code) -> Option<String> {
        let terminal = Text::new(sale.terminal.as_bytes()).expect("fits");
        assert!(self.process.gate.state().controls().blocked().contains(&terminal));
        assert_eq!((code, sale.mti < 400), (Code::TERMINAL, true));
        *self.terminals.codes.entry(code.to_string()).or_default() += 1;
        None
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
        self.terminals.open.insert(number, Waiting { place, transmission });
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
