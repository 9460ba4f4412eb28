//! What a scripted supplier answers, message by message.
//!
//! Owns: `Script` (dialect, behaviours, memory) and `Turn` (what one turn of a connection wants done).
//! Invariants: what is not a request that the supplier knows is not answered; a response echoes its request.
//! Deliberately absent: sockets, files and clocks.

use super::{Mode, SupplierHost};
use std::sync::Arc;
use switchyard_adapters::behaviour::Answering;
use switchyard_adapters::simulated_supplier::{self, Asked, Decision, Goods, REDEEM, SimulatedSupplier};
use switchyard_core::catalogue::Service;
use switchyard_core::code::Code;
use switchyard_core::iso8583::{Build, BuildError, Dialect, Framing, Mti, Role, Tag, View};
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// How many RRNs a scripted supplier remembers at least.
const RRNS_MIN: usize = 1 << 19;
/// Services that a processing code can name at a supplier.
const SERVICES: [Service; 4] =
    [Service::Voucher, Service::Recharge, Service::Activation, Service::BillPayment];
/// First two digits of the processing code of a question for a sale's status.
const STATUS: u64 = 30;
/// Bytes that are no message in any dialect.
const GARBAGE: &[u8] = b"\x07this is no message\x07";
/// Which elements a response echoes; in the reference dialect in ascending order.
#[derive(Clone, Copy)]
struct Echo {
    /// Before the response code.
    first: &'static [Role],
    /// Between the code and what is sold.
    middle: &'static [Role],
    /// After what is sold.
    last: &'static [Role],
}

/// Everything that a host echoes.
const ALL: Echo = Echo {
    first: &[
        Role::Pan,
        Role::ProcessingCode,
        Role::Amount,
        Role::TransmissionTime,
        Role::Stan,
        Role::LocalTime,
        Role::LocalDate,
        Role::Network,
        Role::Rrn,
    ],
    middle: &[Role::Terminal, Role::Merchant],
    last: &[Role::Currency, Role::ManagementCode, Role::Original],
};

/// What matches a response to its request, and no more.
const MATCHING: Echo =
    Echo { first: &[Role::TransmissionTime, Role::Stan, Role::Rrn], middle: &[], last: &[] };

/// What a turn of a connection wants done.
#[derive(Default)]
pub(super) struct Turn {
    /// Frames to send now.
    pub(super) out: Vec<u8>,
    /// Lines for the record, to be written first.
    pub(super) records: Vec<u8>,
    /// Frames to send after so many milliseconds.
    pub(super) later: Vec<(u32, Vec<u8>)>,
    /// Whether the link is to be dropped, once `out` is written.
    pub(super) drop_link: bool,
}

/// A scripted supplier without its sockets.
pub(super) struct Script {
    dialect: Arc<Dialect>,
    framing: Framing,
    mode: Mode,
    latency_ms: u32,
    seed: u64,
    supplier: SimulatedSupplier,
}

impl Script {
    pub(super) fn new(host: &SupplierHost) -> Self {
        let rrns_min = if host.mode == Mode::Instant { 0 } else { RRNS_MIN };
        Self {
            dialect: Arc::clone(&host.dialect),
            framing: host.framing,
            mode: host.mode,
            latency_ms: host.latency_ms,
            seed: host.seed,
            supplier: SimulatedSupplier::new(host.refuses_83, rrns_min),
        }
    }

    pub(super) fn remember(&mut self, record: &[u8]) {
        self.supplier.remember(record);
    }

    /// Hears one message; what is to be done goes into `turn`.
    pub(super) fn hear(&mut self, wall_ms: u64, header: &[u8], body: &[u8], turn: &mut Turn) {
        let dialect = Arc::clone(&self.dialect);
        let Ok(view) = dialect.view(body) else { return };
        let answer = Answer { framing: self.framing, header, view: &view, echo: ALL };
        match (view.mti().class_digit(), view.mti().is_request()) {
            (2 | 4, true) if self.mode == Mode::Instant => {
                self.answer_at_once(wall_ms, &Answer { echo: MATCHING, ..answer }, turn);
            }
            (2, true) => self.sale(wall_ms, &answer, turn),
            (4, true) => self.reversal(wall_ms, &answer, turn),
            (1, true) if processing(&view) == Some(STATUS) => self.status(wall_ms, &answer, turn),
            (8, true) => answer.write(Code::APPROVED, None, &mut turn.out),
            _ => {}
        }
    }

    /// Approves, and does no more than that: goods only where a sale without them would be none.
    fn answer_at_once(&self, wall_ms: u64, answer: &Answer<'_>, turn: &mut Turn) {
        let sale = answer.view.mti().class_digit() == 2;
        let needed = sale && matches!(service(answer.view), Some(Service::Voucher | Service::BillPayment));
        let asked = if needed { Request::read(wall_ms, answer.view) } else { None };
        let goods = asked.map(|asked| self.goods(&asked, answer.view));
        answer.write(Code::APPROVED, goods.as_ref(), &mut turn.out);
    }

    fn sale(&mut self, wall_ms: u64, answer: &Answer<'_>, turn: &mut Turn) {
        let Some(asked) = Request::read(wall_ms, answer.view) else { return };
        let decision = self.supplier.sale(&asked.as_asked(), &mut turn.records);
        let goods = (decision.code == Code::APPROVED).then(|| self.goods(&asked, answer.view));
        self.answer(decision, answer, goods.as_ref(), turn);
    }

    fn reversal(&mut self, wall_ms: u64, answer: &Answer<'_>, turn: &mut Turn) {
        let Some(asked) = Request::read(wall_ms, answer.view) else { return };
        let decision = self.supplier.reversal(&asked.as_asked(), &mut turn.records);
        self.answer(decision, answer, None, turn);
    }

    fn status(&self, wall_ms: u64, answer: &Answer<'_>, turn: &mut Turn) {
        let Some(asked) = Request::read(wall_ms, answer.view) else { return };
        self.answer(self.supplier.status(asked.rrn), answer, None, turn);
    }

    fn goods(&self, asked: &Request, view: &View<'_>) -> Goods {
        let currency = number(view, Role::Currency).unwrap_or(0) as u16;
        simulated_supplier::goods(self.seed, service(view), asked.rrn, asked.amount, currency, asked.wall_ms)
    }

    fn answer(&self, decision: Decision, answer: &Answer<'_>, goods: Option<&Goods>, turn: &mut Turn) {
        let delay_ms = decision.delay_ms + self.latency_ms;
        let times = match decision.answering {
            Answering::Silent => return,
            Answering::Drop => return turn.drop_link = true,
            Answering::Once | Answering::Garbage => 1,
            Answering::Twice => 2,
        };
        let write = |out: &mut Vec<u8>| {
            for _ in 0..times {
                match decision.answering {
                    Answering::Garbage => answer.write_garbage(out),
                    _ => answer.write(decision.code, goods, out),
                }
            }
        };
        if delay_ms == 0 {
            write(&mut turn.out);
        } else {
            let mut frame = Vec::new();
            write(&mut frame);
            turn.later.push((delay_ms, frame));
        }
    }
}

/// What a scripted supplier reads of a request.
struct Request {
    wall_ms: u64,
    mti: Mti,
    stan: u32,
    rrn: Text<12>,
    transmission: [u8; 10],
    account: Text<30>,
    card: bool,
    amount: Minor,
}

impl Request {
    /// `None` where it has no STAN: nobody could match an answer.
    fn read(wall_ms: u64, view: &View<'_>) -> Option<Self> {
        let stan = number(view, Role::Stan)?.try_into().ok()?;
        let transmission = text::<10>(view, Role::TransmissionTime);
        let account = view.tag(Tag::Account).and_then(|account| account.text()).unwrap_or_default();
        let card = account.is_empty() && view.has(Role::Pan);
        let mut request = Self {
            wall_ms,
            mti: view.mti(),
            stan,
            rrn: text(view, Role::Rrn),
            transmission: transmission.as_bytes().try_into().unwrap_or([b'0'; 10]),
            account: if card { text(view, Role::Pan) } else { account },
            card,
            amount: Minor(number(view, Role::Amount).unwrap_or(0) as i64),
        };
        if request.rrn.is_empty() {
            request.rrn = request.own_reference();
        }
        Some(request)
    }

    /// A reference for a request that carries none: STAN and time of day, which its repeats share.
    fn own_reference(&self) -> Text<12> {
        let mut reference = [b'0'; 12];
        let mut stan = self.stan;
        for digit in reference[..6].iter_mut().rev() {
            *digit = b'0' + (stan % 10) as u8;
            stan /= 10;
        }
        reference[6..].copy_from_slice(&self.transmission[4..]);
        Text::new(&reference).unwrap_or_default()
    }

    fn as_asked(&self) -> Asked<'_> {
        Asked {
            wall_ms: self.wall_ms,
            mti: self.mti,
            stan: self.stan,
            rrn: self.rrn,
            transmission: self.transmission,
            account: self.account.as_bytes(),
            card: self.card,
            amount: self.amount,
        }
    }
}

fn service(view: &View<'_>) -> Option<Service> {
    let code = processing(view)?;
    SERVICES.into_iter().find(|service| u64::from(service.processing()) == code)
}

/// First two digits of the processing code.
fn processing(view: &View<'_>) -> Option<u64> {
    Some(number(view, Role::ProcessingCode)? / 10_000)
}

fn number(view: &View<'_>, role: Role) -> Option<u64> {
    view.value(role)?.number()
}

fn text<const N: usize>(view: &View<'_>, role: Role) -> Text<N> {
    view.value(role).and_then(|value| value.text()).unwrap_or_default()
}

/// Writes answers to one message.
struct Answer<'a> {
    framing: Framing,
    header: &'a [u8],
    view: &'a View<'a>,
    echo: Echo,
}

impl Answer<'_> {
    fn write(&self, code: Code, goods: Option<&Goods>, out: &mut Vec<u8>) {
        let start = out.len();
        let mark = self.framing.open(self.header, out);
        let written = self.write_body(code, goods, out).is_ok() && self.framing.close(mark, out).is_ok();
        if !written {
            out.truncate(start);
        }
    }

    fn write_garbage(&self, out: &mut Vec<u8>) {
        let mark = self.framing.open(self.header, out);
        out.extend_from_slice(GARBAGE);
        // A few bytes fit every framing; `close` takes them back where they do not.
        let _ = self.framing.close(mark, out);
    }

    fn write_body(&self, code: Code, goods: Option<&Goods>, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let mti = self.view.mti().response().unwrap_or(self.view.mti());
        let mut build = Build::new(self.view.dialect(), mti, out);
        self.put_echo(&mut build, self.echo.first);
        if let Some(goods) = goods {
            build.text(Role::ApprovalCode, goods.approval.as_bytes());
        }
        build.text(Role::ResponseCode, &code.0);
        self.put_echo(&mut build, self.echo.middle);
        if let Some(goods) = goods {
            put_goods(&mut build, goods);
        }
        self.put_echo(&mut build, self.echo.last);
        build.finish().map(drop)
    }

    fn put_echo(&self, build: &mut Build<'_, '_>, roles: &[Role]) {
        for role in roles {
            if let (Some(value), Some(de)) = (self.view.value(*role), self.view.dialect().de(*role)) {
                build.copy(de, &value);
            }
        }
    }
}

fn put_goods(build: &mut Build<'_, '_>, goods: &Goods) {
    build.open_tags(Role::Prepaid);
    if !goods.pin.is_empty() {
        build.tag(Tag::Pin, goods.pin.expose());
    }
    if let Some(voucher) = &goods.voucher {
        build.tag(Tag::Serial, voucher.serial.as_bytes()).tag(Tag::Expiry, &voucher.expiry);
    }
    build.tag(Tag::SupplierReference, goods.reference.as_bytes());
    if let Some(voucher) = &goods.voucher {
        build.tag(Tag::Redeem, REDEEM.as_bytes()).tag(Tag::FaceValue, &voucher.face_value);
    }
    build.close_tags();
    if !goods.receipt.is_empty() {
        build.text(Role::Receipt, goods.receipt.expose());
    }
}
