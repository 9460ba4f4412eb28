//! One life of the switch: gate, sessions, links and what lies in the rings between them. A crash drops it.

mod hearing;
mod start;

pub(crate) use start::{catalogue, start};

use crate::host::{Flow, Host};
use crate::keeper::Keeper;
use crate::support::scripted::{Line, Scripted};
use crate::tally::Tally;
use hearing::Hearing;
use std::collections::{HashMap, HashSet, VecDeque};
use switchyard_core::adapter::{LinkNo, Order};
use switchyard_core::catalogue::Supplier;
use switchyard_core::gate::Gate;
use switchyard_core::ids::{FlightNo, Now, SupplierId};
use switchyard_core::log::Lsn;
use switchyard_core::operate::Act;
use switchyard_core::session::{Report, Session, Watch};
use switchyard_core::text::Text;
use switchyard_core::ticket::Ticket;

/// Links a supplier.
pub(crate) const LINKS: usize = 2;

/// A connection to a host, as the switch sees it.
#[derive(Default)]
pub(crate) struct Link {
    /// Which connection; 0 while there is none.
    pub(crate) connection: u64,
    /// What waits for the socket, with its position in the stream.
    queue: VecDeque<(u64, Vec<u8>)>,
    position: u64,
    /// Bytes before it were handed to the socket.
    handed: u64,
    /// What arrived.
    pub(crate) inbound: VecDeque<Vec<u8>>,
}

/// The supplier's side.
pub(crate) struct Side {
    pub(crate) id: SupplierId,
    pub(crate) session: Session,
    pub(crate) links: Vec<Link>,
    pub(crate) orders: VecDeque<Box<Order>>,
    pub(crate) reports: VecDeque<Report>,
    hearing: Hearing,
    /// Attempts that were reported.
    reported: HashSet<(FlightNo, u8)>,
    /// RRNs of sales of which a byte was handed to a socket.
    touched: HashSet<Text<12>>,
    /// RRNs of which no byte was handed over.
    pub(crate) never_sent: Vec<Text<12>>,
}

impl Side {
    pub(crate) fn new(supplier: &Supplier, now: Now) -> Self {
        let links = (0..LINKS).map(|_| Link::default()).collect();
        let mut session = Session::new(supplier.clone(), Box::new(Scripted), LINKS, now);
        session.start(now);
        Self {
            id: supplier.id,
            session,
            links,
            orders: VecDeque::new(),
            reports: VecDeque::new(),
            hearing: Hearing::new(supplier),
            reported: HashSet::new(),
            touched: HashSet::new(),
            never_sent: Vec::new(),
        }
    }

    /// An attempt of an earlier life is watched.
    pub(crate) fn watch(&mut self, watch: &Watch) {
        self.hearing.watched(watch);
        self.session.watch(watch);
    }

    /// A turn of the supplier's actor: at most so many orders and frames.
    pub(crate) fn turn(&mut self, now: Now, items: usize) {
        for at in 0..self.links.len() {
            for _ in 0..items {
                let Some(body) = self.links[at].inbound.pop_front() else { break };
                self.hear(now, at as LinkNo, &body);
            }
        }
        for _ in 0..items {
            let Some(order) = self.orders.pop_front() else { break };
            self.hearing.ordered(&order);
            self.session.order(now, order);
            self.collect(now);
        }
        self.session.tick(now);
        self.carry_out(now);
    }

    /// A frame arrives; an approval that is news to this life is reported.
    fn hear(&mut self, now: Now, link: LinkNo, body: &[u8]) {
        if std::env::var_os("TR").is_some() {
            eprintln!("{} HEARD {}", now.mono_us, String::from_utf8_lossy(body));
        }
        let is_news = self.hearing.is_news(now, body);
        self.session.frame(now, link, body);
        let line = String::from_utf8_lossy(body);
        assert!(!is_news || self.session.backlog() > 0, "an approval is taken for nothing (R-34): {line}");
        self.carry_out(now);
    }

    /// Queues what the session wants sent, and takes its reports.
    fn carry_out(&mut self, now: Now) {
        for send in 0..self.session.out().sends.len() {
            let (link, range) = self.session.out().sends[send].clone();
            let body = self.session.out().bytes[range].to_vec();
            let link = &mut self.links[usize::from(link)];
            if link.connection == 0 {
                continue;
            }
            let position = link.position;
            link.position += body.len() as u64;
            link.queue.push_back((position, body));
            self.session.queued(send, position);
        }
        assert!(self.session.out().close.is_empty());
        self.session.sent();
        self.collect(now);
    }

    fn collect(&mut self, now: Now) {
        while let Some(report) = self.session.report() {
            self.hearing.reported(now, &report);
            match &report {
                Report::Answered(order)
                | Report::TimedOut(order)
                | Report::Cut(order)
                | Report::NotSent(order) => {
                    let fresh = self.reported.insert((order.flight, order.attempt));
                    assert!(fresh, "an attempt is reported once: {report:?}");
                    if let Report::NotSent(order) = &report {
                        assert!(!self.touched.contains(&order.rrn), "a partial write counts as sent (S-12)");
                        self.never_sent.push(order.rrn);
                    }
                }
                _ => {}
            }
            self.reports.push_back(report);
        }
    }

    /// A connection is there.
    pub(crate) fn up(&mut self, now: Now, link: usize, connection: u64, host: &mut Host) {
        self.links[link] = Link { connection, ..Link::default() };
        host.flows.push(Flow { connection, frames: VecDeque::new() });
        self.session.up(now, link as LinkNo);
        self.carry_out(now);
    }

    /// Hands so many more bytes to the socket; whole frames are on their way to the host then.
    pub(crate) fn hand_over(&mut self, now_us: u64, link: usize, bytes: u64, host: &mut Host) {
        let link = &mut self.links[link];
        link.handed = link.position.min(link.handed + bytes);
        let touched = link.queue.iter().take_while(|(start, _)| *start < link.handed);
        let sales =
            touched.filter_map(|(_, body)| Line::decode(body)).filter(|line| !line.reversal && !line.status);
        self.touched.extend(sales.map(|line| line.rrn));
        let Some(flow) = host.flows.iter_mut().find(|flow| flow.connection == link.connection) else {
            return;
        };
        while let Some((start, body)) = link.queue.pop_front() {
            if start + body.len() as u64 > link.handed {
                return link.queue.push_front((start, body));
            }
            flow.frames.push_back((now_us, body));
        }
    }

    /// The connection is lost. Of what is on its way, the host gets the first `arrive` frames.
    pub(crate) fn down(&mut self, now: Now, link: usize, arrive: usize, host: &mut Host) {
        let gone = std::mem::take(&mut self.links[link]);
        if let Some(flow) = host.flows.iter_mut().find(|flow| flow.connection == gone.connection) {
            flow.frames.truncate(arrive);
        }
        self.session.down(now, link as LinkNo, gone.handed);
        self.carry_out(now);
    }

    /// Bytes that wait for the socket of a link.
    pub(crate) fn waiting(&self, link: usize) -> u64 {
        self.links[link].position - self.links[link].handed
    }
}

/// One life.
pub(crate) struct Process {
    pub(crate) gate: Gate,
    pub(crate) epoch: u32,
    /// When it began, in the world's time.
    pub(crate) began_us: u64,
    pub(crate) sides: Vec<Side>,
    pub(crate) requests: VecDeque<Box<Ticket>>,
    /// Tickets that are with the keeper.
    pub(crate) recalls: Vec<Box<Ticket>>,
    pub(crate) keeper: Keeper,
    /// What this life wrote.
    pub(crate) tally: Tally,
    /// What operators were told was done, and where its fact must lie.
    pub(crate) acts: HashMap<Lsn, Act>,
    /// Flights whose reversal is at a session.
    pub(crate) undoing: HashMap<FlightNo, SupplierId>,
}
