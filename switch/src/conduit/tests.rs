//! Conduits over real sockets, with a gate that answers when the test says so.

use super::*;
use crate::door::Door;
use crate::settings::{ConduitSettings, Durability};
use proptest::prelude::*;
use std::future::{Future, poll_fn};
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

fn text<const N: usize>(value: &str) -> Text<N> {
    Text::new(value.as_bytes()).expect("fits")
}

fn network(code: &str) -> Network {
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

fn catalogue(networks: &[&str]) -> Arc<Catalogue> {
    let mut catalogue = Catalogue::default();
    catalogue.networks = networks.iter().map(|code| network(code)).collect();
    let last = (networks.len() - 1) as u32;
    catalogue.merchants.push(Merchant { code: text("SHOP00000000001"), network: last });
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

fn dialect() -> Arc<Dialect> {
    let shipped = |name: &str| Dialect::shipped(name).map(str::to_owned);
    let dialect = Dialect::parse(Dialect::shipped("prepaid87").expect("shipped"), shipped);
    Arc::new(dialect.expect("sound"))
}

fn settings() -> ConduitSettings {
    ConduitSettings {
        name: "plain".to_owned(),
        listen: "127.0.0.1:0".parse().expect("an address"),
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
        write_ms: 60_000,
        deadline_ms: 5_000,
    }
}

/// A conduit behind a door, and the two rings of its gate.
struct Rig {
    door: Door,
    conduit: actix::Addr<Conduit>,
    requests: Arc<Ring<Box<Ticket>>>,
    answers: Arc<Ring<Box<Ticket>>>,
    counters: Arc<ConduitCounters>,
    output: Arc<OutputBudget>,
    dialect: Arc<Dialect>,
}

impl Rig {
    fn start(settings: ConduitSettings, tickets_max: u32) -> Self {
        let dialect = dialect();
        let requests = Arc::new(Ring::new(tickets_max as usize));
        let answers = Arc::new(Ring::new(tickets_max as usize));
        let counters = Arc::new(ConduitCounters::default());
        let output = Arc::new(OutputBudget::new(1 << 20));
        let mut door =
            Door::start(std::slice::from_ref(&settings), std::path::Path::new("/")).expect("binds");
        let conduit = Conduit::new(ConduitParts {
            index: 0,
            settings,
            dialects: Arc::from([Arc::clone(&dialect)]),
            catalogue: catalogue(&["100001"]),
            window_h: 72,
            keys: KeyHash::new([7; 16]),
            keyring: Arc::new(Keyring::new()),
            gate: GateRings { requests: Arc::clone(&requests), first: Arc::clone(&requests) },
            answers: Arc::clone(&answers),
            tickets_max,
            output: Arc::clone(&output),
            counters: Arc::clone(&counters),
            clock: Clock::start(),
            refusals: Arc::new(AtomicU64::new(FlightNo::first(1).0)),
        });
        let conduit = conduit.expect("its dialect is there").start();
        door.open(&[conduit.clone().recipient()]).expect("listens");
        Self { door, conduit, requests, answers, counters, output, dialect }
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.door.addresses()[0]).await.expect("connects");
        Client { stream, dialect: Arc::clone(&self.dialect) }
    }

    /// The next ticket at the gate.
    async fn asked(&self) -> Box<Ticket> {
        let next = poll_fn(|cx| {
            self.requests.register(cx.waker());
            self.requests.pop().map_or(Poll::Pending, Poll::Ready)
        });
        patiently(next).await
    }

    fn approve(&self, mut ticket: Box<Ticket>) {
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

    async fn until(&self, what: impl Fn(&ConduitCounters) -> bool) {
        patiently(async {
            while !what(&self.counters) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

/// A client that speaks prepaid87.
struct Client {
    stream: TcpStream,
    dialect: Arc<Dialect>,
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out
}

fn sale(dialect: &Dialect, stan: u64) -> Vec<u8> {
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

fn management(dialect: &Dialect, stan: u64, code: u64) -> Vec<u8> {
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
    async fn send(&mut self, bytes: &[u8]) {
        patiently(self.stream.write_all(bytes)).await.expect("sends");
    }

    async fn sell(&mut self, stan: u64) {
        let body = sale(&self.dialect, stan);
        self.send(&framed(&body)).await;
    }

    async fn manage(&mut self, stan: u64, code: u64) {
        let body = management(&self.dialect, stan, code);
        self.send(&framed(&body)).await;
    }

    /// MTI, STAN and code of the next response.
    async fn response(&mut self) -> (u16, u64, String) {
        let body = patiently(async {
            let length = self.stream.read_u16().await.expect("a response");
            let mut body = vec![0; usize::from(length)];
            self.stream.read_exact(&mut body).await.expect("a whole response");
            body
        })
        .await;
        let view = self.dialect.view(&body).expect("a response of the dialect");
        let code: Text<2> = view.value(Role::ResponseCode).and_then(|value| value.text()).expect("a code");
        let stan = view.value(Role::Stan).and_then(|value| value.number()).expect("a STAN");
        (view.mti().number(), stan, code.as_str().to_owned())
    }

    /// Waits until the switch has closed, and answers whether it had nothing more to say.
    async fn is_closed(&mut self) -> bool {
        let mut rest = [0; 1];
        matches!(patiently(self.stream.read(&mut rest)).await, Ok(0) | Err(_))
    }
}

fn said(mti: u16, stan: u64, code: &str) -> (u16, u64, String) {
    (mti, stan, code.to_owned())
}

#[test]
fn an_answer_reaches_the_connection_that_asked() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let (mut one, mut other) = (rig.connect().await, rig.connect().await);
        one.sell(1).await;
        let first = rig.asked().await;
        other.sell(2).await;
        let second = rig.asked().await;
        assert_ne!(first.place, second.place);
        assert_eq!(
            (first.window, first.relaxed, first.deadline_us - first.received_us),
            (8, false, 5_000_000)
        );
        rig.approve(second);
        rig.approve(first);
        assert_eq!(one.response().await, said(210, 1, "00"));
        assert_eq!(other.response().await, said(210, 2, "00"));
        rig.until(|counters| counters.tickets.value() == 0).await;
        assert_eq!((rig.counters.admitted.value(), rig.counters.answered.value()), (2, 2));
    });
}

#[test]
fn a_bad_message_costs_one_message() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        let sound = sale(&rig.dialect, 3);
        // Length zero, a cut message, a response, a class that is not done, then a sound one.
        client.send(&[0, 0]).await;
        client.send(&framed(&sound[..sound.len() - 1])).await;
        assert_eq!(client.response().await, said(210, 3, "30"));
        let mut response = sound.clone();
        response[..4].copy_from_slice(b"0210");
        client.send(&framed(&response)).await;
        let mut totals = sound.clone();
        totals[..4].copy_from_slice(b"0500");
        client.send(&framed(&totals)).await;
        assert_eq!(client.response().await, said(510, 3, "40"));
        client.sell(4).await;
        rig.approve(rig.asked().await);
        assert_eq!(client.response().await, said(210, 4, "00"));
        let counters = &rig.counters;
        assert_eq!((counters.keep_alives.value(), counters.format_errors.value()), (1, 1));
        assert_eq!((counters.responses_in.value(), counters.refused.value()), (1, 2));
    });
}

#[test]
fn ten_unreadable_messages_in_a_row_close_the_connection() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        for _ in 0..9 {
            client.send(&framed(b"what?")).await;
        }
        client.manage(5, 301).await;
        assert_eq!(client.response().await, said(810, 5, "00"));
        for _ in 0..10 {
            client.send(&framed(b"what?")).await;
        }
        assert!(client.is_closed().await);
        drop(client);
        rig.until(|counters| counters.closed(Closed::Unreadable) == 1).await;
        assert_eq!(rig.counters.unreadable.value(), 19);
    });
}

#[test]
fn a_length_over_the_limit_closes_after_what_came_before_it() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        let mut bytes = framed(&management(&rig.dialect, 6, 301));
        bytes.extend_from_slice(&2_001u16.to_be_bytes());
        bytes.extend_from_slice(&[b'x'; 500]);
        client.send(&bytes).await;
        assert_eq!(client.response().await, said(810, 6, "00"));
        assert!(client.is_closed().await);
        drop(client);
        rig.until(|counters| counters.closed(Closed::Framing) == 1).await;
    });
}

#[test]
fn sales_wait_for_the_sign_on_where_it_is_required() {
    run(async {
        let rig = Rig::start(ConduitSettings { sign_on: true, ..settings() }, 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        assert_eq!(client.response().await, said(210, 1, "31"));
        client.manage(2, 1).await;
        assert_eq!(client.response().await, said(810, 2, "00"));
        // Network 100001 moves to another index: it stays signed on.
        let reload = Reload { catalogue: catalogue(&["999999", "100001"]), networks: Vec::new() };
        rig.conduit.send(reload).await.expect("alive");
        client.sell(3).await;
        rig.approve(rig.asked().await);
        assert_eq!(client.response().await, said(210, 3, "00"));
        client.manage(4, 2).await;
        assert_eq!(client.response().await, said(810, 4, "00"));
        client.sell(5).await;
        assert_eq!(client.response().await, said(210, 5, "31"));
        client.manage(6, 101).await;
        assert_eq!(client.response().await, said(810, 6, "40"));
    });
}

#[test]
fn sales_without_a_credit_wait_and_management_overtakes_them() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        let mut bytes = Vec::new();
        for stan in 1..=20 {
            bytes.extend_from_slice(&framed(&sale(&rig.dialect, stan)));
        }
        bytes.extend_from_slice(&framed(&management(&rig.dialect, 99, 301)));
        client.send(&bytes).await;
        assert_eq!(client.response().await, said(810, 99, "00"));
        // Seven of the window's eight are for sales.
        assert_eq!((rig.counters.admitted.value(), rig.requests.len()), (7, 7));
        for stan in 1..=20 {
            rig.approve(rig.asked().await);
            assert_eq!(client.response().await, said(210, stan, "00"));
        }
        assert_eq!(rig.counters.admitted.value(), 20);
    });
}

#[test]
fn connections_share_the_tickets_and_none_starves() {
    run(async {
        let rig = Rig::start(settings(), 8);
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = rig.connect().await;
            for stan in 1..=7 {
                client.sell(stan).await;
            }
            clients.push(client);
        }
        for _ in 0..28 {
            rig.approve(rig.asked().await);
        }
        for client in &mut clients {
            for stan in 1..=7 {
                assert_eq!(client.response().await, said(210, stan, "00"));
            }
        }
        assert_eq!(rig.counters.answered.value(), 28);
    });
}

#[test]
fn a_slow_reader_loses_only_itself() {
    run(async {
        let rig = Rig::start(ConduitSettings { write_ms: 100, ..settings() }, 64);
        let (mut slow, mut other) = (rig.connect().await, rig.connect().await);
        let echo = framed(&management(&rig.dialect, 1, 301)).repeat(64);
        let flood = actix_rt::spawn(async move { while slow.stream.write_all(&echo).await.is_ok() {} });
        rig.until(|counters| counters.stalled.value() > 0).await;
        other.sell(2).await;
        rig.approve(rig.asked().await);
        assert_eq!(other.response().await, said(210, 2, "00"));
        rig.until(|counters| counters.closed(Closed::SlowReader) == 1).await;
        patiently(flood).await.expect("the flood ends with its connection");
        assert_eq!(rig.output.used_bytes(), 0);
    });
}

#[test]
fn silence_and_halves_of_messages_close_in_their_time() {
    let cases: [(ConduitSettings, &[u8], Closed); 4] = [
        (ConduitSettings { first_byte_ms: 30, ..settings() }, &[], Closed::FirstByte),
        (ConduitSettings { frame_ms: 30, ..settings() }, &[0], Closed::FrameTime),
        (ConduitSettings { frame_ms: 30, ..settings() }, &[0, 0, 1, 0, b'0'], Closed::FrameTime),
        (ConduitSettings { idle_ms: 30, ..settings() }, &[0, 0], Closed::Idle),
    ];
    for (settings, bytes, why) in cases {
        run(async {
            let rig = Rig::start(settings, 64);
            let mut client = rig.connect().await;
            client.send(bytes).await;
            assert!(client.is_closed().await, "{why:?}");
            rig.until(|counters| counters.closed(why) == 1).await;
        });
    }
}

#[test]
fn a_byte_now_and_then_does_not_extend_a_message() {
    run(async {
        let rig = Rig::start(ConduitSettings { frame_ms: 50, ..settings() }, 64);
        let mut client = rig.connect().await;
        client.send(&[2, 0]).await;
        let drip = async {
            while client.stream.write_all(b"0").await.is_ok() {
                tokio::task::yield_now().await
            }
        };
        let closed = rig.until(|counters| counters.closed(Closed::FrameTime) == 1);
        tokio::select! { () = drip => {}, () = closed => {} }
        rig.until(|counters| counters.closed(Closed::FrameTime) + counters.closed(Closed::Framing) == 1)
            .await;
    });
}

#[test]
fn every_ticket_is_answered_or_stale_when_its_client_is_gone() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let ticket = rig.asked().await;
        drop(client);
        rig.approve(ticket);
        rig.until(|counters| counters.connections.value() == 0).await;
        let mut again = rig.connect().await;
        again.sell(2).await;
        let ticket = rig.asked().await;
        // The same slot, and yet another connection.
        assert_eq!((ticket.place.slot, ticket.place.generation), (0, 1));
        rig.approve(ticket);
        assert_eq!(again.response().await, said(210, 2, "00"));
        let counters = &rig.counters;
        assert_eq!(counters.admitted.value(), counters.answered.value() + counters.stale.value());
    });
}

#[test]
fn tickets_of_a_lost_connection_come_back_as_stale() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let ticket = rig.asked().await;
        rig.conduit.send(Close).await.expect("alive");
        rig.until(|counters| counters.closed(Closed::Stopped) == 1).await;
        assert!(client.is_closed().await);
        rig.approve(ticket);
        rig.until(|counters| counters.stale.value() == 1 && counters.tickets.value() == 0).await;
    });
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answers() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        client.stream.shutdown().await.expect("half closed");
        rig.approve(rig.asked().await);
        assert_eq!(client.response().await, said(210, 1, "00"));
        assert!(client.is_closed().await);
        rig.until(|counters| counters.closed(Closed::Client) == 1).await;
    });
}

#[test]
fn a_drain_answers_what_is_open_and_reads_no_more() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let ticket = rig.asked().await;
        let (done, mut drained) = oneshot::channel();
        rig.conduit.send(Drain { done }).await.expect("alive");
        client.sell(2).await;
        assert!(drained.try_recv().is_err());
        rig.approve(ticket);
        assert_eq!(client.response().await, said(210, 1, "00"));
        assert!(client.is_closed().await);
        drop(client);
        patiently(drained).await.expect("drained");
        assert_eq!((rig.counters.admitted.value(), rig.counters.closed(Closed::Drained)), (1, 1));
    });
}

#[test]
fn an_answer_that_cannot_be_built_is_counted_and_not_invented() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let mut ticket = rig.asked().await;
        ticket.outcome.clear();
        assert!(rig.answers.push(ticket).is_ok());
        rig.answers.wake();
        rig.until(|counters| counters.unanswerable.value() == 1).await;
        client.manage(2, 301).await;
        assert_eq!(client.response().await, said(810, 2, "00"));
    });
}

/// Sends `parts` one by one, each only when the switch has read the one before: every part is a read of its own.
async fn send_in_parts(client: &mut Client, parts: &[&[u8]]) {
    for part in parts {
        client.send(part).await;
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_answered_once_however_it_is_cut(cuts in proptest::collection::vec(1usize..400, 1..40)) {
        run(async {
            let rig = Rig::start(settings(), 64);
            let mut client = rig.connect().await;
            let mut bytes = Vec::new();
            for stan in 1..=6 {
                bytes.extend_from_slice(&framed(&management(&rig.dialect, stan, 301)));
                bytes.extend_from_slice(&[0, 0]);
            }
            let mut parts = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            send_in_parts(&mut client, &parts).await;
            for stan in 1..=6 {
                assert_eq!(client.response().await, said(810, stan, "00"));
            }
            client.stream.shutdown().await.expect("half closed");
            assert!(client.is_closed().await);
        });
    }

    #[test]
    fn garbage_is_survived_and_the_next_client_is_served(garbage in proptest::collection::vec(any::<u8>(), 1..3_000)) {
        run(async {
            let rig = Rig::start(ConduitSettings { frame_ms: 50, ..settings() }, 64);
            let mut client = rig.connect().await;
            client.send(&garbage).await;
            // The switch may have closed for cause already.
            let _ = client.stream.shutdown().await;
            drop(client);
            let mut next = rig.connect().await;
            next.manage(1, 301).await;
            assert_eq!(next.response().await, said(810, 1, "00"));
        });
    }
}
