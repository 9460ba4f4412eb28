//! The shipped configuration drifts from the code, or stops being the demonstration.
//!
//! The files in `config/` document every key with meaning, range, unit and default, and hold no key
//! that the code does not know. They are what `dialect.md` promises to clients.

use std::collections::BTreeSet;
use switchyard::config::{SHIPPED, Section, key_comment, load_shipped, section_comment, sections};
use switchyard::settings::{ClientCertificate, Durability, Settings};
use switchyard_adapters::ADAPTERS;
use switchyard_core::catalogue::{AccountSource, Funding, Meaning, Product, ReversalMeaning, Service};
use switchyard_core::code::Code;
use switchyard_core::money::Minor;
use switchyard_core::schema::AdapterKeys;
use switchyard_core::text::Text;

fn adapters() -> Vec<AdapterKeys> {
    ADAPTERS.iter().map(|adapter| adapter.adapter_keys()).collect()
}

fn shipped() -> Settings {
    load_shipped(&adapters()).unwrap_or_else(|report| panic!("{report}"))
}

fn tomls() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHIPPED.iter().copied().filter(|(name, _)| name.ends_with(".toml"))
}

fn text<const N: usize>(code: &str) -> Text<N> {
    Text::new(code.as_bytes()).unwrap_or_else(|| panic!("{code} is too long"))
}

/// A line of a shipped file, and what stands around it.
struct Line {
    file: &'static str,
    /// The comment right above it.
    comment: String,
    /// The header of the table it stands in, as `[a.b]`; empty at the top of the main file.
    table: String,
    /// The adapter of the supplier that the file is about.
    adapter: &'static str,
    /// The line, without the `#` of a key or header that is commented out.
    line: String,
}

impl Line {
    fn key(&self) -> Option<&str> {
        let (key, _) = self.line.split_once(" = ")?;
        is_name(key).then_some(key)
    }

    fn is_header(&self) -> bool {
        self.line.starts_with('[')
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `[[conduit]]` and `[conduit]` are the same table.
fn single(header: &str) -> String {
    header.replace("[[", "[").replace("]]", "]")
}

fn lines() -> Vec<Line> {
    tomls().flat_map(|(file, text)| lines_of(file, text)).collect()
}

fn lines_of(file: &'static str, text: &'static str) -> Vec<Line> {
    let adapter =
        text.lines().find_map(|line| line.strip_prefix("adapter = ")).unwrap_or("").trim_matches('"');
    let (mut lines, mut comment, mut table) = (Vec::new(), String::new(), String::new());
    for line in text.lines() {
        if line.is_empty() || line == "#" || line.starts_with("# ") {
            comment = if line.is_empty() { String::new() } else { format!("{comment}{line}\n") };
            continue;
        }
        let line = line.strip_prefix('#').unwrap_or(line).to_string();
        if line.starts_with('[') {
            table = single(&line);
        }
        lines.push(Line { file, comment: std::mem::take(&mut comment), table: table.clone(), adapter, line });
    }
    lines
}

fn is_of(line: &Line, section: &Section) -> bool {
    line.table == single(&section.header) && (section.adapter.is_empty() || section.adapter == line.adapter)
}

#[test]
fn every_key_is_documented_as_the_code_says() {
    let lines = lines();
    let mut missing = String::new();
    for section in sections(&adapters()) {
        let here: Vec<&Line> = lines.iter().filter(|line| is_of(line, &section)).collect();
        let comment = section_comment(&section);
        let is_shown = here.iter().any(|line| line.is_header() && line.comment == comment);
        if !section.header.is_empty() && !is_shown {
            missing.push_str(&format!("{comment}#{}\n\n", section.header));
        }
        for key in &section.keys {
            let comment = key_comment(key);
            if !here.iter().any(|line| line.key() == Some(key.name) && line.comment == comment) {
                let table = format!("in {} {}", section.header, section.adapter);
                missing.push_str(&format!("{table}:\n{comment}#{} = ...\n\n", key.name));
            }
        }
    }
    assert!(missing.is_empty(), "config/ lacks, word for word:\n\n{missing}");
}

#[test]
fn no_key_is_there_that_the_code_does_not_know() {
    let sections = sections(&adapters());
    let mut unknown = String::new();
    for line in lines() {
        let known: Vec<&Section> = sections.iter().filter(|section| is_of(&line, section)).collect();
        let keys: BTreeSet<&str> =
            known.iter().flat_map(|section| &section.keys).map(|key| key.name).collect();
        let is_free = known.iter().any(|section| section.keys.is_empty());
        let is_known = line.key().is_none_or(|key| is_free || keys.contains(key));
        if known.is_empty() || !is_known {
            unknown.push_str(&format!("{}: {} {}\n", line.file, line.table, line.line));
        }
    }
    assert!(unknown.is_empty(), "the code does not know:\n{unknown}");
}

#[test]
fn a_key_that_is_commented_out_shows_its_default_or_its_example() {
    let sections = sections(&adapters());
    for (file, text) in tomls() {
        for line in lines_of(file, text) {
            let commented = text.contains(&format!("\n#{}\n", line.line));
            let section = sections.iter().find(|section| is_of(&line, section));
            let key =
                section.and_then(|section| section.keys.iter().find(|key| line.key() == Some(key.name)));
            let Some(key) = key.filter(|_| commented && !line.comment.is_empty()) else { continue };
            let example = if key.example.is_empty() { key.default.unwrap_or("") } else { key.example };
            assert_eq!(line.line, format!("{} = {example}", key.name), "{file}");
        }
    }
}

#[test]
fn the_shipped_configuration_loads_without_a_warning() {
    let warnings: Vec<String> = shipped().warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.is_empty(), "{}", warnings.concat());
}

#[test]
fn conduits_are_those_of_the_demonstration() {
    let settings = shipped();
    let found: Vec<_> = settings
        .conduits
        .iter()
        .map(|conduit| {
            let dialect = settings.dialect_of(conduit).map_or("", |dialect| dialect.name());
            (conduit.name.as_str(), conduit.way.to_string(), dialect, conduit.tls.is_some())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("plain", "127.0.0.1:8583".to_string(), "prepaid87", false),
            ("tls", "127.0.0.1:8584".to_string(), "prepaid87", true),
            ("binbitmap", "127.0.0.1:8585".to_string(), "prepaid87-binbitmap", false),
        ]
    );
    assert!(settings.conduits.iter().all(|conduit| {
        conduit.durability == Durability::Strict && !conduit.sign_on && conduit.deadline_ms == 5_000
    }));
    let tls = settings.conduits.iter().find_map(|conduit| conduit.tls.as_ref());
    assert!(tls.is_some_and(|tls| tls.client == ClientCertificate::Required && tls.bind_names));
    assert_eq!(settings.admin.listen.map(|listen| listen.port()), Some(8080));
}

#[test]
fn networks_merchants_and_terminals_are_those_of_the_demonstration() {
    let catalogue = shipped().catalogue;
    let network = |code: &str| {
        let (_, network) = catalogue.network(text(code)).unwrap_or_else(|| panic!("network {code}"));
        (network.name.clone(), network.funding, network.suspended, network.currency)
    };
    let opening = Funding::Prefunded { opening: Minor(1_000_000_000) };
    assert_eq!(network("100001"), ("Corner Shops".into(), opening, false, 978));
    let credit = Funding::Credit { line: Minor(50_000_000) };
    assert_eq!(network("100002"), ("Metro Retail".into(), credit, false, 978));
    assert!(network("100003").2);
    assert_eq!((catalogue.merchants.len(), catalogue.terminals.len()), (100, 1_000));
    for number in 1..=1_000_u32 {
        let code = format!("T{number:07}");
        let (_, terminal) = catalogue.terminal(text(&code)).unwrap_or_else(|| panic!("terminal {code}"));
        let merchant = &catalogue.merchants[terminal.merchant as usize];
        let shop = number.div_ceil(10);
        assert_eq!(merchant.code.as_str(), format!("SHOP{shop:011}"));
        let network = catalogue.networks[merchant.network as usize].code;
        assert_eq!(network.as_str(), if (shop - 1) / 10 % 2 == 0 { "100001" } else { "100002" });
        assert_eq!(terminal.blocked, number == 999);
    }
}

#[test]
fn products_and_routes_are_those_of_the_demonstration() {
    let catalogue = shipped().catalogue;
    let found = |code: &str| {
        let (_, product) = catalogue.product(text(code)).unwrap_or_else(|| panic!("product {code}"));
        let suppliers =
            product.candidates.iter().map(|candidate| &catalogue.suppliers[candidate.supplier as usize]);
        let suppliers: Vec<&str> = suppliers.map(|supplier| supplier.code.as_str()).collect();
        let amounts = (product.amount.min.0, product.amount.max.0);
        (product.service, amounts, product.account.source, suppliers.join(" "))
    };
    use AccountSource::{Account, Card, None};
    assert_eq!(found("VOUCHER10"), (Service::Voucher, (1_000, 1_000), None, "pinhouse".into()));
    assert_eq!(found("VOUCHER20"), (Service::Voucher, (2_000, 2_000), None, "pinhouse".into()));
    assert_eq!(found("VOUCHERJIT"), (Service::Voucher, (1_500, 1_500), None, "telco-a".into()));
    assert_eq!(found("TOPUP"), (Service::Recharge, (100, 20_000), Account, "telco-a telco-b".into()));
    assert_eq!(found("DATA5"), (Service::Recharge, (500, 500), Account, "telco-a telco-b".into()));
    assert_eq!(found("GIFT25"), (Service::Activation, (2_500, 2_500), Card, "cardco".into()));
    assert_eq!(found("ENERGY"), (Service::BillPayment, (500, 50_000), Account, "utility".into()));
    assert_eq!(found("WALLET"), (Service::StoredValue, (100, 100_000), Account, "wallet".into()));
    let topup = &catalogue.product(text("TOPUP")).map(|(_, product)| product.prefix_table);
    let table = &catalogue.prefix_tables[topup.flatten().unwrap_or(u32::MAX) as usize];
    let only = |account: &str| {
        let (_, supplier) = table.longest(account.as_bytes())?;
        Some(catalogue.suppliers[supplier as usize].code.as_str())
    };
    assert_eq!(
        (only("0612345678"), only("0712345678"), only("0912345678")),
        (Some("telco-a"), Some("telco-b"), Option::None)
    );
}

#[test]
fn every_account_that_a_simulated_supplier_knows_is_admitted() {
    let catalogue = shipped().catalogue;
    let rule = |code: &str| {
        let (_, product): (u32, &Product) = catalogue.product(text(code)).unwrap_or_else(|| panic!("{code}"));
        (
            product.account.length_min,
            product.account.length_max,
            product.account.digits,
            product.account.prefixes.clone(),
        )
    };
    assert_eq!(rule("TOPUP"), (2, 30, true, vec![]));
    assert_eq!(rule("DATA5"), (2, 30, true, vec![]));
    assert_eq!(rule("ENERGY"), (11, 11, true, vec![]));
    assert_eq!(rule("WALLET"), (1, 30, false, vec![]));
    assert_eq!(rule("GIFT25"), (8, 19, true, vec![text("600649")]));
}

#[test]
fn suppliers_are_those_of_the_demonstration() {
    let settings = shipped();
    assert_eq!(settings.suppliers.len(), settings.catalogue.suppliers.len());
    for (wire, supplier) in settings.suppliers.iter().zip(&settings.catalogue.suppliers) {
        assert_eq!(wire.code, supplier.code.as_str());
        if supplier.local {
            continue;
        }
        assert_eq!((supplier.timeout_ms, supplier.late_window_ms), (3_000, 60_000), "{}", wire.code);
        assert_eq!(wire.reconnect_first_ms, 50);
        let breaker = supplier.breaker;
        assert_eq!((breaker.unknown_percent, breaker.requests_min, breaker.window_ms), (50, 20, 10_000));
        for code in ["05", "12", "13", "14", "51", "54", "57", "61"] {
            let bytes = code.as_bytes();
            assert_eq!(supplier.codes.sale(text(code)), Meaning::Declined(Code([bytes[0], bytes[1]])));
        }
        assert_eq!(supplier.codes.sale(text("00")), Meaning::Approved);
        assert_eq!(supplier.codes.sale(text("91")), Meaning::NotPerformed(Code::SUPPLIER));
        assert_eq!(supplier.codes.sale(text("94")), Meaning::Unknown);
        assert_eq!(supplier.codes.reversal(text("00")), ReversalMeaning::Reversed);
        assert_eq!(supplier.codes.reversal(text("25")), ReversalMeaning::NotFound);
    }
}
