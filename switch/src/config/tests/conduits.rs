//! Conduits that listen, and conduits that dial (R-8).

use super::{check, report};

const LISTENS: &str = "listen = \"127.0.0.1:8583\"";

#[test]
fn a_conduit_that_dials() {
    for good in [
        "dial = \"iso.network.example:8583\"",
        "dial = \"[2001:db8::7]:1\"\nconnections = 4\nconnect_ms = 500\nreconnect_first_ms = 10\nreconnect_max_ms = 10",
    ] {
        assert_eq!(report(&[(LISTENS, good)]), "", "{good}");
    }
    let tls = "dialect = \"prepaid87\"\n[conduit.dial_tls]\nca = \"a\"\ncertificate = \"c\"\nkey = \"k\"\nbind_names = true\n";
    let edits = [(LISTENS, "dial = \"iso.network.example:8583\""), ("dialect = \"prepaid87\"\n", tls)];
    assert_eq!(report(&edits), "");
}

#[test]
fn a_conduit_without_an_end() {
    check(
        &[("listen = \"127.0.0.1:8583\"\n", "")],
        r#"main.toml:5:1: error: the conduit has neither `listen` nor `dial`
   5 | [[conduit]]
     | ^^^^^^^^^^^
     = add: listen = "127.0.0.1:8583", or dial = "HOST:PORT" where the switch calls the network's host
"#,
    );
}

#[test]
fn a_conduit_with_both_ends() {
    check(
        &[(LISTENS, "listen = \"127.0.0.1:8583\"\ndial = \"iso.network.example:8583\"")],
        r#"main.toml:8:8: error: `dial` is of a conduit that the switch dials, and `listen` of one where it is called
   8 | dial = "iso.network.example:8583"
     |        ^^^^^^^^^^^^^^^^^^^^^^^^^^
     = remove the one or the other; a conduit for each has both
"#,
    );
}

#[test]
fn an_address_that_cannot_be_dialled() {
    check(
        &[(LISTENS, "dial = \"iso.network.example\"")],
        r#"main.toml:7:8: error: `dial` is not a host and a port to dial
   7 | dial = "iso.network.example"
     |        ^^^^^^^^^^^^^^^^^^^^^
     = allowed: a host name or an IP address, and a port, such as "iso.network.example:8583" or "[2001:db8::7]:8583"
"#,
    );
}

#[test]
fn a_key_of_the_other_kind_of_conduit() {
    let listens = report(&[(LISTENS, "listen = \"127.0.0.1:8583\"\nconnections = 2")]);
    assert!(
        listens.contains("main.toml:8:15: error: `connections` has no effect: this conduit listens"),
        "{listens}"
    );
    let dials = "dial = \"192.0.2.7:8583\"\nconnections_max = 2\nallow = [\"192.0.2.7\"]";
    let dials = report(&[(LISTENS, dials)]);
    assert_eq!(dials.matches("has no effect: the switch dials this conduit").count(), 2, "{dials}");
    assert!(dials.contains("= say connections\n"), "{dials}");
}

#[test]
fn waits_that_shrink() {
    let found = report(&[(LISTENS, "dial = \"192.0.2.7:8583\"\nreconnect_max_ms = 20")]);
    assert!(found.contains("`reconnect_first_ms` is larger than `reconnect_max_ms`"), "{found}");
}

#[test]
fn a_certificate_without_its_key() {
    let tls = "dialect = \"prepaid87\"\n[conduit.dial_tls]\nca = \"a\"\ncertificate = \"c\"\n";
    let found = report(&[(LISTENS, "dial = \"192.0.2.7:8583\""), ("dialect = \"prepaid87\"\n", tls)]);
    assert!(found.contains("`certificate` needs `key` beside it"), "{found}");
}

#[test]
fn two_conduits_that_dial_one_host_are_a_warning() {
    let two = "dialect = \"prepaid87\"\n[[conduit]]\nname = \"other\"\ndial = \"ISO.network.example:8583\"\ndialect = \"prepaid87\"\n";
    check(
        &[(LISTENS, "dial = \"iso.network.example:8583\""), ("dialect = \"prepaid87\"\n", two)],
        r#"main.toml:11:8: warning: `dial` is the host of conduit plain already: to the host the two are one client
  11 | dial = "ISO.network.example:8583"
     |        ^^^^^^^^^^^^^^^^^^^^^^^^^^
     = for more connections, make `connections` of one of them larger
"#,
    );
}
