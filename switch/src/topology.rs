//! The topology: the only place that starts arbiters and threads, and wires rings.
//!
//! Owns: the order of a start (design.md, "Recovery"), and of a stop.
//! Invariants: nothing acts before everything that was replayed is durable; conduits open when recovery is done and suppliers are ready, waiting for them at most
//! `SUPPLIERS_WAIT_MS`; each ring has room for every credit of those who push.
//! Deliberately absent: what the actors do.
//!
//! ```text
//! door ── Arrival ──▶ conduits ── requests ──▶ gate ── orders ──▶ suppliers
//!                            ▲                 │ ▲ ◀── reports ──────┘
//!                            └──── answers ────┘ └── originals, trays ── keeper ◀── recalls, wishes
//! ```

mod conduits;
mod links;

use crate::board::{Board, SupplierRow, show};
use crate::checkpointer::{CheckpointOptions, CheckpointThread, Checkpointer};
use crate::clock::Clock;
use crate::conduit::{self, Conduit, ConduitCounters, Drain};
use crate::control::{self, operate::Actors, socket::Operations};
use crate::door::{Arrival, Door, DoorError};
use crate::gate::{Close, GateActor, GateRings, fill_trays};
use crate::journal::{JournalError, JournalOptions, JournalPlace, Opening, Replayed};
use crate::keeper::{Keeper, KeeperWork};
use crate::keys::{IndexKey, Kek, KeyError};
use crate::limits::RingSizes;
use crate::link::Way;
use crate::restore::{newest, replay};
use crate::ring::Ring;
use crate::runs::{Reach, RunFolder, RunWork, RunsError};
use crate::settings::{ConduitSettings, Settings, SupplierSettings};
use crate::stock::{self, StockError, StockReader};
use crate::supplier::{Leave, SupplierActor};
use crate::tls::{self, TlsError};
use actix::{Actor, Addr, Arbiter, Recipient, System};
use crossbeam::utils::CachePadded;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use switchyard_adapters::{Made, MakeContext};
use switchyard_core::adapter::{Local, Wire};
use switchyard_core::catalogue::{Catalogue, Supplier};
use switchyard_core::fact::NameKind;
use switchyard_core::gate::{Gate, GateOptions, Recovered, STAN_MAX};
use switchyard_core::ids::FlightNo;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Log;
use switchyard_core::seal::{KeyId, Keyring};
use switchyard_core::session::{Session, Watch};
use switchyard_core::state::State;
use switchyard_core::text::Text;
use tokio::sync::oneshot;

/// How long a start waits for suppliers to sign on before the conduits open.
pub const SUPPLIERS_WAIT_MS: u64 = 1_000;
/// How long a stop waits for the yard to answer, beside the drain itself.
const STOP_WAIT_MS: u64 = 10_000;
/// How long a stop waits for the last checkpoint.
const CHECKPOINT_WAIT_MS: u64 = 30_000;

/// Why the switch does not start. Nothing was sent and nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("the data folder {folder} cannot be used: {source}")]
    Data {
        /// Which.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A key is missing or wrong.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The stock of vouchers.
    #[error("{0}")]
    Stock(#[from] StockError),
    /// A conduit's address or certificates; of one that dials, its certificates.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// The runs of the duplicate index.
    #[error("{0}")]
    Runs(#[from] RunsError),
    /// A supplier's certificates.
    #[error("supplier `{supplier}`: {source}")]
    Tls {
        /// Which supplier.
        supplier: String,
        /// What is wrong.
        source: TlsError,
    },
    /// An adapter's settings.
    #[error("supplier `{supplier}`: {reason}")]
    Adapter {
        /// Which supplier.
        supplier: String,
        /// What is wrong.
        reason: String,
    },
    /// The pages' address.
    #[error("the pages cannot be served on {address}: {source}; is another process listening there?")]
    Admin {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The journal's own key is missing: a fault of the switch.
    #[error("the journal's own key is not on the ring; this is a fault of the switch")]
    OwnKey,
    /// The operators' socket.
    #[error("the operators' socket in {folder} cannot be made: {source}")]
    Socket {
        /// The data folder.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A thread.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Why a stop was not clean. What was answered stands in any case.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The yard did not answer in time.
    #[error(
        "the switch did not stop in time; every answer that was given stands, and what was open is resolved at the next start"
    )]
    Late,
    /// The journal could not be closed.
    #[error(
        "the journal was not closed: {0}; every answer that was given stands, and what was open is resolved at the next start"
    )]
    Journal(String),
}

/// The books: state, journal and keys, opened and not yet in use.
pub struct Books {
    /// The folded state.
    pub state: State,
    /// The opened journal, replayed.
    pub opening: Opening,
    /// The data keys.
    pub keyring: Arc<Keyring>,
    /// The key-encryption key.
    pub kek: Arc<Kek>,
    /// What lies in files of the duplicate index.
    pub runs: Arc<RunFolder>,
    /// What the replay found.
    pub replayed: Replayed,
}

/// Opens the data folder: locks it, reads the keys, replays the journal. Nothing is changed but a missing key made, where the settings allow that.
///
/// # Errors
/// See `StartError`.
pub fn open_books(settings: &Settings) -> Result<Books, StartError> {
    std::fs::create_dir_all(&settings.data)
        .map_err(|source| StartError::Data { folder: settings.data.display().to_string(), source })?;
    let kek = Arc::new(Kek::open(&settings.keys, &settings.data)?);
    let options = JournalOptions {
        segment_bytes: settings.journal.segment_bytes,
        prepared_min: settings.journal.segments_prepared_min as usize,
        sync_interval_us: u64::from(settings.journal.sync_interval_us),
        sync_facts_min: settings.journal.sync_facts_min as usize,
    };
    let mut opening = Opening::new(&settings.data.join("journal"), options, Arc::clone(&kek))?;
    kek.refresh(&settings.keys, &settings.data)?;
    let keyring = Arc::new(Keyring::new());
    let gate = &settings.gate;
    let mut state = newest(&opening, gate.reversible_ms())?;
    let reach = Reach {
        repeatable_ms: state.aged_ms().saturating_sub(gate.repeatable_ms()),
        // Runs are removed by the time of requests, which is the clock's of then.
        reversible_ms: Clock::start().now().wall_ms.saturating_sub(gate.reversible_ms()),
    };
    let (runs, opened) = RunFolder::open(&settings.data.join("runs"), state.index.relied(), reach)?;
    state.index.attach(opened);
    let mut refused = None;
    let replayed = replay(&mut opening, &keyring, &mut state, |state| {
        let room = runs.make_room(state, gate.duplicate_bytes_max as usize, gate.repeatable_ms());
        room.map_err(|error| refused.insert(error).to_string())
    });
    match refused {
        Some(error) => Err(error.into()),
        None => Ok(Books { state, opening, keyring, kek, runs: Arc::new(runs), replayed: replayed? }),
    }
}

/// How long segments are kept at least: stored answers are read from them for as long as their keys are known.
fn keep(settings: &Settings) -> Duration {
    let days = Duration::from_secs(u64::from(settings.journal.keep_days) * 86_400);
    days.max(Duration::from_millis(settings.gate.reversible_ms()))
}

/// A running switch.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<(String, SocketAddr)>,
    dialled: Vec<(String, String)>,
    berths: Vec<(String, SocketAddr)>,
    admin: Option<SocketAddr>,
    board: Arc<Board>,
    /// What the start found.
    pub replayed: Replayed,
    /// What the start resolved.
    pub recovered: Recovered,
    /// How long the start took, until the conduits opened.
    pub ready_after: Duration,
    door: Door,
    yard: Yard,
    keeper: Keeper,
    checkpoints: CheckpointThread,
    ready: Arc<AtomicBool>,
    system: System,
    control: Option<JoinHandle<()>>,
    drain_ms: u32,
}

#[derive(Debug, Clone)]
struct Yard {
    gate: Addr<GateActor>,
    conduits: Vec<Addr<Conduit>>,
    suppliers: Vec<Addr<SupplierActor>>,
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
    let adapters = make_adapters(&settings)?;
    let mut door = Door::start(&settings.conduits, &settings.data)?;
    let ways = links::ways(&settings, &door)?;
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
    let board = Arc::new(board(&settings, &door));
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
        yard,
        keeper,
        checkpoints,
        ready,
        system,
        control: Some(control),
        drain_ms: settings.gate.drain_ms,
    })
}

struct Adapters {
    wires: Vec<(usize, Box<dyn Wire>)>,
    locals: Vec<(Text<12>, Box<dyn Local>)>,
}

fn make_adapters(settings: &Settings) -> Result<Adapters, StartError> {
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

fn board(settings: &Settings, door: &Door) -> Board {
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
        mut ways,
        checkpointer,
        ..
    } = parts;
    let mut suppliers = Vec::new();
    for (at, wire) in wires {
        let (supplier, core) = (&settings.suppliers[at], &catalogue.suppliers[at]);
        let links = links::links(supplier, std::mem::take(&mut ways[at]), &door);
        let record = open_record(supplier).map_err(|error| StartError::Adapter {
            supplier: supplier.code.clone(),
            reason: error.to_string(),
        })?;
        let Some(orders) = rings.orders.get(usize::from(core.id.0)).cloned().flatten() else { continue };
        let mut session = Session::new(core.clone(), wire, links.len(), clock.now());
        watches.iter().filter(|watch| watch.supplier == core.id).for_each(|watch| session.watch(watch));
        let reports = Arc::clone(&rings.reports);
        let actor = SupplierActor::new(
            core.id,
            session,
            links,
            record,
            orders,
            reports,
            Arc::clone(&board),
            at,
            clock,
        );
        suppliers.push(actor.start());
    }
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

impl Running {
    /// Conduits that listen, and where.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Conduits that dial, and what, as host and port.
    pub fn dialled(&self) -> &[(String, String)] {
        &self.dialled
    }

    /// Suppliers that dial in, by code, and where: a line for each such link.
    pub fn berths(&self) -> &[(String, SocketAddr)] {
        &self.berths
    }

    /// Where the pages are.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What the conduit of that name counts.
    pub fn conduit(&self, name: &str) -> Option<&ConduitCounters> {
        self.board.conduits.iter().find(|(known, _)| known == name).map(|(_, counters)| &**counters)
    }

    /// What happened so far.
    pub fn figures(&self) -> control::Figures {
        control::figures(&self.board)
    }

    /// Stops: the door closes, conduits answer what is open, suppliers sign off, the journal is sealed.
    ///
    /// # Errors
    /// See `StopError`.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.ready.store(false, Ordering::Release);
        self.door.close();
        let yard = self.yard.clone();
        let drain_ms = self.drain_ms;
        let (tell, told) = mpsc::channel();
        self.system.arbiter().spawn(async move {
            let _ = tell.send(drain(yard, drain_ms).await);
        });
        let wait = Duration::from_millis(u64::from(drain_ms) + STOP_WAIT_MS);
        let closed = told.recv_timeout(wait);
        self.keeper.stop();
        self.system.stop();
        if let Some(control) = self.control.take() {
            let _ = control.join();
        }
        if !self.checkpoints.wait(Duration::from_millis(CHECKPOINT_WAIT_MS)) {
            tracing::warn!(
                "the last checkpoint was not finished in time; the next start takes longer and loses nothing"
            );
        }
        match closed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(StopError::Journal(reason)),
            Err(_) => Err(StopError::Late),
        }
    }
}

async fn drain(yard: Yard, drain_ms: u32) -> Result<(), String> {
    let mut drained = Vec::new();
    for conduit in &yard.conduits {
        let (done, told) = oneshot::channel();
        conduit.do_send(Drain { done });
        drained.push(told);
    }
    let all = async {
        for told in drained {
            let _ = told.await;
        }
    };
    // A conduit that does not drain in time closes what is left: the outcomes are durable, repeats fetch them.
    if tokio::time::timeout(Duration::from_millis(u64::from(drain_ms)), all).await.is_err() {
        yard.conduits.iter().for_each(|conduit| conduit.do_send(conduit::Close));
    }
    for supplier in &yard.suppliers {
        let _ = supplier.send(Leave).await;
    }
    match yard.gate.send(Close).await {
        Ok(closed) => closed,
        Err(error) => Err(error.to_string()),
    }
}
