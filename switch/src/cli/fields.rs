//! A message for people: field by field, with what the values mean.
//!
//! Owns: [`Field`] and how a view becomes a list of them. Invariants: what the dialect masks is masked here, nested tags by their
//! own mask, unless secrets are asked for; control characters are shown as escapes, so that a message cannot write on the
//! terminal. Deliberately absent: colours and columns (`table`), element numbers: everything goes by the dialect's roles and tags.

use serde::Serialize;
use switchyard_core::code::Code;
use switchyard_core::iso8583::{Mask, Mti, Role, Tag, Tags, Value, View};
use switchyard_core::money::Minor;

/// One element, or a tag or part within one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// `39`, `48.20`, `90.1`.
    pub id: String,
    /// What the dialect calls it.
    pub name: String,
    /// Its format as the dialect writes it; empty for tags and parts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// Its value, masked; empty where `parts` say it all.
    pub value: String,
    /// What the value means; empty where there is nothing to say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What lies in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Field>,
}

/// Every element of a message. With `secrets`, nothing is masked.
pub fn fields(view: &View<'_>, secrets: bool) -> Vec<Field> {
    view.elements().map(|(de, value)| element(view, de, &value, secrets)).collect()
}

fn element(view: &View<'_>, de: u8, value: &Value<'_>, secrets: bool) -> Field {
    let dialect = view.dialect();
    let described = dialect.element(de);
    let role = dialect.role(de);
    let mask = if secrets { Mask::Clear } else { described.map_or(Mask::Secret, |element| element.mask()) };
    let parts = match role {
        Some(Role::Prepaid) => tags(view, &de.to_string(), value.tags(), secrets),
        Some(role) => positional(view, role, de, mask),
        None => Vec::new(),
    };
    let is_whole = role == Some(Role::Prepaid) && !parts.is_empty();
    Field {
        id: de.to_string(),
        name: described.map_or_else(String::new, |element| element.name().to_owned()),
        format: described.map_or_else(String::new, |element| element.format().to_owned()),
        value: if is_whole { String::new() } else { shown(mask, value) },
        note: role.filter(|_| mask == Mask::Clear).map_or_else(String::new, |role| note(view, role, value)),
        parts,
    }
}

fn tags(view: &View<'_>, within: &str, tags: Tags<'_>, secrets: bool) -> Vec<Field> {
    let dialect = view.dialect();
    let mut found = Vec::new();
    for (name, value) in tags {
        let id = format!("{within}.{}", String::from_utf8_lossy(&name));
        let meaning = dialect.tag_meaning(name);
        let mask = if secrets { Mask::Clear } else { dialect.tag_mask(name) };
        let parts = match meaning {
            Some(Tag::Item) => self::tags(view, &id, value.tags(), secrets),
            _ => Vec::new(),
        };
        found.push(Field {
            name: meaning.map_or_else(|| "(unknown tag)".into(), |tag| tag.name().replace('-', " ")),
            format: String::new(),
            value: if parts.is_empty() { shown(mask, &value) } else { String::new() },
            note: meaning
                .filter(|_| mask == Mask::Clear)
                .map_or_else(String::new, |tag| tag_note(view, tag, &value)),
            id,
            parts,
        });
    }
    found
}

/// The positional parts of an element, where the dialect divides it.
fn positional(view: &View<'_>, role: Role, de: u8, mask: Mask) -> Vec<Field> {
    const ORIGINAL: [&str; 5] =
        ["original MTI", "original STAN", "original transmission time", "acquirer", "forwarder"];
    let count = view.dialect().element(de).map_or(0, |element| element.parts().len());
    let names: &[&str] = if role == Role::Original { &ORIGINAL } else { &[] };
    (0..count)
        .filter_map(|index| {
            let value = view.part(role, index)?;
            Some(Field {
                id: format!("{de}.{}", index + 1),
                name: names
                    .get(index)
                    .map_or_else(|| format!("part {}", index + 1), |name| (*name).to_owned()),
                format: String::new(),
                value: shown(mask, &value),
                note: String::new(),
                parts: Vec::new(),
            })
        })
        .collect()
}

/// The value as people may see it, with escapes for what does not print.
fn shown(mask: Mask, value: &Value<'_>) -> String {
    let mut bytes = Vec::new();
    mask.write(value, &mut bytes);
    printable(&bytes)
}

/// Bytes as printable ASCII: everything else is an escape.
pub fn printable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

fn text(value: &Value<'_>) -> String {
    let mut bytes = Vec::new();
    value.append_to(&mut bytes);
    printable(&bytes)
}

fn note(view: &View<'_>, role: Role, value: &Value<'_>) -> String {
    let digits = text(value);
    match role {
        Role::ProcessingCode => service(&digits).to_owned(),
        Role::Amount => value.number().map_or_else(String::new, |amount| money(amount, currency(view))),
        Role::Currency => value.number().map_or_else(String::new, |number| currency_name(number as u16)),
        Role::TransmissionTime => spread(&digits, "MM-DD hh:mm:ss UTC"),
        Role::LocalTime => spread(&digits, "hh:mm:ss"),
        Role::LocalDate | Role::SettlementDate => spread(&digits, "MM-DD"),
        Role::ResponseCode if view.mti().is_response() => meaning(&digits).unwrap_or_default().to_owned(),
        Role::ManagementCode => management(&digits).to_owned(),
        Role::Balances => balances(&digits),
        _ => String::new(),
    }
}

fn tag_note(view: &View<'_>, tag: Tag, value: &Value<'_>) -> String {
    let digits = text(value);
    match tag {
        Tag::ItemAmount => value.number().map_or_else(String::new, |amount| money(amount, currency(view))),
        Tag::FaceValue => match (
            digits.get(..12).and_then(|d| d.parse().ok()),
            digits.get(12..).and_then(|d| d.parse().ok()),
        ) {
            (Some(amount), Some(currency)) => money(amount, currency),
            _ => String::new(),
        },
        Tag::Expiry => spread(&digits, "YYYY-MM-DD"),
        Tag::ItemCode => meaning(&digits).unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// What a response code means; `None` for one outside the dialect's table.
pub fn meaning(code: &str) -> Option<&'static str> {
    Code(code.as_bytes().try_into().ok()?).meaning()
}

/// What a message type asks or answers (ISO 8583, 5.1, as far as the dialect uses it).
pub fn kind(mti: Mti) -> String {
    let class = match mti.class_digit() {
        1 => "inquiry",
        2 => "sale",
        4 => "reversal",
        5 => "totals",
        6 => "administration",
        8 => "network management",
        _ => "message",
    };
    let function = match mti.function_digit() {
        0 => "request",
        1 => "response",
        2 => "advice",
        3 => "advice response",
        4 => "notification",
        _ => "",
    };
    let repeat = if mti.is_request() && mti.is_repeat() { ", repeat" } else { "" };
    format!("{class} {function}{repeat}").replace(" ,", ",").trim_end().to_owned()
}

fn service(processing: &str) -> &'static str {
    match processing.get(..2) {
        Some("00") => "voucher",
        Some("20") => "void or refund",
        Some("21") => "recharge",
        Some("28") => "card activation",
        Some("30") => "inquiry",
        Some("31") => "lookup or trial",
        Some("50") => "bill payment",
        Some("90") => "several items",
        _ => "",
    }
}

fn management(code: &str) -> &'static str {
    match code {
        "001" => "sign-on",
        "002" => "sign-off",
        "101" => "key change",
        "201" => "cut-over",
        "301" => "echo",
        _ => "",
    }
}

fn currency(view: &View<'_>) -> u16 {
    view.value(Role::Currency).and_then(|value| value.number()).unwrap_or(0) as u16
}

fn currency_name(numeric: u16) -> String {
    iso_currency::Currency::from_numeric(numeric)
        .map_or_else(String::new, |currency| currency.code().to_owned())
}

fn money(minor: u64, numeric: u16) -> String {
    let Some(currency) = iso_currency::Currency::from_numeric(numeric) else { return String::new() };
    let (Ok(minor), Some(exponent)) = (i64::try_from(minor), currency.exponent()) else {
        return String::new();
    };
    format!("{} {}", Minor(minor).display(exponent as u8), currency.code())
}

/// Account type 2, amount type 2, currency 3, sign 1, amount 12, again and again (DE54, ISO 8583:1987).
fn balances(digits: &str) -> String {
    const WIDTH: usize = 20;
    let one = |balance: &str| {
        let kind = match balance.get(2..4)? {
            "01" => "ledger",
            "02" => "available",
            _ => "balance",
        };
        let currency = balance.get(4..7)?.parse().ok()?;
        let sign = if balance.get(7..8)? == "D" { "-" } else { "" };
        Some(format!("{kind} {sign}{}", money(balance.get(8..20)?.parse().ok()?, currency)))
    };
    let count = digits.len() / WIDTH;
    let shown: Vec<_> = (0..count).filter_map(|at| one(digits.get(at * WIDTH..(at + 1) * WIDTH)?)).collect();
    shown.join(", ")
}

/// Puts digits at the letters of a pattern, one by one; nothing where they do not fill it.
fn spread(digits: &str, pattern: &str) -> String {
    let places = |c: &char| matches!(c, 'Y' | 'M' | 'D' | 'h' | 'm' | 's');
    let (format, unit) = pattern.strip_suffix(" UTC").map_or((pattern, ""), |format| (format, " UTC"));
    if digits.len() != format.chars().filter(places).count() {
        return String::new();
    }
    let mut digits = digits.chars();
    let filled: String =
        format.chars().map(|c| if places(&c) { digits.next().unwrap_or(c) } else { c }).collect();
    filled + unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_core::iso8583::{Build, Dialect};

    fn answer(dialect: &Dialect) -> Vec<u8> {
        let mut out = Vec::new();
        let mut build = Build::new(dialect, Mti::new(210), &mut out);
        build
            .text(Role::Pan, b"6006491234567890")
            .text(Role::ProcessingCode, b"000000")
            .number(Role::Amount, 1_000);
        build
            .text(Role::TransmissionTime, b"1121230059")
            .number(Role::Stan, 7)
            .text(Role::ResponseCode, b"00");
        build.number(Role::Currency, 978);
        build
            .open_tags(Role::Prepaid)
            .tag(Tag::Pin, b"1234567890123456")
            .tag(Tag::Expiry, b"20281121")
            .close_tags();
        build.finish().expect("fits the dialect");
        out
    }

    fn find(fields: &[Field], name: &str) -> Field {
        let all = fields.iter().flat_map(|field| std::iter::once(field).chain(&field.parts));
        all.clone().find(|field| field.name == name).cloned().unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn values_are_masked_and_explained() {
        let dialect = Dialect::open_shipped("prepaid87").expect("shipped");
        let message = answer(&dialect);
        let fields = fields(&dialect.view(&message).expect("sound"), false);
        assert_eq!(find(&fields, "pin").value, "***");
        assert_eq!(find(&fields, "Primary account number").value, "600649******7890");
        assert_eq!(find(&fields, "expiry").note, "2028-11-21");
        assert_eq!(find(&fields, "Amount, transaction").note, "10.00 EUR");
        assert_eq!(find(&fields, "Transmission date and time").note, "11-21 23:00:59 UTC");
        let printed = format!("{fields:?}");
        assert!(!printed.contains("1234567890123456"), "a PIN is shown");
    }

    #[test]
    fn secrets_are_shown_when_asked_for() {
        let dialect = Dialect::open_shipped("prepaid87").expect("shipped");
        let message = answer(&dialect);
        let fields = fields(&dialect.view(&message).expect("sound"), true);
        assert_eq!(find(&fields, "pin").value, "1234567890123456");
    }

    #[test]
    fn message_types_have_names() {
        let table = [
            (200, "sale request"),
            (201, "sale request, repeat"),
            (210, "sale response"),
            (430, "reversal advice response"),
            (800, "network management request"),
        ];
        for (mti, name) in table {
            assert_eq!(kind(Mti::new(mti)), name);
        }
    }

    #[test]
    fn balances_are_read() {
        assert_eq!(balances("0002978C000000001234"), "available 12.34 EUR");
        assert_eq!(balances("short"), "");
    }

    #[test]
    fn nothing_in_a_value_reaches_the_terminal_raw() {
        assert_eq!(printable(b"a\x1b[2Jb\n\"'"), "a\\x1b[2Jb\\n\"'");
    }
}
