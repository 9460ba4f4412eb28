//! Links that the switch dials, and links on which the supplier does (R-8).

use super::{check, report};

const DIALS: &str = "host = \"127.0.0.1\"\nport = 9583";

#[test]
fn a_link_on_which_the_supplier_dials_in() {
    for good in [
        "listen = \"127.0.0.1:9700\"\nallow = [\"192.0.2.7\"]\ntakeover_ms = 0",
        "listen = \"[::]:9700\"\ncertificate_names = [\"a.example\"]\n[supplier.link.listen_tls]\n\
         certificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\nversion_min = \"1.3\"",
    ] {
        assert_eq!(report(&[(DIALS, good)]), "", "{good}");
    }
}

#[test]
fn a_link_without_an_end() {
    check(
        &[("host = \"127.0.0.1\"\n", "")],
        r#"more.toml:28:1: error: the link has no `host`
  28 | [[supplier.link]]
     | ^^^^^^^^^^^^^^^^^
     = add: host = "127.0.0.1", or listen where the supplier dials in
"#,
    );
}

#[test]
fn a_link_with_both_ends() {
    let found =
        report(&[("port = 9583", "port = 9583\nlisten = \"127.0.0.1:9700\"\nallow = [\"192.0.2.7\"]")]);
    assert_eq!(found.matches("is of a link that the switch dials").count(), 2, "{found}");
}

#[test]
fn a_listener_for_anybody() {
    check(
        &[(DIALS, "listen = \"127.0.0.1:9700\"")],
        r#"more.toml:29:10: error: anybody who reaches `listen` could speak for the supplier
  29 | listen = "127.0.0.1:9700"
     |          ^^^^^^^^^^^^^^^^
     = add: allow = ["192.0.2.7"], or [supplier.link.listen_tls] with client_ca
"#,
    );
}

#[test]
fn a_name_that_nobody_shows() {
    let named = "listen = \"127.0.0.1:9700\"\nallow = [\"192.0.2.7\"]\ncertificate_names = [\"a.example\"]";
    let found = report(&[(DIALS, named)]);
    assert!(found.contains("`certificate_names` needs listen_tls with client_ca"), "{found}");
}

#[test]
fn a_key_of_the_other_kind_of_link() {
    let found = report(&[("port = 9583", "port = 9583\nallow = [\"192.0.2.7\"]")]);
    assert!(found.contains("`allow` has no effect: the switch dials this link"), "{found}");
}

#[test]
fn a_link_on_a_conduits_address() {
    let found = report(&[(DIALS, "listen = \"0.0.0.0:8583\"\nallow = [\"192.0.2.7\"]")]);
    assert!(found.contains("`listen` is the address of conduit plain already"), "{found}");
}

#[test]
fn a_listener_that_is_wrong_is_reported_once() {
    let found = report(&[(DIALS, "listen = \"anywhere\"\nallow = [\"192.0.2.7\"]")]);
    assert!(found.contains("`listen` is not an address to listen on"), "{found}");
    assert_eq!(found.matches("error: ").count(), 1, "{found}");
}
