//! What the end-to-end tests share: a switch on the shipped configuration with ports of its own, and a client that speaks a dialect over a real socket.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use switchyard::settings::Settings;
use switchyard::stock::{self, GenerateAsk, StockProduct};
use switchyard::topology::{self, Running};
use switchyard_core::fact::Fact;
use switchyard_core::ids::Now;
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag};
use switchyard_core::pack::Pack;

/// Nothing here may take longer; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The shipped configuration with its data in `data`, and every port chosen by the system.
pub fn settings(data: &Path) -> Settings {
    let keys: Vec<_> = switchyard_adapters::ADAPTERS.iter().map(|adapter| adapter.adapter_keys()).collect();
    let mut settings = switchyard::config::load_shipped(&keys).unwrap_or_else(|report| panic!("{}", report.display(false)));
    settings.relocate(data.to_owned());
    for conduit in &mut settings.conduits {
        conduit.listen.set_port(0);
    }
    settings.admin.listen = None;
    settings.journal.segment_bytes = 4 << 20;
    switchyard::tls::demo_authority(&data.join("tls")).expect("an authority");
    settings
}

/// Puts `count` vouchers of `product` on stock, before the switch runs.
pub fn stock(settings: &Settings, product: &str, count: u32) {
    let books = topology::open_books(settings).expect("books");
    let (mut journal, mut log, _, _) = books.opening.start(&books.keyring).expect("a journal");
    let mut state = books.state;
    let now = now();
    let mut record = |fact: &Fact<'_>| {
        let at = log.append(|out| fact.pack(out));
        state.apply(at, fact).expect("a fact that fits");
    };
    let (_, sold) = settings.catalogue.product(text(product)).expect("a product");
    let kind = switchyard_core::fact::NameKind::Product;
    record(&Fact::Named { kind, id: 0, name: text(product) });
    let product = StockProduct {
        id: switchyard_core::ids::ProductId(0),
        code: sold.code,
        face_value: sold.amount.min,
        currency: sold.currency,
    };
    let ask = GenerateAsk { product, batch: "test", count, seed: 7, serial_prefix: "T", now };
    let folder = stock::folder(&settings.data);
    let stock::Loaded::New(batch) = stock::generate(&folder, &ask, &Default::default(), &books.kek).expect("vouchers") else {
        panic!("the batch was there")
    };
    record(&Fact::Stock(batch));
    let batch = log.take(journal.durable()).expect("facts");
    journal.write(batch).expect("a batch written");
    journal.close(&mut log, PATIENCE).expect("a journal closed");
}

/// The moment, as the shell would read it.
pub fn now() -> Now {
    switchyard::clock::Clock::start().now()
}

/// A text that fits.
pub fn text<const N: usize>(of: &str) -> switchyard_core::text::Text<N> {
    switchyard_core::text::Text::new(of.as_bytes()).expect("a text that fits")
}

/// Where a conduit listens.
pub fn address(running: &Running, conduit: &str) -> SocketAddr {
    let found = running.addresses().iter().find(|(name, _)| name == conduit);
    found.map(|(_, address)| *address).expect("a conduit of that name")
}

static STAN: AtomicU32 = AtomicU32::new(1);

/// A request, element by element; what is not set has a value that is approved.
#[derive(Clone, Debug)]
pub struct Ask {
    pub mti: u16,
    pub processing: &'static str,
    pub amount: u64,
    pub stan: u32,
    pub when: [u8; 10],
    pub local: [u8; 10],
    pub network: String,
    pub terminal: String,
    pub merchant: String,
    pub product: String,
    pub account: String,
    pub card: String,
    pub currency: u64,
    pub third_party: String,
}

impl Ask {
    /// A sale of `product` for `amount` minor units.
    pub fn sale(product: &str, processing: &'static str, amount: u64, account: &str) -> Self {
        let when = switchyard_core::stamp::transmission(now().wall_ms);
        let mut local = [0; 10];
        local[..6].copy_from_slice(&when[4..]);
        local[6..].copy_from_slice(&when[..4]);
        Self {
            mti: 200,
            processing,
            amount,
            stan: STAN.fetch_add(1, Ordering::Relaxed),
            when,
            local,
            network: "100001".into(),
            terminal: "T0000001".into(),
            merchant: "SHOP00000000001".into(),
            product: product.into(),
            account: account.into(),
            card: String::new(),
            currency: 978,
            third_party: String::new(),
        }
    }

    /// The message in a dialect.
    pub fn message(&self, dialect: &Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        let mut build = Build::new(dialect, Mti::new(self.mti), &mut out);
        if !self.card.is_empty() {
            build.text(Role::Pan, self.card.as_bytes());
        }
        build
            .text(Role::ProcessingCode, self.processing.as_bytes())
            .number(Role::Amount, self.amount)
            .text(Role::TransmissionTime, &self.when)
            .number(Role::Stan, u64::from(self.stan))
            .text(Role::LocalTime, &self.local[..6])
            .text(Role::LocalDate, &self.local[6..])
            .text(Role::Network, self.network.as_bytes())
            .text(Role::Terminal, self.terminal.as_bytes())
            .text(Role::Merchant, self.merchant.as_bytes());
        build.open_tags(Role::Prepaid);
        build.tag(Tag::Product, self.product.as_bytes());
        if !self.account.is_empty() {
            build.tag(Tag::Account, self.account.as_bytes());
        }
        if !self.third_party.is_empty() {
            build.tag(Tag::ThirdParty, self.third_party.as_bytes());
        }
        build.close_tags().number(Role::Currency, self.currency);
        build.finish().expect("a message that can be built");
        out
    }
}

/// One element of an answer.
pub type Element = (u8, String);

/// An answer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub mti: u16,
    pub elements: Vec<Element>,
    pub code: String,
    pub pin: String,
    pub serial: String,
    pub raw: Vec<u8>,
}

/// A client on a real socket.
pub struct Client {
    stream: TcpStream,
    dialect: Arc<Dialect>,
}

impl Client {
    pub fn connect(to: SocketAddr, dialect: &str) -> Self {
        let stream = TcpStream::connect(to).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, dialect: Arc::new(Dialect::open_shipped(dialect).expect("a shipped dialect")) }
    }

    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub fn send(&mut self, body: &[u8]) {
        let mut frame = (body.len() as u16).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.send_raw(&frame);
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("bytes sent");
    }

    /// The next answer; `None` when the switch closed the connection.
    pub fn receive(&mut self) -> Option<Answer> {
        let mut length = [0; 2];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in time"),
            Err(_) => return None,
        }
        let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut body).expect("a whole answer");
        Some(read_answer(&self.dialect, body))
    }

    pub fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(&ask.message(&self.dialect.clone()));
        self.receive().expect("an answer")
    }
}

fn read_answer(dialect: &Dialect, body: Vec<u8>) -> Answer {
    let view = dialect.view(&body).unwrap_or_else(|broken| panic!("an answer that is broken: {}", broken.error));
    let canonical = |value: switchyard_core::iso8583::Value<'_>| {
        let mut bytes = Vec::new();
        value.append_to(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Answer {
        mti: view.mti().number(),
        elements: view.elements().map(|(de, value)| (de, canonical(value))).collect(),
        code: view.value(Role::ResponseCode).map(canonical).unwrap_or_default(),
        pin: view.tag(Tag::Pin).map(canonical).unwrap_or_default(),
        serial: view.tag(Tag::Serial).map(canonical).unwrap_or_default(),
        raw: body.clone(),
    }
}

impl Answer {
    /// The value of an element; empty where the answer has none.
    pub fn element(&self, de: u8) -> &str {
        self.elements.iter().find(|(number, _)| *number == de).map_or("", |(_, value)| value)
    }
}

/// Waits for a condition, with a bound.
pub fn until(what: &str, mut met: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !met() {
        assert!(std::time::Instant::now() < end, "waited too long for: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
