//! Products, their candidates, prefix tables.

use super::super::faults::Faults;
use super::super::forms;
use super::super::table::Table;
use super::network::{exponent, money};
use super::{Names, choice};
use switchyard_core::catalogue::{
    AccountRule, AccountSource, AmountRule, CANDIDATES_MAX, Candidate, Conditions, Policy, PrefixTable,
    Product, Service,
};
use switchyard_core::ids::ProductId;
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// Longest account (DE48 tag 02, ans..30).
const ACCOUNT_LENGTH_MAX: u8 = 30;

/// What a product may refer to.
pub(in super::super) struct Known<'n, 't> {
    /// Networks by code.
    pub(in super::super) networks: &'n Names<'t>,
    /// Suppliers by code.
    pub(in super::super) suppliers: &'n Names<'t>,
    /// Prefix tables by name.
    pub(in super::super) prefix_tables: &'n Names<'t>,
}

/// `[[product]]`, in the order of the files.
pub(in super::super) fn products(
    tables: &[Table],
    known: &Known<'_, '_>,
    faults: &mut Faults<'_>,
) -> Vec<Product> {
    tables.iter().map(|table| product(table, known, faults)).collect()
}

fn product(table: &Table, known: &Known<'_, '_>, faults: &mut Faults<'_>) -> Product {
    let exponent = exponent(table, faults);
    let service = choice(table, "service", &Service::ALL, Service::name);
    let policy = choice(table, "policy", &Policy::ALL, Policy::name).unwrap_or(Policy::Priority);
    let code: Text<20> = forms::code(table.text("code")).unwrap_or(Text::EMPTY);
    let prefix_table = table.word("prefix_table");
    Product {
        id: ProductId::default(),
        code,
        name: table.text("name").to_string(),
        service: service.unwrap_or(Service::Voucher),
        currency: table.number("currency"),
        exponent: exponent.unwrap_or(0),
        amount: amount_rule(table, exponent, faults),
        account: account_rule(table, service, faults),
        networks: known.networks.find_all(table, "networks", faults),
        policy,
        prefix_table: prefix_table.and_then(|word| known.prefix_tables.find(word, faults)),
        candidates: candidates(table, code, policy, exponent, known, faults),
    }
}

/// One amount, or the smallest and the largest.
fn amount_rule(table: &Table, exponent: Option<u8>, faults: &mut Faults<'_>) -> AmountRule {
    let fixed = table.is_set("amount");
    let ends = [table.is_set("amount_min"), table.is_set("amount_max")];
    if fixed && ends != [false, false] {
        let at = if table.is_set("amount_min") { "amount_min" } else { "amount_max" };
        faults.error(table.at(at), "the product has a fixed `amount` and a range", "keep one of the two");
    }
    if !fixed && ends != [true, true] {
        let suggestion = "add: amount = \"10.00\", or amount_min = \"1.00\" and amount_max = \"200.00\"";
        faults.error(table.at, "the product has no `amount` and no whole range of amounts", suggestion);
    }
    let read =
        |key: &str, faults: &mut Faults<'_>| money(table, key, exponent, faults).unwrap_or(Minor::ZERO);
    if fixed {
        let amount = read("amount", faults);
        return AmountRule { min: amount, max: amount };
    }
    let rule = AmountRule { min: read("amount_min", faults), max: read("amount_max", faults) };
    if rule.min > rule.max && table.is_set("amount_max") {
        faults.error(table.at("amount_max"), "`amount_max` is smaller than `amount_min`", "");
    }
    rule
}

fn account_rule(table: &Table, service: Option<Service>, faults: &mut Faults<'_>) -> AccountRule {
    let Some(account) = table.table("account") else {
        if service.is_some_and(|service| service != Service::Voucher) {
            let wrong = format!("a product of service {} needs an account", table.text("service"));
            faults.error(table.at("service"), wrong, "add a table [product.account]");
        }
        return no_account();
    };
    let rule = AccountRule {
        source: if account.text("source") == "card" { AccountSource::Card } else { AccountSource::Account },
        length_min: account.number("length_min"),
        length_max: account.number("length_max"),
        digits: account.bool("digits"),
        prefixes: account.words("prefixes").filter_map(|word| forms::code(word.text)).collect(),
    };
    if rule.length_min > rule.length_max {
        faults.error(account.at("length_max"), "`length_max` is smaller than `length_min`", "");
    }
    rule
}

/// The rule of a product that needs no account: one that comes anyway is carried.
fn no_account() -> AccountRule {
    AccountRule {
        source: AccountSource::None,
        length_min: 0,
        length_max: ACCOUNT_LENGTH_MAX,
        digits: false,
        prefixes: Vec::new(),
    }
}

fn candidates(
    product: &Table,
    code: Text<20>,
    policy: Policy,
    exponent: Option<u8>,
    known: &Known<'_, '_>,
    faults: &mut Faults<'_>,
) -> Vec<Candidate> {
    let tables = product.tables("candidate");
    if tables.is_empty() {
        faults.error(
            product.at,
            "the product has no `candidate`: nobody can provide it",
            "add a table [[product.candidate]]",
        );
    }
    if let Some(beyond) = tables.get(CANDIDATES_MAX) {
        faults.error(beyond.at, format!("a product has at most {CANDIDATES_MAX} candidates"), "");
    }
    let read: Vec<Candidate> =
        tables.iter().filter_map(|table| candidate(table, code, exponent, known, faults)).collect();
    let is_weightless = !read.is_empty() && read.iter().all(|candidate| candidate.weight == 0);
    if policy == Policy::Weight && is_weightless {
        faults.error(
            product.at("policy"),
            "policy weight, and no candidate has a weight",
            "give one a weight above 0",
        );
    }
    read
}

fn candidate(
    table: &Table,
    product: Text<20>,
    exponent: Option<u8>,
    known: &Known<'_, '_>,
    faults: &mut Faults<'_>,
) -> Option<Candidate> {
    let conditions = Conditions {
        amount: amount_band(table, exponent, faults),
        windows: table.words("windows").filter_map(|word| forms::window(word.text)).collect(),
        networks: known.networks.find_all(table, "networks", faults),
        terminals: table.words("terminals").filter_map(|word| forms::code(word.text)).collect(),
    };
    Some(Candidate {
        supplier: known.suppliers.find(table.word("supplier")?, faults)?,
        product: forms::code(table.text("product")).unwrap_or(product),
        priority: table.number("priority"),
        weight: table.number("weight"),
        cost_bp: table.number("cost_bp"),
        conditions,
    })
}

fn amount_band(table: &Table, exponent: Option<u8>, faults: &mut Faults<'_>) -> Option<AmountRule> {
    let min = money(table, "amount_min", exponent, faults);
    let max = money(table, "amount_max", exponent, faults);
    if min.is_none() && max.is_none() {
        return None;
    }
    let band = AmountRule { min: min.unwrap_or(Minor::ZERO), max: max.unwrap_or(Minor(i64::MAX)) };
    if band.min > band.max {
        faults.error(table.at("amount_max"), "`amount_max` is smaller than `amount_min`", "");
    }
    Some(band)
}

/// `[[prefix_table]]`, in the order of the files.
pub(in super::super) fn prefix_tables(
    tables: &[Table],
    suppliers: &Names<'_>,
    faults: &mut Faults<'_>,
) -> Vec<PrefixTable> {
    tables.iter().map(|table| prefix_table(table, suppliers, faults)).collect()
}

fn prefix_table(table: &Table, suppliers: &Names<'_>, faults: &mut Faults<'_>) -> PrefixTable {
    let mut read = PrefixTable::new(table.text("name").to_string());
    for (prefix, supplier) in table.pairs("prefixes") {
        let entry = (forms::code(prefix.text), suppliers.find(supplier, faults));
        if let (Some(prefix), Some(supplier)) = entry {
            // TOML holds a key once, so the prefix is new.
            read.add(prefix, supplier);
        }
    }
    read
}
