//! Who is connected, and how many.
//!
//! Owns: `Directory`, the map of connections and the counts per conduit and address, and `Seat`, a connection's place in
//! them. Invariants: only the door's thread takes seats, so a limit is never overrun; a seat gives its counts back when
//! it is dropped, wherever that happens. Deliberately absent: what a connection does.

use crate::settings::ConduitSettings;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A client of the conduit with this index, or the host that it dials.
    Conduit(u16),
    /// The supplier of this code.
    Supplier(Arc<str>),
}

/// A connection, as pages show it.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its number; never used again.
    pub number: u64,
    /// Who is there.
    pub party: Party,
    /// From where.
    pub peer: SocketAddr,
    /// Since when, Unix milliseconds.
    pub since_ms: u64,
    /// The names on its certificate; none without one.
    pub names: Vec<String>,
}

/// Who is connected, and how many: the only map that several threads share.
#[derive(Debug)]
pub struct Directory {
    limits: Vec<Limit>,
    addresses: DashMap<(u16, IpAddr), u32>,
    connections: DashMap<u64, Connected>,
    next: AtomicU64,
    /// Connections of all conduits.
    count: AtomicU32,
    connections_max: u32,
}

#[derive(Debug)]
struct Limit {
    count: AtomicU32,
    connections_max: u32,
    per_address_max: u32,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The process is: its descriptors must last for the journal, links and operators too.
    Process,
    /// The conduit is full.
    Conduit,
    /// The address has its share.
    Address,
}

impl Directory {
    /// `connections_max`: over all conduits.
    pub(super) fn new(conduits: &[ConduitSettings], connections_max: u32) -> Self {
        let limit = |conduit: &ConduitSettings| Limit {
            count: AtomicU32::new(0),
            connections_max: conduit.connections_max,
            per_address_max: conduit.connections_per_address_max,
        };
        Self {
            limits: conduits.iter().map(limit).collect(),
            addresses: DashMap::new(),
            connections: DashMap::new(),
            next: AtomicU64::new(1),
            count: AtomicU32::new(0),
            connections_max,
        }
    }

    /// Everybody, in no order.
    pub fn list(&self) -> Vec<Connected> {
        self.connections.iter().map(|entry| entry.value().clone()).collect()
    }

    /// Connections of a conduit, those in their handshake too; 0 for a conduit that is not there.
    pub fn count(&self, conduit: u16) -> u32 {
        self.limits.get(usize::from(conduit)).map_or(0, |limit| limit.count.load(Ordering::Relaxed))
    }

    /// Takes a seat at a conduit. Only the door's thread takes seats.
    pub(super) fn take(self: &Arc<Self>, conduit: u16, peer: SocketAddr) -> Result<Seat, Refused> {
        let limit = self.limits.get(usize::from(conduit)).ok_or(Refused::Conduit)?;
        if self.count.load(Ordering::Relaxed) >= self.connections_max {
            return Err(Refused::Process);
        }
        if limit.count.load(Ordering::Relaxed) >= limit.connections_max {
            return Err(Refused::Conduit);
        }
        let address = peer.ip().to_canonical();
        let mut held = self.addresses.entry((conduit, address)).or_insert(0);
        if *held >= limit.per_address_max {
            return Err(Refused::Address);
        }
        *held += 1;
        limit.count.fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(self.seat(Some((conduit, address))))
    }

    /// A seat; `counted` where it was counted.
    pub(super) fn seat(self: &Arc<Self>, counted: Option<(u16, IpAddr)>) -> Seat {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Seat { directory: Arc::clone(self), number, counted, served: None }
    }

    fn leave(&self, conduit: u16, address: IpAddr) {
        if let Entry::Occupied(mut held) = self.addresses.entry((conduit, address)) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
        if let Some(limit) = self.limits.get(usize::from(conduit)) {
            limit.count.fetch_sub(1, Ordering::Relaxed);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A connection's place in the directory and in the counts. Dropping it gives both back.
#[derive(Debug)]
pub struct Seat {
    directory: Arc<Directory>,
    number: u64,
    counted: Option<(u16, IpAddr)>,
    /// Who dialled it, and wants to know whether it is of use, and when it ends.
    served: Option<watch::Sender<bool>>,
}

impl Seat {
    /// The connection's number, as in the directory.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Tells when the connection turns out to be of use (true), and when it ends: the channel is closed then.
    pub(super) fn watch(&mut self) -> watch::Receiver<bool> {
        let (served, watched) = watch::channel(false);
        self.served = Some(served);
        watched
    }

    /// A message came on the connection. Tells who dialled it, where somebody did.
    pub fn serve(&self) {
        if let Some(served) = &self.served {
            // Nobody dials again when the switch ends.
            let _ = served.send(true);
        }
    }

    /// Makes the connection visible in the directory.
    pub(super) fn show(&self, party: Party, peer: SocketAddr, names: Vec<String>) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let connected = Connected { number: self.number, party, peer, since_ms, names };
        self.directory.connections.insert(self.number, connected);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.directory.connections.remove(&self.number);
        if let Some((conduit, address)) = self.counted {
            self.directory.leave(conduit, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conduits_together_have_no_more_than_the_process_may() {
        let limit = || Limit { count: AtomicU32::new(0), connections_max: 8, per_address_max: 8 };
        let mut directory = Directory::new(&[], 3);
        directory.limits = vec![limit(), limit()];
        let directory = Arc::new(directory);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut seats: Vec<_> =
            [0, 1, 0].iter().map(|conduit| directory.take(*conduit, peer).expect("a seat")).collect();
        assert_eq!(directory.take(1, peer).err(), Some(Refused::Process));
        seats.pop();
        assert!(directory.take(1, peer).is_ok());
        assert_eq!((directory.count(0), directory.count(1)), (1, 1), "and every count comes back");
    }
}
