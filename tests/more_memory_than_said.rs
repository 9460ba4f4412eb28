//! Forbids: a process that takes more memory than `switchyard limits` says, at the start or with every window full (`bounded`, R-40).

mod support;

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::switch::{RICH, Switch};
use support::{Ask, until};
use switchyard::limits::{Part, Sheet, sheet};
use switchyard_core::iso8583::Dialect;

/// What the allocator keeps beside what is in use, in pages that are partly used or were used a moment ago.
const ALLOWANCE_BYTES: u64 = 12 << 20;
/// The sheet says at most so many times what is really taken when what can be filled is full: it adds up what cannot happen all at once (reading and answering on every conduit, the
/// longest message everywhere, ten minutes of doubts), and must not be a fantasy all the same.
const EXCESS_MAX: u64 = 40;
/// Connections that fill windows.
const CONNECTIONS: usize = 192;
/// Requests that each of them sends; its window is 64.
const REQUESTS: usize = 200;
/// How long memory is watched with everything full: longer than the supplier's time-out, so that doubts are there too.
const WATCH: Duration = Duration::from_secs(5);

/// Limits that can be reached in seconds.
const SMALL: [(&str, &str, &str); 12] = [
    ("switchyard.toml", "#segment_bytes = 67_108_864", "segment_bytes = 4_194_304"),
    ("switchyard.toml", "#duplicate_bytes_max = 1_073_741_824", "duplicate_bytes_max = 2_097_152"),
    ("switchyard.toml", "#reversals_max = 100_000", "reversals_max = 4_096"),
    ("switchyard.toml", "#tickets_max = 16_384", "tickets_max = 4_096"),
    ("switchyard.toml", "#output_bytes_max = 268_435_456", "output_bytes_max = 1_048_576"),
    ("switchyard.toml", "#connections_max = 1_024", "connections_max = 200"),
    ("switchyard.toml", "#window_requests = 128", "window_requests = 64"),
    ("switchyard.toml", "#frame_bytes_max = 8_192", "frame_bytes_max = 512"),
    ("suppliers/telco-a.toml", "#window_requests = 1_024", "window_requests = 1_024\nadvices_max = 4_096"),
    (
        "suppliers/telco-b.toml",
        "code = \"telco-b\"",
        "code = \"telco-b\"\nwindow_requests = 8\nadvices_max = 64",
    ),
    (
        "suppliers/cardco.toml",
        "code = \"cardco\"",
        "code = \"cardco\"\nwindow_requests = 8\nadvices_max = 64",
    ),
    (
        "suppliers/utility.toml",
        "code = \"utility\"",
        "code = \"utility\"\nwindow_requests = 8\nadvices_max = 64",
    ),
];

/// A connection that takes next to nothing into its own buffers.
fn narrow(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(2_048).expect("a small buffer");
    socket.connect(&to.into()).expect("a connection");
    socket.set_nonblocking(true).expect("a socket");
    TcpStream::from(socket)
}

/// Requests with long answers, half of them of a supplier that stays silent.
fn requests(dialect: &Dialect) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..REQUESTS {
        let ask = match number % 2 {
            0 => Ask::sale("TOPUP", "210000", 1_000, "0612345685"),
            _ => Ask::sale("WALLET", "210000", 100, "W1"),
        };
        let body = Ask { third_party: "x".repeat(200), ..ask }.message(dialect);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

/// What the sheet says of memory that is the process's own: code is the system's, and is not counted by it.
fn own(sheet: &Sheet, of: impl Fn(&switchyard::limits::Line) -> u64) -> u64 {
    let counted = sheet.lines.iter().filter(|line| line.part != Part::System);
    counted.map(of).sum()
}

#[test]
fn the_process_takes_no_more_than_its_sheet_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let changes: Vec<_> = SMALL.into_iter().chain(RICH).collect();
    let switch = Switch::start(folder.path(), &changes);
    let keys: Vec<_> = switchyard_adapters::ADAPTERS.iter().map(|adapter| adapter.adapter_keys()).collect();
    let settings = switchyard::config::load(&folder.path().join("switchyard.toml"), &keys);
    let sheet = sheet(&settings.unwrap_or_else(|report| panic!("{}", report.display(false))));
    let (start, most) = (own(&sheet, |line| line.start_bytes), own(&sheet, |line| line.max_bytes));
    let idle = switch.own_bytes();
    assert!(idle <= start + ALLOWANCE_BYTES, "idle {idle}, of {start} on the sheet");
    // Nobody reads an answer, and everybody sends what there is room for.
    let bytes = requests(&Dialect::open_shipped("prepaid87").expect("a dialect"));
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| (narrow(switch.address("plain")), 0)).collect();
    let mut peak = 0;
    let mut tickets = 0;
    let mut push = || {
        for (stream, sent) in &mut clients {
            match stream.write(&bytes[*sent..]) {
                Ok(count) => *sent += count,
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                    ),
                    "{error}"
                ),
            }
        }
        peak = peak.max(switch.own_bytes());
        tickets = tickets.max(switch.metric("switchyard_conduit_tickets"));
        tickets
    };
    // All but the eighth that is kept for reversals.
    until("the windows are full", || push() >= 3_000);
    let began = Instant::now();
    until("memory was watched", || {
        push();
        began.elapsed() >= WATCH
    });
    println!("at the start {idle} of {start}, at most {peak} of {most} bytes; {tickets} messages under way");
    assert!(peak <= most + ALLOWANCE_BYTES, "at most {peak}, of {most} on the sheet");
    assert!(most <= EXCESS_MAX * peak, "{most} on the sheet, and only {peak} are taken");
    switch.end();
}
