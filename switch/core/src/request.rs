//! A request: what a message asks for, as values.
//!
//! Owns: reading a message into a ticket, and the order of checks up to the terminal; what comes after the terminal is judged here too, but kept as
//! `Request::refusal`, because the duplicate check stands in between (order of checks, R-3).
//! Invariants: `ticket.frame` gets only what an answer echoes, without card data; keys and contents are those of S-1 and S-5; nothing here changes state.
//! Deliberately absent: field numbers (the dialect's), duplicates, positions, routes and stock (the gate's).

mod naming;

use crate::catalogue::{AccountRule, AccountSource, Catalogue, Product};
use crate::code::Code;
use crate::ids::Now;
use crate::iso8583::{Build, Content, Dialect, Role, Tag, Tags, Value, View};
use crate::keyhash::KeyHash;
use crate::money::Minor;
use crate::operate::Blocked;
use crate::reversal::Named;
use crate::secret::Secret;
use crate::stamp;
use crate::text::Text;
use crate::ticket::Ticket;
use naming::{Naming, Sender, digits, key, local, named, number};
use std::sync::Arc;

/// What a message wants of the gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A sale of one item.
    #[default]
    Sale,
    /// The network's business day is to be closed (08xx with 201).
    CutOver,
    /// An earlier request is to be undone (04xx).
    Reversal,
    /// How an earlier request stands (0100 with processing code 30).
    Inquiry,
}

/// A request, as values. Indexes are those of the ticket's catalogue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// What it wants.
    pub kind: Kind,
    /// The key of S-1, hashed.
    pub key: u128,
    /// The key of S-5, hashed.
    pub named: u128,
    /// What a reversal or an inquiry names.
    pub original: Named,
    /// Why a reversal was sent: its DE39, empty where it says nothing.
    pub reason: Text<2>,
    /// The contents compared under the key, hashed.
    pub contents: u64,
    /// Index of the network.
    pub network: u32,
    /// Index of the merchant.
    pub merchant: u32,
    /// Index of the terminal.
    pub terminal: u32,
    /// Index of the product; only meaningful while `refusal` is none.
    pub product: u32,
    /// Minor units of `currency`.
    pub amount: Minor,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// Account; empty where there is none. A card's number is in the ticket's `pan`.
    pub account: Text<30>,
    /// The supplier that the request names; empty where it names none.
    pub supplier: Text<12>,
    /// DE11.
    pub stan: u32,
    /// DE7 digits, to be echoed.
    pub transmission: [u8; 10],
    /// DE12 and DE13 digits: hhmmssMMDD.
    pub local: [u8; 10],
    /// DE37; empty where the request has none.
    pub rrn: Text<12>,
    /// Whether the request had DE2: then the answer has it too.
    pub pan_echoed: bool,
    /// The first check after the duplicate check that it does not pass.
    pub refusal: Option<Code>,
}

/// What a conduit checks a message against.
#[derive(Debug)]
pub struct Rules<'a> {
    /// The snapshot.
    pub catalogue: &'a Arc<Catalogue>,
    /// Networks (indexes) allowed on the conduit; empty: all.
    pub networks: &'a [u32],
    /// Networks (indexes) that the client certificate stands for; none: the conduit does not bind names.
    pub bound: Option<&'a [u32]>,
    /// Whether a network must have signed on.
    pub sign_on: bool,
    /// Networks (indexes) signed on at this connection.
    pub signed_on: &'a [u32],
    /// Hours that the duplicate window holds (S-3).
    pub window_h: u32,
    /// Key of the hashes.
    pub keys: &'a KeyHash,
    /// Terminals that operators have blocked, beside those that the catalogue says are.
    pub blocked: &'a Blocked,
}

/// Network management that a connection answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Management {
    /// 001.
    SignOn,
    /// 002.
    SignOff,
    /// 301.
    Echo,
    /// Anything else: 40.
    Unsupported,
}

/// Why a message is not answered at all (S-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It is a response; the switch asked nothing here.
    Response,
    /// Its MTI or STAN cannot be read.
    Unreadable,
}

/// What a message turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The ticket is filled: it goes to the gate.
    Gate,
    /// Answer now, with this code.
    Refuse(Code),
    /// Answer now: network management, of this network (index) where it names a known one.
    Manage(Management, Option<u32>),
    /// Do not answer; count.
    Ignore(Ignored),
}

/// Most characters of prepaid data that are echoed, tags and lengths included; of the 999 of DE48 the rest is for PIN, serial, expiry and the like.
const ECHOED_CHARACTERS_MAX: usize = 600;

/// Slack for time zones around the window (S-3), in hours.
const ZONES_H: u64 = 14;

/// Elements whose value an answer may echo, beside the prepaid data. One bit a role.
const ECHOED: u64 = roles(&[
    Role::ProcessingCode,
    Role::Amount,
    Role::TransmissionTime,
    Role::Stan,
    Role::LocalTime,
    Role::LocalDate,
    Role::Network,
    Role::Rrn,
    Role::Terminal,
    Role::Merchant,
    Role::Currency,
    Role::ManagementCode,
    Role::Original,
]);

/// Elements that may be stored as they came: none holds card data or a secret.
const STORED: u64 = ECHOED
    | roles(&[Role::MerchantType, Role::EntryMode, Role::ConditionCode, Role::Forwarder, Role::Prepaid]);

const fn roles(list: &[Role]) -> u64 {
    let (mut bits, mut at) = (0, 0);
    while at < list.len() {
        bits |= list[at].bit();
        at += 1;
    }
    bits
}

/// Reads a message into `ticket`.
pub fn read(dialect: &Dialect, body: &[u8], now: Now, rules: &Rules<'_>, ticket: &mut Ticket) -> Read {
    let view = match dialect.view(body) {
        Ok(view) => view,
        Err(broken) => return broken_message(broken.read.as_ref()),
    };
    ticket.mti = view.mti();
    if view.mti().is_response() {
        return Read::Ignore(Ignored::Response);
    }
    if view.mti().response().is_none() || !view.has(Role::Stan) {
        return Read::Ignore(Ignored::Unreadable);
    }
    match view.mti().class_digit() {
        8 => manage(&view, rules, ticket),
        2 if view.mti().is_acquirers() && view.mti().function_digit() == 0 => {
            to_gate(sale_request(&view, now, rules, ticket), rules, ticket)
        }
        4 if matches!(view.mti().function_digit(), 0 | 2) => {
            to_gate(reversal_request(&view, rules, ticket), rules, ticket)
        }
        1 if view.mti().is_acquirers() && view.mti().function_digit() == 0 => {
            to_gate(inquiry_request(&view, rules, ticket), rules, ticket)
        }
        _ => Read::Refuse(Code::UNSUPPORTED),
    }
}

fn to_gate(read: Result<(), Code>, rules: &Rules<'_>, ticket: &mut Ticket) -> Read {
    match read {
        Ok(()) => {
            ticket.catalogue = Some(Arc::clone(rules.catalogue));
            Read::Gate
        }
        Err(code) => Read::Refuse(code),
    }
}

/// What becomes of a message that is wrong somewhere (S-20).
fn broken_message(read: Option<&View<'_>>) -> Read {
    match read {
        Some(view) if view.mti().is_response() => Read::Ignore(Ignored::Response),
        Some(view) if view.mti().response().is_some() && view.has(Role::Stan) => Read::Refuse(Code::FORMAT),
        _ => Read::Ignore(Ignored::Unreadable),
    }
}

fn manage(view: &View<'_>, rules: &Rules<'_>, ticket: &mut Ticket) -> Read {
    let Some(code) = view.value(Role::ManagementCode).and_then(|value| value.number()) else {
        return Read::Refuse(Code::FORMAT);
    };
    let network = match view.value(Role::Network).and_then(|value| value.text()) {
        Some(named) => match admitted_network(named, rules, false) {
            Ok(network) => Some(network),
            Err(code) => return Read::Refuse(code),
        },
        None => None,
    };
    match code {
        1 => Read::Manage(Management::SignOn, network),
        2 => Read::Manage(Management::SignOff, network),
        301 => Read::Manage(Management::Echo, network),
        201 => cut_over(view, network.or(sole_network(rules)), rules, ticket),
        _ => Read::Manage(Management::Unsupported, network),
    }
}

/// The only network that a connection can stand for, where there is only one.
fn sole_network(rules: &Rules<'_>) -> Option<u32> {
    match (rules.bound, rules.signed_on) {
        (Some([network]), _) | (_, [network]) => Some(*network),
        _ => None,
    }
}

fn cut_over(view: &View<'_>, network: Option<u32>, rules: &Rules<'_>, ticket: &mut Ticket) -> Read {
    let code = network
        .and_then(|network| rules.catalogue.networks.get(network as usize))
        .map(|network| network.code);
    let Some(Ok(network)) = code.map(|code| admitted_network(code, rules, true)) else {
        return Read::Refuse(Code::NETWORK);
    };
    ticket.request = Request { kind: Kind::CutOver, network, ..Request::default() };
    ticket.request.transmission = digits(view, Role::TransmissionTime).unwrap_or_default();
    ticket.request.stan = view.value(Role::Stan).and_then(|value| value.number()).unwrap_or_default() as u32;
    ticket.catalogue = Some(Arc::clone(rules.catalogue));
    match scrub(view, Prepaid::of(view).has_pin, ticket) {
        true => Read::Gate,
        false => Read::Refuse(Code::FORMAT),
    }
}

/// The checks in their order: format 30, network 31, merchant 03, terminal 58; then what is judged after the duplicate check.
fn sale_request(view: &View<'_>, now: Now, rules: &Rules<'_>, ticket: &mut Ticket) -> Result<(), Code> {
    let prepaid = Prepaid::of(view);
    // An answer that cannot be built must be known before there is an intent (S-21): what it echoes must leave room for what it adds.
    let fields =
        Fields::of(view, &prepaid).filter(|_| prepaid.echoed <= ECHOED_CHARACTERS_MAX).ok_or(Code::FORMAT)?;
    let (network, merchant, terminal) = admitted_place(&fields.sender, rules)?;
    read_pan(view, ticket);
    if !scrub(view, prepaid.has_pin, ticket) {
        return Err(Code::FORMAT);
    }
    let (key, named) = fields.keys(2, rules.keys);
    ticket.request = Request {
        kind: Kind::Sale,
        key,
        named,
        original: Named::default(),
        reason: Text::EMPTY,
        contents: contents(view, &fields, prepaid.tags, ticket.pan.expose(), rules.keys),
        network,
        merchant,
        terminal,
        product: 0,
        amount: Minor(fields.amount as i64),
        currency: fields.currency,
        account: prepaid.account.and_then(|value| value.text()).unwrap_or_default(),
        supplier: prepaid.supplier.and_then(|value| value.text()).unwrap_or_default(),
        stan: fields.stan,
        transmission: fields.transmission,
        local: fields.local,
        rrn: view.value(Role::Rrn).and_then(|value| value.text()).unwrap_or_default(),
        pan_echoed: view.has(Role::Pan),
        refusal: None,
    };
    match product(&fields, now, rules, network, &ticket.request, ticket.pan.expose()) {
        Ok(product) => ticket.request.product = product,
        Err(code) => ticket.request.refusal = Some(code),
    }
    Ok(())
}

/// A reversal: of what stands in it, only its network is checked (S-7).
fn reversal_request(view: &View<'_>, rules: &Rules<'_>, ticket: &mut Ticket) -> Result<(), Code> {
    let prepaid = Prepaid::of(view);
    let fields = Naming::of(view).filter(|_| prepaid.echoed <= ECHOED_CHARACTERS_MAX).ok_or(Code::FORMAT)?;
    let network = identified_network(fields.sender.network, rules)?;
    read_pan(view, ticket);
    if !scrub(view, prepaid.has_pin, ticket) {
        return Err(Code::FORMAT);
    }
    let (key, named) = fields.own_keys(4, rules.keys);
    let amount = view.value(Role::Amount).and_then(|value| value.number()).unwrap_or_default();
    let original = fields.original(&REVERSED, rules.keys).ok_or(Code::FORMAT)?;
    let mut contents = rules.keys.begin(0x81);
    contents.add_fixed(&original.key.unwrap_or_default().to_be_bytes());
    contents.add_fixed(&original.named.unwrap_or_default().to_be_bytes());
    contents.add_fixed(&amount.to_be_bytes());
    ticket.request = Request {
        kind: Kind::Reversal,
        key,
        named,
        original,
        reason: view.value(Role::ResponseCode).and_then(|value| value.text()).unwrap_or_default(),
        contents: contents.end() as u64,
        network,
        amount: Minor(amount as i64),
        ..fields.request(view)
    };
    Ok(())
}

/// An inquiry (processing code 30) names its original as a reversal does; the place that asks is checked as for a sale.
fn inquiry_request(view: &View<'_>, rules: &Rules<'_>, ticket: &mut Ticket) -> Result<(), Code> {
    let prepaid = Prepaid::of(view);
    let fields = Naming::of(view).filter(|_| prepaid.echoed <= ECHOED_CHARACTERS_MAX).ok_or(Code::FORMAT)?;
    let processing = view.value(Role::ProcessingCode).and_then(|value| value.number()).ok_or(Code::FORMAT)?;
    let (network, merchant, terminal) = admitted_place(&fields.sender, rules)?;
    read_pan(view, ticket);
    if !scrub(view, prepaid.has_pin, ticket) {
        return Err(Code::FORMAT);
    }
    // Of the inquiries only the one about an earlier transaction is known.
    let known = processing / 10_000 == u64::from(INQUIRY) && view.has(Role::Original);
    let (key, named) = fields.own_keys(1, rules.keys);
    ticket.request = Request {
        kind: Kind::Inquiry,
        key,
        named,
        original: fields.original(&INQUIRED, rules.keys).ok_or(Code::FORMAT)?,
        network,
        merchant,
        terminal,
        refusal: (!known).then_some(Code::UNSUPPORTED),
        ..fields.request(view)
    };
    Ok(())
}

/// Classes of messages that a reversal may name: it undoes requests, and no reversals, which are final (S-4).
const REVERSED: [u8; 2] = [1, 2];

/// Classes that an inquiry may name: all that have keys (S-1).
const INQUIRED: [u8; 3] = [1, 2, 4];

/// Processing code of an inquiry, its first two digits.
const INQUIRY: u8 = 30;

/// Of a void or refund.
const VOID: u32 = 20;

/// Of several items in one message.
const ITEMS: u32 = 90;

/// Network 31, merchant 03, terminal 58: the indexes of the place that asks.
fn admitted_place(sender: &Sender, rules: &Rules<'_>) -> Result<(u32, u32, u32), Code> {
    let network = admitted_network(sender.network, rules, true)?;
    let catalogue = rules.catalogue;
    let (merchant, known) = catalogue.merchant(sender.merchant).ok_or(Code::MERCHANT)?;
    if known.network != network {
        return Err(Code::MERCHANT);
    }
    let (terminal, known) = catalogue.terminal(sender.terminal).ok_or(Code::TERMINAL)?;
    if known.merchant != merchant || known.blocked || rules.blocked.contains(&known.code) {
        return Err(Code::TERMINAL);
    }
    Ok((network, merchant, terminal))
}

/// The network of that code, if it may speak here: identified, not suspended, signed on.
fn admitted_network(code: Text<11>, rules: &Rules<'_>, signed_on: bool) -> Result<u32, Code> {
    let at = identified_network(code, rules)?;
    let suspended = rules.catalogue.networks.get(at as usize).is_none_or(|network| network.suspended);
    let present = !signed_on || !rules.sign_on || rules.signed_on.contains(&at);
    if suspended || !present {
        return Err(Code::NETWORK);
    }
    Ok(at)
}

/// The network of that code, if it is who it says: known, allowed on the conduit, the certificate's.
fn identified_network(code: Text<11>, rules: &Rules<'_>) -> Result<u32, Code> {
    let (at, _) = rules.catalogue.network(code).ok_or(Code::NETWORK)?;
    let allowed = rules.networks.is_empty() || rules.networks.contains(&at);
    let bound = rules.bound.is_none_or(|bound| bound.contains(&at));
    if !allowed || !bound {
        return Err(Code::NETWORK);
    }
    Ok(at)
}

/// What a sale's prepaid data say, found in one walk.
struct Prepaid<'a> {
    tags: Tags<'a>,
    product: Option<Value<'a>>,
    account: Option<Value<'a>>,
    supplier: Option<Value<'a>>,
    /// Whether there is a PIN, which a request has no use for and must not be stored.
    has_pin: bool,
    /// Characters that the answer echoes.
    echoed: usize,
}

impl<'a> Prepaid<'a> {
    fn of(view: &View<'a>) -> Self {
        let tags = view.tags();
        let mut prepaid =
            Self { tags, product: None, account: None, supplier: None, has_pin: false, echoed: 0 };
        for (name, value) in tags {
            match view.dialect().tag_meaning(name) {
                Some(Tag::Product) => prepaid.product = Some(value),
                Some(Tag::Account) => prepaid.account = Some(value),
                Some(Tag::Supplier) => prepaid.supplier = Some(value),
                Some(Tag::Pin) => prepaid.has_pin = true,
                None | Some(Tag::ThirdParty | Tag::ItemReference) => {
                    prepaid.echoed += TAG_HEAD_CHARACTERS + value.len()
                }
                _ => {}
            }
        }
        prepaid
    }
}

/// Characters before the value of an element of prepaid data: its tag and its length.
const TAG_HEAD_CHARACTERS: usize = 5;

/// The mandatory elements of a sale.
struct Fields {
    processing: u32,
    amount: u64,
    transmission: [u8; 10],
    stan: u32,
    stan_digits: [u8; 6],
    local: [u8; 10],
    sender: Sender,
    product: Text<20>,
    currency: u16,
}

impl Fields {
    /// `None` where one is missing or is not of its form.
    fn of(view: &View<'_>, prepaid: &Prepaid<'_>) -> Option<Self> {
        let stan_digits = digits::<6>(view, Role::Stan)?;
        let processing = view.value(Role::ProcessingCode)?.number()? as u32;
        Some(Self {
            processing,
            amount: view.value(Role::Amount)?.number()?,
            transmission: digits(view, Role::TransmissionTime)?,
            stan: number(&stan_digits)?,
            stan_digits,
            local: local(view)?,
            sender: Sender::of(view)?,
            product: match prepaid.product {
                Some(product) => product.text::<20>()?.trimmed(),
                // Of several items each names its own.
                None => (processing / 10_000 == ITEMS).then_some(Text::EMPTY)?,
            },
            currency: view.value(Role::Currency)?.number()? as u16,
        })
    }

    /// Both keys: that of S-1 (message class, DE32, 42, 41, 11, 12, 13) and that of S-5 (message class, DE32, 42, 41, STAN, DE7).
    fn keys(&self, class: u8, keys: &KeyHash) -> (u128, u128) {
        let mut shared = self.sender.begin(class, &self.stan_digits, keys);
        (key(&mut shared, &self.local), named(&mut shared, &self.transmission))
    }
}

/// The card number, from DE2 or from the track; the rest of the track is dropped.
fn read_pan(view: &View<'_>, ticket: &mut Ticket) {
    ticket.pan.clear();
    if let Some(pan) = view.value(Role::Pan) {
        pan.append_to(ticket.pan.buffer());
    } else if let Some(track) = view.value(Role::Track2) {
        track.append_to(ticket.pan.buffer());
        let track = ticket.pan.expose();
        let length = track.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(track.len());
        ticket.pan.shorten(length.min(19));
    }
}

/// Digest of the contents that a repeat must share: DE2, 3, 4, 49, 48 without the third-party identifiers (S-1).
fn contents(view: &View<'_>, fields: &Fields, tags: Tags<'_>, pan: &[u8], keys: &KeyHash) -> u64 {
    let mut digest = keys.begin(0x80);
    digest.add(pan);
    for number in [u64::from(fields.processing), fields.amount, u64::from(fields.currency)] {
        digest.add_fixed(&number.to_be_bytes());
    }
    for (name, value) in tags {
        if view.dialect().tag_meaning(name) == Some(Tag::ThirdParty) {
            continue;
        }
        digest.add_fixed(&name);
        // In its canonical form, so that a repeat through a conduit of another dialect is one.
        if value.lies_canonical() {
            digest.add(value.raw());
            continue;
        }
        match value.text::<200>() {
            Some(text) => digest.add(text.as_bytes()),
            None => {
                let mut long = Secret::new();
                value.append_to(long.buffer());
                digest.add(long.expose());
            }
        }
    }
    digest.end() as u64
}

/// Copies what an answer may echo; false where it cannot be built, which is the message's fault.
fn scrub(view: &View<'_>, has_pin: bool, ticket: &mut Ticket) -> bool {
    ticket.frame.clear();
    let dialect = view.dialect();
    if !has_pin && view.roles() & !STORED == 0 {
        // The usual message has nothing that must not be stored: it is kept as it is.
        ticket.frame.extend_from_slice(view.message());
        ticket.layout = Some(*view.layout());
        return true;
    }
    ticket.layout = None;
    let mut build = Build::new(dialect, view.mti(), &mut ticket.frame);
    for (de, value) in view.elements() {
        match dialect.role(de) {
            Some(Role::Prepaid) => scrub_tags(view, &mut build),
            Some(role) if ECHOED & role.bit() != 0 => {
                build.copy(de, &value);
            }
            _ => {}
        }
    }
    build.finish().is_ok()
}

fn scrub_tags(view: &View<'_>, build: &mut Build<'_, '_>) {
    build.open_tags(Role::Prepaid);
    for (name, value) in view.tags() {
        if view.dialect().tag_meaning(name) != Some(Tag::Pin) {
            build.copy_tag(name, &value);
        }
    }
    build.close_tags();
}

/// Product 57, service, currency and date 12, amount 13, account 14: the index of the product, or the first check that fails.
fn product(
    fields: &Fields,
    now: Now,
    rules: &Rules<'_>,
    network: u32,
    request: &Request,
    pan: &[u8],
) -> Result<u32, Code> {
    if matches!(fields.processing / 10_000, VOID | ITEMS) {
        return Err(Code::UNSUPPORTED);
    }
    let (at, product) = rules.catalogue.product(fields.product).ok_or(Code::PRODUCT)?;
    if !product.networks.is_empty() && !product.networks.contains(&network) {
        return Err(Code::PRODUCT);
    }
    if u32::from(product.service.processing()) != fields.processing / 10_000
        || product.currency != fields.currency
    {
        return Err(Code::NOT_VALID);
    }
    // A position is money of one currency: nothing of another one may be taken from it.
    if rules
        .catalogue
        .networks
        .get(network as usize)
        .is_none_or(|network| network.currency != product.currency)
    {
        return Err(Code::NOT_VALID);
    }
    if !stamp::within(&fields.local, now.wall_ms, u64::from(rules.window_h) + ZONES_H, ZONES_H) {
        return Err(Code::NOT_VALID);
    }
    if !product.amount.allows(request.amount) {
        return Err(Code::AMOUNT);
    }
    if !account_allowed(product, &request.account, pan) {
        return Err(Code::ACCOUNT);
    }
    Ok(at)
}

fn account_allowed(product: &Product, account: &Text<30>, pan: &[u8]) -> bool {
    let rule = &product.account;
    match rule.source {
        AccountSource::None => true,
        AccountSource::Account => matches(rule, account.as_bytes()),
        AccountSource::Card => matches(rule, pan),
    }
}

fn matches(rule: &AccountRule, value: &[u8]) -> bool {
    let length = (usize::from(rule.length_min)..=usize::from(rule.length_max)).contains(&value.len());
    let digits = !rule.digits || Content::Digits.holds(value);
    let prefix =
        rule.prefixes.is_empty() || rule.prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes()));
    length && digits && prefix && !value.is_empty()
}
