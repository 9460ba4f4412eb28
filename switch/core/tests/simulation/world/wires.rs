//! The wires to the suppliers: what is handed to sockets, carried, heard by hosts, and sent back; links that come and go.

use super::World;
use crate::host::{NETWORK_US_MAX, Sending};
use crate::process::LINKS;

impl World {
    pub(super) fn supplier_turn(&mut self) {
        let now = self.now();
        let at = self.random.below(self.process.sides.len());
        let items = self.random.below(8);
        self.process.sides[at].turn(now, items);
    }

    pub(super) fn hand_over(&mut self) {
        let (at, link) = (self.random.below(self.hosts.len()), self.random.below(LINKS));
        let all = self.process.sides[at].waiting(link);
        let bytes = if self.random.chance(700) { all } else { self.random.between(0, all) };
        self.process.sides[at].hand_over(self.time_us, link, bytes, &mut self.hosts[at]);
    }

    pub(super) fn deliver(&mut self) {
        let at = self.random.below(self.hosts.len());
        let flow = self.random.below(self.hosts[at].flows.len());
        self.deliver_from(at, flow);
    }

    pub(super) fn deliver_from(&mut self, at: usize, flow: usize) {
        let host = &mut self.hosts[at];
        let Some(flow) = host.flows.get_mut(flow) else { return };
        let (connection, frame) = (flow.connection, flow.frames.pop_front());
        if let Some((_, body)) = frame {
            if std::env::var_os("TR").is_some() {
                eprintln!("{} TO HOST {at} {}", self.time_us, String::from_utf8_lossy(&body));
            }
            host.hear(self.time_us, &mut self.random, connection, &body);
        }
    }

    /// What the host has to say, and what is due by now.
    pub(super) fn emit(&mut self) {
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
                if let Some(link) = own.or(other)
                    && self.hosts[at].performs(now_us, &sending)
                {
                    links[link].inbound.push_back(sending.body);
                }
            }
        }
    }

    pub(super) fn link_up(&mut self) {
        let (at, link) = (self.random.below(self.hosts.len()), self.random.below(LINKS));
        self.raise(at, link);
    }

    pub(super) fn raise(&mut self, at: usize, link: usize) {
        let now = self.now();
        let side = &mut self.process.sides[at];
        if side.links[link].connection == 0 {
            self.connections += 1;
            side.up(now, link, self.connections, &mut self.hosts[at]);
        }
    }

    pub(super) fn link_down(&mut self) {
        let now = self.now();
        let (at, link) = (self.random.below(self.hosts.len()), self.random.below(LINKS));
        let arrive = self.random.below(4);
        if self.process.sides[at].links[link].connection != 0 {
            self.process.sides[at].down(now, link, arrive, &mut self.hosts[at]);
            self.note(format_args!("link {link} of supplier {at} is down"));
        }
    }

    /// Nothing stays on the network for ever.
    pub(super) fn arrivals(&mut self) {
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
}
