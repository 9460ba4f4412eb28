//! Checks across tables: what each part alone cannot see.
//!
//! Owns: addresses that meet, hosts that are dialled twice, deadlines that do not nest, routes that lead nowhere.

use super::faults::Faults;
use super::forms;
use super::table::Table;
use crate::settings::{AdminSettings, ConduitSettings};
use rustc_hash::FxHashSet;
use std::net::SocketAddr;
use switchyard_core::catalogue::{Candidate, Catalogue, Product, Service};
use switchyard_core::schema::grouped;

/// There is a conduit, and no two listeners want one address.
pub(super) fn addresses(
    root: &Table,
    conduits: &[ConduitSettings],
    admin: &AdminSettings,
    faults: &mut Faults<'_>,
) {
    if conduits.is_empty() && !faults.is_cut() {
        let suggestion = "add a table [[conduit]] with name, listen and dialect";
        faults.error(root.at, "there is no conduit: no request can arrive", suggestion);
    }
    let mut taken: Vec<(SocketAddr, String)> = Vec::new();
    if let Some(listen) = admin.listen {
        taken.push((listen, "[admin]".into()));
    }
    let conduits = conduits.iter().zip(root.tables("conduit"));
    let conduits = conduits.map(|(conduit, table)| (table, format!("conduit {}", conduit.name)));
    let links = root.tables("supplier").iter().flat_map(|supplier| {
        let owner = format!("a link of supplier {}", supplier.text("code"));
        supplier.tables("link").iter().map(move |table| (table, owner.clone()))
    });
    for (table, owner) in conduits.chain(links) {
        let listen = table.word("listen").filter(|_| table.is_set("listen"));
        let Some(listen) = listen.and_then(|word| forms::listen(word.text)) else { continue };
        if let Some((_, other)) = taken.iter().find(|(other, _)| meet(*other, listen)) {
            let wrong = format!("`listen` is the address of {other} already");
            faults.error(table.at("listen"), wrong, "give each listener a port of its own");
        }
        taken.push((listen, owner));
    }
}

/// No two conduits dial one host without somebody being told.
pub(super) fn hosts(root: &Table, conduits: &[ConduitSettings], faults: &mut Faults<'_>) {
    let mut dialled: Vec<(String, &str)> = Vec::new();
    for (conduit, table) in conduits.iter().zip(root.tables("conduit")) {
        let Some(dial) = conduit.dials() else { continue };
        let host = dial.to.to_string().to_ascii_lowercase();
        if let Some((_, other)) = dialled.iter().find(|(known, _)| *known == host) {
            let wrong =
                format!("`dial` is the host of conduit {other} already: to the host the two are one client");
            faults.warning(
                table.at("dial"),
                wrong,
                "for more connections, make `connections` of one of them larger",
            );
        }
        dialled.push((host, &conduit.name));
    }
}

/// Whether two listeners cannot both have their address. Port 0 is a free one each time.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (everywhere || one.ip() == other.ip())
}

/// Every supplier's time-out ends before the first conduit's deadline.
pub(super) fn deadlines(
    root: &Table,
    conduits: &[ConduitSettings],
    catalogue: &Catalogue,
    faults: &mut Faults<'_>,
) {
    let shortest =
        conduits.iter().filter(|conduit| conduit.deadline_ms > 0).min_by_key(|conduit| conduit.deadline_ms);
    let Some(shortest) = shortest else { return };
    for (supplier, table) in catalogue.suppliers.iter().zip(root.tables("supplier")) {
        if !supplier.local && supplier.timeout_ms >= shortest.deadline_ms {
            let wrong = format!(
                "`timeout_ms` reaches deadline_ms of conduit {}, {}: its answer would come too late (R-33)",
                shortest.name,
                grouped(shortest.deadline_ms.into()),
            );
            faults.error(
                table.at("timeout_ms"),
                wrong,
                "make it shorter, or the conduit's deadline_ms longer",
            );
        }
    }
}

/// What one conduit alone can have open fits the whole process.
pub(super) fn windows(root: &Table, conduits: &[ConduitSettings], tickets_max: u32, faults: &mut Faults<'_>) {
    for (conduit, table) in conduits.iter().zip(root.tables("conduit")) {
        if conduit.window_requests > tickets_max {
            let wrong = "`window_requests` is larger than gate.tickets_max: one connection could take the whole process";
            faults.error(table.at("window_requests"), wrong, format!("at most {tickets_max}"));
        }
        let is_idle_first = conduit.idle_ms > 0 && conduit.idle_ms <= conduit.deadline_ms;
        if is_idle_first {
            let wrong =
                "`idle_ms` is not longer than deadline_ms: a client that waits for an answer would be closed";
            faults.warning(table.at("idle_ms"), wrong, "make it longer, or 0");
        }
    }
}

/// Every candidate can be chosen, and every supplier has something to provide.
pub(super) fn routes(root: &Table, catalogue: &Catalogue, faults: &mut Faults<'_>) {
    let mut used: FxHashSet<u32> = FxHashSet::default();
    let mut is_whole = !faults.is_cut();
    for (product, table) in catalogue.products.iter().zip(root.tables("product")) {
        used.extend(product.candidates.iter().map(|candidate| candidate.supplier));
        let tables = table.tables("candidate");
        if tables.len() == product.candidates.len() {
            tables.iter().zip(&product.candidates).for_each(|(table, candidate)| {
                check_candidate(table, candidate, product, catalogue, faults);
            });
            check_prefixes(root, product, table, faults);
        } else {
            // A candidate was wrong and was reported: what follows from its absence need not be.
            is_whole = false;
        }
    }
    if is_whole {
        unused(root, &used, faults);
    }
}

fn check_candidate(
    table: &Table,
    candidate: &Candidate,
    product: &Product,
    catalogue: &Catalogue,
    faults: &mut Faults<'_>,
) {
    let supplier = catalogue.suppliers.get(candidate.supplier as usize);
    if product.service == Service::StoredValue && supplier.is_some_and(|supplier| !supplier.local) {
        let wrong = "a stored-value account is held by the switch, and this supplier is asked over a wire";
        let suggestion = "name a supplier with a local adapter, or use service recharge";
        faults.error(table.at("supplier"), wrong, suggestion);
    }
    let band = candidate.conditions.amount;
    if band.is_some_and(|band| band.max < product.amount.min || band.min > product.amount.max) {
        let at = if table.is_set("amount_min") { "amount_min" } else { "amount_max" };
        let wrong = "the candidate's amounts and the product's do not meet: it is never used";
        faults.warning(table.at(at), wrong, "");
    }
}

/// A prefix table that names none of a product's candidates leaves its accounts without a route.
fn check_prefixes(root: &Table, product: &Product, table: &Table, faults: &mut Faults<'_>) {
    let prefixes = product.prefix_table.and_then(|at| root.tables("prefix_table").get(at as usize));
    let Some(prefixes) = prefixes else { return };
    let named: FxHashSet<&str> = prefixes.pairs("prefixes").map(|(_, supplier)| supplier.text).collect();
    let is_served =
        table.tables("candidate").iter().any(|candidate| named.contains(candidate.text("supplier")));
    if !named.is_empty() && !is_served {
        let wrong =
            "the prefix table names none of the product's candidates: its accounts would have no route";
        faults.error(table.at("prefix_table"), wrong, "add a candidate, or another prefix table");
    }
}

fn unused(root: &Table, used: &FxHashSet<u32>, faults: &mut Faults<'_>) {
    for (index, table) in (0u32..).zip(root.tables("supplier")) {
        if !used.contains(&index) {
            faults.warning(table.at("code"), "no product names this supplier", "");
        }
    }
}
