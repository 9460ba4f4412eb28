//! The topology: the only place that starts arbiters and threads, and wires rings.
//!
//! Owns: the order of a start (design.md, "Recovery"); that of a stop is `Running`'s.
//! Invariants: nothing acts before everything that was replayed is durable; conduits open when recovery is done and suppliers are ready, waiting for them at most
//! `SUPPLIERS_WAIT_MS`; each ring has room for every credit of those who push.
//! Deliberately absent: what the actors do.
//!
//! ```text
//! door ── Arrival ──▶ conduits ── requests ──▶ gate ── orders ──▶ suppliers
//!                            ▲                 │ ▲ ◀── reports ──────┘
//!                            └──── answers ────┘ └── originals, trays ── keeper ◀── recalls, wishes
//! ```

mod books;
mod conduits;
mod error;
mod links;
mod running;
mod suppliers;

pub use books::{Books, open_books};
pub use error::{StartError, StopError};
pub use running::Running;

use crate::board::{Board, SupplierRow, show};
use crate::checkpointer::{CheckpointOptions, Checkpointer};
use crate::clock::Clock;
use crate::conduit::ConduitCounters;
use crate::control::{self, operate::Actors, socket::Operations};
use crate::days::Days;
use crate::door::{Arrival, Door};
use crate::gate::{GateActor, GateRings, fill_trays};
use crate::journal::JournalPlace;
use crate::keeper::{Keeper, KeeperWork};
use crate::keys::{IndexKey, Kek};
use crate::limits::RingSizes;
use crate::link::Way;
use crate::ring::Ring;
use crate::runs::RunWork;
use crate::settings::{ConduitSettings, Settings, SupplierSettings};
use crate::stock::{self, StockReader};
use crate::tls;
use actix::{Actor, Arbiter, Recipient, System};
use crossbeam::utils::CachePadded;
use running::Yard;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use switchyard_core::adapter::Wire;
use switchyard_core::catalogue::{Catalogue, Supplier};
use switchyard_core::fact::NameKind;
use switchyard_core::gate::{Gate, GateOptions, STAN_MAX};
use switchyard_core::ids::FlightNo;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Log;
use switchyard_core::seal::{KeyId, Keyring};
use switchyard_core::session::Watch;
use switchyard_core::state::State;
use tokio::sync::oneshot;

/// How long a start waits for suppliers to sign on before the conduits open.
pub const SUPPLIERS_WAIT_MS: u64 = 1_000;

/// How long segments are kept at least: stored answers are read from them for as long as their keys are known.
fn keep(settings: &Settings) -> Duration {
    let days = Duration::from_secs(u64::from(settings.journal.keep_days) * 86_400);
    days.max(Duration::from_millis(settings.gate.reversible_ms()))
}

/// Starts the switch. Returns when the conduits are open.
///
/// # Errors
/// See `StartError`.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let began = Instant::now();
    tls::install_provider();
    let clock = Clock::start();
    let books = open_books(&settings)?;
    let replayed = books.replayed;
    let mut stock = StockReader::open_all(
        &stock::folder(&settings.data),
        &books.state.stock,
        &books.kek,
        &books.keyring,
    )?;
    let index_key = IndexKey::open_or_create(&settings.data, &books.kek)?;
    // Everything that is wrapped was opened.
    books.kek.settle(&settings.data, clock.now().wall_ms)?;
    let keys = Arc::new(KeyHash::new(*index_key.expose()));
    let adapters = suppliers::adapters(&settings)?;
    let mut door = Door::start(&settings.conduits, &settings.data)?;
    let ways = links::ways(&settings, &mut door)?;
    let dial_tls = links::dial_tls(&settings, &ways);
    let berths = links::berths(&settings, &ways);
    let admin = bind_admin(&settings)?;
    // Port 0 was any free one.
    let pages = admin.as_ref().and_then(|listener| listener.local_addr().ok());
    let (mut journal, log, reader, mut maker) = books.opening.start(&books.keyring)?;
    let now = clock.now();
    let epoch = KeyId::epoch(log.epoch());
    let first_refusal = FlightNo::first_refusal(log.epoch(), now.wall_ms);
    let options = GateOptions {
        duplicate_bytes_max: settings.gate.duplicate_bytes_max as usize,
        repeatable_ms: settings.gate.repeatable_ms(),
        reversible_ms: settings.gate.reversible_ms(),
        reversals_max: settings.gate.reversals_max as usize,
        parked_max: settings.gate.parked_max as usize,
        voucher_credits_max: settings.gate.voucher_credits_max,
        stan_max: STAN_MAX,
        key: books.keyring.key(epoch).ok_or(StartError::OwnKey)?,
        key_id: epoch,
        keyring: Arc::clone(&books.keyring),
    };
    let names: Vec<&str> = settings.dialects.iter().map(|dialect| dialect.name()).collect();
    // The gate takes a copy, to bind it to the journal's ids.
    let catalogue = Catalogue::clone(&settings.catalogue);
    let mut write = |log: &mut Log| journal.write_at_start(log, &mut maker);
    let mut gate = Gate::new(books.state, log, options, catalogue, &names, adapters.locals, now, &mut write)?;
    let recovered = gate.recover(now, &mut write)?;
    // Who exchanged the key while the switch stood still is on record from now on.
    for rotation in books.kek.rotations_since(&settings.data, gate.state().controls().key())? {
        if gate.log().is_full() {
            write(gate.log())?;
        }
        // It is done already: nothing of it can be refused.
        let _ = gate.operate(now, rotation.by, rotation.reason, &rotation.instruction);
    }
    let watches = gate.watches(now);
    fill_trays(&mut gate, &mut stock, settings.gate.tray_vouchers)?;
    let rings = rings(&settings, &gate);
    let board = Arc::new(board(&settings, &door, gate.state().names(NameKind::Network)));
    let checkpointed = journal.checkpoint_files().made_at(replayed.checkpoint).unwrap_or(now.wall_ms);
    show(&board.checkpoints.at_ms, checkpointed);
    let dialects = known_dialects(gate.state(), &settings.dialects);
    let place = reader.place();
    let work = KeeperWork {
        kek: Arc::clone(&books.kek),
        keyring: Arc::clone(&books.keyring),
        reader,
        runs: Arc::clone(&books.runs),
        stock,
        recalls: Arc::clone(&rings.recalls),
        originals: Arc::clone(&rings.originals),
        wishes: Arc::clone(&rings.wishes),
        trays: Arc::clone(&rings.trays),
        dialects,
    };
    let run_work = RunWork {
        folder: books.runs,
        wishes: Arc::clone(&rings.runs),
        written: Arc::clone(&rings.written_runs),
    };
    let keeper = Keeper::start(work, run_work, maker).map_err(StartError::Thread)?;
    let options = CheckpointOptions { facts_max: settings.journal.checkpoint_facts, keep: keep(&settings) };
    let (checkpointer, checkpoints) =
        Checkpointer::start(journal.checkpoint_files(), options, replayed.checkpoint, replayed.facts, &board)
            .map_err(StartError::Thread)?;
    let ready = Arc::new(AtomicBool::new(false));
    let parts = YardParts {
        catalogue: Arc::clone(gate.catalogue()),
        gate,
        journal,
        rings,
        wires: adapters.wires,
        watches,
        board: Arc::clone(&board),
        clock,
        keys,
        keyring: books.keyring,
        door: door.handle(),
        settings: Arc::new(settings),
        first_refusal,
        ways,
        kek: books.kek,
        place,
        checkpointer,
    };
    let settings = Arc::clone(&parts.settings);
    let (yard, system, control) = start_threads(parts, admin, &board, &ready)?;
    wait_for_suppliers(&board, &settings);
    let recipients: Vec<Recipient<Arrival>> =
        yard.conduits.iter().map(|conduit| conduit.clone().recipient()).collect();
    door.open(&recipients)?;
    ready.store(true, Ordering::Release);
    Ok(Running {
        addresses: conduits::addresses(&settings, &door),
        dialled: conduits::dialled(&settings),
        berths,
        admin: pages,
        board,
        replayed,
        recovered,
        ready_after: began.elapsed(),
        door,
        dial_tls,
        yard,
        keeper,
        checkpoints,
        ready,
        system,
        control: Some(control),
        drain_ms: settings.gate.drain_ms,
    })
}

fn bind_admin(settings: &Settings) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = settings.admin.listen else { return Ok(None) };
    control::bind(address).map(Some).map_err(|source| StartError::Admin { address, source })
}

/// The index among the configured dialects of each dialect that the journal knows.
fn known_dialects(state: &State, dialects: &[Arc<Dialect>]) -> Vec<Option<u16>> {
    (0..state.names(NameKind::Dialect))
        .map(|id| {
            let name = state.name(NameKind::Dialect, id)?;
            dialects.iter().position(|dialect| dialect.name() == name.as_str()).map(|at| at as u16)
        })
        .collect()
}

fn board(settings: &Settings, door: &Door, networks: u16) -> Board {
    let row = |(supplier, core): (&SupplierSettings, &Supplier)| {
        let row = SupplierRow::default();
        // The gate decides for a local supplier: it is in reach as long as the gate is.
        show(&row.ready, u64::from(core.local));
        (supplier.code.clone(), CachePadded::new(row))
    };
    let conduit = |conduit: &ConduitSettings| (conduit.name.clone(), Arc::new(ConduitCounters::default()));
    Board {
        suppliers: settings.suppliers.iter().zip(&settings.catalogue.suppliers).map(row).collect(),
        supplies: settings.suppliers.iter().map(|_| CachePadded::default()).collect(),
        conduits: settings.conduits.iter().map(conduit).collect(),
        doors: settings.conduits.iter().map(|conduit| conduit.name.clone()).zip(door.counters()).collect(),
        days: Arc::new(Days::new(networks)),
        ..Board::default()
    }
}

/// The rings, as large as `limits` says.
fn rings(settings: &Settings, gate: &Gate) -> GateRings {
    let sizes = RingSizes::of(settings);
    let suppliers = &gate.catalogue().suppliers;
    let ids = suppliers.iter().map(|s| usize::from(s.id.0) + 1).max().unwrap_or(0);
    let mut orders: Vec<Option<_>> = (0..ids).map(|_| None).collect();
    for (supplier, room) in suppliers.iter().zip(&sizes.orders) {
        orders[usize::from(supplier.id.0)] = room.map(|room| Arc::new(Ring::new(room)));
    }
    GateRings {
        requests: Arc::new(Ring::new(sizes.tickets)),
        first: Arc::new(Ring::new(sizes.tickets)),
        originals: Arc::new(Ring::new(sizes.tickets)),
        reports: Arc::new(Ring::new(sizes.reports)),
        trays: Arc::new(Ring::new(sizes.trays)),
        answers: settings.conduits.iter().map(|_| Arc::new(Ring::new(sizes.tickets))).collect(),
        orders,
        recalls: Arc::new(Ring::new(sizes.tickets)),
        wishes: Arc::new(Ring::new(sizes.trays)),
        runs: Arc::new(Ring::new(sizes.runs)),
        written_runs: Arc::new(Ring::new(sizes.runs)),
    }
}

/// Everything that moves to the yard.
struct YardParts {
    gate: Gate,
    journal: crate::journal::Journal,
    rings: GateRings,
    wires: Vec<(usize, Box<dyn Wire>)>,
    watches: Vec<Watch>,
    catalogue: Arc<Catalogue>,
    board: Arc<Board>,
    clock: Clock,
    keys: Arc<KeyHash>,
    keyring: Arc<Keyring>,
    door: crate::door::DoorHandle,
    settings: Arc<Settings>,
    first_refusal: FlightNo,
    /// How each supplier's links come to be, in the order of the settings.
    ways: Vec<Vec<Way>>,
    kek: Arc<Kek>,
    place: JournalPlace,
    checkpointer: Checkpointer,
}

/// Starts the control thread with its actix system, and from it the yard's arbiter with all actors of the data plane.
fn start_threads(
    parts: YardParts,
    admin: Option<TcpListener>,
    board: &Arc<Board>,
    ready: &Arc<AtomicBool>,
) -> Result<(Yard, System, JoinHandle<()>), StartError> {
    let (tell, told) = mpsc::channel();
    let (board, ready) = (Arc::clone(board), Arc::clone(ready));
    let control = std::thread::Builder::new()
        .name("control".into())
        .spawn(move || run_control(parts, admin, board, ready, &tell))
        .map_err(StartError::Thread)?;
    match told.recv() {
        Ok(Ok((yard, system))) => Ok((yard, system, control)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StartError::Thread(std::io::Error::other("the control thread ended"))),
    }
}

type Told = mpsc::Sender<Result<(Yard, System), StartError>>;

fn run_control(
    parts: YardParts,
    admin: Option<TcpListener>,
    board: Arc<Board>,
    ready: Arc<AtomicBool>,
    tell: &Told,
) {
    let runner = System::new();
    runner.block_on(async {
        let arbiter = Arbiter::new();
        let (wishes, kek, clock) = (Arc::clone(&parts.rings.wishes), Arc::clone(&parts.kek), parts.clock);
        let products = stock::stock_products(&parts.catalogue).into();
        let (place, dialects) = (parts.place.clone(), parts.settings.dialects.clone().into());
        let (data, keyring) = (parts.settings.data.clone(), Arc::clone(&parts.keyring));
        let (tell_yard, told_yard) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let _ = tell_yard.send(start_actors(parts));
        });
        let yard = match told_yard.await {
            Ok(Ok(yard)) => yard,
            Ok(Err(error)) => return drop(tell.send(Err(error))),
            Err(_) => return,
        };
        match control::socket::bind(&data) {
            Ok(listener) => {
                let actors = Actors {
                    gate: yard.gate.clone(),
                    conduits: yard.conduits.clone(),
                    suppliers: yard.suppliers.clone(),
                };
                let operations = Operations {
                    actors,
                    journal: place,
                    dialects,
                    wishes,
                    products,
                    data,
                    kek,
                    keyring,
                    clock,
                };
                actix_rt::spawn(control::socket::serve(listener, operations));
            }
            Err(source) => {
                return drop(
                    tell.send(Err(StartError::Socket { folder: data.display().to_string(), source })),
                );
            }
        }
        if let Some(listener) = admin {
            match control::serve(listener, board, ready, yard.gate.clone()) {
                Ok(server) => drop(actix_rt::spawn(server)),
                Err(error) => tracing::error!(%error, "the pages are not served"),
            }
        }
        let _ = tell.send(Ok((yard, System::current())));
    });
    if let Err(error) = runner.run() {
        tracing::error!(%error, "the control thread ended");
    }
}

/// On the yard: starts every actor of the data plane.
fn start_actors(parts: YardParts) -> Result<Yard, StartError> {
    let YardParts {
        gate,
        journal,
        rings,
        wires,
        watches,
        catalogue,
        board,
        clock,
        keys,
        keyring,
        door,
        settings,
        first_refusal,
        ways,
        checkpointer,
        ..
    } = parts;
    let plan = suppliers::Plan {
        settings: &settings,
        catalogue: &catalogue,
        rings: &rings,
        board: &board,
        clock,
        door: &door,
        watches: &watches,
    };
    let suppliers = suppliers::start(&plan, wires, ways)?;
    let plan = conduits::Plan {
        settings: &settings,
        catalogue: &catalogue,
        gate: &gate,
        rings: &rings,
        board: &board,
        clock,
        keys: &keys,
        keyring: &keyring,
        first_refusal,
    };
    let conduits = conduits::start(&plan);
    let gate = GateActor::new(gate, journal, rings, board, clock, settings.gate.tray_vouchers, stop_process)
        .with_checkpoints(checkpointer);
    Ok(Yard { gate: gate.start(), conduits, suppliers })
}

/// The journal failed, or a fact did not fit: nothing more is acknowledged, and the process ends. The next start recovers.
fn stop_process(reason: String) {
    tracing::error!(%reason, "the switch stops");
    eprintln!("switchyard: stopped: {reason}");
    std::process::exit(crate::EXIT_JOURNAL);
}

/// Waits until every supplier over a wire is ready, at most `SUPPLIERS_WAIT_MS`.
fn wait_for_suppliers(board: &Board, settings: &Settings) {
    let until = Instant::now() + Duration::from_millis(SUPPLIERS_WAIT_MS);
    let wired = || board.suppliers.iter().zip(&settings.catalogue.suppliers).filter(|(_, core)| !core.local);
    let all_ready = || wired().all(|((_, row), _)| row.ready.load(Ordering::Relaxed) == 1);
    while !all_ready() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(2));
    }
    for ((code, _), _) in wired().filter(|((_, row), _)| row.ready.load(Ordering::Relaxed) == 0) {
        tracing::info!(supplier = %code, "not signed on yet; its products get 91 until it is");
    }
}
