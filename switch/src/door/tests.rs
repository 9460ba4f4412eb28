//! The door over real sockets: who comes in, who does not, and what they are told.

use super::*;
use crate::io::{self, HandshakeError, Io};
use crate::settings::{
    ClientCertificate, ClientTls, ConduitDial, ConduitWay, DialSettings, Durability, TlsSettings, TlsVersion,
};
use crate::tls::{LinkTls, demo_authority};
use actix::{Actor, Context, Handler};
use bytes::BytesMut;
use rustls::{ClientConnection, Connection};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::time::Duration;
use switchyard_core::iso8583::Framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Bound on every wait; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

fn settings() -> ConduitSettings {
    ConduitSettings {
        name: "front".to_owned(),
        way: ConduitWay::Listen("127.0.0.1:0".parse().expect("an address")),
        dialect: 0,
        framing: Framing::DEFAULT,
        durability: Durability::Strict,
        sign_on: false,
        networks: Vec::new(),
        tls: None,
        allow: Vec::new(),
        connections_max: 8,
        connections_per_address_max: 8,
        window_requests: 8,
        frame_bytes_max: 2_000,
        handshake_ms: 20_000,
        first_byte_ms: 0,
        frame_ms: 0,
        idle_ms: 0,
        echo_ms: 0,
        write_ms: 1_000,
        deadline_ms: 5_000,
    }
}

fn with_tls(client: ClientCertificate) -> ConduitSettings {
    let tls = TlsSettings {
        certificate: "server.pem".into(),
        key: "server.key".into(),
        client_ca: Some("ca.pem".into()),
        client,
        version_min: TlsVersion::V1_2,
        bind_names: true,
    };
    ConduitSettings { tls: Some(tls), ..settings() }
}

/// Where connections arrive in place of a conduit.
struct Guests(mpsc::UnboundedSender<Arrival>);

impl Actor for Guests {
    type Context = Context<Self>;
}

impl Handler<Arrival> for Guests {
    type Result = ();

    fn handle(&mut self, arrival: Arrival, _: &mut Self::Context) {
        self.0.send(arrival).expect("the test listens");
    }
}

struct Rig {
    door: Door,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    counters: Arc<DoorCounters>,
    data: tempfile::TempDir,
}

impl Rig {
    fn start(settings: ConduitSettings) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        demo_authority(data.path()).expect("certificates");
        let mut door = Door::start(&[settings], data.path()).expect("binds");
        let (guests, arrivals) = mpsc::unbounded_channel();
        door.open(&[Guests(guests).start().recipient()]).expect("listens");
        let counters = door.counters().remove(0);
        Self { door, arrivals, counters, data }
    }

    fn address(&self) -> SocketAddr {
        self.door.addresses()[0]
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("connects")
    }

    async fn arrival(&mut self) -> Arrival {
        patiently(self.arrivals.recv()).await.expect("somebody")
    }

    fn link_tls(&self, certificate: Option<&str>) -> LinkTls {
        let settings = ClientTls {
            ca: "ca.pem".into(),
            certificate: certificate.map(|name| format!("{name}.pem").into()),
            key: certificate.map(|name| format!("{name}.key").into()),
            server_name: "localhost".to_owned(),
        };
        LinkTls::new(&settings, self.data.path()).expect("sound files")
    }

    /// Does the client's side with this certificate, and reads until the switch says something.
    async fn shake(&self, certificate: Option<&str>) -> Result<Io, String> {
        let tls = self.link_tls(certificate);
        let connection = ClientConnection::new(tls.config, tls.name).expect("a configuration");
        let stream = self.connect().await;
        let shaken = io::handshake(stream, Connection::Client(connection), Instant::now() + PATIENCE).await;
        shaken.map_err(|error| error.to_string())
    }
}

/// Whether the switch has closed with a TLS alert, in the handshake or at the first read after it.
async fn was_told(shaken: Result<Io, String>) -> bool {
    let why = match shaken {
        Err(why) => why,
        Ok(mut io) => {
            let mut input = BytesMut::new();
            match patiently(poll_fn(|cx| io.poll_read(cx, &mut input, 100))).await {
                Ok(_) => return false,
                Err(error) => error.to_string(),
            }
        }
    };
    why.contains("alert")
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 1];
    matches!(patiently(stream.read(&mut rest)).await, Ok(0) | Err(_))
}

async fn until(what: impl Fn() -> bool) {
    patiently(async {
        while !what() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn value(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn an_address_in_use_is_named_with_its_conduit() {
    run(async {
        let rig = Rig::start(settings());
        let taken = ConduitSettings {
            way: ConduitWay::Listen(rig.address()),
            name: "second".to_owned(),
            ..settings()
        };
        let error = Door::start(&[settings(), taken], rig.data.path()).expect_err("taken");
        assert!(error.to_string().contains("`second`"), "{error}");
        assert!(error.to_string().contains(&rig.address().to_string()), "{error}");
    });
}

#[test]
fn nobody_connects_before_the_door_opens_or_after_it_closes() {
    run(async {
        let mut door = Door::start(&[settings()], std::path::Path::new("/")).expect("binds");
        let address = door.addresses()[0];
        assert!(TcpStream::connect(address).await.is_err());
        let (guests, mut arrivals) = mpsc::unbounded_channel();
        door.open(&[Guests(guests).start().recipient()]).expect("listens");
        let _client = TcpStream::connect(address).await.expect("open");
        let arrival = patiently(arrivals.recv()).await.expect("somebody");
        let listed = door.directory().list();
        assert_eq!((listed.len(), listed[0].number), (1, arrival.seat.number()));
        assert_eq!((listed[0].peer, &listed[0].party), (arrival.peer, &Party::Conduit(0)));
        door.close();
        patiently(async { while TcpStream::connect(address).await.is_ok() {} }).await;
        drop(arrival);
        // Some of the attempts came in before the door was closed.
        patiently(async {
            while !door.directory().list().is_empty() {
                while arrivals.try_recv().is_ok() {}
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn a_full_conduit_takes_the_next_one_when_a_seat_is_free() {
    run(async {
        for settings in [
            ConduitSettings { connections_max: 2, ..settings() },
            ConduitSettings { connections_per_address_max: 2, ..settings() },
        ] {
            let mut rig = Rig::start(settings);
            let (_one, _two) = (rig.connect().await, rig.connect().await);
            let seats = (rig.arrival().await, rig.arrival().await);
            let mut third = rig.connect().await;
            assert!(is_closed(&mut third).await);
            assert_eq!(value(&rig.counters.conduit_full) + value(&rig.counters.address_full), 1);
            assert_eq!(rig.door.directory().count(0), 2);
            drop(seats);
            assert_eq!(rig.door.directory().count(0), 0);
            let _fourth = rig.connect().await;
            rig.arrival().await;
        }
    });
}

#[test]
fn an_address_that_is_not_allowed_is_turned_away() {
    run(async {
        let range = crate::settings::AddressRange::parse("192.0.2.0/24").expect("a range");
        let rig = Rig::start(ConduitSettings { allow: vec![range], ..settings() });
        let mut client = rig.connect().await;
        assert!(is_closed(&mut client).await);
        assert_eq!(value(&rig.counters.range_refused), 1);
        let local = crate::settings::AddressRange::parse("127.0.0.0/8").expect("a range");
        let mut rig = Rig::start(ConduitSettings { allow: vec![range, local], ..settings() });
        let _client = rig.connect().await;
        rig.arrival().await;
    });
}

#[test]
fn a_client_certificate_gives_its_names() {
    run(async {
        let mut rig = Rig::start(with_tls(ClientCertificate::Required));
        let mut client = rig.shake(Some("client-100001")).await.expect("a handshake");
        let arrival = rig.arrival().await;
        assert_eq!(arrival.names, ["100001"]);
        let mut server = Io::from_parts(arrival.io).expect("crosses threads");
        let mut out = io::OutBuffer::new();
        out.tail().resize(100_000, 7);
        let mut input = BytesMut::new();
        let sends = poll_fn(|cx| client.poll_write(cx, &mut out));
        let receives = async {
            while input.len() < 100_000 {
                let count = poll_fn(|cx| server.poll_read(cx, &mut input, 4_096)).await.expect("bytes");
                assert!((1..=4_096).contains(&count));
            }
        };
        let (sent, ()) = patiently(async { tokio::join!(sends, receives) }).await;
        sent.expect("sent");
        patiently(poll_fn(|cx| client.poll_shutdown(cx))).await.expect("close_notify");
        assert_eq!(patiently(poll_fn(|cx| server.poll_read(cx, &mut input, 1))).await.expect("closed"), 0);
    });
}

#[test]
fn an_optional_certificate_may_be_left_out_and_a_required_one_may_not() {
    run(async {
        let mut rig = Rig::start(with_tls(ClientCertificate::Optional));
        let _client = rig.shake(None).await.expect("a handshake");
        assert!(rig.arrival().await.names.is_empty());
        let rig = Rig::start(with_tls(ClientCertificate::Required));
        assert!(was_told(rig.shake(None).await).await);
        until(|| value(&rig.counters.handshakes_failed) == 1).await;
        until(|| rig.door.directory().count(0) == 0).await;
    });
}

/// Puts a client certificate `name` into `dir`, signed by `ca`'s authority if given, else by one of its own.
fn make_client(dir: &std::path::Path, name: &str, own_authority: bool, not_after: i32) {
    let ca_key = if own_authority {
        rcgen::KeyPair::generate().expect("a key")
    } else {
        let key = std::fs::read_to_string(dir.join("ca.key")).expect("the authority's key");
        rcgen::KeyPair::from_pem(&key).expect("a key")
    };
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Switchyard demonstration authority");
    let mut client = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    client.distinguished_name.push(rcgen::DnType::CommonName, "100001");
    client.not_before = rcgen::date_time_ymd(2020, 1, 1);
    client.not_after = rcgen::date_time_ymd(not_after, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let signed = client.signed_by(&key, &rcgen::Issuer::new(authority, ca_key)).expect("signed");
    std::fs::write(dir.join(format!("{name}.pem")), signed.pem()).expect("written");
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).expect("written");
}

#[test]
fn a_wrong_or_expired_certificate_is_told_so_and_nothing_arrives() {
    run(async {
        let mut rig = Rig::start(with_tls(ClientCertificate::Required));
        make_client(rig.data.path(), "wrong", true, 4000);
        make_client(rig.data.path(), "expired", false, 2021);
        make_client(rig.data.path(), "right", false, 4000);
        for (count, name) in [(1, "wrong"), (2, "expired")] {
            assert!(was_told(rig.shake(Some(name)).await).await, "{name}");
            until(|| value(&rig.counters.handshakes_failed) == count).await;
        }
        assert!(rig.arrivals.try_recv().is_err());
        let _client = rig.shake(Some("right")).await.expect("a handshake");
        assert_eq!(rig.arrival().await.names, ["100001"]);
    });
}

#[test]
fn plain_text_on_the_tls_port_gets_an_alert() {
    run(async {
        let rig = Rig::start(with_tls(ClientCertificate::None));
        let mut client = rig.connect().await;
        client.write_all(b"\x00\x820200B238000108A080000000000000000000").await.expect("sent");
        let mut alert = Vec::new();
        patiently(client.read_to_end(&mut alert)).await.expect("closed in order");
        // Content type 21, alert, of some 3.x version (RFC 8446, 5.1), fatal.
        assert_eq!((alert.first(), alert.get(1), alert.get(5)), (Some(&21), Some(&3), Some(&2)));
        until(|| value(&rig.counters.handshakes_failed) == 1).await;
    });
}

#[test]
fn a_silent_handshake_ends_in_its_time() {
    run(async {
        let rig = Rig::start(ConduitSettings { handshake_ms: 30, ..with_tls(ClientCertificate::None) });
        let mut client = rig.connect().await;
        assert!(is_closed(&mut client).await);
        until(|| value(&rig.counters.handshakes_late) == 1 && rig.door.directory().count(0) == 0).await;
    });
}

#[test]
fn a_reload_serves_new_handshakes_with_the_new_certificate() {
    run(async {
        let mut rig = Rig::start(with_tls(ClientCertificate::None));
        let _before = rig.shake(None).await.expect("a handshake");
        rig.arrival().await;
        for name in ["ca.pem", "ca.key"] {
            std::fs::remove_file(rig.data.path().join(name)).expect("there");
        }
        demo_authority(rig.data.path()).expect("another authority");
        // The new authority does not know the certificate still in use.
        assert!(rig.shake(None).await.is_err());
        assert!(rig.door.reload().is_empty(), "sound files");
        let _after = rig.shake(None).await.expect("a handshake");
        rig.arrival().await;
    });
}

#[test]
fn a_reload_reads_what_conduits_that_dial_show_and_trust() {
    let data = tempfile::tempdir().expect("a folder");
    demo_authority(data.path()).expect("certificates");
    let tls = ClientTls {
        ca: "ca.pem".into(),
        certificate: Some("server.pem".into()),
        key: Some("server.key".into()),
        server_name: "localhost".to_owned(),
    };
    let to = DialSettings { host: "localhost".to_owned(), port: 1, tls: Some(tls) };
    let dial = ConduitDial {
        to,
        bind_names: false,
        connect_ms: 1_000,
        reconnect_first_ms: 50,
        reconnect_max_ms: 1_000,
    };
    let door = Door::start(&[ConduitSettings { way: ConduitWay::Dial(dial), ..settings() }], data.path());
    let door = door.expect("nothing is dialled yet");
    let config = || door.callers[0].dial().tls.expect("it has TLS").config;
    let before = config();
    assert!(Arc::ptr_eq(&before, &config()));
    std::fs::remove_file(data.path().join("ca.pem")).expect("there");
    assert!(matches!(door.reload()[..], [DoorError::Tls { .. }]));
    assert!(Arc::ptr_eq(&before, &config()), "what was wrong changes nothing");
    std::fs::remove_file(data.path().join("ca.key")).expect("there");
    demo_authority(data.path()).expect("another authority");
    assert!(door.reload().is_empty(), "sound files");
    assert!(!Arc::ptr_eq(&before, &config()));
}

fn dial(address: SocketAddr, tls: Option<LinkTls>, connect_ms: u32) -> Dial {
    Dial {
        party: Party::Supplier(Arc::from("telco-a")),
        host: address.ip().to_string(),
        port: address.port(),
        tls,
        connect_ms,
    }
}

#[test]
fn a_host_that_is_dialled_is_counted_with_those_who_come_in() {
    run(async {
        let host = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = host.local_addr().expect("an address");
        // Its own limits leave room; the process has none.
        let directory = Arc::new(Directory::new(&[settings(), settings()], 1));
        let call = || Dial { party: Party::Conduit(1), ..dial(address, None, 20_000) };
        let other = directory.take(0, "192.0.2.7:1".parse().expect("an address")).expect("a seat");
        let refused = patiently(super::dial::connect(call(), &directory)).await;
        assert!(matches!(refused, Err(DialError::Full)), "{refused:?}");
        assert_eq!(directory.count(1), 0);
        drop(other);
        let mut dialled = patiently(super::dial::connect(call(), &directory)).await.expect("connects");
        assert_eq!(directory.count(1), 1);
        let mut watched = dialled.seat.watch();
        dialled.seat.serve();
        watched.changed().await.expect("it is of use");
        drop(dialled);
        assert!(watched.changed().await.is_err(), "it has ended");
        assert_eq!((directory.count(1), *watched.borrow()), (0, true));
    });
}

#[test]
fn a_link_is_dialled_plain_and_over_tls() {
    run(async {
        for tls in [false, true] {
            let mut rig = Rig::start(if tls { with_tls(ClientCertificate::Required) } else { settings() });
            let with = tls.then(|| rig.link_tls(Some("client-100001")));
            let dialling = rig.door.handle().dial(dial(rig.address(), with, 20_000));
            let dialled = patiently(dialling).await.expect("an answer").expect("a connection");
            rig.arrival().await;
            let parties: Vec<_> = rig.door.directory().list().into_iter().map(|entry| entry.party).collect();
            assert!(parties.contains(&Party::Supplier(Arc::from("telco-a"))));
            assert_eq!(Io::from_parts(dialled.io).expect("crosses threads").tls().is_some(), tls);
        }
    });
}

#[test]
fn a_dial_that_cannot_succeed_fails_in_its_time() {
    run(async {
        let rig = Rig::start(settings());
        let tls = Some(rig.link_tls(None));
        // A plain conduit never shakes hands.
        let late = rig.door.handle().dial(dial(rig.address(), tls, 50));
        let late = patiently(late).await.expect("an answer");
        assert!(matches!(late, Err(DialError::Handshake(HandshakeError::Late))), "{late:?}");
        // It keeps its port for itself, and does not listen.
        let away = tokio::net::TcpSocket::new_v4().expect("a socket");
        away.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let nobody = away.local_addr().expect("bound");
        let refused = patiently(rig.door.handle().dial(dial(nobody, None, 5_000))).await.expect("an answer");
        assert!(matches!(refused, Err(DialError::Connect(_))), "{refused:?}");
        let handle = rig.door.handle();
        drop(rig);
        let closed = patiently(handle.dial(dial(nobody, None, 5_000))).await;
        assert!(matches!(closed, Ok(Err(DialError::Closed))), "{closed:?}");
    });
}

#[test]
fn log_lines_are_let_through_once_in_a_while() {
    let mut log = Debounce::default();
    let start = Instant::now();
    assert_eq!(log.due(start), Some(0));
    assert_eq!(log.due(start), None);
    assert_eq!(log.due(start + Duration::from_millis(999)), None);
    assert_eq!(log.due(start + Duration::from_millis(1_000)), Some(2));
}
