//! The messages that a host is sent.
//!
//! Owns: sale, reversal, question for a status and network management, as roles and tags.
//! Invariants: a sale is built from its order alone, a reversal from its order and the time of sending, so
//! that both can be built again from journalled fields (S-14).
//! Deliberately absent: which link and when.

use crate::digits;
use crate::moment::Moment;
use std::sync::Arc;
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::ids::Now;
use switchyard_core::iso8583::{Build, BuildError, Dialect, Mti, Role, Tag, View};
use switchyard_core::text::Text;

/// What network management asks for (DE70).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Management {
    SignOn,
    SignOff,
    CutOver,
    Echo,
}

impl Management {
    pub(super) fn of(number: u64) -> Option<Self> {
        [Self::SignOn, Self::SignOff, Self::CutOver, Self::Echo]
            .into_iter()
            .find(|code| code.number() == number)
    }

    fn number(self) -> u64 {
        match self {
            Self::SignOn => 1,
            Self::SignOff => 2,
            Self::CutOver => 201,
            Self::Echo => 301,
        }
    }
}

/// Writes messages in one dialect.
pub(super) struct Messages {
    dialect: Arc<Dialect>,
    /// What the supplier gets as acquirer; empty: the order's network.
    acquirer: Text<11>,
    inquiry: Mti,
    sale: Mti,
    reversal: Mti,
    management: Mti,
}

impl Messages {
    /// `reversal`: the MTI of reversals in the edition of 1987; the dialect's edition replaces its first digit.
    pub(super) fn new(dialect: Arc<Dialect>, acquirer: Text<11>, reversal: u16) -> Self {
        let version = dialect.version().digit() * 1_000;
        let mti = |number| Mti::new(version + number);
        let (inquiry, sale, management) = (mti(100), mti(200), mti(800));
        Self { acquirer, inquiry, sale, reversal: mti(reversal), management, dialect }
    }

    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Appends the message of an order.
    ///
    /// # Errors
    /// Something in the order does not fit the dialect; nothing is appended.
    pub(super) fn write(&self, now: Now, order: &Order, out: &mut Vec<u8>) -> Result<(), BuildError> {
        match order.ask {
            Ask::Sale => self.write_sale(order, out),
            Ask::Reversal { repeat } => self.write_reversal(now, order, repeat, out),
            Ask::Status => self.write_status(now, order, out),
        }
    }

    fn write_sale(&self, order: &Order, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let mut build = Build::new(&self.dialect, self.sale, out);
        self.put_order(&mut build, order, service(order), &order.transmission);
        build.finish().map(drop)
    }

    /// The reversal names the original by what the supplier saw of it, and carries the time of its own sending.
    fn write_reversal(
        &self,
        now: Now,
        order: &Order,
        repeat: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        let mti = Mti::new(self.reversal.number() + u16::from(repeat));
        let mut build = Build::new(&self.dialect, mti, out);
        self.put_order(&mut build, order, service(order), &Moment::of(now.wall_ms).transmission());
        build.text(Role::Original, &self.original(order));
        build.finish().map(drop)
    }

    /// The question for a status names the original as its reversal would.
    fn write_status(&self, now: Now, order: &Order, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let mut build = Build::new(&self.dialect, self.inquiry, out);
        self.put_order(&mut build, order, Some(STATUS), &Moment::of(now.wall_ms).transmission());
        build.text(Role::Original, &self.original(order));
        build.finish().map(drop)
    }

    fn put_order(
        &self,
        build: &mut Build<'_, '_>,
        order: &Order,
        processing: Option<u8>,
        transmission: &[u8; 10],
    ) {
        if !order.pan.is_empty() {
            build.text(Role::Pan, order.pan.expose());
        }
        if let Some(processing) = processing {
            build.number(Role::ProcessingCode, u64::from(processing) * 10_000);
        }
        build
            // An amount below zero is in no catalogue; the largest number is refused by its length.
            .number(Role::Amount, u64::try_from(order.amount.0).unwrap_or(u64::MAX))
            .characters(Role::TransmissionTime, transmission)
            .number(Role::Stan, u64::from(order.stan))
            .characters(Role::LocalTime, order.local_time())
            .characters(Role::LocalDate, order.local_date())
            .short_text(Role::Network, &self.acquirer(order))
            .short_text(Role::Rrn, &order.rrn)
            .short_text(Role::Terminal, &order.terminal)
            .short_text(Role::Merchant, &order.merchant)
            .open_tags(Role::Prepaid)
            .tag(Tag::Product, order.product.as_bytes());
        if !order.account.is_empty() {
            build.tag(Tag::Account, order.account.as_bytes());
        }
        build.close_tags().number(Role::Currency, u64::from(order.currency));
    }

    fn acquirer(&self, order: &Order) -> Text<11> {
        if self.acquirer.is_empty() { order.network } else { self.acquirer }
    }

    /// Original data elements: MTI, STAN, transmission time, acquirer, forwarder (none); the institutions
    /// right-justified and filled with zeros.
    fn original(&self, order: &Order) -> [u8; 42] {
        let mut original = [b'0'; 42];
        original[..4].copy_from_slice(&self.sale.digits());
        original[4..10].copy_from_slice(&digits::<6>(u64::from(order.original_stan)));
        original[10..20].copy_from_slice(&order.transmission);
        let acquirer = self.acquirer(order);
        original[31 - acquirer.len()..31].copy_from_slice(acquirer.as_bytes());
        original
    }

    /// Appends a network management request.
    ///
    /// # Errors
    /// The dialect has no such message.
    pub(super) fn write_management(
        &self,
        now: Now,
        stan: u32,
        code: Management,
        out: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        let mut build = Build::new(&self.dialect, self.management, out);
        build
            .characters(Role::TransmissionTime, &Moment::of(now.wall_ms).transmission())
            .number(Role::Stan, u64::from(stan));
        if !self.acquirer.is_empty() {
            build.text(Role::Network, self.acquirer.as_bytes());
        }
        build.number(Role::ManagementCode, code.number());
        build.finish().map(drop)
    }

    /// Appends the answer to a network management request of the supplier; `code` is what it asks for,
    /// `None` where that is not supported.
    ///
    /// # Errors
    /// The request cannot be answered.
    pub(super) fn write_management_answer(
        &self,
        asked: &View<'_>,
        code: Option<Management>,
        out: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        let mti = asked.mti().response().unwrap_or(asked.mti());
        let mut build = Build::new(&self.dialect, mti, out);
        for role in [Role::TransmissionTime, Role::Stan, Role::Network, Role::Forwarder] {
            echo(&mut build, asked, role);
        }
        self.put_code(&mut build, if code.is_some() { APPROVED } else { UNSUPPORTED });
        echo(&mut build, asked, Role::ManagementCode);
        build.finish().map(drop)
    }

    /// Appends the answer to a request of the supplier that is no network management: it is not served. False where such a
    /// message has no answer.
    ///
    /// # Errors
    /// The request cannot be answered.
    pub(super) fn write_refusal(&self, asked: &View<'_>, out: &mut Vec<u8>) -> Result<bool, BuildError> {
        let Some(mti) = asked.mti().response() else { return Ok(false) };
        let mut build = Build::new(&self.dialect, mti, out);
        for role in REFUSAL_ECHOES {
            echo(&mut build, asked, role);
        }
        self.put_code(&mut build, UNSUPPORTED);
        build.finish().map(|_| true)
    }

    /// Two digits in the edition of 1987, three and four in the later ones: the dialect knows.
    fn put_code(&self, build: &mut Build<'_, '_>, code: u64) {
        let Some(element) = self.dialect.de(Role::ResponseCode).and_then(|de| self.dialect.element(de))
        else {
            return;
        };
        let digits = digits::<4>(code);
        build.text(Role::ResponseCode, &digits[4 - element.max_len().min(4)..]);
    }
}

/// What the answer to a request that is not served brings back: what it is known by, and no card number.
const REFUSAL_ECHOES: [Role; 9] = [
    Role::ProcessingCode,
    Role::TransmissionTime,
    Role::Stan,
    Role::Network,
    Role::Forwarder,
    Role::Rrn,
    Role::Terminal,
    Role::Merchant,
    Role::Currency,
];

/// DE39 of a request that is done.
const APPROVED: u64 = 0;
/// First two digits of the processing code of a question for a sale's status.
const STATUS: u8 = 30;
/// DE39 of a request that this release does not serve.
const UNSUPPORTED: u64 = 40;

/// First two digits of the processing code of what is sold.
fn service(order: &Order) -> Option<u8> {
    order.service.map(|service| service.processing())
}

fn echo(build: &mut Build<'_, '_>, asked: &View<'_>, role: Role) {
    if let (Some(value), Some(de)) = (asked.value(role), asked.dialect().de(role)) {
        build.copy(de, &value);
    }
}
