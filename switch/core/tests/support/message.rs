//! Messages of terminals: built and read through the shipped dialects.

use super::books::EURO;
use std::sync::Arc;
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag};

/// The dialects of the tests, by their index in tickets.
pub(crate) const DIALECTS: [&str; 3] = ["prepaid87", "prepaid87-bcd", "prepaid87-ebcdic"];

/// Those dialects, compiled.
pub(crate) fn dialects() -> Vec<Arc<Dialect>> {
    let open = |name: &&str| Arc::new(Dialect::open_shipped(name).expect("shipped"));
    DIALECTS.iter().map(open).collect()
}

/// What a terminal asks for.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    pub(crate) mti: u16,
    pub(crate) processing: u32,
    pub(crate) amount: u64,
    pub(crate) transmission: String,
    pub(crate) stan: u32,
    pub(crate) local: String,
    pub(crate) network: String,
    pub(crate) terminal: String,
    pub(crate) merchant: String,
    pub(crate) product: String,
    pub(crate) account: String,
    pub(crate) pan: String,
    pub(crate) track: String,
    pub(crate) rrn: String,
    pub(crate) supplier: String,
    pub(crate) currency: u16,
    /// DE39, of a reversal.
    pub(crate) reason: String,
    /// DE90, of a reversal or an inquiry.
    pub(crate) original: String,
    /// Further elements of prepaid data, as they are.
    pub(crate) tags: Vec<([u8; 2], String)>,
}

/// A recharge of an account at its supplier, 10.00, by its STAN.
pub(crate) fn topup(stan: u32) -> Sale {
    Sale { stan, account: "0600000001".into(), ..Sale::of("TOPUP", 21) }
}

impl Sale {
    /// A sale of a product, 10.00, at the first terminal.
    pub(crate) fn of(product: &str, processing: u32) -> Self {
        Self {
            mti: 200,
            processing: processing * 10_000,
            amount: 1_000,
            transmission: "1121120000".into(),
            stan: 1,
            local: "1200001121".into(),
            network: "100001".into(),
            terminal: "T0000001".into(),
            merchant: "MERCHANT0000001".into(),
            product: product.into(),
            account: String::new(),
            pan: String::new(),
            track: String::new(),
            rrn: String::new(),
            supplier: String::new(),
            currency: EURO,
            reason: String::new(),
            original: String::new(),
            tags: Vec::new(),
        }
    }

    /// A reversal of it, by DE90, with a STAN and times of its own.
    pub(crate) fn reversal(&self, stan: u32) -> Self {
        Self {
            mti: 400,
            stan,
            transmission: format!("{:010}", 3_000_000_000u64 + u64::from(stan)),
            local: String::new(),
            reason: "68".into(),
            original: self.named(),
            rrn: String::new(),
            ..self.clone()
        }
    }

    /// An inquiry about it.
    pub(crate) fn inquiry(&self, stan: u32) -> Self {
        Self { mti: 100, processing: 300_000, reason: String::new(), ..self.reversal(stan) }
    }

    /// How DE90 names it: MTI, STAN, transmission time, acquirer and forwarder.
    pub(crate) fn named(&self) -> String {
        format!("{:04}{:06}{}{:0>11}{:011}", self.mti, self.stan, self.transmission, self.network, 0)
    }

    /// The message in a dialect.
    pub(crate) fn frame(&self, dialect: &Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        let mut build = Build::new(dialect, Mti::new(self.mti), &mut out);
        build.number(Role::ProcessingCode, self.processing.into());
        if self.mti < 400 || self.amount > 0 {
            build.number(Role::Amount, self.amount);
        }
        build.number(Role::Stan, self.stan.into());
        build.number(Role::Currency, self.currency.into());
        let texts = [
            (Role::Pan, &self.pan),
            (Role::TransmissionTime, &self.transmission),
            (Role::Network, &self.network),
            (Role::Track2, &self.track),
            (Role::Rrn, &self.rrn),
            (Role::Terminal, &self.terminal),
            (Role::Merchant, &self.merchant),
            (Role::ResponseCode, &self.reason),
            (Role::Original, &self.original),
        ];
        for (role, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            build.text(role, value.as_bytes());
        }
        if self.local.len() == 10 {
            build.text(Role::LocalTime, &self.local.as_bytes()[..6]);
            build.text(Role::LocalDate, &self.local.as_bytes()[6..]);
        }
        build.open_tags(Role::Prepaid);
        let tags =
            [(Tag::Product, &self.product), (Tag::Account, &self.account), (Tag::Supplier, &self.supplier)];
        for (tag, value) in tags.into_iter().filter(|(_, value)| !value.is_empty()) {
            build.tag(tag, value.as_bytes());
        }
        for (name, value) in &self.tags {
            build.raw_tag(*name, value.as_bytes());
        }
        build.close_tags();
        build.finish().expect("the test's own message fits its dialect");
        out
    }
}

/// What a terminal gets, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) mti: u16,
    pub(crate) code: String,
    pub(crate) transmission: String,
    /// Every element but DE7, by number.
    pub(crate) elements: Vec<(u8, Vec<u8>)>,
    pub(crate) tags: Vec<([u8; 2], Vec<u8>)>,
}

impl Answer {
    /// Reads a response.
    pub(crate) fn read(dialect: &Dialect, body: &[u8]) -> Self {
        let view = dialect.view(body).expect("a response is a message of its dialect");
        let value = |role| {
            let mut out = Vec::new();
            if let Some(value) = view.value(role) {
                value.append_to(&mut out);
            }
            String::from_utf8(out).expect("ASCII")
        };
        let transmission_de = dialect.de(Role::TransmissionTime);
        let elements = view.elements().filter(|(de, _)| Some(*de) != transmission_de).map(|(de, value)| {
            let mut out = Vec::new();
            value.append_to(&mut out);
            (de, out)
        });
        let tags = view.tags().map(|(name, value)| {
            let mut out = Vec::new();
            value.append_to(&mut out);
            (name, out)
        });
        Self {
            mti: view.mti().number(),
            code: value(Role::ResponseCode),
            transmission: value(Role::TransmissionTime),
            elements: elements.collect(),
            tags: tags.collect(),
        }
    }

    /// The value of an element of prepaid data.
    pub(crate) fn tag(&self, name: &[u8; 2]) -> Option<&[u8]> {
        self.tags.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }

    /// The value of an element.
    pub(crate) fn element(&self, de: u8) -> Option<&[u8]> {
        self.elements.iter().find(|(known, _)| *known == de).map(|(_, value)| &value[..])
    }
}
