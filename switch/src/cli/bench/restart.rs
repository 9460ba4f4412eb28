//! `switchyard bench restart`: how long a start takes over a long journal.
//!
//! Owns: a journal of so many records, written through the real log, journal, state and checkpoints, as fast as they take it; and the starts of a switch process over it.
//! Invariants: every request lies in the window, in memory or in a file as `duplicate_bytes_max` says; nothing but the time of a start is measured.
//! Deliberately absent: the way of a request (`bench`).

use super::{Bed, Folder, Owned, configure, spawn, wait_until_listening};
use crate::checkpointer::{CheckpointOptions, Checkpointer};
use crate::cli::exit::Exit;
use crate::config::load;
use crate::journal::Journal;
use crate::runs::RunFolder;
use crate::settings::Settings;
use crate::topology;
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use switchyard_core::account::Account;
use switchyard_core::fact::{Fact, NameKind};
use switchyard_core::flight::{Attempt, Flight};
use switchyard_core::ids::{FlightNo, NetworkId, SupplierId};
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Log;
use switchyard_core::money::Minor;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::state::State;
use switchyard_core::text::Text;
use switchyard_loadtest::process::Usage;

/// Records that are open at a time while the journal is written.
const OPEN_MAX: u64 = 64;
/// Length of a request's scrubbed frame, as those of the demonstration.
const FRAME_BYTES: usize = 160;
/// Longest wait for the disk while the journal is written, and for a switch to end.
const PATIENCE: Duration = Duration::from_secs(120);

const HEAD: &str = "start                       ready s  CPU s  listening s  replayed   RSS MiB  journal MiB  checkpoints MiB";

/// Options of `bench restart`.
#[derive(Clone, Debug, Args)]
pub struct RestartArgs {
    /// Records in the journal: half of them intents, half outcomes.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000_000))]
    records: u64,
    /// Folder that the journal is made in, and removed from; without it a temporary one.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Leave out the start that reads the whole journal.
    #[arg(long)]
    skip_whole: bool,
    /// Print JSON, one object a start.
    #[arg(long)]
    json: bool,
}

/// Writes the journal, starts a switch over it three times, and prints how long each took.
///
/// # Errors
/// What could not be written or started, for people.
pub fn run(args: &RestartArgs) -> Result<Exit, String> {
    let folder = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("switchyard-restart-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let folder = Folder(folder);
    let [conduit, a, b] = [super::free_port()?, super::free_port()?, super::free_port()?];
    configure(&folder.0, false, conduit, a, b)?;
    let settings = load(&folder.0.join("switchyard.toml"), &crate::cli::adapter_keys())
        .map_err(|report| report.to_string())?;
    let written = write(&settings, args.records)?;
    let _suppliers = Bed::suppliers(a, b)?;
    if !args.json {
        println!("{}", written.line());
        println!("{HEAD}");
    }
    let start = |name: &str, signal: Signal| {
        let sizes = sizes(&settings.data.join("journal"))?;
        let started = start(&folder.0, conduit, signal)?;
        print(args, name, &started, sizes);
        Ok::<(), String>(())
    };
    start("after a kill, longest tail", Signal::SIGTERM)?;
    start("after a stop in order", Signal::SIGKILL)?;
    start("after a kill, nothing new", Signal::SIGKILL)?;
    if !args.skip_whole {
        for (path, _) in files(&settings.data.join("journal"), true)? {
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        start("without checkpoints", Signal::SIGKILL)?;
    }
    Ok(Exit::Done)
}

/// What the writing came to.
struct Written {
    records: u64,
    took: Duration,
    snapshot_max: Duration,
}

impl Written {
    fn line(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let rate = self.records as f64 / seconds;
        let snapshot_us = self.snapshot_max.as_micros();
        let records = self.records;
        format!(
            "{records} records written and applied in {seconds:.1} s, {rate:.0} a second; a snapshot took the writer {snapshot_us} µs at most"
        )
    }
}

/// Writes so many records. The last checkpoint is as far behind the end as it may be.
fn write(settings: &Settings, records: u64) -> Result<Written, String> {
    let began = Instant::now();
    let books = topology::open_books(settings).map_err(|error| error.to_string())?;
    let (journal, log, _reader, mut maker) =
        books.opening.start(&books.keyring).map_err(|error| error.to_string())?;
    let facts_max = settings.journal.checkpoint_facts.min(records / 4);
    let options = CheckpointOptions { facts_max, keep: PATIENCE };
    let (checkpointer, thread) = Checkpointer::start(
        journal.checkpoint_files(),
        options,
        books.replayed.checkpoint,
        0,
        &Arc::default(),
    )
    .map_err(|error| error.to_string())?;
    let mut writer = Writer {
        state: books.state,
        runs: books.runs,
        duplicate_bytes_max: settings.gate.duplicate_bytes_max as usize,
        repeatable_ms: settings.gate.repeatable_ms(),
        journal,
        log,
        checkpointer,
        keys: KeyHash::new([7; 16]),
        frame: [b'0'; FRAME_BYTES],
        wall_ms: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64),
        snapshot_max: Duration::ZERO,
    };
    writer.name()?;
    let (mut at, last_checkpoint) = (0, records - facts_max);
    while at < records {
        writer.requests(at, OPEN_MAX.min((records - at).div_ceil(2)), records)?;
        at += 2 * OPEN_MAX;
        writer.write()?;
        writer.make_room()?;
        while maker.prepare().map_err(|error| error.to_string())? {}
        if at <= last_checkpoint {
            writer.checkpoint(false)?;
        } else if at - 2 * OPEN_MAX <= last_checkpoint {
            writer.checkpoint(true)?;
        }
    }
    let Writer { journal, mut log, checkpointer, snapshot_max, .. } = writer;
    drop(checkpointer);
    journal.close(&mut log, PATIENCE).map_err(|error| error.to_string())?;
    if !thread.wait(PATIENCE) {
        return Err("the checkpoint was not written in time".into());
    }
    Ok(Written { records, took: began.elapsed(), snapshot_max })
}

/// Writes records as the gate would.
struct Writer {
    state: State,
    runs: Arc<RunFolder>,
    duplicate_bytes_max: usize,
    repeatable_ms: u64,
    journal: Journal,
    log: Log,
    checkpointer: Checkpointer,
    keys: KeyHash,
    frame: [u8; FRAME_BYTES],
    wall_ms: u64,
    /// The longest that a snapshot took: what a checkpoint costs the gate.
    snapshot_max: Duration,
}

impl Writer {
    fn record(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        let at = self.log.append(|out| fact.pack(out));
        self.state.apply(at, fact).map_err(|misfit| misfit.to_string())?;
        if self.log.is_full() { self.write() } else { Ok(()) }
    }

    fn name(&mut self) -> Result<(), String> {
        let text = |name: &[u8]| Text::new(name).unwrap_or_default();
        self.record(&Fact::Named { kind: NameKind::Network, id: 0, name: text(b"100001") })?;
        self.record(&Fact::Named { kind: NameKind::Supplier, id: 0, name: text(b"telco-a") })?;
        let (account, reason) = (Account::Network(NetworkId(0)), Text::default());
        let amount = Minor(1 << 50);
        self.record(&Fact::Deposit { at_ms: self.wall_ms, account, amount, reason })
    }

    /// So many requests that are open together, then their outcomes. Their times go from a day ago up to now.
    fn requests(&mut self, at: u64, count: u64, records: u64) -> Result<(), String> {
        const DAY_MS: u64 = 86_400_000;
        let first = at / 2;
        let at_ms =
            self.wall_ms - DAY_MS + (u128::from(at) * u128::from(DAY_MS) / u128::from(records)) as u64;
        for number in first..first + count {
            let bytes = number.to_le_bytes();
            let flight = Flight {
                number: FlightNo(number + 1),
                admitted_ms: at_ms,
                key: self.keys.digest(1, &[&bytes]),
                named: self.keys.digest(2, &[&bytes]),
                contents: number,
                network: NetworkId(0),
                amount: Minor(100),
                attempt: Attempt {
                    number: 1,
                    supplier: SupplierId(0),
                    stan: (number % 999_999) as u32 + 1,
                    ..Attempt::default()
                },
                ..Flight::default()
            };
            let frame = self.frame;
            self.record(&Fact::Intent { flight, dialect: 0, frame: &frame })?;
        }
        for number in first..first + count {
            let flight = FlightNo(number + 1);
            let outcome = Outcome { flight, verdict: Verdict::Approved, ..Outcome::default() };
            self.record(&Fact::Outcome { at_ms, link: 0, moved: None, outcome })?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), String> {
        let durable = self.journal.durable();
        match self.log.take(durable) {
            Some(batch) => self.journal.write(batch).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Requests leave memory for files as they do at the gate.
    fn make_room(&mut self) -> Result<(), String> {
        let room = self.runs.make_room(&mut self.state, self.duplicate_bytes_max, self.repeatable_ms);
        room.map_err(|error| error.to_string())
    }

    /// Hands a snapshot over when one is due; when one must be made, waits until it may be.
    fn checkpoint(&mut self, must: bool) -> Result<(), String> {
        let facts = self.journal.facts();
        let until = Instant::now() + PATIENCE;
        while must && self.checkpointer.is_busy() {
            if Instant::now() > until {
                return Err("a checkpoint takes too long".into());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        if !must && !self.checkpointer.is_due(facts) {
            return Ok(());
        }
        let began = Instant::now();
        let snapshot = self.state.snapshot();
        self.snapshot_max = self.snapshot_max.max(began.elapsed());
        let Some(durable) = self.checkpointer.give(facts, snapshot) else { return Ok(()) };
        while self.journal.durable() <= self.state.last {
            if let Some(failure) = self.journal.failure() {
                return Err(failure.to_string());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // The thread may have given up.
        let _ = durable.send(());
        Ok(())
    }
}

/// Files of the journal's folder with their sizes: its checkpoints, or all else.
fn files(journal: &Path, checkpoints: bool) -> Result<Vec<(PathBuf, u64)>, String> {
    let entries = std::fs::read_dir(journal).map_err(|error| format!("{}: {error}", journal.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let bytes = entry.metadata().map_err(|error| error.to_string())?.len();
        if entry.file_name().to_string_lossy().starts_with("checkpoint-") == checkpoints {
            found.push((entry.path(), bytes));
        }
    }
    Ok(found)
}

/// MiB of segments, MiB of checkpoints.
fn sizes(journal: &Path) -> Result<[u64; 2], String> {
    let sum = |checkpoints| {
        files(journal, checkpoints).map(|files| files.iter().map(|(_, bytes)| bytes).sum::<u64>() >> 20)
    };
    Ok([sum(false)?, sum(true)?])
}

/// A start, as the process says it and as a client sees it.
struct Started {
    ready_s: f64,
    /// CPU time of the process until a client saw it listen: what the start costs, whoever else is at work on the machine.
    cpu_s: f64,
    listening_s: f64,
    replayed: u64,
    rss_mib: u64,
}

/// Starts the switch, waits until it is ready, and ends it by a signal.
fn start(folder: &Path, conduit: SocketAddr, signal: Signal) -> Result<Started, String> {
    let log = folder.join("switch.log");
    let errors = std::fs::File::create(&log).map_err(|error| error.to_string())?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(own);
    command.arg("run").arg("--config").arg(folder.join("switchyard.toml"));
    let began = Instant::now();
    let mut switch = spawn(command.stdout(Stdio::piped()).stderr(errors))?;
    let why = |error: String| format!("{error}\n{}", std::fs::read_to_string(&log).unwrap_or_default());
    wait_until_listening(conduit, &mut switch).map_err(why)?;
    let listening_s = began.elapsed().as_secs_f64();
    let usage = Usage::of(switch.0.id()).map_err(|error| error.to_string())?;
    let ready = ready(&mut switch).map_err(why)?;
    let pid = Pid::from_raw(i32::try_from(switch.0.id()).map_err(|error| error.to_string())?);
    kill(pid, signal).map_err(|error| error.to_string())?;
    let until = Instant::now() + PATIENCE;
    while switch.0.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() > until {
            return Err("the switch does not end".into());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let (ready_s, replayed) = ready;
    Ok(Started { ready_s, cpu_s: usage.cpu_s, listening_s, replayed, rss_mib: usage.rss_kib >> 10 })
}

/// The seconds and the records that the switch says on its first line: `switchyard is ready, after 0.31 s (… 4 records replayed)`.
fn ready(switch: &mut Owned) -> Result<(f64, u64), String> {
    let output = switch.0.stdout.take().ok_or("the switch has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
    let word_before = |word: &str| {
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || c == '(').collect();
        words.iter().position(|found| *found == word).and_then(|at| words.get(at.checked_sub(1)?).copied())
    };
    let ready_s = word_before("s").and_then(|word| word.parse().ok());
    let replayed = word_before("records").and_then(|word| word.parse().ok());
    ready_s.zip(replayed).ok_or_else(|| format!("the switch says `{}`", line.trim()))
}

fn print(args: &RestartArgs, name: &str, started: &Started, [journal_mib, checkpoints_mib]: [u64; 2]) {
    let Started { ready_s, cpu_s, listening_s, replayed, rss_mib } = started;
    if args.json {
        let line = serde_json::json!({
            "start": name, "records": args.records, "ready_s": ready_s, "cpu_s": cpu_s, "listening_s": listening_s,
            "replayed": replayed, "rss_mib": rss_mib, "journal_mib": journal_mib, "checkpoints_mib": checkpoints_mib,
        });
        println!("{line}");
    } else {
        println!(
            "{name:<27} {ready_s:>7.2} {cpu_s:>6.2} {listening_s:>12.2} {replayed:>9} {rss_mib:>9} {journal_mib:>12} {checkpoints_mib:>16}"
        );
    }
}
