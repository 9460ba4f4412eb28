//! Settings of the process: pages, journal, keys, gate.

use super::super::faults::Faults;
use super::super::forms;
use super::super::table::Table;
use super::below;
use crate::settings::{AdminSettings, GateSettings, JournalSettings, KeySettings};
use std::path::Path;
use switchyard_core::schema::grouped;

/// Segments are written in whole pages.
const PAGE_BYTES: u64 = 4_096;

/// `[admin]`.
pub(in super::super) fn admin(table: &Table) -> AdminSettings {
    AdminSettings { listen: table.word("listen").and_then(|word| forms::listen(word.text)) }
}

/// `[journal]`.
pub(in super::super) fn journal(table: &Table, faults: &mut Faults<'_>) -> JournalSettings {
    let segment_bytes: u64 = table.number("segment_bytes");
    if !segment_bytes.is_multiple_of(PAGE_BYTES) {
        let whole = segment_bytes.next_multiple_of(PAGE_BYTES);
        faults.error(
            table.at("segment_bytes"),
            "`segment_bytes` is not a multiple of 4_096",
            format!("the next one is {}", grouped(i64::try_from(whole).unwrap_or(i64::MAX))),
        );
    }
    JournalSettings {
        segment_bytes,
        segments_prepared_min: table.number("segments_prepared_min"),
        sync_interval_us: table.number("sync_interval_us"),
        sync_facts_min: table.number("sync_facts_min"),
        checkpoint_facts: table.number("checkpoint_facts"),
        keep_days: table.number("keep_days"),
    }
}

/// `[keys]`.
pub(in super::super) fn keys(table: &Table, data: &Path) -> KeySettings {
    KeySettings {
        file: below(data, table, "file").unwrap_or_default(),
        env: table.word("env").map(|word| word.text.to_string()),
        create: table.bool("create"),
    }
}

/// `[gate]`.
pub(in super::super) fn gate(table: &Table) -> GateSettings {
    GateSettings {
        duplicate_window_h: table.number("duplicate_window_h"),
        duplicate_bytes_max: table.number("duplicate_bytes_max"),
        reversal_window_days: table.number("reversal_window_days"),
        reversals_max: table.number("reversals_max"),
        parked_max: table.number("parked_max"),
        voucher_credits_max: table.number("voucher_credits_max"),
        tickets_max: table.number("tickets_max"),
        output_bytes_max: table.number("output_bytes_max"),
        drain_ms: table.number("drain_ms"),
        tray_vouchers: table.number("tray_vouchers"),
    }
}
