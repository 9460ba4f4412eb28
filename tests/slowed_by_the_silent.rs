//! Forbids: others who pay for a client that reads nothing, a supplier that answers nothing, and thousands of connections that say nothing.
//!
//! Memory is all of the process that lies in memory, several times a second. It has to be flat once the duplicate index has given requests to a file, but for the filters of such files,
//! which take two bytes for each sale of the window, up to a bound of their own (S-3), and are told apart.
//!
//! What is measured begins when all the silent ones are in and nothing more is taken from the one that does not read, and again when all of them are gone: that thousands come
//! at once, or go, costs something, and is not what this is about. Each round with them is compared with the one without them beside it, since what else the machine does
//! changes from one moment to the next.
//!
//! Runs about thirty seconds, in which two of the rounds must hold: whoever really costs the others something does so in each, and a busy machine in most, so this
//! finds what makes them wait, and no few percent. `SILENT_SECONDS=600 cargo test --release -p switchyard --test slowed_by_the_silent -- --nocapture` is the long form:
//! figures, and tighter bounds, which the median of the rounds' ratios must meet: a median of each side has a machine of its own.

mod support;

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::load::{run, top_ups};
use support::switch::{RICH, Switch};
use support::{Ask, until};
use switchyard_core::iso8583::Dialect;
use switchyard_loadtest::load::{Load, Pace};
use switchyard_loadtest::report::Report;
use switchyard_loadtest::supplier::{Mode, SupplierHost};

/// Seconds of the short form, for all rounds together.
const SECONDS: f64 = 12.0;
/// Rounds without and with the silent ones, in turn.
const ROUNDS: usize = 6;
/// The same of the long form: short ones next to each other have the same machine.
const LONG_ROUNDS: usize = 60;
/// Rounds of the short form that must hold.
const HOLD_MIN: usize = 2;
/// Connections that say nothing; fewer where the system gives fewer descriptors.
const SILENT: u64 = 5_000;
/// Descriptors of the test beside them.
const OWN_DESCRIPTORS: u64 = 500;
/// Time between two sales of the supplier that answers nothing.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Time between two looks at memory.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A window that is full in seconds; the long form has the shipped one.
const SMALL: (&str, &str, &str) =
    ("switchyard.toml", "#duplicate_bytes_max = 1_073_741_824", "duplicate_bytes_max = 8_388_608");
/// Seconds of such a load, in the long form.
const WARM_UP_S: f64 = 10.0;
/// Files that the window has given requests to when it is full: each time but the first its entries take the place of others.
const RUNS_MIN: u64 = 2;
/// The same in the long form: what writes them, and the memory that it leaves in pieces, has then found its size.
const LONG_RUNS_MIN: u64 = 5;
/// Loads after which the window is full, at the latest.
const WARM_UPS_MAX: u64 = 40;

const CHANGES: [(&str, &str, &str); 5] = [
    ("switchyard.toml", "#connections_max = 1_024", "connections_max = 8_192"),
    ("switchyard.toml", "#connections_per_address_max = 256", "connections_per_address_max = 8_192"),
    ("switchyard.toml", "#first_byte_ms = 30_000", "first_byte_ms = 0"),
    ("switchyard.toml", "#idle_ms = 600_000", "idle_ms = 0"),
    ("switchyard.toml", "#durability = \"strict\"", "durability = \"relaxed\""),
];

/// What the others do: a mobile operator that answers, eight connections. With two requests on each, ten minutes fit on a usual disk.
fn others(switch: &Switch, seconds: f64, seed: u64) -> Report {
    let load = top_ups(switch.address("plain"), 8, Pace::Closed { in_flight: 2 }, seconds, seed);
    run(Load { warm_up_ms: 300, watch: Some(switch.pid()), ..load })
}

/// A client that sends and never reads, and comes again when it was closed; and one whose supplier answers nothing.
struct Silent {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    connections: Vec<TcpStream>,
}

impl Silent {
    /// Starts them, and waits until all of them are in, and nothing is taken any more from the one that reads nothing.
    fn start(switch: &Switch, count: u64) -> Self {
        let (to, stop) = (switch.address("plain"), Arc::new(AtomicBool::new(false)));
        let connections = (0..count).map(|_| TcpStream::connect(to).expect("a connection")).collect();
        until("they are in", || switch.metric("switchyard_conduit_connections") >= count);
        let stalled = Arc::new(AtomicBool::new(false));
        let (one, other, stalls) = (Arc::clone(&stop), Arc::clone(&stop), Arc::clone(&stalled));
        let threads = vec![
            std::thread::spawn(move || never_read(to, &one, &stalls)),
            std::thread::spawn(move || never_answered(to, &other)),
        ];
        until("nothing more is taken", || stalled.load(Ordering::Relaxed));
        Self { stop, threads, connections }
    }

    /// Ends them, and waits until all of them are gone.
    fn end(self, switch: &Switch) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it did its part"));
        drop(self.connections);
        until("they are gone", || switch.metric("switchyard_conduit_connections") == 0);
    }
}

fn never_read(to: SocketAddr, stop: &AtomicBool, stalled: &AtomicBool) {
    let dialect = Dialect::open_shipped("prepaid87").expect("a dialect");
    while !stop.load(Ordering::Relaxed) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        socket.connect(&to.into()).expect("a connection");
        let mut stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        while !stop.load(Ordering::Relaxed) {
            let body = Ask::sale("WALLET", "210000", 100, "W1").message(&dialect);
            let frame = [&(body.len() as u16).to_be_bytes()[..], &body].concat();
            match stream.write_all(&frame) {
                Ok(()) => {}
                // A frame that was cut cannot be gone on with: it waits here until it is closed.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    stalled.store(true, Ordering::Relaxed);
                    while !stop.load(Ordering::Relaxed)
                        && stream
                            .write(&[0])
                            .is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
                    {
                    }
                    break;
                }
                Err(_) => break,
            }
        }
    }
}

fn never_answered(to: SocketAddr, stop: &AtomicBool) {
    let dialect = Dialect::open_shipped("prepaid87").expect("a dialect");
    let mut stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(ASK_EVERY)).expect("a time-out");
    while !stop.load(Ordering::Relaxed) {
        let body = Ask::sale("TOPUP", "210000", 1_000, "0612345685").message(&dialect);
        stream.write_all(&[&(body.len() as u16).to_be_bytes()[..], &body].concat()).expect("it is read");
        // What was answered does not matter here; without an answer the time-out is the pace.
        if stream.read(&mut [0; 4_096]).is_ok() {
            std::thread::park_timeout(ASK_EVERY);
        }
    }
}

/// Memory of the process over a while, in bytes.
struct Memory {
    least: u64,
    most: u64,
    /// What of it are filters, at last.
    filters: u64,
    /// What the rest of the duplicate index holds, at last.
    held: u64,
}

impl Memory {
    /// While `meanwhile` runs.
    fn during<T>(switch: &Switch, meanwhile: impl FnOnce() -> T) -> (Self, T) {
        let stop = AtomicBool::new(false);
        let (looks, made) = std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut looks = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    looks.push(switch.resident_bytes());
                    std::thread::park_timeout(LOOK_EVERY);
                }
                looks
            });
            let made = meanwhile();
            stop.store(true, Ordering::Relaxed);
            (looking.join().expect("it looked"), made)
        });
        let of = |look: Option<&u64>| *look.expect("it looked");
        let (least, most) = (of(looks.iter().min()), of(looks.iter().max()));
        let (filters, held) = (switch.filter_bytes(), switch.metric("switchyard_gate_window_held_bytes"));
        (Self { least, most, filters, held }, made)
    }

    /// Beside filters.
    fn beside(&self) -> (u64, u64) {
        (self.least.saturating_sub(self.filters), self.most.saturating_sub(self.filters))
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn who_says_nothing_costs_the_others_nothing() {
    let long = std::env::var("SILENT_SECONDS").ok();
    let seconds = long.as_ref().map_or(SECONDS, |text| text.parse().expect("SILENT_SECONDS: seconds"));
    let rounds = if long.is_some() { LONG_ROUNDS } else { ROUNDS };
    let round_s = seconds / (2 * rounds) as f64;
    let silent = SILENT.min(switchyard::machine::descriptors().saturating_sub(OWN_DESCRIPTORS));
    let folder = tempfile::tempdir().expect("a folder");
    let small = long.is_none().then_some(SMALL);
    let changes: Vec<_> = CHANGES.into_iter().chain(RICH).chain(small).collect();
    // The others' supplier answers at once, and keeps no record of tens of millions of sales.
    let at_once = |host: SupplierHost| match host.name.as_str() {
        "telco-b" => SupplierHost { mode: Mode::Instant, record: None, ..host },
        _ => host,
    };
    let switch = Switch::start_with(folder.path(), &changes, at_once);
    // Buffers have their size, and connections were there once, before anything is compared.
    let loads = (1..=WARM_UPS_MAX).take_while(|seed| {
        others(&switch, if long.is_some() { WARM_UP_S } else { round_s }, 1_000 + seed);
        switch.metric("switchyard_gate_runs") < if long.is_some() { LONG_RUNS_MIN } else { RUNS_MIN }
    });
    let loads = loads.count();
    assert!(loads < WARM_UPS_MAX as usize, "the window is not full after {loads} loads");
    Silent::start(&switch, silent).end(&switch);
    let (mut without, mut with, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds as u64 {
        // Every other round begins with the silent ones: what grows meanwhile, or a busy machine, is neither side's.
        if round % 2 == 0 {
            without.push(others(&switch, round_s, 10 + round));
        }
        let crowd = Silent::start(&switch, silent);
        let (memory, report) = Memory::during(&switch, || others(&switch, round_s, 100 + round));
        with.push(report);
        marks.push(memory);
        crowd.end(&switch);
        if round % 2 == 1 {
            without.push(others(&switch, round_s, 10 + round));
        }
    }
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let rate = |reports: &[Report]| median(reports.iter().map(|report| report.throughput));
    let p99 = |reports: &[Report]| median(reports.iter().map(|report| report.latency_us.p99));
    let cpu = |reports: &[Report]| {
        median(reports.iter().map(|report| report.process.map_or(0.0, |p| p.cpu_us_per_transaction)))
    };
    // From the second round on: by then everything has met the silent ones.
    let beside = marks[1..].iter().map(Memory::beside);
    let (least, most) = beside.fold((u64::MAX, 0), |all, (least, most)| (all.0.min(least), all.1.max(most)));
    println!(
        "{silent} silent connections, {seconds} s: {:.0}/s without and {:.0}/s with them, p99 {:.0} and {:.0} µs, CPU {:.2} and {:.2} µs; memory beside filters from {:.1} to {:.1} MiB after the first round",
        rate(&without),
        rate(&with),
        p99(&without),
        p99(&with),
        cpu(&without),
        cpu(&with),
        mib(least),
        mib(most),
    );
    let pairs = || std::iter::zip(&without, &with);
    let faster = median(pairs().map(|(without, with)| with.throughput / without.throughput));
    let waits = median(pairs().map(|(without, with)| with.latency_us.p99 / without.latency_us.p99));
    println!("  {faster:.2} times the throughput of the round beside it, {waits:.2} times its p99 (medians)");
    for (without, with) in pairs() {
        println!(
            "  {:.0} and {:.0}/s, p99 {:.0} and {:.0} µs",
            without.throughput, with.throughput, without.latency_us.p99, with.latency_us.p99
        );
    }
    for Memory { least, most, filters, held } in &marks {
        println!(
            "  memory {:.1} to {:.1} MiB, of which filters {:.1} and the rest of the index {:.1}",
            mib(*least),
            mib(*most),
            mib(*filters),
            mib(*held)
        );
    }
    for report in without.iter().chain(&with) {
        assert!(report.outcomes.keys().all(|code| code == "00"), "{report}");
        assert_eq!((report.errors.lost, report.errors.unanswered), (0, 0), "{report}");
    }
    // Short rounds on a busy machine tell less.
    let (rate_min, p99_max, memory_max) = if long.is_some() { (0.9, 1.1, 1.1) } else { (0.5, 4.0, 1.25) };
    if long.is_some() {
        assert!(faster >= rate_min, "the others are slower");
        assert!(waits <= p99_max, "the others wait longer");
    }
    let hold = |does: &dyn Fn(&Report, &Report) -> bool| {
        std::iter::zip(&with, &without).filter(|(with, without)| does(with, without)).count() >= HOLD_MIN
    };
    assert!(
        hold(&|with, without| with.throughput > 0.0 && with.throughput >= rate_min * without.throughput),
        "the others are slower"
    );
    assert!(
        hold(
            &|with, without| with.throughput > 0.0 && with.latency_us.p99 <= p99_max * without.latency_us.p99
        ),
        "the others wait longer"
    );
    assert!(most as f64 <= memory_max * least as f64, "memory is not flat: {least} to {most}");
    switch.end();
}
