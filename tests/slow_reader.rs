//! Forbids: a client that does not read, or a supplier that does not answer, that stalls anybody else (R-41, S-19).
//!
//! Beside the client that does not read, another one must be served five times in the four seconds for which nothing is taken from it. It is
//! served thousands of times; five is what remains on a machine whose syncs take most of a second, and a switch that stalls serves one.

mod support;

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::hosts::Hosts;
use support::{Ask, Client, address, settings, until};
use switchyard::topology;
use switchyard_core::iso8583::Dialect;

/// No client gets so much taken from it that never reads an answer.
const REQUESTS_MAX: usize = 100_000;

/// A connection that takes only a few answers into its own buffers.
fn narrow(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    socket.connect(&to.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(support::PATIENCE)).expect("a time-out");
    stream
}

/// A sale whose answer is long.
fn long_sale() -> Ask {
    Ask { third_party: "x".repeat(200), ..Ask::sale("WALLET", "210000", 100, "W1") }
}

/// Sends until the switch has taken no more for so long that it closes; what it was sent, whether taken or not. `taken` counts what was.
fn send_without_reading(mut stream: TcpStream, dialect: &Dialect, taken: &AtomicUsize) -> Vec<Ask> {
    let mut asks = Vec::new();
    while asks.len() < REQUESTS_MAX {
        let ask = long_sale();
        let body = ask.message(dialect);
        asks.push(ask);
        let frame = [&(body.len() as u16).to_be_bytes()[..], &body].concat();
        match stream.write_all(&frame) {
            Ok(()) => _ = taken.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                    "{error}"
                );
                return asks;
            }
        }
    }
    panic!("the switch reads on, whoever reads its answers");
}

#[test]
fn a_client_that_never_reads_stalls_itself_and_is_closed_and_finds_its_answers_later() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    settings.conduits[0].write_ms = 4_000;
    let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
    let plain = address(&running, "plain");
    let mut others = Client::connect(plain, "prepaid87");
    let dialect = others.dialect();
    let stalled = narrow(plain);
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let sending = std::thread::spawn(move || send_without_reading(stalled, &dialect, &counted));
    let (mut served, mut still) = (0, (0, 0));
    until("the client that does not read is closed", || {
        assert_eq!(others.ask(&Ask::sale("WALLET", "210000", 100, "W2")).code, "00");
        served += 1;
        let now = taken.load(Ordering::Relaxed);
        // How often since something was taken.
        still = if now == still.0 { (now, still.1 + 1) } else { (now, 0) };
        sending.is_finished()
    });
    assert!(still.1 >= 5, "only {} others were served in the four seconds for which it stood still", still.1);
    let asks = sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // Whatever was taken was performed, and is answered now; the rest is performed now: each once.
    let answers = Client::connect(plain, "prepaid87").ask_all(&asks, 64);
    assert!(answers.iter().all(|answer| answer.as_ref().is_some_and(|answer| answer.code == "00")));
    let figures = running.figures();
    assert_eq!(figures.approved, (asks.len() + served) as u64);
    assert!(figures.repeats > 0, "some were answered into nothing");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_silent_supplier_holds_half_of_a_connection_and_no_other_product_waits_for_it() {
    const WINDOW: u32 = 16;
    const SILENT: usize = 40;
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    settings.conduits[0].window_requests = WINDOW;
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let dialect = client.dialect();
    for _ in 0..SILENT {
        client.send(&Ask::sale("TOPUP", "210000", 1_000, "0612345685").message(&dialect));
    }
    let wallet = Ask::sale("WALLET", "210000", 100, "W1");
    let other = Ask::sale("TOPUP", "210000", 1_000, "0712345600");
    client.send(&wallet.message(&dialect));
    client.send(&other.message(&dialect));
    let mut codes = Vec::new();
    let mut quick = 0;
    while codes.len() < SILENT {
        let answer = client.receive().expect("an answer");
        if answer.stan() == wallet.stan || answer.stan() == other.stan {
            assert_eq!(answer.code, "00");
            assert!(!codes.contains(&"68".to_owned()), "it waited for the silent supplier");
            quick += 1;
        } else {
            codes.push(answer.code);
        }
    }
    assert_eq!(quick, 2);
    let unknown = codes.iter().filter(|code| *code == "68").count();
    let refused = codes.iter().filter(|code| *code == "91").count();
    assert_eq!(unknown + refused, SILENT);
    assert!((1..=WINDOW as usize / 2).contains(&unknown), "{unknown} of a window of {WINDOW}");
    assert_eq!(
        client.ask(&Ask::sale("TOPUP", "210000", 1_000, "0612345600")).code,
        "00",
        "its credits are back"
    );
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_client_that_reads_late_gets_everything() {
    const REQUESTS: usize = 400;
    let data = tempfile::tempdir().expect("a folder");
    let running = topology::start(settings(data.path())).unwrap_or_else(|error| panic!("{error}"));
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let dialect = client.dialect();
    let asks: Vec<_> = (0..REQUESTS).map(|_| Ask::sale("WALLET", "210000", 100, "W1")).collect();
    asks.iter().for_each(|ask| client.send(&ask.message(&dialect)));
    until("everything is performed", || running.figures().approved == REQUESTS as u64);
    let mut stans: Vec<_> = asks.iter().map(|_| client.receive().expect("an answer").stan()).collect();
    stans.sort_unstable();
    stans.dedup();
    assert_eq!(stans.len(), REQUESTS);
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}
