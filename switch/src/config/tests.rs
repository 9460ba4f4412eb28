//! What a wrong configuration is told, as data: an edit of a small one, and the report it gets.

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
const TERMINALS: &str = "code,merchant,status\nT0000001,SHOP1,active\n";

/// The report of the small configuration with each `(old, new)` of `edits` made where it is found.
fn report(edits: &[(&str, &str)]) -> String {
    let mut files = [
        ("main.toml", MAIN.to_string()),
        ("more.toml", MORE.to_string()),
        ("merchants.csv", MERCHANTS.to_string()),
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

#[test]
fn scratch_print() {
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[("listen = \"127", "lisen = \"127")],
        &[("code = \"TOPUP\"", "code = \"TOPUP\"\nwindw = 3")],
        &[("name = \"plain\"\n", "name = \"plain\"\nwindow_requests = 7\ndeadline_ms = \"5s\"\nframe_bytes_max = 99999999999999999999\n")],
        &[("supplier = \"telco\"", "supplier = \"telko\"")],
        &[("[supplier]", "timeout_ms = 5_000\n[supplier]")],
        &[("adapter = \"host\"", "adapter = \"host\"\ntimeout_ms = 5_000")],
        &[("adapter = \"host\"", "adapter = \"hosd\"")],
        &[("\"prepaid87\"", "\"prepaid78\"")],
        &[("[[network]]", "[[conduit]]\nname = \"plain\"\nlisten = \"0.0.0.0:8583\"\ndialect = \"prepaid87\"\n[[network]]")],
        &[("SHOP1,100001\n", "SHOP1,100001\nSHOP2,100009\nSHOP1,100001\nSHOP3\nTOOLONGMERCHANTCODE,100001\n")],
        &[("T0000001,SHOP1,active\n", "T0000001,SHOP1,actve\nT2,SHOPX,active\nT3,SHOP1,active\nT3,SHOP1,blocked\n")],
        &[("code,merchant,status\n", "T0000001,SHOP1,active\n")],
        &[("dialect = \"prepaid87-bcd\"", "dialect = \"prepaid87-bcd\"\npassword = \"abcdefghijk\"\npause = 5")],
        &[("dialect = \"prepaid87-bcd\"", "dialect = \"prepaid87-bcd\"\npassword = \"abc")],
        &[("opening = \"10.00\"", "opening = \"10.000\"\nzone = \"Mars/Olympus\"\ncut_over = \"24:00\"")],
        &[("opening = \"10.00\"", "credit_line = \"10.00\"")],
        &[("currency = 978", "currency = 1")],
        &[("\"00\" = \"approved\"", "\"05\" = \"declined\"\n\"94\" = \"declined:05\"")],
        &[("[[supplier.link]]\nhost = \"127.0.0.1\"\nport = 9583\n", "")],
        &[("\"06\" = \"telco\"", "\"06\" = \"other\"")],
        &[("[product.account]\nlength_min = 2\n", "")],
        &[("include = [\"more.toml\"]", "include = [\"more.toml\", \"none/*.toml\", \"gone.toml\"]")],
        &[("[[conduit]]\n", "[[conduit]\n")],
        &[("dialect = \"prepaid87\"\n", "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nclient = \"required\"\n")],
        &[("dialect = \"prepaid87\"\n", "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"x\"\n")],
        &[("dialect = \"prepaid87\"\n", "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nkey = \"k\"\nbind_names = true\n")],
        &[("[[product]]", "include = []\n[[product]]")],
        &[("include = [\"more.toml\"]", "include = 3\nconduits = 4")],
        &[("amount_max = \"200.00\"", "amount = \"2\"")],
        &[("amount_max = \"200.00\"", "amount_max = \"0.50\"")],
        &[("[supplier]", "[journal]\nsegment_bytes = 5_000_000\n[supplier]")],
        &[("[[conduit]]\nname = \"plain\"\nlisten = \"127.0.0.1:8583\"\ndialect = \"prepaid87\"\n", "")],
    ];
    for case in cases { println!("---- {case:?}\n{}", report(case)); }
}
