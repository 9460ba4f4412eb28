//! What the end-to-end tests share: a switch on the shipped configuration with ports of its own, and a client that speaks a dialect over a real socket.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses its part")]

pub mod child;
pub mod demo;
pub mod hosts;
pub mod load;
pub mod run;
pub mod switch;
pub mod tls;

use std::collections::HashMap;
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
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The shipped configuration with its data in `data`, and every port chosen by the system.
pub fn settings(data: &Path) -> Settings {
    let keys: Vec<_> = switchyard_adapters::ADAPTERS.iter().map(|adapter| adapter.adapter_keys()).collect();
    let mut settings =
        switchyard::config::load_shipped(&keys).unwrap_or_else(|report| panic!("{}", report.display(false)));
    settings.relocate(data.to_owned());
    for conduit in &mut settings.conduits {
        conduit.way.set_port(0);
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
    let stock::Loaded::New(batch) =
        stock::generate(&folder, &ask, &Default::default(), &books.kek).expect("vouchers")
    else {
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

/// A STAN that no request of this process has had of late; they come round after 999,999.
pub fn next_stan() -> u32 {
    STAN.fetch_add(1, Ordering::Relaxed) % 999_999 + 1
}

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
    /// The supplier that the request names.
    pub supplier: String,
    /// DE37.
    pub rrn: String,
    /// DE39, of a reversal.
    pub reason: &'static str,
    /// DE90, of a reversal or an inquiry.
    pub original: String,
    /// Tags of DE48 that the dialect does not know.
    pub unknown: Vec<([u8; 2], &'static str)>,
    /// Elements that are left out.
    pub omit: Vec<Role>,
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
            stan: next_stan(),
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
            supplier: String::new(),
            rrn: String::new(),
            reason: "",
            original: String::new(),
            unknown: Vec::new(),
            omit: Vec::new(),
        }
    }

    /// The same request under a key of its own.
    pub fn renewed(&self) -> Self {
        Self { stan: next_stan(), ..self.clone() }
    }

    /// A reversal of it, which names it by DE90.
    pub fn reversal(&self) -> Self {
        Self {
            mti: 400,
            stan: next_stan(),
            when: switchyard_core::stamp::transmission(now().wall_ms),
            reason: "68",
            original: self.named(),
            omit: vec![Role::LocalTime, Role::LocalDate, Role::Prepaid],
            ..self.clone()
        }
    }

    /// An inquiry about it.
    pub fn inquiry(&self) -> Self {
        Self { mti: 100, processing: "300000", reason: "", ..self.reversal() }
    }

    /// How DE90 names it: MTI, STAN, transmission time, acquirer, forwarder.
    fn named(&self) -> String {
        let when = std::str::from_utf8(&self.when).expect("digits");
        format!("{:04}{:06}{when}{:0>11}{:011}", self.mti, self.stan, self.network, 0)
    }

    /// The message in a dialect.
    pub fn message(&self, dialect: &Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        let mut build = Build::new(dialect, Mti::new(self.mti), &mut out);
        let given = |role: Role| !self.omit.contains(&role);
        let texts: [(Role, &[u8]); 2] =
            [(Role::Pan, self.card.as_bytes()), (Role::ProcessingCode, self.processing.as_bytes())];
        for (role, value) in texts {
            if given(role) && !value.is_empty() {
                build.text(role, value);
            }
        }
        if given(Role::Amount) {
            build.number(Role::Amount, self.amount);
        }
        if given(Role::TransmissionTime) {
            build.text(Role::TransmissionTime, &self.when);
        }
        if given(Role::Stan) {
            build.number(Role::Stan, u64::from(self.stan));
        }
        let texts: [(Role, &[u8]); 8] = [
            (Role::LocalTime, &self.local[..6]),
            (Role::LocalDate, &self.local[6..]),
            (Role::Network, self.network.as_bytes()),
            (Role::Rrn, self.rrn.as_bytes()),
            (Role::Terminal, self.terminal.as_bytes()),
            (Role::ResponseCode, self.reason.as_bytes()),
            (Role::Merchant, self.merchant.as_bytes()),
            (Role::Original, self.original.as_bytes()),
        ];
        for (role, value) in texts {
            if given(role) && !value.is_empty() {
                build.text(role, value);
            }
        }
        if given(Role::Prepaid) {
            self.write_prepaid(&mut build);
        }
        if given(Role::Currency) {
            build.number(Role::Currency, self.currency);
        }
        build.finish().expect("a message that can be built");
        out
    }

    fn write_prepaid(&self, build: &mut Build<'_, '_>) {
        build.open_tags(Role::Prepaid);
        let tags = [
            (Tag::Product, &self.product),
            (Tag::Account, &self.account),
            (Tag::Supplier, &self.supplier),
            (Tag::ThirdParty, &self.third_party),
        ];
        for (tag, value) in tags.into_iter().filter(|(_, value)| !value.is_empty()) {
            build.tag(tag, value.as_bytes());
        }
        for (name, value) in &self.unknown {
            build.raw_tag(*name, value.as_bytes());
        }
        build.close_tags();
    }
}

/// One element of an answer.
pub type Element = (u8, String);

/// DE7.
pub const TRANSMISSION_TIME: u8 = 7;

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

/// What a client reads from and writes to: TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A client on a real socket.
pub struct Client {
    stream: Box<dyn Stream>,
    dialect: Arc<Dialect>,
}

impl Client {
    pub fn connect(to: SocketAddr, dialect: &str) -> Self {
        Self::over(Box::new(connect(to)), dialect)
    }

    /// A client on a stream that is there already.
    pub fn over(stream: Box<dyn Stream>, dialect: &str) -> Self {
        Self { stream, dialect: Arc::new(Dialect::open_shipped(dialect).expect("a shipped dialect")) }
    }

    pub fn dialect(&self) -> Arc<Dialect> {
        Arc::clone(&self.dialect)
    }

    pub fn send(&mut self, body: &[u8]) {
        let mut frame = (body.len() as u16).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.send_raw(&frame);
    }

    /// Sends to a switch that may end meanwhile; whether it took the bytes.
    pub fn offer(&mut self, body: &[u8]) -> bool {
        let mut frame = (body.len() as u16).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.stream.write_all(&frame).and_then(|()| self.stream.flush()).is_ok()
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
        self.stream.read_exact(&mut body).ok()?;
        Some(read_answer(&self.dialect, body))
    }

    /// Network management (08xx) for a network, and its answer.
    pub fn manage(&mut self, code: u64, network: &str) -> Answer {
        let dialect = Arc::clone(&self.dialect);
        let mut out = Vec::new();
        let mut build = Build::new(&dialect, Mti::new(800), &mut out);
        let when = switchyard_core::stamp::transmission(now().wall_ms);
        build.text(Role::TransmissionTime, &when).number(Role::Stan, u64::from(next_stan()));
        build.text(Role::Network, network.as_bytes()).number(Role::ManagementCode, code);
        build.finish().expect("a message that can be built");
        self.send(&out);
        self.receive().expect("an answer")
    }

    /// Asks all of them, so many at a time; the answers in the order of the requests, none where the switch ended.
    pub fn ask_all(&mut self, asks: &[Ask], window: usize) -> Vec<Option<Answer>> {
        let dialect = self.dialect();
        let mut answers = vec![None; asks.len()];
        let mut waiting = HashMap::new();
        let mut next = asks.iter().enumerate();
        loop {
            while waiting.len() < window
                && let Some((at, ask)) = next.next()
            {
                waiting.insert(ask.stan, at);
                if !self.offer(&ask.message(&dialect)) {
                    return answers;
                }
            }
            if waiting.is_empty() {
                return answers;
            }
            let Some(answer) = self.receive() else { return answers };
            let at = waiting.remove(&answer.stan()).unwrap_or_else(|| panic!("nobody asked for {answer:?}"));
            answers[at] = Some(answer);
        }
    }

    pub fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(&ask.message(&self.dialect.clone()));
        self.receive().expect("an answer")
    }
}

/// A connection whose reads and writes end in time.
pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}

fn read_answer(dialect: &Dialect, body: Vec<u8>) -> Answer {
    let view =
        dialect.view(&body).unwrap_or_else(|broken| panic!("an answer that is broken: {}", broken.error));
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
    /// Everything but DE7, which a repeat's answer has from the repeat (S-2).
    pub fn lasting(&self) -> Vec<Element> {
        self.elements.iter().filter(|(de, _)| *de != TRANSMISSION_TIME).cloned().collect()
    }

    /// DE11.
    pub fn stan(&self) -> u32 {
        self.element(11).parse().expect("a STAN")
    }

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
