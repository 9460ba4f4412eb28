//! Forbids: a retail network's host that the switch dials and that is not served, is somebody else, or loses an answer when it hangs up.

mod support;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::switch::Switch;
use support::tls::{self, Identity};
use support::{Ask, Client, PATIENCE, address, settings, until};
use switchyard::settings::{ClientTls, ConduitDial, ConduitSettings, ConduitWay, DialSettings, Settings};
use switchyard::topology::{self, Running};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role};

/// The conduit that dials.
const CALLED: &str = "called";
const NETWORK: &str = "100001";
/// Echo (DE70).
const ECHO: u64 = 301;
const SIGN_ON: u64 = 1;

/// A retail network's host, which the test plays: its address is its own from the beginning, and nobody is there before `open`.
struct Host {
    socket: Option<Socket>,
    address: SocketAddr,
}

impl Host {
    fn new() -> Self {
        let mut host = Self { socket: None, address: "127.0.0.1:0".parse().expect("an address") };
        host.away();
        host
    }

    fn open() -> Self {
        let mut host = Self::new();
        host.back();
        host
    }

    /// Nobody is there: who dials is refused.
    fn away(&mut self) {
        self.socket = None;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an address for itself");
        socket.bind(&self.address.into()).expect("its address");
        self.address = socket.local_addr().expect("an address").as_socket().expect("of IP");
        self.socket = Some(socket);
    }

    fn back(&mut self) {
        self.socket().listen(16).expect("listens");
    }

    fn socket(&self) -> &Socket {
        self.socket.as_ref().expect("a socket")
    }

    /// Whether somebody dials, without waiting.
    fn take(&self) -> Option<TcpStream> {
        let socket = self.socket();
        socket.set_nonblocking(true).expect("a mode");
        match socket.accept() {
            Ok((stream, _)) => {
                let stream = TcpStream::from(stream);
                stream.set_nonblocking(false).expect("a mode");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
                Some(stream)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn accept(&self) -> TcpStream {
        let mut dialled = None;
        until("the switch dials", || {
            dialled = self.take();
            dialled.is_some()
        });
        dialled.expect("a connection")
    }

    fn client(&self) -> Client {
        Client::over(Box::new(self.accept()), "prepaid87")
    }
}

/// The demonstration's conduits, and one more that dials.
fn calling(
    settings: &mut Settings,
    host: &Host,
    change: impl FnOnce(&mut ConduitSettings, &mut ConduitDial),
) {
    let mut dial = ConduitDial {
        to: DialSettings { host: "localhost".into(), port: host.address.port(), tls: None },
        bind_names: false,
        connect_ms: 20_000,
        reconnect_first_ms: 10,
        reconnect_max_ms: 100,
    };
    let mut conduit = settings.conduits[0].clone();
    conduit.name = CALLED.into();
    conduit.connections_max = 1;
    change(&mut conduit, &mut dial);
    conduit.connections_per_address_max = conduit.connections_max;
    conduit.way = ConduitWay::Dial(dial);
    settings.conduits.push(conduit);
}

fn start(settings: Settings) -> Running {
    topology::start(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn connections(running: &Running) -> u64 {
    running.conduit(CALLED).expect("the conduit").connections.value()
}

/// A sale that needs no supplier.
fn sale() -> Ask {
    Ask::sale("WALLET", "210000", 100, "W1")
}

#[test]
fn a_host_is_served_and_finds_its_answers_when_it_comes_back() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let mut host = Host::new();
    calling(&mut settings, &host, |conduit, _| conduit.sign_on = true);
    let running = start(settings);
    assert_eq!(running.dialled(), [(CALLED.to_owned(), format!("localhost:{}", host.address.port()))]);
    assert!(running.addresses().iter().all(|(name, _)| name != CALLED));

    // Nobody is there yet, and nobody else notices.
    let mut other = Client::connect(address(&running, "plain"), "prepaid87");
    assert_eq!(other.ask(&sale()).code, "00");
    assert_eq!(connections(&running), 0);

    host.back();
    let mut network = host.client();
    assert_eq!(network.ask(&sale()).code, "31", "it has not signed on");
    assert_eq!(network.manage(SIGN_ON, NETWORK).code, "00");
    let first = sale();
    let told = network.ask(&first);
    assert_eq!(told.code, "00");

    // It hangs up before it was answered, and is away for a while.
    let unheard = sale();
    network.send(&unheard.message(&network.dialect()));
    until("the sale is performed", || running.figures().approved == 3);
    host.away();
    drop(network);
    until("the loss is seen", || connections(&running) == 0);
    assert_eq!(other.ask(&sale()).code, "00");

    host.back();
    let mut network = host.client();
    assert_eq!(network.ask(&sale()).code, "31", "a new connection signs on anew");
    assert_eq!(network.manage(SIGN_ON, NETWORK).code, "00");
    assert_eq!(network.ask(&first).lasting(), told.lasting());
    assert_eq!(network.ask(&unheard).code, "00");
    let figures = running.figures();
    assert_eq!((figures.approved, figures.repeats), (4, 2), "nothing was sold twice");
    running.stop().expect("an orderly end");
    assert!(network.receive().is_none());
}

#[test]
fn as_many_connections_are_kept_as_are_asked_for() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let host = Host::open();
    calling(&mut settings, &host, |conduit, _| conduit.connections_max = 3);
    let running = start(settings);
    let mut clients: Vec<_> = (0..3).map(|_| host.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(&sale()).code, "00");
    }
    assert!(host.take().is_none(), "a fourth");
    clients.pop();
    let mut again = host.client();
    assert_eq!(again.ask(&sale()).code, "00");
    assert_eq!((connections(&running), host.take().is_none()), (3, true));
    running.stop().expect("an orderly end");
    assert!(again.receive().is_none());
    assert!(host.take().is_none(), "it dialled again");
}

/// Shakes hands as the host; none where the switch refuses.
fn shake(stream: TcpStream, config: &Arc<ServerConfig>) -> Option<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(Arc::clone(config)).expect("a TLS server");
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    Some(stream)
}

#[test]
fn only_the_hosts_certificate_may_speak_and_only_for_its_network() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let host = Host::open();
    let file = |name: &str| -> PathBuf { data.path().join("tls").join(name) };
    let client_tls = ClientTls {
        ca: file("ca.pem"),
        certificate: Some(file("client-100001.pem")),
        key: Some(file("client-100001.key")),
        server_name: "iso.network.example".into(),
    };
    calling(&mut settings, &host, |_, dial| {
        dial.to.tls = Some(client_tls);
        dial.bind_names = true;
    });
    let running = start(settings);
    let named = |address: &str| Identity::host(data.path(), NETWORK, address);
    let stranger = Identity::stranger("iso.network.example");
    for (who, identity) in [("a stranger's", stranger), ("another's", named("iso.other.example"))] {
        let config = tls::host_config(data.path(), &identity);
        assert!(shake(host.accept(), &config).is_none(), "{who}");
        assert_eq!(connections(&running), 0, "{who}");
    }
    // No TLS at all.
    let mut plain = host.accept();
    let _ = plain.write_all(b"\0\x040800");
    drop(plain);

    let config = tls::host_config(data.path(), &named("iso.network.example"));
    let stream = shake(host.accept(), &config).expect("a handshake");
    assert!(stream.conn.peer_certificates().is_some(), "the switch shows its own");
    let mut network = Client::over(Box::new(stream), "prepaid87");
    assert_eq!(network.ask(&sale()).code, "00");
    assert_eq!(network.ask(&Ask { network: "100002".into(), ..sale() }).code, "31", "another network's");
    running.stop().expect("an orderly end");
}

/// The answer to a message of network management.
fn acknowledge(dialect: &Dialect, stan: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut build = Build::new(dialect, Mti::new(810), &mut out);
    build.text(Role::TransmissionTime, b"1122010203").number(Role::Stan, u64::from(stan));
    build.text(Role::ResponseCode, b"00").number(Role::ManagementCode, ECHO);
    build.finish().expect("a message that can be built");
    out
}

#[test]
fn an_echo_keeps_a_host_that_has_nothing_to_say() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let host = Host::open();
    calling(&mut settings, &host, |conduit, _| (conduit.echo_ms, conduit.first_byte_ms) = (20, 2_000));
    let running = start(settings);
    let mut deaf = host.client();
    assert_eq!(deaf.receive().expect("an echo").mti, 800);
    assert!(deaf.receive().is_none(), "who never says anything is let go");

    let mut alive = host.client();
    let since = Instant::now();
    // Longer than one that says nothing is kept.
    while since.elapsed() < Duration::from_millis(3_000) {
        let echo = alive.receive().expect("an echo");
        assert_eq!((echo.mti, echo.element(70)), (800, "301"));
        let answer = acknowledge(&alive.dialect(), echo.stan());
        alive.send(&answer);
    }
    assert_eq!(connections(&running), 1);
    assert!(host.take().is_none());
    running.stop().expect("an orderly end");
}

#[test]
fn a_host_that_says_nothing_of_use_is_dialled_more_and_more_seldom() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let host = Host::open();
    calling(&mut settings, &host, |_, dial| dial.reconnect_max_ms = 60_000);
    let running = start(settings);
    // How long it took each time until it was dialled.
    let rounds = |count: usize, play: &dyn Fn(TcpStream)| -> Vec<Duration> {
        let wait = || {
            let since = Instant::now();
            let stream = host.accept();
            (since.elapsed(), play(stream)).0
        };
        (0..count).map(|_| wait()).collect()
    };
    let of_use = rounds(16, &|stream| {
        let mut client = Client::over(Box::new(stream), "prepaid87");
        assert_eq!(client.manage(ECHO, NETWORK).code, "00");
    });
    // A length that is none: another protocol.
    let useless = rounds(8, &|mut stream| drop(stream.write_all(b"\xff\xffSSH-2.0")));
    // Whoever was of use so often is still dialled at once, but in a slow moment of the machine.
    let (longest, shortest) = (useless.iter().max(), of_use[8..].iter().min().map(|wait| *wait * 4));
    assert!(longest > shortest.as_ref(), "{useless:?}, and {of_use:?} where it speaks");
    running.stop().expect("an orderly end");
}

#[test]
fn an_end_in_order_answers_the_host_and_does_not_dial_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = Host::new();
    let last = "[[conduit]]\nname = \"binbitmap\"";
    let called =
        format!("[[conduit]]\nname = \"{CALLED}\"\ndial = \"{}\"\ndialect = \"prepaid87\"\n", host.address);
    let changes = [("switchyard.toml", last, &*format!("{called}\n{last}"))];
    let switch = Switch::start(folder.path(), &changes);
    let log = || std::fs::read_to_string(folder.path().join("switch.log")).expect("a log");
    let lines =
        |what: &str| log().lines().filter(|line| line.contains(CALLED) && line.contains(what)).count();
    until("it was dialled in vain", || switch.metric("switchyard_door_dials_failed_total") >= 3);
    host.back();
    let mut network = host.client();
    assert_eq!(network.manage(ECHO, NETWORK).code, "00");
    assert_eq!((lines("is not connected"), lines("is connected")), (1, 1), "{}", log());

    // It is answered after a second, and the end is asked for before.
    let open = Ask::sale("TOPUP", "210000", 1_000, "0612345684");
    network.send(&open.message(&network.dialect()));
    until("the supplier performs", || {
        switch.hosts().record("telco-a").iter().any(|line| line.account == open.account)
    });
    switch.end();
    let answer = network.receive().expect("an answer");
    assert_eq!((answer.stan(), &*answer.code), (open.stan, "00"));
    assert!(network.receive().is_none(), "a goodbye");
    assert!(host.take().is_none(), "it dialled again");
}
