//! The sheet of limits: every window, ring, table, buffer and file cache, and their sum (`bounded`).
//!
//! Owns: the lines and their order. Invariants: each size is asked of who owns the thing; *at start* is what is there before the first connection, *at most* what is there
//! when every limit is reached at once; a buffer that grows by doubling counts double.
//! Deliberately absent: printing (`cli::limits`).

use super::{RingSizes, connections_max};
use crate::conduit;
use crate::door::{BERTH_HANDSHAKES_MAX, HANDSHAKES_MAX, RECEIVE_BYTES, SEND_BYTES};
use crate::io;
use crate::journal;
use crate::link;
use crate::machine::DESCRIPTORS_KEPT;
use crate::ring::Ring;
use crate::runs::{self, RunWish};
use crate::settings::{ConduitSettings, LinkSettings, Settings};
use crate::supplier::REPORTS_KEPT_MAX;
use crate::{control, stock};
use serde::Serialize;
use switchyard_core::adapter::Order;
use switchyard_core::catalogue::{Merchant, Product, Supplier, Terminal};
use switchyard_core::footprint::{self, table_bytes};
use switchyard_core::index::{
    ENTRY_MEMORY_BYTES, RUN_WRITER_BYTES, RUN_WRITING_BYTES, Run, spill_entries_max,
};
use switchyard_core::log::BATCH_BYTES_MAX;
use switchyard_core::session::Report;
use switchyard_core::state::SETTLED_KEPT_MAX;
use switchyard_core::ticket::Ticket;

/// Code and libraries in memory, and what they allocate for themselves (measured: 12 MiB).
const PROGRAM_BYTES: u64 = 16 << 20;
/// Threads, libraries' among them.
const THREADS: u64 = 12;
/// What a thread touches of its stack, and keeps in its part of the allocator.
const THREAD_BYTES: u64 = 256 << 10;
/// TLS of one connection: keys, and records while they are put together (measured: 15 KiB idle).
const TLS_BYTES: u64 = 48 << 10;
/// A connection in the directory, and its task.
const SEAT_BYTES: u64 = 1_024;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// How much may be under way.
    Window,
    /// Queues between actors.
    Ring,
    /// What is known.
    Table,
    /// Bytes on their way.
    Buffer,
    /// Code and threads.
    Program,
    /// What the system holds for the process: sockets' buffers, and files that it forgets when it needs memory. Not in the sum.
    System,
}

impl Part {
    /// All of them, in the order of the sheet.
    pub const ALL: [Self; 6] =
        [Self::Window, Self::Ring, Self::Table, Self::Buffer, Self::Program, Self::System];

    /// Its heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Window => "windows",
            Self::Ring => "rings",
            Self::Table => "tables",
            Self::Buffer => "buffers",
            Self::Program => "program",
            Self::System => "sockets and file caches of the system, not in the sum",
        }
    }
}

/// One limit.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What it is about.
    pub part: Part,
    /// What is limited.
    pub name: String,
    /// How many there may be.
    pub count: u64,
    /// Bytes before the first connection.
    pub start_bytes: u64,
    /// Bytes at the limit.
    pub max_bytes: u64,
    /// What sets it: configuration keys, or the name of a constant.
    pub set_by: &'static str,
    /// What happens when it is reached.
    pub when_reached: &'static str,
}

/// The sheet.
#[derive(Clone, Debug, Serialize)]
pub struct Sheet {
    /// Its lines, by part.
    pub lines: Vec<Line>,
    /// Sum at the start, without what the system holds.
    pub start_bytes: u64,
    /// Sum at the limits, without what the system holds.
    pub max_bytes: u64,
}

/// Adds up what these settings allow.
pub fn sheet(settings: &Settings) -> Sheet {
    let mut lines = Lines(Vec::new());
    windows(settings, &mut lines);
    rings(settings, &mut lines);
    tables(settings, &mut lines);
    buffers(settings, &mut lines);
    program(&mut lines);
    system(settings, &mut lines);
    let Lines(lines) = lines;
    let counted = || lines.iter().filter(|line| line.part != Part::System);
    let start_bytes = counted().map(|line| line.start_bytes).sum();
    let max_bytes = counted().map(|line| line.max_bytes).fold(0, u64::saturating_add);
    Sheet { lines, start_bytes, max_bytes }
}

struct Lines(Vec<Line>);

impl Lines {
    /// A window: it counts, and what is in it stands in other lines.
    fn window(
        &mut self,
        name: impl Into<String>,
        count: u64,
        set_by: &'static str,
        when_reached: &'static str,
    ) {
        let (part, name) = (Part::Window, name.into());
        self.0.push(Line { part, name, count, start_bytes: 0, max_bytes: 0, set_by, when_reached });
    }

    /// Something that is there from the start.
    fn fixed(&mut self, part: Part, name: impl Into<String>, count: u64, bytes: u64, set_by: &'static str) {
        let (start_bytes, max_bytes) = (bytes, bytes);
        let when_reached = if part == Part::Ring { FULL_RING } else { "" };
        self.0.push(Line { part, name: name.into(), count, start_bytes, max_bytes, set_by, when_reached });
    }

    /// Something that grows with its use.
    fn grows(
        &mut self,
        part: Part,
        name: impl Into<String>,
        count: u64,
        bytes: u64,
        set_by: &'static str,
        when_reached: &'static str,
    ) {
        let name = name.into();
        self.0.push(Line { part, name, count, start_bytes: 0, max_bytes: bytes, set_by, when_reached });
    }
}

const FULL_RING: &str = "cannot happen: who pushes holds a credit";

fn windows(settings: &Settings, lines: &mut Lines) {
    let descriptors = "conduit.connections_max, conduit.connections, file descriptors less DESCRIPTORS_KEPT";
    lines.window(
        "connections",
        connections_max(settings),
        descriptors,
        "new ones are closed before TLS, or not dialled",
    );
    lines.window("descriptors kept", DESCRIPTORS_KEPT, "DESCRIPTORS_KEPT", "");
    let late = "the handshake waits for a place within handshake_ms, then it is closed";
    lines.window("TLS handshakes", HANDSHAKES_MAX as u64, "HANDSHAKES_MAX", late);
    let berths = settings.suppliers.iter().flat_map(|supplier| &supplier.links);
    let berths = berths.filter(|link| matches!(link, LinkSettings::Listen(_))).count() as u64;
    if berths > 0 {
        // Beside these one waits for the link to take or refuse it.
        let count = berths * (BERTH_HANDSHAKES_MAX as u64 + 1);
        lines.window("connections of suppliers that dial in", count, "BERTH_HANDSHAKES_MAX", "they wait");
    }
    let unread = "sales stay in their sockets unread; reversals too once the kept eighth is used";
    let tickets = settings.gate.tickets_max;
    lines.window("messages under way", u64::from(tickets), "gate.tickets_max", unread);
    let kept = u64::from(conduit::reserve_of(tickets));
    lines.window("  of these kept for 04xx and 08xx", kept, "an eighth (S-19)", "");
    for conduit in &settings.conduits {
        let name = |what: &str| format!("conduit {}: {what}", conduit.name);
        let (closed, all) = ("new ones are closed before TLS", u64::from(conduit.connections_max));
        if conduit.dials().is_some() {
            lines.window(name("connections"), all, connections_key(conduit), "no more are dialled");
        } else {
            lines.window(name("connections"), all, connections_key(conduit), closed);
            let address = conduit.connections_per_address_max.into();
            lines.window(name("from one address"), address, "conduit.connections_per_address_max", closed);
        }
        let window = conduit.window_requests;
        lines.window(name("requests of a connection"), window.into(), "conduit.window_requests", unread);
        let kept = conduit::reserve_of(window).into();
        lines.window(name("  kept for 04xx and 08xx"), kept, "an eighth (S-19)", "");
        let share = u64::from(window / 2);
        lines.window(name("  one supplier's share"), share, "half (S-19)", "another supplier, or 91 at once");
    }
    for supplier in settings.catalogue.suppliers.iter().filter(|supplier| !supplier.local) {
        let name = |what: &str| format!("supplier {}: {what}", supplier.code);
        let window = supplier.window_requests_max;
        let elsewhere = "another supplier, or 91 at once";
        lines.window(name("sales"), (window - window / 8).into(), "supplier.window_requests", elsewhere);
        lines.window(name("  kept for reversals"), (window / 8).into(), "an eighth (S-19)", "");
        lines.window(name("advices"), supplier.advices_max.into(), "supplier.advices_max", elsewhere);
        lines.window(name("late answers awaited"), supplier.late_max.into(), "supplier.late_max", elsewhere);
    }
}

/// The key that says how many connections a conduit has.
fn connections_key(conduit: &ConduitSettings) -> &'static str {
    if conduit.dials().is_some() { "conduit.connections" } else { "conduit.connections_max" }
}

fn rings(settings: &Settings, lines: &mut Lines) {
    type Ticketed = Ring<Box<Ticket>>;
    let sizes = RingSizes::of(settings);
    let tickets = Ticketed::bytes(sizes.tickets) as u64;
    let mut ring = |name: String, count: usize, bytes: u64, set_by| {
        lines.fixed(Part::Ring, name, count as u64, bytes, set_by);
    };
    for name in
        ["requests", "requests that go first", "stored answers to be read", "originals that were read"]
    {
        ring(name.into(), sizes.tickets, tickets, "gate.tickets_max");
    }
    for conduit in &settings.conduits {
        ring(format!("answers of conduit {}", conduit.name), sizes.tickets, tickets, "gate.tickets_max");
    }
    for (supplier, room) in settings.catalogue.suppliers.iter().zip(&sizes.orders) {
        let Some(room) = *room else { continue };
        let bytes = Ring::<Box<Order>>::bytes(room) as u64;
        let set_by = "supplier.window_requests, supplier.advices_max";
        ring(format!("orders to supplier {}", supplier.code), room, bytes, set_by);
    }
    let reports = Ring::<(u16, Report)>::bytes(sizes.reports) as u64;
    ring("reports of suppliers".into(), sizes.reports, reports, "REPORTS_MAX; full: sessions keep theirs");
    let trays = 2 * Ring::<[usize; 8]>::bytes(sizes.trays) as u64;
    ring("trays wanted, trays filled".into(), sizes.trays, trays, "TRAYS_MAX");
    let runs = (Ring::<RunWish>::bytes(sizes.runs) + Ring::<Option<Run>>::bytes(sizes.runs)) as u64;
    ring("runs wanted, runs written".into(), sizes.runs, runs, "RUN_WISHES_MAX");
}

fn tables(settings: &Settings, lines: &mut Lines) {
    let tickets = settings.gate.tickets_max as usize;
    let wired = || settings.catalogue.suppliers.iter().filter(|supplier| !supplier.local);
    let open: usize = wired().map(open_max).sum();
    let reversals = settings.gate.reversals_max as usize;
    let mut table = |name: &str, count: usize, bytes: usize, set_by, when_reached| {
        lines.grows(Part::Table, name, count as u64, bytes as u64, set_by, when_reached);
    };
    let unread = "sales stay in their sockets unread";
    let each = ticket_bytes(settings);
    table(
        "messages under way",
        tickets,
        tickets * each,
        "gate.tickets_max, frame_bytes_max of conduits and suppliers",
        unread,
    );
    let kept = settings.conduits.len() * conduit::TICKETS_KEPT;
    let kept_bytes = kept * (footprint::TICKET_BYTES + conduit::TICKET_BYTES_KEPT);
    let orders = footprint::ORDERS_KEPT * (footprint::ORDER_BYTES + footprint::ORDER_KEPT_BYTES);
    table("orders kept for the next attempt", footprint::ORDERS_KEPT, orders, "ORDERS_KEPT", "");
    table("tickets kept for the next message", kept, kept_bytes, "TICKETS_KEPT, TICKET_BYTES_KEPT", "");
    let waiting = open.min(tickets);
    table("messages that wait for a supplier", waiting, footprint::waiting_bytes(waiting), "windows", "");
    let releases = 2 * (tickets + open) * footprint::RELEASE_BYTES;
    table("what waits for the journal", tickets + open, releases, "windows", "");
    let waiting = 2 * reversals * footprint::BACKLOG_BYTES;
    let busy = "reversals of approved sales get 96 and come again";
    table("reversals that wait for a supplier", reversals, waiting, "gate.reversals_max", busy);
    let parked = settings.catalogue.suppliers.len() * settings.gate.parked_max as usize;
    let flights = open + reversals + parked + SETTLED_KEPT_MAX;
    table(
        "open flights, parked ones, and those settled lately",
        flights,
        footprint::flights_bytes(flights),
        "gate.reversals_max, gate.parked_max, windows, advices, SETTLED_KEPT_MAX",
        "sales go to another supplier, or get 91",
    );
    for supplier in wired() {
        let (count, bytes) = session(settings, supplier);
        let name = format!("session of supplier {}", supplier.code);
        let set_by = "supplier.window_requests, supplier.advices_max, supplier.late_max";
        lines.grows(Part::Table, name, count as u64, bytes as u64, set_by, "another supplier, or 91 at once");
    }
    duplicates(settings, lines);
    catalogue(settings, lines);
    let trays = settings.gate.tray_vouchers as usize;
    let products = stock::stock_products(&settings.catalogue).len();
    // One on the shelf, one on its way from the keeper.
    let bytes = (2 * products * trays * footprint::VOUCHER_BYTES) as u64;
    let out = "79 once the stock is sold";
    lines.grows(
        Part::Table,
        "trays of sealed vouchers",
        (products * trays) as u64,
        bytes,
        "gate.tray_vouchers",
        out,
    );
    let explained = footprint::EXPLANATIONS_BYTES as u64;
    lines.grows(Part::Table, "choices of routes remembered", 4_096, explained, "KEPT", "the oldest goes");
}

fn duplicates(settings: &Settings, lines: &mut Lines) {
    let bytes = settings.gate.duplicate_bytes_max;
    lines.grows(
        Part::Table,
        "requests of the window",
        bytes / ENTRY_MEMORY_BYTES as u64,
        bytes,
        "gate.duplicate_bytes_max",
        "the oldest go to files; 96, never an early eviction (S-3)",
    );
    let entries = spill_entries_max(usize::try_from(bytes).unwrap_or(usize::MAX));
    lines.grows(
        Part::Buffer,
        "requests being written to a run",
        entries as u64,
        (entries * RUN_WRITING_BYTES + RUN_WRITER_BYTES + runs::WRITE_BYTES) as u64,
        "gate.duplicate_bytes_max",
        "one run at a time",
    );
}

/// Attempts and reversals that may be open at a supplier.
fn open_max(supplier: &Supplier) -> usize {
    supplier.window_requests_max as usize + supplier.advices_max as usize
}

/// What one supplier's session may hold: entries, bytes.
fn session(settings: &Settings, supplier: &Supplier) -> (usize, usize) {
    let open = open_max(supplier);
    let entries = open + supplier.late_max as usize;
    let orders = open * (footprint::ORDER_BYTES + footprint::ORDER_KEPT_BYTES);
    // Those that were answered are on their way to the gate, each as long as it may be; the wheel holds three deadlines of each at most.
    let answered = REPORTS_KEPT_MAX.min(open) * 2 * frame_bytes(settings, supplier);
    let fixed = footprint::SESSION_BYTES;
    (entries, footprint::open_bytes(entries) + orders + answered + fixed)
}

fn frame_bytes(settings: &Settings, supplier: &Supplier) -> usize {
    let of = |code: &str| settings.suppliers.iter().find(|known| known.code == code);
    of(supplier.code.as_str()).map_or(0, |known| known.frame_bytes_max as usize)
}

/// A ticket with its buffers: its frame, that of the original it repeats, and the outcome, each as long as it may be.
fn ticket_bytes(settings: &Settings) -> usize {
    let frame = settings.conduits.iter().map(|conduit| conduit.frame_bytes_max).max().unwrap_or(0);
    let outcome = settings.suppliers.iter().map(|supplier| supplier.frame_bytes_max).max().unwrap_or(0);
    footprint::TICKET_BYTES + 2 * (2 * frame as usize + outcome as usize)
}

fn catalogue(settings: &Settings, lines: &mut Lines) {
    let catalogue = &settings.catalogue;
    let (terminals, merchants) = (catalogue.terminals.len(), catalogue.merchants.len());
    let products = catalogue.products.len();
    let one = table_bytes(terminals, size_of::<(u64, u32)>())
        + table_bytes(merchants, size_of::<([u8; 16], u32)>())
        + 2 * (terminals * size_of::<Terminal>() + merchants * size_of::<Merchant>())
        + products * (size_of::<Product>() + 4_096);
    // The configuration's own copy, and the one that is bound to the journal's ids.
    let bytes = 2 * one as u64;
    let count = (terminals + merchants + products) as u64;
    lines.fixed(Part::Table, "catalogue, twice", count, bytes, "terminals, merchants, products");
}

fn buffers(settings: &Settings, lines: &mut Lines) {
    let all = connections_max(settings);
    let mut buffer = |name: String, count: u64, bytes: u64, set_by, when_reached| {
        lines.grows(Part::Buffer, name, count, bytes, set_by, when_reached);
    };
    let closed = "new ones are closed before TLS";
    let connection = conduit::CONNECTION_BYTES as u64 + SEAT_BYTES;
    buffer("connections".into(), all, all * connection, "conduit.connections_max", closed);
    let mut answers = 0;
    for conduit in &settings.conduits {
        let count = u64::from(conduit.connections_max).min(all);
        let input = conduit::input_bytes_max(conduit.frame_bytes_max as usize) as u64;
        let name = format!("conduit {}: messages being read", conduit.name);
        let set_by = match conduit.dials() {
            None => "conduit.connections_max, conduit.frame_bytes_max",
            Some(_) => "conduit.connections, conduit.frame_bytes_max",
        };
        buffer(name, count, count * input, set_by, "the client is not read; frame_ms closes it");
        answers += count * u64::from(conduit.frame_bytes_max);
        if conduit.is_secure() {
            let name = format!("conduit {}: TLS", conduit.name);
            buffer(name, count, count * TLS_BYTES, connections_key(conduit), closed);
        }
    }
    let by_connection = all * conduit::OUTPUT_BYTES_MAX as u64;
    let by_process = settings.gate.output_bytes_max + all * conduit::OUTPUT_BYTES_OVER as u64;
    // What was written lies in front of what waits, and a buffer grows by doubling.
    let held = 2 * (by_connection.min(by_process) + answers) + all * io::OUT_SLACK_BYTES as u64;
    let output = held + (settings.conduits.len() * io::ROOMS_BYTES) as u64;
    let slow = "who has a backlog gets no more answers; write_ms closes it, repeats fetch them";
    buffer("answers that wait".into(), all, output, "gate.output_bytes_max, conduit.connections_max", slow);
    for supplier in settings.suppliers.iter().filter(|supplier| !supplier.links.is_empty()) {
        let count = supplier.links.len() as u64;
        let bytes = count * link::bytes_max(supplier.frame_bytes_max as usize) as u64;
        let name = format!("links of supplier {}", supplier.code);
        let set_by = "LINK_OUTPUT_BYTES_MAX, supplier.frame_bytes_max";
        buffer(name, count, bytes, set_by, "the sale was never sent: another supplier, or 91");
    }
    let pages = control::PAGES_CONNECTIONS_MAX as u64;
    let page_bytes = pages * control::PAGES_CONNECTION_BYTES as u64;
    buffer("connections to the pages".into(), pages, page_bytes, "PAGES_CONNECTIONS_MAX", "they wait");
    let commands = control::socket::COMMANDS_MAX as u64;
    let command_bytes = commands * control::socket::COMMAND_BYTES_MAX;
    buffer("operators' commands".into(), commands, command_bytes, "COMMANDS_MAX", "they wait");
    let records = stock::CHUNK_BYTES_MAX as u64;
    lines.fixed(Part::Buffer, "vouchers being read", 1, records, "CHUNK_RECORDS");
    lines.fixed(Part::Buffer, "open batch of the journal", 1, BATCH_BYTES_MAX as u64, "BATCH_BYTES_MAX");
    let journal = journal::BUFFER_BYTES as u64;
    lines.fixed(Part::Buffer, "journal: zeros, and reading back", 1, journal, "ZEROS_BYTES, WINDOW_BYTES");
}

fn program(lines: &mut Lines) {
    lines.fixed(Part::Program, "code and libraries", 1, PROGRAM_BYTES, "PROGRAM_BYTES");
    lines.fixed(Part::Program, "threads", THREADS, THREADS * THREAD_BYTES, "THREADS, THREAD_BYTES");
}

fn system(settings: &Settings, lines: &mut Lines) {
    let journal = &settings.journal;
    // The one that is written, those prepared, and the one that was just left.
    let count = u64::from(journal.segments_prepared_min) + 2;
    let set_by = "journal.segments_prepared_min, journal.segment_bytes";
    lines.fixed(Part::System, "segments of the journal", count, count * journal.segment_bytes, set_by);
    let connections = connections_max(settings);
    // The system doubles what it is asked for.
    let sockets = connections * 2 * (RECEIVE_BYTES + SEND_BYTES) as u64;
    let stalls = "the client's own sending stalls; its answers wait in our buffers";
    lines.grows(
        Part::System,
        "sockets of connections",
        connections,
        sockets,
        "RECEIVE_BYTES, SEND_BYTES",
        stalls,
    );
}
