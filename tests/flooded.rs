//! Forbids: a flood of connections that costs those who are in, or that a reversal does not get through (R-40, R-41, S-7).

mod support;

use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use support::demo::Demo;
use support::{Ask, Client, address, settings, tls, until};
use switchyard::conduit::Closed;
use switchyard::settings::{ConduitSettings, Settings};
use switchyard::topology::{self, Running};
use switchyard_loadtest::process::Usage;

/// Connections of a flood.
const FLOOD: usize = 200;
/// Bytes that a dribbling connection sends: not a whole message.
const DRIBBLED: usize = 50;
/// Seconds for which a process without descriptors is watched.
const WATCH: Duration = Duration::from_secs(2);
/// Time between two sales of the till meanwhile: it must be served, and its business must be little beside a processor that spins.
const SALE_EVERY: Duration = Duration::from_millis(100);

/// A switch, and a till that was there before the flood.
struct Rig {
    running: Running,
    till: Client,
    data: tempfile::TempDir,
}

impl Rig {
    fn new(adjust: impl Fn(&mut ConduitSettings)) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut settings: Settings = settings(data.path());
        settings.conduits.iter_mut().for_each(adjust);
        let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
        let till = Client::connect(address(&running, "plain"), "prepaid87");
        let mut rig = Self { running, till, data };
        rig.serves();
        rig
    }

    fn plain(&self) -> SocketAddr {
        address(&self.running, "plain")
    }

    /// A sale and its reversal on the till's connection.
    fn serves(&mut self) {
        sell_and_reverse(&mut self.till);
    }

    /// Connections that the conduit closed for that reason.
    fn closed(&self, why: Closed) -> u64 {
        self.running.conduit("plain").map_or(0, |counters| counters.closed(why))
    }

    fn end(mut self) {
        self.serves();
        self.running.stop().unwrap_or_else(|error| panic!("{error}"));
    }
}

fn sell_and_reverse(client: &mut Client) {
    let sale = Ask::sale("WALLET", "210000", 100, "W1");
    assert_eq!(client.ask(&sale).code, "00");
    let answer = client.ask(&sale.reversal());
    assert_eq!((answer.mti, answer.code.as_str()), (410, "00"));
}

/// A connection whose reads return at once.
fn silent(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("the system takes it");
    stream.set_nonblocking(true).expect("a socket");
    stream
}

/// A connection from another address of this machine.
fn from(address: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("an address of this machine");
    socket.connect(&to.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(support::PATIENCE)).expect("a time-out");
    stream
}

/// Whether the other end has closed it.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

fn closed(flood: &mut [TcpStream]) -> usize {
    flood.iter_mut().map(is_closed).filter(|closed| *closed).count()
}

#[test]
fn a_full_conduit_turns_the_newest_away_and_serves_those_who_are_in() {
    const MAX: u32 = 40;
    let mut rig =
        Rig::new(|conduit| (conduit.connections_max, conduit.connections_per_address_max) = (MAX, 1_000));
    let mut flood: Vec<_> = (0..FLOOD).map(|_| silent(rig.plain())).collect();
    until("all but those who fit are closed", || closed(&mut flood) == FLOOD + 1 - MAX as usize);
    rig.serves();
    drop(flood);
    until("there is room again", || {
        let mut late = silent(rig.plain());
        late.set_nonblocking(false).expect("a socket");
        late.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
        !is_closed(&mut late)
    });
    rig.end();
}

#[test]
fn one_address_cannot_take_the_conduit_from_the_others() {
    const MAX: u32 = 40;
    let rig = Rig::new(|conduit| conduit.connections_per_address_max = MAX);
    let mut flood: Vec<_> = (0..FLOOD).map(|_| silent(rig.plain())).collect();
    until("all but the address's share are closed", || closed(&mut flood) == FLOOD + 1 - MAX as usize);
    let other = from(Ipv4Addr::new(127, 0, 0, 2), rig.plain());
    sell_and_reverse(&mut Client::over(Box::new(other), "prepaid87"));
    rig.end();
}

#[test]
fn handshakes_that_never_come_hold_up_neither_those_who_are_in_nor_those_who_shake_hands_later() {
    let mut rig = Rig::new(|conduit| {
        (conduit.connections_per_address_max, conduit.handshake_ms) = (1_000, 4_000);
    });
    let secure = address(&rig.running, "tls");
    let mut before = tls::client(secure, rig.data.path(), "prepaid87");
    let mut flood: Vec<_> = (0..FLOOD).map(|_| silent(secure)).collect();
    rig.serves();
    sell_and_reverse(&mut before);
    until("their time is over", || closed(&mut flood) == FLOOD);
    sell_and_reverse(&mut tls::client(secure, rig.data.path(), "prepaid87"));
    rig.end();
}

#[test]
fn connections_that_say_nothing_are_closed_in_their_time() {
    let mut rig = Rig::new(|conduit| conduit.first_byte_ms = 2_000);
    let mut flood: Vec<_> = (0..FLOOD).map(|_| silent(rig.plain())).collect();
    until("their time is over", || {
        rig.serves();
        closed(&mut flood) == FLOOD
    });
    until("each is counted", || rig.closed(Closed::FirstByte) == FLOOD as u64);
    rig.end();
}

#[test]
fn connections_that_dribble_are_closed_in_their_time() {
    let mut rig = Rig::new(|conduit| conduit.frame_ms = 500);
    let body = Ask::sale("WALLET", "210000", 100, "W1").message(&rig.till.dialect());
    let mut flood: Vec<_> = (0..FLOOD).map(|_| silent(rig.plain())).collect();
    let mut bytes = (body.len() as u16).to_be_bytes().into_iter().chain(body).take(DRIBBLED);
    until("their time is over", || {
        // A byte each, while the till does business: none of them gets to the end of its message.
        let byte = bytes.next();
        for stream in &mut flood {
            // Who was closed finds out here.
            let _ = byte.map(|byte| stream.write(&[byte]));
        }
        rig.serves();
        closed(&mut flood) == FLOOD
    });
    until("each is counted", || rig.closed(Closed::FrameTime) == FLOOD as u64);
    rig.end();
}

#[test]
fn connections_without_traffic_are_closed_in_their_time() {
    let mut rig = Rig::new(|conduit| conduit.idle_ms = 3_000);
    let mut flood: Vec<_> = (0..FLOOD).map(|_| silent(rig.plain())).collect();
    // A keep-alive: it has said something.
    flood.iter_mut().for_each(|stream| stream.write_all(&[0, 0]).expect("sent"));
    until("their time is over", || {
        rig.serves();
        closed(&mut flood) == FLOOD
    });
    until("each is counted", || rig.closed(Closed::Idle) == FLOOD as u64);
    rig.end();
}

/// Sets how many descriptors a process may have, below its hard limit.
fn allow(pid: u32, descriptors: usize) {
    let status =
        Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={descriptors}:")]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit");
}

/// Watches it for a while, in which the till does business now and then; the seconds of a processor that it took.
fn watch(demo: &Demo, till: &mut Client) -> f64 {
    let cpu_s = || Usage::of(demo.pid()).expect("it runs").cpu_s;
    let (before, began, mut sold) = (cpu_s(), Instant::now(), 0);
    until("it was watched", || {
        if began.elapsed() >= SALE_EVERY * sold {
            sell_and_reverse(till);
            sold += 1;
        }
        began.elapsed() >= WATCH
    });
    cpu_s() - before
}

#[test]
fn a_process_without_descriptors_waits_and_does_not_spin_and_serves_those_who_are_in() {
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    let mut till = demo.client("plain");
    sell_and_reverse(&mut till);
    let open = std::fs::read_dir(format!("/proc/{}/fd", demo.pid())).expect("its descriptors").count();
    allow(demo.pid(), open + 1);
    let flood: Vec<_> = (0..20).map(|_| silent(demo.address("plain"))).collect();
    let busy = watch(&demo, &mut till);
    let log = std::fs::read_to_string(data.path().join("demo.log")).expect("its log");
    assert!(log.contains("no connection can be accepted"), "the flood was not turned away by the system");
    // What is measured beside the accepts is the till's own business: as much again without the flood.
    drop(flood);
    let quiet = watch(&demo, &mut till);
    assert!(busy < quiet + 0.5 * WATCH.as_secs_f64(), "{busy} s of CPU with the flood, {quiet} s without");
    allow(demo.pid(), 1_024.min(open + 200));
    until("new ones are taken again", || {
        let mut late = demo.client("plain");
        let sale = Ask::sale("WALLET", "210000", 100, "W1").message(&late.dialect());
        late.offer(&sale) && late.receive().is_some_and(|answer| answer.code == "00")
    });
    demo.end();
}
