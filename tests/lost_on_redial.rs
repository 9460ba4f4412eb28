//! Forbids: a supplier that dials in and is not served, is somebody else, or loses a sale when its connection drops.

mod support;

use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use support::hosts::Hosts;
use support::tls::Identity;
use support::{Answer, Ask, Client, Stream, address, connect, settings, tls, until};
use switchyard::settings::{
    AddressRange, ClientCertificate, LinkSettings, ListenSettings, Settings, TlsSettings, TlsVersion,
};
use switchyard::topology::{self, Running};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role};

const SUPPLIER: &str = "telco-a";

/// A supplier that dials in is another one's scripted host behind this: it dials both, and passes on what either says.
struct Relay {
    ends: [TcpStream; 2],
}

impl Relay {
    fn dial(switch: SocketAddr, host: SocketAddr) -> Self {
        let ends = [switch, host].map(|end| TcpStream::connect(end).expect("a connection"));
        for (from, to) in [(0, 1), (1, 0)] {
            let (mut from, mut to) =
                (ends[from].try_clone().expect("a handle"), ends[to].try_clone().expect("a handle"));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        Self { ends }
    }

    fn drop_it(self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn listener(takeover_ms: u32) -> ListenSettings {
    ListenSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        allow: AddressRange::parse("127.0.0.1").into_iter().collect(),
        tls: None,
        certificate_names: Vec::new(),
        takeover_ms,
    }
}

/// Makes the supplier's one link a listener.
fn let_it_dial(settings: &mut Settings, listen: ListenSettings) {
    let supplier = settings.suppliers.iter_mut().find(|supplier| supplier.code == SUPPLIER);
    supplier.expect("a supplier").links = vec![LinkSettings::Listen(listen)];
}

fn start(settings: Settings) -> (Running, SocketAddr) {
    let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
    let [(code, berth)] = running.berths() else { panic!("one link listens") };
    assert_eq!(code, SUPPLIER);
    let berth = *berth;
    (running, berth)
}

fn is_ready(running: &Running) -> bool {
    let figures = running.figures();
    figures.suppliers.iter().any(|supplier| supplier.code == SUPPLIER && supplier.ready)
}

/// A top-up that only this supplier may perform.
fn top_up(account: &str) -> Ask {
    Ask { supplier: SUPPLIER.to_owned(), ..Ask::sale("TOPUP", "210000", 1_000, account) }
}

fn is_closed(stream: &mut dyn Read) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))
}

#[test]
fn a_supplier_that_dials_in_is_served_over_a_drop_and_a_redial() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let hosts = Hosts::start(&mut settings, &[SUPPLIER]);
    let dialled = settings.suppliers.iter().find(|supplier| supplier.code == SUPPLIER).expect("a supplier");
    let host: SocketAddr = dialled.links[0].to_string().parse().expect("an address");
    let_it_dial(&mut settings, listener(60_000));
    let (running, berth) = start(settings);
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    assert_eq!(client.ask(&top_up("0612345600")).code, "91", "nobody has dialled in");

    let first = Relay::dial(berth, host);
    until("the first connection carries requests", || is_ready(&running));
    assert_eq!(client.ask(&top_up("0612345600")).code, "00");
    let mut second = connect(berth);
    assert!(is_closed(&mut second), "the link is up");
    assert_eq!(client.ask(&top_up("0612345601")).code, "00");

    // It performs, and its answer would come after a second: by then the connection is gone.
    let cut = top_up("0612345684");
    client.send(&cut.message(&client.dialect()));
    until("the supplier performs", || hosts.record(SUPPLIER).iter().any(|line| line.account == cut.account));
    first.drop_it();
    assert_eq!(client.receive().expect("an answer").code, "68");
    until("the loss is seen", || !is_ready(&running));
    assert_eq!(client.ask(&top_up("0612345602")).code, "91");

    let again = Relay::dial(berth, host);
    until("it is reversed on the new connection", || {
        hosts.record(SUPPLIER).iter().any(|line| line.account == cut.account && line.action == "reverse")
    });
    assert_eq!(client.ask(&top_up("0612345603")).code, "00");
    running.stop().expect("an orderly end");
    drop(again);
}

/// A supplier that the test plays, message by message.
struct Player {
    client: Client,
    dialect: Arc<Dialect>,
}

impl Player {
    fn new(stream: Box<dyn Stream>) -> Self {
        let client = Client::over(stream, "prepaid87");
        Self { dialect: client.dialect(), client }
    }

    /// Asks, and hears the answer.
    fn ask(&mut self, mti: u16, stan: u64, management: Option<u64>) -> Answer {
        let mut out = Vec::new();
        let mut build = Build::new(&self.dialect, Mti::new(mti), &mut out);
        build.text(Role::TransmissionTime, b"1122010203").number(Role::Stan, stan);
        if let Some(code) = management {
            build.number(Role::ManagementCode, code);
        }
        build.finish().expect("a message that can be built");
        self.client.send(&out);
        let answer = self.client.receive().expect("an answer");
        assert_eq!((answer.mti, u64::from(answer.stan())), (mti + 10, stan));
        answer
    }
}

/// The demonstration's authority for both sides, and one name that may dial in.
fn secured(data: &Path) -> ListenSettings {
    let file = |name: &str| data.join("tls").join(name);
    let tls = TlsSettings {
        certificate: file("server.pem"),
        key: file("server.key"),
        client_ca: Some(file("ca.pem")),
        client: ClientCertificate::Required,
        version_min: TlsVersion::V1_2,
        bind_names: false,
    };
    ListenSettings { tls: Some(tls), certificate_names: vec!["host.telco-a.example".into()], ..listener(0) }
}

/// The switch says nothing before the supplier does.
fn let_it_sign_on(settings: &mut Settings) {
    let supplier = settings.suppliers.iter_mut().find(|supplier| supplier.code == SUPPLIER);
    supplier.expect("a supplier").adapter_settings.insert("awaits_sign_on".into(), true.into());
}

fn dial_with(
    berth: SocketAddr,
    data: &Path,
    identity: Option<&Identity>,
) -> StreamOwned<ClientConnection, TcpStream> {
    tls::stream(berth, tls::config(data, identity))
}

#[test]
fn only_the_suppliers_certificate_may_speak_for_it_and_its_requests_are_answered() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let_it_dial(&mut settings, secured(data.path()));
    let_it_sign_on(&mut settings);
    let (running, berth) = start(settings);

    let other = Identity::signed(data.path(), "host.telco-b.example", 2020, 2090);
    let stranger = Identity::stranger("host.telco-a.example");
    for (who, identity) in
        [("no certificate", None), ("another's", Some(&other)), ("a stranger's", Some(&stranger))]
    {
        let mut stream = dial_with(berth, data.path(), identity);
        let _ = stream.write_all(b"\0\0");
        assert!(is_closed(&mut stream), "{who}");
    }
    let mut plain = connect(berth);
    plain.write_all(b"\0\x040800").expect("sent");
    let mut alert = Vec::new();
    let _ = plain.read_to_end(&mut alert);
    assert!(!alert.starts_with(b"\0"), "plain text is no TLS");
    assert!(!is_ready(&running));

    let own = Identity::signed(data.path(), "host.telco-a.example", 2020, 2090);
    let mut supplier = Player::new(Box::new(dial_with(berth, data.path(), Some(&own))));
    assert_eq!(supplier.ask(800, 1, Some(301)).code, "00", "echo");
    assert!(!is_ready(&running), "it has not signed on");
    assert_eq!(supplier.ask(800, 2, Some(1)).code, "00", "sign-on");
    until("its sign-on makes the link ready", || is_ready(&running));
    assert_eq!(supplier.ask(800, 3, Some(201)).code, "00", "cut-over");
    assert_eq!(supplier.ask(800, 4, Some(101)).code, "40", "key exchange");
    assert_eq!(supplier.ask(200, 5, None).code, "40", "a sale");
    assert_eq!(supplier.ask(420, 6, None).code, "40", "a reversal");

    // A newer connection takes over, here at once.
    let mut newer = Player::new(Box::new(dial_with(berth, data.path(), Some(&own))));
    assert_eq!(newer.ask(800, 7, Some(1)).code, "00", "sign-on");
    until("the newer connection is ready", || is_ready(&running));
    assert!(supplier.client.receive().is_none(), "the older one is closed");
    assert_eq!(newer.ask(800, 8, Some(2)).code, "00", "sign-off");
    assert!(newer.client.receive().is_none(), "closed after its sign-off");
    until("it is not asked any more", || !is_ready(&running));
    running.stop().expect("an orderly end");
}

#[test]
fn a_supplier_that_dials_in_is_asked_for_renewed_certificates_without_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let_it_dial(&mut settings, secured(data.path()));
    let_it_sign_on(&mut settings);
    let (running, berth) = start(settings);
    let name = "host.telco-a.example";
    let before = Identity::signed(data.path(), name, 2020, 2090);
    let config = tls::config(data.path(), Some(&before));
    let mut supplier = Player::new(Box::new(tls::stream(berth, Arc::clone(&config))));
    assert_eq!(supplier.ask(800, 1, Some(301)).code, "00", "echo");

    // A file that is wrong is said, and changes nothing.
    let certificates = data.path().join("tls");
    let authority = std::fs::read(certificates.join("ca.pem")).expect("the authority");
    std::fs::write(certificates.join("ca.pem"), "no certificate").expect("written");
    let wrong = running.renew_certificates();
    assert!(wrong.iter().any(|what| what.contains(SUPPLIER) && what.contains("ca.pem")), "{wrong:?}");
    std::fs::write(certificates.join("ca.pem"), authority).expect("written");
    let mut still = Player::new(Box::new(tls::stream(berth, Arc::clone(&config))));
    assert_eq!(still.ask(800, 2, Some(301)).code, "00", "echo");

    // Another authority, and what it signed: the old one is shown until that is read.
    for file in ["ca.pem", "ca.key"] {
        std::fs::remove_file(certificates.join(file)).expect("there");
    }
    switchyard::tls::demo_authority(&certificates).expect("another authority");
    let after = Identity::signed(data.path(), name, 2020, 2090);
    let renewed = tls::config(data.path(), Some(&after));
    let mut early = tls::stream(berth, Arc::clone(&renewed));
    let _ = early.write_all(b"\0\0");
    assert!(is_closed(&mut early), "neither end knows the other's authority");
    let wrong = running.renew_certificates();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(still.ask(800, 3, Some(301)).code, "00", "who is in stays in");
    let mut stranger = tls::stream(berth, config);
    let _ = stranger.write_all(b"\0\0");
    assert!(is_closed(&mut stranger), "the authority before is trusted no more");
    let mut supplier = Player::new(Box::new(tls::stream(berth, renewed)));
    assert_eq!(supplier.ask(800, 4, Some(301)).code, "00", "echo");
    running.stop().expect("an orderly end");
}
