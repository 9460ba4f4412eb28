//! How a life begins: the gate over what the disk holds, recovery, sessions.

use super::{Process, Side};
use crate::keeper::Keeper;
use crate::shape::Shape;
use crate::support::books;
use crate::support::disk::Disk;
use crate::support::locals::{self, Stock, Wallet};
use crate::support::message::DIALECTS;
use crate::tally::Tally;
use crate::world::{CREDITS_MAX, WALL_MS};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use switchyard_core::adapter::Local;
use switchyard_core::catalogue::{Catalogue, Funding};
use switchyard_core::gate::{Gate, GateOptions};
use switchyard_core::ids::Now;
use switchyard_core::log::Log;
use switchyard_core::money::Minor;
use switchyard_core::seal::{DataKey, KeyId, Keyring};

/// The usual catalogue, where the first network's only merchant pays too, from less than its network has.
pub(crate) fn catalogue() -> Catalogue {
    let mut catalogue = books::catalogue();
    catalogue.merchants[0].funding = Some(Funding::Prefunded { opening: Minor(100_000) });
    catalogue
}

/// A process over what the disk holds.
pub(crate) fn start(
    disk: &Disk,
    keyring: &Arc<Keyring>,
    epoch: u32,
    time_us: u64,
    shape: &Shape,
    keeper: Keeper,
) -> Process {
    let (state, keeper) = keeper.restart(disk);
    let now = Now { mono_us: 1, wall_ms: WALL_MS + time_us / 1_000 };
    let id = KeyId::epoch(epoch);
    keyring.insert(id, DataKey::new([epoch as u8; 32].into()).expect("a key"));
    let options = GateOptions {
        duplicate_bytes_max: shape.duplicate_bytes_max,
        repeatable_ms: u64::MAX,
        reversible_ms: u64::MAX,
        reversals_max: shape.reversals_max,
        parked_max: shape.parked_max,
        voucher_credits_max: CREDITS_MAX,
        stan_max: shape.stan_max,
        key: keyring.key(id).expect("just put in"),
        key_id: id,
        keyring: Arc::clone(keyring),
    };
    let stock: Box<dyn Local> = Box::new(Stock { keyring: Arc::clone(keyring) });
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
        side.expect("a supplier over a wire").watch(&watch);
    }
    Process {
        gate,
        epoch,
        began_us: time_us,
        sides,
        requests: VecDeque::new(),
        recalls: Vec::new(),
        keeper,
        tally: Tally::default(),
        acts: HashMap::new(),
        undoing: HashMap::new(),
    }
}
