//! The message that `send` sends.
//!
//! Owns: what an option becomes in the message, and the defaults that make `send TOPUP` a request that is approved. Invariants:
//! an element that the dialect lacks is left out; `--set` and `--drop` come last, so that any fault can be provoked.
//! Deliberately absent: sockets.

use super::SendArgs;
use crate::cli::exit::{Failure, nearest};
use std::collections::BTreeMap;
use std::str::FromStr;
use switchyard_core::catalogue::{AccountRule, AccountSource, AmountRule, Catalogue, Product, Service};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag};
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// Highest STAN (DE11, n6).
const STAN_MAX: u32 = 999_999;
/// The amount of a product whose amount is free, where it allows that: ten units of currency.
const AMOUNT_UNITS: i64 = 10;
/// Where accounts and cards that are made up begin, before the ending that suppliers of the demonstration approve.
const ACCOUNT_DIGITS: &[u8] = b"0612345678901234567890123456";
const ACCOUNT_ENDING: &[u8] = b"01";
/// Why a reversal is sent (DE39): the customer took it back.
const REASON: &str = "17";
/// Characters of accounts that are made up, where the product allows that.
const ACCOUNT_LENGTH: u8 = 10;
const CARD_LENGTH: u8 = 16;

/// A place in a message: an element, or a tag in the prepaid data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An element by its number, 2 to 192.
    Element(u8),
    /// A tag by its element's number and its two characters.
    Tag(u8, [u8; 2]),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no place: give an element's number such as 4, or a tag such as 48.02");
        let (element, tag) = text.split_once('.').map_or((text, None), |(element, tag)| (element, Some(tag)));
        let element = element.parse().ok().filter(|de| (2..=192).contains(de)).ok_or_else(wrong)?;
        match tag {
            None => Ok(Self::Element(element)),
            Some(tag) => Ok(Self::Tag(element, tag.as_bytes().try_into().map_err(|_| wrong())?)),
        }
    }
}

/// `PLACE=VALUE`.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where.
    pub place: Place,
    /// What; hex digits for an element of bytes.
    pub value: String,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}=***", self.place)
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, value) = text.split_once('=').ok_or("give PLACE=VALUE, such as 4=000000001000")?;
        Ok(Self { place: place.parse()?, value: value.to_owned() })
    }
}

/// When a message is made: what its times and, unless given, its STAN come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// UTC, for DE7.
    pub(super) utc: jiff::civil::DateTime,
    /// Local, for DE12 and DE13.
    pub(super) local: jiff::civil::DateTime,
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) wall_ms: u64,
}

/// A message before it is built.
#[derive(Clone, Default)]
pub(super) struct Ask {
    mti: Mti,
    /// Its STAN.
    pub(super) stan: u32,
    elements: BTreeMap<u8, Vec<u8>>,
    tags: Vec<([u8; 2], Vec<u8>)>,
}

/// The message that the options mean.
///
/// # Errors
/// Options that contradict each other, an amount or time that is none.
pub(super) fn ask(
    args: &SendArgs,
    catalogue: &Catalogue,
    dialect: &Dialect,
    now: Moment,
) -> Result<Ask, Failure> {
    // A reversal's and an inquiry's --stan is that of the original.
    let about = args.reverse || args.inquire;
    let stan = args.stan.filter(|_| !about).unwrap_or((now.wall_ms % u64::from(STAN_MAX)) as u32 + 1);
    let mut ask = Ask { stan, ..Ask::default() };
    ask.put(dialect, Role::TransmissionTime, now.utc.strftime("%m%d%H%M%S").to_string());
    ask.put(dialect, Role::Stan, format!("{stan:06}"));
    ask.put(dialect, Role::Network, &args.network);
    match args.management() {
        Some(code) => {
            ask.mti = Mti::new(args.mti.unwrap_or(800));
            ask.put(dialect, Role::ManagementCode, code);
        }
        None if about => about_original(&mut ask, args, dialect)?,
        None => sale(&mut ask, args, catalogue, dialect, now)?,
    }
    if let Some(version) = dialect.version().digit().checked_mul(1_000).filter(|_| args.mti.is_none()) {
        ask.mti = Mti::new(ask.mti.number() % 1_000 + version);
    }
    for place in &args.drop {
        ask.drop(*place, dialect);
    }
    for setting in &args.set {
        ask.set(setting, dialect)?;
    }
    Ok(ask)
}

/// A reversal of an earlier request, or an inquiry about it. DE90 names it by its STAN; its transmission time is left open, and its local time says which one it is.
fn about_original(ask: &mut Ask, args: &SendArgs, dialect: &Dialect) -> Result<(), Failure> {
    let mti = match (args.reverse, args.repeat) {
        (true, false) => 400,
        (true, true) => 401,
        (false, _) => 100,
    };
    ask.mti = Mti::new(args.mti.unwrap_or(mti));
    if args.reverse {
        // Without an amount it is of the whole, as one with the original's is (S-6).
        if args.amount.is_some() {
            ask.put(dialect, Role::Amount, format!("{:012}", amount(args, None)?));
        }
        ask.put(dialect, Role::ResponseCode, REASON);
    } else {
        ask.put(dialect, Role::ProcessingCode, "300000");
    }
    ask.put(dialect, Role::Terminal, &args.terminal);
    ask.put(dialect, Role::Merchant, &args.merchant);
    if let Some(time) = args.time {
        ask.put(dialect, Role::LocalTime, time.strftime("%H%M%S").to_string());
        ask.put(dialect, Role::LocalDate, time.strftime("%m%d").to_string());
    }
    let stan = args.stan.unwrap_or_default();
    ask.put(dialect, Role::Original, format!("0200{stan:06}{:010}{:0>11}{:011}", 0, args.network, 0));
    Ok(())
}

fn sale(
    ask: &mut Ask,
    args: &SendArgs,
    catalogue: &Catalogue,
    dialect: &Dialect,
    now: Moment,
) -> Result<(), Failure> {
    let Some(code) = &args.product else {
        let products =
            catalogue.products.iter().map(|product| product.code.to_string()).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(
            "no product was named, and none of --reverse, --inquire, --echo, --sign-on and --sign-off",
        )
        .help(format!("for example: switchyard send {products}").replacen(", ", "    # or ", 1)));
    };
    let product =
        Text::new(code.as_bytes()).and_then(|code| catalogue.product(code)).map(|(_, product)| product);
    let local = args.time.unwrap_or(now.local);
    ask.mti = Mti::new(args.mti.unwrap_or(if args.repeat { 201 } else { 200 }));
    let processing = match &args.processing_code {
        Some(code) => code.clone(),
        None => {
            format!("{:02}0000", product.map_or(Service::Recharge, |product| product.service).processing())
        }
    };
    ask.put(dialect, Role::ProcessingCode, processing);
    ask.put(dialect, Role::Amount, format!("{:012}", amount(args, product)?));
    ask.put(dialect, Role::LocalTime, local.strftime("%H%M%S").to_string());
    ask.put(dialect, Role::LocalDate, local.strftime("%m%d").to_string());
    ask.put(dialect, Role::Terminal, &args.terminal);
    ask.put(dialect, Role::Merchant, &args.merchant);
    ask.put(
        dialect,
        Role::Currency,
        format!("{:03}", args.currency.or(product.map(|product| product.currency)).unwrap_or(978)),
    );
    if let Some(rrn) = &args.rrn {
        ask.put(dialect, Role::Rrn, rrn);
    }
    let rule = product.map(|product| &product.account);
    let made_up = |source| rule.filter(|rule| rule.source == source).map(made_up);
    if let Some(card) = args.card.clone().or_else(|| made_up(AccountSource::Card)) {
        ask.put(dialect, Role::Pan, card);
    }
    ask.put_tag(dialect, Tag::Product, code);
    if let Some(account) = args.account.clone().or_else(|| made_up(AccountSource::Account)) {
        ask.put_tag(dialect, Tag::Account, account);
    }
    if let Some(supplier) = &args.supplier {
        ask.put_tag(dialect, Tag::Supplier, supplier);
    }
    Ok(())
}

/// Minor units: as asked, else the product's only amount, else ten units where the product allows that.
fn amount(args: &SendArgs, product: Option<&Product>) -> Result<i64, Failure> {
    let exponent = product.map_or(2, |product| u32::from(product.exponent));
    if let Some(text) = &args.amount {
        return minor(text, exponent).ok_or_else(|| {
            Failure::usage(format!("`{text}` is no amount")).help(format!(
                "an amount has at most {exponent} decimal places and 12 digits in all, such as 10.00"
            ))
        });
    }
    let units = AMOUNT_UNITS * 10i64.pow(exponent.min(6));
    let AmountRule { min: Minor(min), max: Minor(max) } =
        product.map_or(AmountRule { min: Minor(units), max: Minor(units) }, |product| product.amount);
    Ok(units.clamp(min, max.max(min)))
}

fn minor(text: &str, exponent: u32) -> Option<i64> {
    const AMOUNT_MAX: i64 = 999_999_999_999;
    let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if units.is_empty() || !is_number(units) || !is_number(decimals) || decimals.len() > exponent as usize {
        return None;
    }
    let decimals: i64 = format!("{decimals:0<width$}0", width = exponent as usize).parse::<i64>().ok()? / 10;
    let minor =
        units.parse::<i64>().ok()?.checked_mul(10i64.checked_pow(exponent)?)?.checked_add(decimals)?;
    (minor <= AMOUNT_MAX).then_some(minor)
}

/// An account or card that the product takes and that suppliers of the demonstration approve.
fn made_up(rule: &AccountRule) -> String {
    let wanted = if rule.source == AccountSource::Card { CARD_LENGTH } else { ACCOUNT_LENGTH };
    let length = usize::from(wanted.clamp(rule.length_min, rule.length_max.max(rule.length_min)));
    let prefix = rule.prefixes.first().map_or(&b""[..], |prefix| prefix.as_bytes());
    let mut made: Vec<u8> = prefix
        .iter()
        .chain(ACCOUNT_DIGITS)
        .copied()
        .take(length.saturating_sub(ACCOUNT_ENDING.len()))
        .collect();
    made.extend_from_slice(ACCOUNT_ENDING);
    String::from_utf8_lossy(&made).into_owned()
}

impl Ask {
    fn put(&mut self, dialect: &Dialect, role: Role, value: impl AsRef<str>) {
        if let Some(de) = dialect.de(role) {
            self.elements.insert(de, value.as_ref().as_bytes().to_vec());
        }
    }

    fn put_tag(&mut self, dialect: &Dialect, tag: Tag, value: impl AsRef<str>) {
        if let Some(name) = dialect.tag(tag) {
            self.tags.push((name, value.as_ref().as_bytes().to_vec()));
        }
    }

    fn drop(&mut self, place: Place, dialect: &Dialect) {
        match place {
            // The prepaid data is not among the elements while it is made of tags.
            Place::Element(de) if dialect.de(Role::Prepaid) == Some(de) => self.tags.clear(),
            Place::Element(de) => drop(self.elements.remove(&de)),
            Place::Tag(_, name) => self.tags.retain(|(known, _)| *known != name),
        }
    }

    fn set(&mut self, setting: &Setting, dialect: &Dialect) -> Result<(), Failure> {
        match setting.place {
            Place::Element(de) => {
                let is_bytes = dialect.element(de).is_some_and(|element| element.format().starts_with('b'));
                let value = if is_bytes {
                    let wrong = |_| Failure::usage(format!("DE{de} is of bytes: give them as hex digits"));
                    hex::decode(&setting.value).map_err(wrong)?
                } else {
                    setting.value.as_bytes().to_vec()
                };
                if dialect.de(Role::Prepaid) == Some(de) {
                    self.tags.clear();
                }
                self.elements.insert(de, value);
            }
            Place::Tag(de, name) if dialect.de(Role::Prepaid) == Some(de) => {
                let value = setting.value.as_bytes().to_vec();
                match self.tags.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = value,
                    None => self.tags.push((name, value)),
                }
            }
            Place::Tag(de, _) => {
                return Err(Failure::usage(format!("DE{de} of {} holds no tags", dialect.name())));
            }
        }
        Ok(())
    }

    /// Builds the message.
    ///
    /// # Errors
    /// Something that does not fit the dialect.
    pub(super) fn build(&self, dialect: &Dialect) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::new();
        let prepaid = dialect.de(Role::Prepaid).filter(|_| !self.tags.is_empty());
        let mut build = Build::new(dialect, self.mti, &mut out);
        for (de, value) in &self.elements {
            build.element(*de, value);
        }
        if prepaid.is_some() {
            build.open_tags(Role::Prepaid);
            for (name, value) in &self.tags {
                build.raw_tag(*name, value);
            }
            build.close_tags();
        }
        build.finish().map_err(|error| {
            Failure::usage(error)
                .help("to send something that the dialect cannot express, give its bytes: --raw HEX")
        })?;
        Ok(out)
    }
}

/// What to say about a product that the catalogue does not know.
pub(super) fn unknown_product(code: &str, catalogue: &Catalogue) -> Option<String> {
    if Text::new(code.as_bytes()).is_some_and(|code| catalogue.product(code).is_some()) {
        return None;
    }
    let codes: Vec<String> = catalogue.products.iter().map(|product| product.code.to_string()).collect();
    Some(match nearest(code, codes.iter().map(String::as_str)) {
        Some(near) => format!("`{code}` is not in the catalogue; did you mean `{near}`?"),
        None => format!("`{code}` is not in the catalogue, which has {}", codes.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::send::tests::{args, catalogue};
    use jiff::civil::date;

    const NOW: Moment = Moment {
        utc: date(2026, 11, 21).at(23, 0, 59, 0),
        local: date(2026, 11, 22).at(0, 0, 59, 0),
        wall_ms: 41,
    };

    /// Elements and tags of the message that the options mean.
    fn asked(line: &[&str]) -> Result<Vec<String>, String> {
        let dialect = Dialect::open_shipped("prepaid87").expect("shipped");
        let ask = ask(&args(line), &catalogue(), &dialect, NOW).map_err(|failure| failure.what)?;
        let message = ask.build(&dialect).map_err(|failure| failure.what)?;
        let view = dialect.view(&message).map_err(|broken| broken.to_string())?;
        let fields = crate::cli::fields::fields(&view, true);
        let all = fields.iter().flat_map(|field| std::iter::once(field).chain(&field.parts));
        Ok(std::iter::once(view.mti().to_string())
            .chain(all.map(|field| format!("{}={}", field.id, field.value)))
            .collect())
    }

    #[test]
    fn a_product_alone_makes_a_whole_request() {
        let table: [(&str, &[&str]); 5] = [
            ("TOPUP", &["3=210000", "4=000000001000", "48.01=TOPUP", "48.02=0612345601"]),
            ("VOUCHER20", &["3=000000", "4=000000002000", "48.01=VOUCHER20"]),
            ("GIFT25", &["2=6006490612345601", "3=280000", "4=000000002500"]),
            ("ENERGY", &["3=500000", "48.02=06123456701"]),
            ("WALLET", &["3=210000", "48.02=0612345601"]),
        ];
        for (product, wanted) in table {
            let asked = asked(&[product]).expect("a request");
            let common = [
                "0200",
                "7=1121230059",
                "11=000042",
                "12=000059",
                "13=1122",
                "32=100001",
                "41=T0000001",
                "42=SHOP00000000001",
                "49=978",
            ];
            for wanted in wanted.iter().chain(&common) {
                assert!(asked.iter().any(|asked| asked == wanted), "{product}: {wanted} is not in {asked:?}");
            }
        }
    }

    #[test]
    fn options_come_before_defaults_and_settings_before_both() {
        let line = [
            "TOPUP",
            "--amount",
            "12.5",
            "--account",
            "0711111180",
            "--stan",
            "7",
            "--supplier",
            "telco-b",
            "--repeat",
        ];
        let sent = asked(&line).expect("a request");
        for wanted in ["0201", "4=000000001250", "11=000007", "48.02=0711111180", "48.03=telco-b"] {
            assert!(sent.iter().any(|sent| sent == wanted), "{wanted} is not in {sent:?}");
        }
        let sent = asked(&["TOPUP", "--set", "48.02=1", "--set", "4=1", "--drop", "49", "--drop", "48.01"])
            .expect("a request");
        assert!(
            sent.contains(&"48.02=1".to_owned()) && sent.contains(&"4=000000000001".to_owned()),
            "{sent:?}"
        );
        assert!(!sent.iter().any(|sent| sent.starts_with("49=") || sent.starts_with("48.01=")), "{sent:?}");
        let sent = asked(&["TOPUP", "--drop", "48"]).expect("a request");
        assert!(!sent.iter().any(|sent| sent.starts_with("48")), "{sent:?}");
    }

    #[test]
    fn network_management_needs_no_product() {
        let sent = asked(&["--sign-on"]).expect("a request");
        assert_eq!(sent, ["0800", "7=1121230059", "11=000042", "32=100001", "70=001"]);
        assert!(asked(&[]).expect_err("nothing to send").contains("no product"));
    }

    #[test]
    fn a_reversal_and_an_inquiry_name_their_original_by_stan_and_local_time() {
        let named = ["--stan", "7", "--time", "2026-11-21T23:00:59"];
        let reversal = asked(&[&["--reverse"][..], &named].concat()).expect("a reversal");
        let inquiry = asked(&[&["--inquire"][..], &named].concat()).expect("an inquiry");
        let original = "90=020000000700000000000000010000100000000000";
        for wanted in ["0400", "11=000042", "12=230059", "13=1121", "39=17", original] {
            assert!(reversal.iter().any(|sent| sent == wanted), "{wanted} is not in {reversal:?}");
        }
        assert!(!reversal.iter().any(|sent| sent.starts_with("4=")), "it is of the whole: {reversal:?}");
        let part = asked(&[&["--reverse", "--amount", "5.00"][..], &named].concat()).expect("a reversal");
        assert!(part.iter().any(|sent| sent == "4=000000000500"), "what is asked is not left out: {part:?}");
        for wanted in ["0100", "3=300000", original] {
            assert!(inquiry.iter().any(|sent| sent == wanted), "{wanted} is not in {inquiry:?}");
        }
    }

    #[test]
    fn amounts_are_exact() {
        let table = [
            ("10.00", Some(1_000)),
            ("10", Some(1_000)),
            ("0.5", Some(50)),
            ("1.005", None),
            ("-1", None),
            ("", None),
            ("9999999999.99", Some(999_999_999_999)),
            ("10000000000", None),
        ];
        for (text, wanted) in table {
            assert_eq!(minor(text, 2), wanted, "{text}");
        }
        assert_eq!(minor("7", 0), Some(7));
    }

    #[test]
    fn what_does_not_fit_the_dialect_is_said_without_its_value() {
        let error = asked(&["TOPUP", "--set", "4=12345678901234"]).expect_err("too long");
        assert!(error.contains("DE4") && !error.contains("12345678901234"), "{error}");
        assert!("x=1".parse::<Setting>().is_err());
        assert_eq!("48.02".parse(), Ok(Place::Tag(48, *b"02")));
    }

    #[test]
    fn an_unknown_product_gets_a_suggestion() {
        assert_eq!(unknown_product("TOPUP", &catalogue()), None);
        let said = unknown_product("TOPPUP", &catalogue()).expect("unknown");
        assert!(said.ends_with("did you mean `TOPUP`?"), "{said}");
    }
}
