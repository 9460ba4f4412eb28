//! The conduits: their actors, built on the yard, and their two ends as operators see them.

use crate::board::Board;
use crate::clock::Clock;
use crate::conduit::{self, Conduit, ConduitParts, OutputBudget, Pressure, TicketBudget};
use crate::door::Door;
use crate::gate::GateRings;
use crate::settings::{ConduitSettings, Settings};
use actix::{Actor, Addr};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::gate::Gate;
use switchyard_core::ids::FlightNo;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::seal::Keyring;
use tokio::time::Instant;

/// Those that listen, and where.
pub(super) fn addresses(settings: &Settings, door: &Door) -> Vec<(String, SocketAddr)> {
    let listening = settings.conduits.iter().filter(|conduit| conduit.listen().is_some());
    listening.map(|conduit| conduit.name.clone()).zip(door.addresses()).collect()
}

/// Those that dial, and what.
pub(super) fn dialled(settings: &Settings) -> Vec<(String, String)> {
    let what = |conduit: &ConduitSettings| Some((conduit.name.clone(), conduit.dials()?.to.to_string()));
    settings.conduits.iter().filter_map(what).collect()
}

/// What all conduits are made of.
pub(super) struct Plan<'a> {
    pub(super) settings: &'a Settings,
    pub(super) catalogue: &'a Arc<Catalogue>,
    pub(super) gate: &'a Gate,
    pub(super) rings: &'a GateRings,
    pub(super) board: &'a Board,
    pub(super) clock: Clock,
    pub(super) keys: &'a KeyHash,
    pub(super) keyring: &'a Arc<Keyring>,
    pub(super) first_refusal: FlightNo,
}

/// What they share a bound on, and numbers of.
struct Common {
    dialects: Arc<[Arc<Dialect>]>,
    tickets: Arc<TicketBudget>,
    output: Arc<OutputBudget>,
    pressure: Rc<Pressure>,
    refusals: Arc<AtomicU64>,
}

/// Starts every conduit, on this thread.
pub(super) fn start(plan: &Plan<'_>) -> Vec<Addr<Conduit>> {
    let gate = &plan.settings.gate;
    let common = Common {
        dialects: plan.settings.dialects.clone().into(),
        tickets: Arc::new(TicketBudget::new(gate.tickets_max)),
        output: Arc::new(OutputBudget::new(gate.output_bytes_max)),
        pressure: Rc::new(Pressure::new(Instant::now())),
        // Refusals at a conduit are numbered from the middle of the epoch on, flights from its beginning: no RRN is given twice.
        refusals: Arc::new(AtomicU64::new(plan.first_refusal.0)),
    };
    let conduits = plan.settings.conduits.iter().enumerate();
    conduits.filter_map(|(at, settings)| start_one(plan, &common, at, settings)).collect()
}

fn start_one(
    plan: &Plan<'_>,
    common: &Common,
    at: usize,
    settings: &ConduitSettings,
) -> Option<Addr<Conduit>> {
    let parts = ConduitParts {
        index: at as u16,
        settings: settings.clone(),
        dialects: Arc::clone(&common.dialects),
        catalogue: Arc::clone(plan.catalogue),
        blocked: Arc::clone(plan.gate.state().controls().blocked()),
        days: Arc::clone(&plan.board.days),
        window_h: plan.settings.gate.duplicate_window_h,
        keys: plan.keys.clone(),
        keyring: Arc::clone(plan.keyring),
        gate: conduit::GateRings {
            requests: Arc::clone(&plan.rings.requests),
            first: Arc::clone(&plan.rings.first),
        },
        answers: Arc::clone(&plan.rings.answers[at]),
        tickets: Arc::clone(&common.tickets),
        output: Arc::clone(&common.output),
        pressure: Rc::clone(&common.pressure),
        counters: Arc::clone(&plan.board.conduits[at].1),
        clock: plan.clock,
        refusals: Arc::clone(&common.refusals),
    };
    let actor = Conduit::new(parts);
    if actor.is_none() {
        // The configuration was checked: a conduit's dialect is an index into its dialects.
        tracing::error!(conduit = settings.name, "the conduit's dialect is not there");
    }
    actor.map(Actor::start)
}
