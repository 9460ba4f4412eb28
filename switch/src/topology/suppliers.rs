//! The suppliers: their adapters, made before anything is opened; their actors, built on the yard.

use super::{StartError, links};
use crate::board::Board;
use crate::clock::Clock;
use crate::door::DoorHandle;
use crate::gate::GateRings;
use crate::link::Way;
use crate::settings::{Settings, SupplierSettings};
use crate::supplier::SupplierActor;
use actix::{Actor, Addr};
use std::fs::{File, OpenOptions};
use std::sync::Arc;
use switchyard_adapters::{Made, MakeContext};
use switchyard_core::adapter::{Local, Wire};
use switchyard_core::catalogue::Catalogue;
use switchyard_core::iso8583::Dialect;
use switchyard_core::session::{Session, Watch};
use switchyard_core::text::Text;

/// The adapters of all suppliers.
pub(super) struct Adapters {
    /// Those over a wire, with their places in the settings.
    pub(super) wires: Vec<(usize, Box<dyn Wire>)>,
    /// Those that decide in the gate, by the codes of their suppliers.
    pub(super) locals: Vec<(Text<12>, Box<dyn Local>)>,
}

/// Makes the adapter of every supplier.
pub(super) fn adapters(settings: &Settings) -> Result<Adapters, StartError> {
    let mut adapters = Adapters { wires: Vec::new(), locals: Vec::new() };
    for (at, (supplier, core)) in settings.suppliers.iter().zip(&settings.catalogue.suppliers).enumerate() {
        let fault = |reason: String| StartError::Adapter { supplier: supplier.code.clone(), reason };
        let registration = switchyard_adapters::find(&supplier.adapter)
            .ok_or_else(|| fault(format!("there is no adapter `{}`", supplier.adapter)))?;
        let record = read_record(supplier).map_err(|error| fault(error.to_string()))?;
        let dialect = |name: &str| {
            settings.dialect(name).cloned().or_else(|| Dialect::open_shipped(name).ok().map(Arc::new))
        };
        let context =
            MakeContext { supplier: core.code, seed: at as u64 + 1, dialect: &dialect, record: &record };
        let made = (registration.make)(&supplier.adapter_settings, &context)
            .map_err(|error| fault(error.to_string()))?;
        match made {
            Made::Wire(wire) => adapters.wires.push((at, wire)),
            Made::Local(local) => adapters.locals.push((core.code, local)),
        }
    }
    Ok(adapters)
}

/// What the suppliers over a wire are made of.
pub(super) struct Plan<'a> {
    pub(super) settings: &'a Settings,
    pub(super) catalogue: &'a Catalogue,
    pub(super) rings: &'a GateRings,
    pub(super) board: &'a Arc<Board>,
    pub(super) clock: Clock,
    pub(super) door: &'a DoorHandle,
    /// Whose answers may still come after a start.
    pub(super) watches: &'a [Watch],
}

/// Starts the actor of every supplier over a wire, on this thread. `ways` says how each supplier's links come to be, in the order of the settings.
pub(super) fn start(
    plan: &Plan<'_>,
    wires: Vec<(usize, Box<dyn Wire>)>,
    mut ways: Vec<Vec<Way>>,
) -> Result<Vec<Addr<SupplierActor>>, StartError> {
    let mut suppliers = Vec::new();
    for (at, wire) in wires {
        let (supplier, core) = (&plan.settings.suppliers[at], &plan.catalogue.suppliers[at]);
        let links = links::links(supplier, std::mem::take(&mut ways[at]), plan.door);
        let record = open_record(supplier).map_err(|error| StartError::Adapter {
            supplier: supplier.code.clone(),
            reason: error.to_string(),
        })?;
        let Some(orders) = plan.rings.orders.get(usize::from(core.id.0)).cloned().flatten() else { continue };
        let mut session = Session::new(core.clone(), wire, links.len(), plan.clock.now());
        plan.watches.iter().filter(|watch| watch.supplier == core.id).for_each(|watch| session.watch(watch));
        let (reports, board) = (Arc::clone(&plan.rings.reports), Arc::clone(plan.board));
        let actor =
            SupplierActor::new(core.id, session, links, record, orders, reports, board, at, plan.clock);
        suppliers.push(actor.start());
    }
    Ok(suppliers)
}

/// What a simulated supplier recorded before: it remembers by it.
fn read_record(supplier: &SupplierSettings) -> std::io::Result<Vec<u8>> {
    match supplier.record.as_ref().map(std::fs::read) {
        None => Ok(Vec::new()),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Some(read) => read,
    }
}

fn open_record(supplier: &SupplierSettings) -> std::io::Result<Option<File>> {
    let Some(path) = &supplier.record else { return Ok(None) };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    // A line that a kill cut in the middle was never answered: it goes, or the next one would be glued to it.
    let whole = switchyard_adapters::record::whole_lines(&std::fs::read(path)?);
    file.set_len(whole as u64)?;
    Ok(Some(file))
}
