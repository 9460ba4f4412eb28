//! Retail networks.

use super::super::faults::Faults;
use super::super::forms;
use super::super::table::{Table, Word};
use rustc_hash::FxHashMap;
use switchyard_core::catalogue::{CutOver, Funding, Network};
use switchyard_core::ids::NetworkId;
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// `[[network]]`, in the order of the files.
pub(in super::super) fn networks(tables: &[Table], faults: &mut Faults<'_>) -> Vec<Network> {
    let networks = tables.iter().map(|table| network(table, faults)).collect();
    certificate_names_are_unique(tables, faults);
    networks
}

fn network(table: &Table, faults: &mut Faults<'_>) -> Network {
    Network {
        id: NetworkId::default(),
        code: forms::code(table.text("code")).unwrap_or(Text::EMPTY),
        name: table.text("name").to_string(),
        suspended: table.bool("suspended"),
        funding: funding(table, faults),
        currency: table.number("currency"),
        cut_over: CutOver {
            minute: forms::time(table.text("cut_over")).unwrap_or(0),
            zone: forms::zone(table.text("zone")).unwrap_or(jiff::tz::TimeZone::UTC),
        },
        certificate_names: table.words("certificate_names").map(|word| word.text.to_string()).collect(),
    }
}

/// Each way of funding needs its own amount, and the other one would be read in vain.
fn funding(table: &Table, faults: &mut Faults<'_>) -> Funding {
    let is_credit = table.text("funding") == "credit";
    let (needed, other) = if is_credit { ("credit_line", "opening") } else { ("opening", "credit_line") };
    if table.word("funding").is_some() {
        if !table.is_set(needed) {
            let wrong = format!("`{needed}` is missing: the network is {}", table.text("funding"));
            faults.error(table.at("funding"), wrong, format!("add: {needed} = \"10_000.00\""));
        }
        if table.is_set(other) {
            let wrong = format!("`{other}` has no meaning: the network is {}", table.text("funding"));
            faults.error(table.at(other), wrong, format!("remove it, or say `{needed}`"));
        }
    }
    let amount = money(table, needed, exponent(table, faults), faults).unwrap_or(Minor::ZERO);
    if is_credit { Funding::Credit { line: amount } } else { Funding::Prefunded { opening: amount } }
}

/// Decimal places of the currency of `table`; an error where there is no such currency.
pub(super) fn exponent(table: &Table, faults: &mut Faults<'_>) -> Option<u8> {
    let exponent = forms::exponent(table.number("currency"));
    if exponent.is_none() && table.is_set("currency") {
        faults.error(
            table.at("currency"),
            "there is no currency with this number",
            "a numeric code of ISO 4217, such as 978 (EUR) or 840 (USD)",
        );
    }
    exponent
}

/// The amount of `key` in minor units; an error where it has more decimal places than the currency.
pub(super) fn money(
    table: &Table,
    key: &str,
    exponent: Option<u8>,
    faults: &mut Faults<'_>,
) -> Option<Minor> {
    let word = table.word(key)?;
    let amount = forms::amount(word.text, exponent?);
    if amount.is_none() {
        let wrong = format!("`{key}` has more decimal places than its currency");
        faults.error(word.at, wrong, format!("at most {} decimal places", exponent.unwrap_or_default()));
    }
    amount
}

/// A name that two networks may carry would bind a certificate to neither.
fn certificate_names_are_unique(tables: &[Table], faults: &mut Faults<'_>) {
    let mut owners: FxHashMap<&str, Word<'_>> = FxHashMap::default();
    for word in tables.iter().flat_map(|table| table.words("certificate_names")) {
        if let Some(first) = owners.insert(word.text, word) {
            let first = faults.line(first.at);
            let wrong = format!("certificate name `{}` is there twice", word.text);
            faults.error(word.at, wrong, format!("the first is at {first}"));
        }
    }
}
