//! A conduit behind a door, a gate that answers when the test says so, and a client.

use crate::clock::Clock;
use crate::conduit::*;
use crate::door::Door;
use crate::settings::{ConduitSettings, ConduitWay, Durability};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use switchyard_core::catalogue::{
    AccountRule, AccountSource, AmountRule, CutOver, Funding, Merchant, Network, Policy, Product, Service,
    Terminal,
};
use switchyard_core::code::Code;
use switchyard_core::ids::{FlightNo, NetworkId, ProductId};
use switchyard_core::iso8583::{Build, Framing, Mti, Role, Tag};
use switchyard_core::money::Minor;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::stamp;
use switchyard_core::text::Text;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bound on every wait; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn text<const N: usize>(value: &str) -> Text<N> {
    Text::new(value.as_bytes()).expect("fits")
}

pub(super) fn network(code: &str) -> Network {
    Network {
        id: NetworkId(0),
        code: text(code),
        name: code.to_owned(),
        suspended: false,
        funding: Funding::Credit { line: Minor(1_000_000) },
        currency: 978,
        cut_over: CutOver { minute: 0, zone: jiff::tz::TimeZone::UTC },
        certificate_names: Vec::new(),
    }
}

pub(super) fn catalogue(networks: &[&str]) -> Arc<Catalogue> {
    let mut catalogue = Catalogue::default();
    catalogue.networks = networks.iter().map(|code| network(code)).collect();
    let last = (networks.len() - 1) as u32;
    catalogue.merchants.push(Merchant { code: text("SHOP00000000001"), network: last, funding: None });
    catalogue.terminals.push(Terminal { code: text("T0000001"), merchant: 0, blocked: false });
    catalogue.products.push(Product {
        id: ProductId(0),
        code: text("TOPUP"),
        name: "Top-up".to_owned(),
        service: Service::Recharge,
        currency: 978,
        exponent: 2,
        amount: AmountRule { min: Minor(100), max: Minor(20_000) },
        account: AccountRule {
            source: AccountSource::None,
            length_min: 0,
            length_max: 0,
            digits: false,
            prefixes: Vec::new(),
        },
        networks: Vec::new(),
        policy: Policy::Priority,
        prefix_table: None,
        candidates: Vec::new(),
    });
    catalogue.index().expect("no code twice");
    Arc::new(catalogue)
}

pub(super) fn dialect() -> Arc<Dialect> {
    let shipped = |name: &str| Dialect::shipped(name).map(str::to_owned);
    let dialect = Dialect::parse(Dialect::shipped("prepaid87").expect("shipped"), shipped);
    Arc::new(dialect.expect("sound"))
}

pub(super) fn settings() -> ConduitSettings {
    ConduitSettings {
        name: "plain".to_owned(),
        way: ConduitWay::Listen("127.0.0.1:0".parse().expect("an address")),
        dialect: 0,
        framing: Framing::DEFAULT,
        durability: Durability::Strict,
        sign_on: false,
        networks: Vec::new(),
        tls: None,
        allow: Vec::new(),
        connections_max: 64,
        connections_per_address_max: 64,
        window_requests: 8,
        frame_bytes_max: 2_000,
        handshake_ms: 5_000,
        first_byte_ms: 0,
        frame_ms: 60_000,
        idle_ms: 0,
        echo_ms: 0,
        write_ms: 60_000,
        deadline_ms: 5_000,
    }
}

/// A conduit behind a door, and the two rings of its gate.
pub(super) struct Rig {
    pub(super) door: Door,
    pub(super) conduit: actix::Addr<Conduit>,
    pub(super) requests: Arc<Ring<Box<Ticket>>>,
    pub(super) answers: Arc<Ring<Box<Ticket>>>,
    pub(super) counters: Arc<ConduitCounters>,
    pub(super) output: Arc<OutputBudget>,
    pub(super) dialect: Arc<Dialect>,
}

impl Rig {
    pub(super) fn start(settings: ConduitSettings, tickets_max: u32) -> Self {
        Self::start_in(std::path::Path::new("/"), settings, tickets_max)
    }

    /// With its certificates in `data`.
    pub(super) fn start_in(data: &std::path::Path, settings: ConduitSettings, tickets_max: u32) -> Self {
        let dialect = dialect();
        let requests = Arc::new(Ring::new(tickets_max as usize));
        let answers = Arc::new(Ring::new(tickets_max as usize));
        let counters = Arc::new(ConduitCounters::default());
        let output = Arc::new(OutputBudget::new(1 << 20));
        let mut door = Door::start(std::slice::from_ref(&settings), data).expect("binds");
        let conduit = Conduit::new(ConduitParts {
            index: 0,
            settings,
            dialects: Arc::from([Arc::clone(&dialect)]),
            catalogue: catalogue(&["100001"]),
            blocked: Arc::default(),
            days: Arc::default(),
            window_h: 72,
            keys: KeyHash::new([7; 16]),
            keyring: Arc::new(Keyring::new()),
            gate: GateRings { requests: Arc::clone(&requests), first: Arc::clone(&requests) },
            answers: Arc::clone(&answers),
            tickets: Arc::new(TicketBudget::new(tickets_max)),
            pressure: Rc::new(Pressure::new(tokio::time::Instant::now())),
            output: Arc::clone(&output),
            counters: Arc::clone(&counters),
            clock: Clock::start(),
            refusals: Arc::new(AtomicU64::new(FlightNo::first_refusal(1, 0).0)),
        });
        let conduit = conduit.expect("its dialect is there").start();
        door.open(&[conduit.clone().recipient()]).expect("listens");
        Self { door, conduit, requests, answers, counters, output, dialect }
    }

    pub(super) async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.door.addresses()[0]).await.expect("connects");
        Client { stream, dialect: Arc::clone(&self.dialect) }
    }

    /// The next ticket at the gate.
    pub(super) async fn asked(&self) -> Box<Ticket> {
        let next = poll_fn(|cx| {
            self.requests.register(cx.waker());
            self.requests.pop().map_or(Poll::Pending, Poll::Ready)
        });
        patiently(next).await
    }

    pub(super) fn approve(&self, mut ticket: Box<Ticket>) {
        let outcome = Outcome {
            flight: FlightNo(1),
            verdict: Verdict::Approved,
            code: Code::APPROVED,
            day: *b"1121",
            rrn: text("000000000001"),
            approval: text("A00001"),
            details: &[],
            sealed: &[],
        };
        outcome.pack(&mut ticket.outcome);
        assert!(self.answers.push(ticket).is_ok());
        self.answers.wake();
    }

    pub(super) async fn until(&self, what: impl Fn(&ConduitCounters) -> bool) {
        patiently(async {
            while !what(&self.counters) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

pub(super) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

pub(super) fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

/// A client that speaks prepaid87.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) dialect: Arc<Dialect>,
}

pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out
}

pub(super) fn sale(dialect: &Dialect, stan: u64) -> Vec<u8> {
    let wall = Clock::start().now().wall_ms;
    let sent = stamp::transmission(wall);
    let mut body = Vec::new();
    let mut build = Build::new(dialect, Mti::new(200), &mut body);
    build
        .text(Role::ProcessingCode, b"210000")
        .number(Role::Amount, 1_000)
        .text(Role::TransmissionTime, &sent)
        .number(Role::Stan, stan)
        .text(Role::LocalTime, &sent[4..])
        .text(Role::LocalDate, &sent[..4])
        .text(Role::Network, b"100001")
        .text(Role::Terminal, b"T0000001")
        .text(Role::Merchant, b"SHOP00000000001");
    build.open_tags(Role::Prepaid);
    build.tag(Tag::Product, b"TOPUP");
    build.close_tags();
    build.number(Role::Currency, 978);
    build.finish().expect("a legal message");
    body
}

pub(super) fn management(dialect: &Dialect, stan: u64, code: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let mut build = Build::new(dialect, Mti::new(800), &mut body);
    build
        .text(Role::TransmissionTime, &stamp::transmission(Clock::start().now().wall_ms))
        .number(Role::Stan, stan)
        .text(Role::Network, b"100001")
        .number(Role::ManagementCode, code);
    build.finish().expect("a legal message");
    body
}

impl Client {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        patiently(self.stream.write_all(bytes)).await.expect("sends");
    }

    pub(super) async fn sell(&mut self, stan: u64) {
        let body = sale(&self.dialect, stan);
        self.send(&framed(&body)).await;
    }

    pub(super) async fn manage(&mut self, stan: u64, code: u64) {
        let body = management(&self.dialect, stan, code);
        self.send(&framed(&body)).await;
    }

    /// MTI, STAN and code of the next response.
    pub(super) async fn response(&mut self) -> (u16, u64, String) {
        let body = patiently(async {
            let length = self.stream.read_u16().await.expect("a response");
            let mut body = vec![0; usize::from(length)];
            self.stream.read_exact(&mut body).await.expect("a whole response");
            body
        })
        .await;
        fields(&self.dialect, &body)
    }

    /// Waits until the switch has closed, and answers whether it had nothing more to say.
    pub(super) async fn is_closed(&mut self) -> bool {
        let mut rest = [0; 1];
        matches!(patiently(self.stream.read(&mut rest)).await, Ok(0) | Err(_))
    }
}

/// MTI, STAN and code of a message; a request has no code.
pub(super) fn fields(dialect: &Dialect, body: &[u8]) -> (u16, u64, String) {
    let view = dialect.view(body).expect("a response of the dialect");
    let code: Text<2> = view.value(Role::ResponseCode).and_then(|value| value.text()).unwrap_or_default();
    let stan = view.value(Role::Stan).and_then(|value| value.number()).expect("a STAN");
    (view.mti().number(), stan, code.as_str().to_owned())
}

pub(super) fn said(mti: u16, stan: u64, code: &str) -> (u16, u64, String) {
    (mti, stan, code.to_owned())
}
