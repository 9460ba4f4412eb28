//! Faults that show only when keys and tables are seen together.

use super::check;

#[test]
fn a_route_to_an_unknown_supplier() {
    check(
        &[("supplier = \"telco\"", "supplier = \"telko\"")],
        r#"more.toml:14:12: error: there is no supplier `telko`
  14 | supplier = "telko"
     |            ^^^^^^^
     = did you mean `telco`?
"#,
    );
}

#[test]
fn a_time_out_ends_before_the_deadline() {
    check(
        &[("adapter = \"host\"", "adapter = \"host\"\ntimeout_ms = 5_000")],
        r#"more.toml:24:14: error: `timeout_ms` reaches deadline_ms of conduit plain, 5_000: its answer would come too late (R-33)
  24 | timeout_ms = 5_000
     |              ^^^^^
     = make it shorter, or the conduit's deadline_ms longer
"#,
    );
}

#[test]
fn an_unknown_adapter() {
    check(
        &[("adapter = \"host\"", "adapter = \"hosd\"")],
        r#"more.toml:23:11: error: there is no adapter `hosd`
  23 | adapter = "hosd"
     |           ^^^^^^
     = did you mean `host`?
"#,
    );
}

#[test]
fn an_unknown_dialect() {
    check(
        &[("\"prepaid87\"", "\"prepaid78\"")],
        r#"main.toml:8:11: error: there is no dialect `prepaid78`
   8 | dialect = "prepaid78"
     |           ^^^^^^^^^^^
     = did you mean `prepaid87`?
"#,
    );
}

#[test]
fn two_conduits_on_one_address() {
    check(
        &[(
            "[[network]]",
            "[[conduit]]\nname = \"plain\"\nlisten = \"0.0.0.0:8583\"\ndialect = \"prepaid87\"\n[[network]]",
        )],
        r#"main.toml:11:8: error: conduit `plain` is there twice
  11 | name = "plain"
     |        ^^^^^^^
     = the first is at main.toml:6
main.toml:12:10: error: `listen` is the address of conduit plain already
  12 | listen = "0.0.0.0:8583"
     |          ^^^^^^^^^^^^^^
     = give each listener a port of its own
"#,
    );
}

#[test]
fn each_way_of_funding_has_its_own_amount() {
    check(
        &[("opening = \"10.00\"", "credit_line = \"10.00\"")],
        r#"main.toml:14:11: error: `opening` is missing: the network is prefunded
  14 | funding = "prefunded"
     |           ^^^^^^^^^^^
     = add: opening = "10_000.00"
main.toml:15:15: error: `credit_line` has no meaning: the network is prefunded
  15 | credit_line = "10.00"
     |               ^^^^^^^
     = remove it, or say `opening`
"#,
    );
}

#[test]
fn a_supplier_has_codes_that_mean_something() {
    check(
        &[("\"00\" = \"approved\"", "\"05\" = \"declined\"\n\"94\" = \"declined:05\"")],
        r#"more.toml:32:1: error: no code of the supplier means approved: every sale would be unknown
  32 | [supplier.codes]
     | ^^^^^^^^^^^^^^^^
     = add to [supplier.codes]: "00" = "approved"
more.toml:33:8: error: `05` is not a meaning
  33 | "05" = "declined"
     |        ^^^^^^^^^^
     = allowed: "approved" | "declined:CC" | "not-performed:CC" | "unknown", CC our response code, not 00, 10, 17, 68 or 94
more.toml:34:1: error: 94 is never an approval or a decline (S-11)
  34 | "94" = "declined:05"
     | ^^^^
     = remove it: it is unknown
"#,
    );
}

#[test]
fn an_adapter_over_links_needs_one() {
    check(
        &[("[[supplier.link]]\nhost = \"127.0.0.1\"\nport = 9583\n", "")],
        r#"more.toml:23:11: error: adapter host needs at least one link
  23 | adapter = "host"
     |           ^^^^^^
     = add a table [[supplier.link]] with host and port, or with listen
"#,
    );
}

#[test]
fn a_prefix_leads_to_a_supplier() {
    check(
        &[("\"06\" = \"telco\"", "\"06\" = \"other\"")],
        r#"more.toml:8:16: error: the prefix table names none of the product's candidates: its accounts would have no route
   8 | prefix_table = "mobile"
     |                ^^^^^^^^
     = add a candidate, or another prefix table
more.toml:18:21: error: there is no supplier `other`
  18 | prefixes = { "06" = "other" }
     |                     ^^^^^^^
     = known: telco
"#,
    );
}

#[test]
fn a_recharge_needs_an_account() {
    check(
        &[("[product.account]\nlength_min = 2\n", "")],
        r#"more.toml:4:11: error: a product of service recharge needs an account
   4 | service = "recharge"
     |           ^^^^^^^^^^
     = add a table [product.account]
"#,
    );
}

#[test]
fn client_certificates_need_an_authority() {
    check(
        &[(
            "dialect = \"prepaid87\"\n",
            "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nclient = \"required\"\n",
        )],
        r#"main.toml:9:1: error: `key` is missing in [conduit.tls]
   9 | [conduit.tls]
     | ^^^^^^^^^^^^^
     = add: key = "tls/server.key"    # Its private key, PEM, mode 0600; below the data folder unless absolute.
main.toml:11:10: error: client certificates need `client_ca`, the authority that signs them
  11 | client = "required"
     |          ^^^^^^^^^^
     = add: client_ca = "tls/ca.pem"
"#,
    );
}

#[test]
fn an_authority_without_use_is_a_warning() {
    check(
        &[(
            "dialect = \"prepaid87\"\n",
            "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"x\"\n",
        )],
        r#"main.toml:12:13: warning: `client_ca` has no effect: clients show no certificate
  12 | client_ca = "x"
     |             ^^^
     = say client = "required", or remove it
"#,
    );
}

#[test]
fn names_are_bound_only_where_they_are_shown() {
    check(
        &[(
            "dialect = \"prepaid87\"\n",
            "dialect = \"prepaid87\"\n[conduit.tls]\ncertificate = \"c\"\nkey = \"k\"\nbind_names = true\n",
        )],
        r#"main.toml:12:14: error: `bind_names` needs client certificates
  12 | bind_names = true
     |              ^^^^
     = say client = "required"
"#,
    );
}

#[test]
fn an_amount_is_fixed_or_a_range() {
    check(
        &[("amount_max = \"200.00\"", "amount = \"2\"")],
        r#"more.toml:6:14: error: the product has a fixed `amount` and a range
   6 | amount_min = "1.00"
     |              ^^^^^^
     = keep one of the two
"#,
    );
}

#[test]
fn a_range_of_amounts_has_its_ends_in_order() {
    check(
        &[("amount_max = \"200.00\"", "amount_max = \"0.50\"")],
        r#"more.toml:7:14: error: `amount_max` is smaller than `amount_min`
   7 | amount_max = "0.50"
     |              ^^^^^^
"#,
    );
}

#[test]
fn without_a_conduit_nothing_arrives() {
    check(
        &[("[[conduit]]\nname = \"plain\"\nlisten = \"127.0.0.1:8583\"\ndialect = \"prepaid87\"\n", "")],
        r#"main.toml:1:1: error: there is no conduit: no request can arrive
   1 | include = ["more.toml"]
     | ^
     = add a table [[conduit]] with name, listen and dialect
"#,
    );
}
