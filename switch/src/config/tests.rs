//! What a wrong configuration is told, as data: an edit of a small one, and the report it gets.

mod conduits;
mod files;
mod links;
mod references;

use super::{Files, load_from};
use std::fmt::Write;
use std::path::Path;
use switchyard_core::schema::{AdapterKeys, Key, Kind};

const ADAPTERS: &[AdapterKeys] = &[
    AdapterKeys {
        name: "host",
        local: false,
        links: true,
        keys: &[
            Key::new("dialect", Kind::Dialect, "The dialect.").required().example("\"prepaid87\""),
            Key::integer("pause_ms", "ms", 0, 1_000, "A pause.").default("20"),
            Key::new("password", Kind::Text { max: 8 }, "A secret.").example("\"...\"").secret(),
        ],
    },
    AdapterKeys { name: "stock", local: true, links: false, keys: &[] },
];

const MAIN: &str = r#"include = ["more.toml"]
merchants = ["merchants.csv"]
terminals = ["terminals.csv"]

[[conduit]]
name = "plain"
listen = "127.0.0.1:8583"
dialect = "prepaid87"

[[network]]
code = "100001"
name = "Corner Shops"
currency = 978
funding = "prefunded"
opening = "10.00"
"#;

const MORE: &str = r#"[[product]]
code = "TOPUP"
name = "Top-up"
service = "recharge"
currency = 978
amount_min = "1.00"
amount_max = "200.00"
prefix_table = "mobile"

[product.account]
length_min = 2

[[product.candidate]]
supplier = "telco"

[[prefix_table]]
name = "mobile"
prefixes = { "06" = "telco" }

[supplier]
code = "telco"
name = "Telco"
adapter = "host"

[supplier.settings]
dialect = "prepaid87-bcd"

[[supplier.link]]
host = "127.0.0.1"
port = 9583

[supplier.codes]
"00" = "approved"

[supplier.reversal_codes]
"00" = "reversed"
"#;

const MERCHANTS: &str = "code,network\nSHOP1,100001\n";
const POSITIONS: &str = "merchant,funding,amount\nSHOP1,prefunded,12.50\n";
const TERMINALS: &str = "code,merchant,status\nT0000001,SHOP1,active\n";

/// The report of the small configuration with each `(old, new)` of `edits` made where it is found.
fn report(edits: &[(&str, &str)]) -> String {
    let mut files = [
        ("main.toml", MAIN.to_string()),
        ("more.toml", MORE.to_string()),
        ("merchants.csv", MERCHANTS.to_string()),
        ("positions.csv", POSITIONS.to_string()),
        ("terminals.csv", TERMINALS.to_string()),
    ];
    for (old, new) in edits {
        assert!(files.iter().any(|(_, text)| text.contains(old)), "nothing to edit: {old}");
        files.iter_mut().for_each(|(_, text)| *text = text.replacen(old, new, 1));
    }
    let set: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    match load_from(Files::Memory(&set), Path::new("main.toml"), ADAPTERS) {
        Ok(settings) => settings.warnings.iter().fold(String::new(), |mut text, warning| {
            let _ = write!(text, "{warning}");
            text
        }),
        Err(report) => report.to_string(),
    }
}

fn check(edits: &[(&str, &str)], expected: &str) {
    let found = report(edits);
    assert!(found == expected, "found:\n{found}\nexpected:\n{expected}");
}

#[test]
fn a_secret_over_several_lines_is_never_shown() {
    let broken = "dialect = \"prepaid87-bcd\"\npassword = \"\"\"\nabc \\q def\"\"\"";
    let found = report(&[("dialect = \"prepaid87-bcd\"", broken)]);
    assert!(found.contains("more.toml:28:") && !found.contains("abc"), "{found}");
}

#[test]
fn every_default_and_example_is_in_its_range() {
    fn check_keys(keys: &'static [Key]) {
        for key in keys {
            assert!(!key.meaning.is_empty(), "{}", key.name);
            assert!(!key.required || !key.example.is_empty(), "{}: required, without an example", key.name);
            assert!(!(key.required && key.default.is_some()), "{}: required, with a default", key.name);
            for text in key.default.into_iter().chain(Some(key.example).filter(|text| !text.is_empty())) {
                assert_eq!(super::reader::fault_of(key, text), None, "{} = {text}", key.name);
            }
            if let Kind::Table(keys) | Kind::Tables(keys) = key.kind {
                check_keys(keys);
            }
        }
    }
    check_keys(super::schema::ROOT);
}

#[test]
fn a_hundred_thousand_terminals_load() {
    let merchants = "code,network\nSHOP1,100001\n".to_string();
    let terminals = (1..=100_000).fold("code,merchant,status\n".to_string(), |mut text, number| {
        let _ = writeln!(text, "T{number:07},SHOP1,active");
        text
    });
    let set = [
        ("main.toml", MAIN),
        ("more.toml", MORE),
        ("merchants.csv", &merchants),
        ("terminals.csv", &terminals),
    ];
    let settings = load_from(Files::Memory(&set), Path::new("main.toml"), ADAPTERS);
    assert_eq!(settings.map(|settings| settings.catalogue.terminals.len()).ok(), Some(100_000));
}

#[test]
fn everything_below_the_data_folder_moves_with_it() {
    let tls = "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nkey = \"/etc/k\"\n";
    let main = MAIN.replacen("dialect = \"prepaid87\"\n", tls, 1);
    let set = [
        ("main.toml", main.as_str()),
        ("more.toml", MORE),
        ("merchants.csv", MERCHANTS),
        ("terminals.csv", TERMINALS),
    ];
    let Ok(mut settings) = load_from(Files::Memory(&set), Path::new("main.toml"), ADAPTERS) else {
        panic!("the configuration is right");
    };
    // The data folder is made absolute, so that nothing depends on where the process stands later.
    assert!(settings.keys.file.is_absolute() && settings.keys.file.ends_with("data/keys/kek"));
    settings.relocate("/var/lib/switch".into());
    assert_eq!(settings.keys.file, Path::new("/var/lib/switch/keys/kek"));
    let tls = settings.conduits.first().and_then(|conduit| conduit.tls.as_ref());
    assert_eq!(tls.map(|tls| tls.certificate.as_path()), Some(Path::new("/var/lib/switch/c")));
    assert_eq!(tls.map(|tls| tls.key.as_path()), Some(Path::new("/etc/k")));
}
