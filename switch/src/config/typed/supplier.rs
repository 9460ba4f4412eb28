//! Suppliers: what the core needs of them, and what the shell needs.

use super::super::faults::{Faults, meant};
use super::super::forms;
use super::super::table::Table;
use super::framing::framing;
use super::link::link;
use super::{below, ordered};
use crate::settings::SupplierSettings;
use std::path::Path;
use switchyard_core::breaker::BreakerRules;
use switchyard_core::catalogue::{
    AfterUnknown, CodeTable, Meaning, ReversalMeaning, StatusMeaning, Supplier,
};
use switchyard_core::ids::SupplierId;
use switchyard_core::schema::AdapterKeys;
use switchyard_core::text::Text;

/// Most links of a supplier: a link's number is an index below it.
const LINKS_MAX: usize = 32;

/// Keys that mean something only where a supplier is asked over a wire.
const WIRE_ONLY: &[&str] = &[
    "window_requests",
    "advices_max",
    "late_max",
    "timeout_ms",
    "late_window_ms",
    "advice_retry_ms",
    "advice_retry_max_ms",
    "advice_expires_ms",
    "after_unknown",
    "reversal_blocks_original",
    "frame_bytes_max",
    "connect_ms",
    "reconnect_first_ms",
    "reconnect_max_ms",
    "write_ms",
    "record",
    "framing",
    "breaker",
    "codes",
    "reversal_codes",
    "status_codes",
];

/// `[[supplier]]` as the core needs them, in the order of the files.
pub(in super::super) fn catalogue_suppliers(
    tables: &[Table],
    adapters: &[AdapterKeys],
    faults: &mut Faults<'_>,
) -> Vec<Supplier> {
    tables.iter().map(|table| supplier(table, adapters, faults)).collect()
}

fn supplier(table: &Table, adapters: &[AdapterKeys], faults: &mut Faults<'_>) -> Supplier {
    let adapter = adapter(table, adapters, faults);
    match adapter {
        Some(adapter) if adapter.local => check_local(table, adapter, faults),
        Some(adapter) => check_wire(table, adapter, faults),
        None => {}
    }
    Supplier {
        id: SupplierId::default(),
        code: forms::code(table.text("code")).unwrap_or(Text::EMPTY),
        name: table.text("name").to_string(),
        adapter: table.text("adapter").to_string(),
        local: adapter.is_some_and(|adapter| adapter.local),
        window_requests_max: table.number("window_requests"),
        advices_max: table.number("advices_max"),
        late_max: table.number("late_max"),
        timeout_ms: table.number("timeout_ms"),
        late_window_ms: table.number("late_window_ms"),
        advice_retry_ms: table.number("advice_retry_ms"),
        advice_retry_max_ms: table.number("advice_retry_max_ms"),
        advice_expires_ms: table.number("advice_expires_ms"),
        after_unknown: match table.text("after_unknown") {
            "status" => AfterUnknown::Status,
            _ => AfterUnknown::Reverse,
        },
        reversal_blocks_original: table.bool("reversal_blocks_original"),
        breaker: table.table("breaker").map_or_else(BreakerRules::default, breaker),
        codes: codes(table),
    }
}

fn breaker(table: &Table) -> BreakerRules {
    BreakerRules {
        unknown_percent: table.number("unknown_percent"),
        requests_min: table.number("requests_min"),
        window_ms: table.number("window_ms"),
        open_ms: table.number("open_ms"),
    }
}

fn adapter<'a>(
    table: &Table,
    adapters: &'a [AdapterKeys],
    faults: &mut Faults<'_>,
) -> Option<&'a AdapterKeys> {
    let word = table.word("adapter")?;
    let found = adapters.iter().find(|adapter| adapter.name == word.text);
    if found.is_none() {
        let names: Vec<&str> = adapters.iter().map(|adapter| adapter.name).collect();
        faults.error(word.at, format!("there is no adapter `{}`", word.text), meant(word.text, &names));
    }
    found
}

fn check_local(table: &Table, adapter: &AdapterKeys, faults: &mut Faults<'_>) {
    for key in WIRE_ONLY.iter().filter(|key| table.is_set(key)) {
        let wrong = format!("`{key}` has no effect: adapter {} decides by itself", adapter.name);
        faults.warning(table.at(key), wrong, "remove it");
    }
    check_linkless(table, adapter, faults);
}

fn check_linkless(table: &Table, adapter: &AdapterKeys, faults: &mut Faults<'_>) {
    if let Some(link) = table.tables("link").first() {
        faults.error(link.at, format!("adapter {} uses no links", adapter.name), "remove [[supplier.link]]");
    }
}

fn check_wire(table: &Table, adapter: &AdapterKeys, faults: &mut Faults<'_>) {
    if !adapter.links {
        check_linkless(table, adapter, faults);
    } else if table.tables("link").is_empty() {
        let wrong = format!("adapter {} needs at least one link", adapter.name);
        faults.error(
            table.at("adapter"),
            wrong,
            "add a table [[supplier.link]] with host and port, or with listen",
        );
    }
    if let Some(beyond) = table.tables("link").get(LINKS_MAX) {
        faults.error(beyond.at, format!("a supplier has at most {LINKS_MAX} links"), "");
    }
    ordered(table, "advice_retry_ms", "advice_retry_max_ms", faults);
    ordered(table, "reconnect_first_ms", "reconnect_max_ms", faults);
    check_codes(table, faults);
}

/// A supplier whose every answer is unknown, or none of whose reversals ever ends, is of no use.
fn check_codes(table: &Table, faults: &mut Faults<'_>) {
    let codes = codes(table);
    if !codes.sale.values().any(|meaning| *meaning == Meaning::Approved) {
        let suggestion = "add to [supplier.codes]: \"00\" = \"approved\"";
        faults.error(
            table.at("codes"),
            "no code of the supplier means approved: every sale would be unknown",
            suggestion,
        );
    }
    if !codes.reversal.values().any(|meaning| *meaning == ReversalMeaning::Reversed) {
        let suggestion = "add to [supplier.reversal_codes]: \"00\" = \"reversed\"";
        faults.error(
            table.at("reversal_codes"),
            "no code of the supplier means reversed: no reversal would end",
            suggestion,
        );
    }
    if table.text("after_unknown") == "status"
        && !codes.status.values().any(|meaning| *meaning == StatusMeaning::Performed)
    {
        let suggestion = "add to [supplier.status_codes]: \"00\" = \"performed\"";
        faults.error(
            table.at("after_unknown"),
            "no code of the supplier means performed: no unknown outcome would be reversed",
            suggestion,
        );
    }
    // Two letters of S-11: 94 says that the key is known, not that nothing was performed.
    for (code, meaning) in table.pairs("codes").filter(|(code, _)| code.text == "94") {
        if !matches!(forms::sale_meaning(meaning.text), Some(Meaning::Unknown) | None) {
            faults.error(code.at, "94 is never an approval or a decline (S-11)", "remove it: it is unknown");
        }
    }
}

fn codes(table: &Table) -> CodeTable {
    let mut codes = CodeTable::default();
    for (code, meaning) in table.pairs("codes") {
        if let (Some(code), Some(meaning)) = (forms::code(code.text), forms::sale_meaning(meaning.text)) {
            codes.sale.insert(code, meaning);
        }
    }
    for (code, meaning) in table.pairs("reversal_codes") {
        if let (Some(code), Some(meaning)) = (forms::code(code.text), forms::reversal_meaning(meaning.text)) {
            codes.reversal.insert(code, meaning);
        }
    }
    for (code, meaning) in table.pairs("status_codes") {
        if let (Some(code), Some(meaning)) = (forms::code(code.text), forms::status_meaning(meaning.text)) {
            codes.status.insert(code, meaning);
        }
    }
    codes
}

/// `[[supplier]]` as the shell needs them, in the order of the files.
pub(in super::super) fn suppliers(
    tables: &[Table],
    data: &Path,
    faults: &mut Faults<'_>,
) -> Vec<SupplierSettings> {
    tables
        .iter()
        .map(|table| SupplierSettings {
            code: table.text("code").to_string(),
            adapter: table.text("adapter").to_string(),
            adapter_settings: table.adapter("settings"),
            links: table.tables("link").iter().map(|table| link(table, data, faults)).collect(),
            framing: framing(table.table("framing")),
            frame_bytes_max: table.number("frame_bytes_max"),
            connect_ms: table.number("connect_ms"),
            reconnect_first_ms: table.number("reconnect_first_ms"),
            reconnect_max_ms: table.number("reconnect_max_ms"),
            write_ms: table.number("write_ms"),
            record: below(data, table, "record"),
        })
        .collect()
}
