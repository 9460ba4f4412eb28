//! Links to suppliers: dialled, or listened for.

use super::super::faults::Faults;
use super::super::forms;
use super::super::table::Table;
use super::{below, choice};
use crate::settings::{
    AddressRange, ClientCertificate, ClientTls, DialSettings, LinkSettings, ListenSettings, TlsSettings,
    TlsVersion,
};
use std::path::Path;

/// Keys that mean something only where the switch dials.
const DIAL_ONLY: [&str; 3] = ["host", "port", "tls"];
/// Keys that mean something only where the supplier does.
const LISTEN_ONLY: [&str; 4] = ["allow", "takeover_ms", "certificate_names", "listen_tls"];

/// `[[supplier.link]]`.
pub(super) fn link(table: &Table, data: &Path, faults: &mut Faults<'_>) -> LinkSettings {
    match table.word("listen").and_then(|word| forms::listen(word.text)) {
        Some(listen) => {
            for key in DIAL_ONLY.iter().filter(|key| table.is_set(key)) {
                let wrong = format!(
                    "`{key}` is of a link that the switch dials, and `listen` of one on which the supplier does"
                );
                faults.error(table.at(key), wrong, "remove the one or the other");
            }
            check_who(table, faults);
            LinkSettings::Listen(ListenSettings {
                listen,
                allow: table.words("allow").filter_map(|word| AddressRange::parse(word.text)).collect(),
                tls: table.table("listen_tls").map(|tls| server_tls(tls, data)),
                certificate_names: table
                    .words("certificate_names")
                    .map(|word| word.text.to_owned())
                    .collect(),
                takeover_ms: table.number("takeover_ms"),
            })
        }
        None => {
            check_dial(table, faults);
            let host = table.text("host");
            LinkSettings::Dial(DialSettings {
                host: host.to_string(),
                port: table.number("port"),
                tls: table.table("tls").map(|tls| client_tls(tls, host, data, faults)),
            })
        }
    }
}

fn check_dial(table: &Table, faults: &mut Faults<'_>) {
    // A `listen` that was wrong was reported, and says which kind of link it is meant to be.
    if table.is_set("listen") {
        return;
    }
    for (key, example) in [("host", "\"127.0.0.1\""), ("port", "9583")] {
        if !table.is_set(key) {
            let suggestion = format!("add: {key} = {example}, or listen where the supplier dials in");
            faults.error(table.at, format!("the link has no `{key}`"), suggestion);
        }
    }
    for key in LISTEN_ONLY.iter().filter(|key| table.is_set(key)) {
        let wrong = format!("`{key}` has no effect: the switch dials this link");
        faults.error(table.at(key), wrong, "remove it, or say listen instead of host and port");
    }
}

/// Not everybody who reaches the address may be the supplier.
fn check_who(table: &Table, faults: &mut Faults<'_>) {
    let asked = table.table("listen_tls").is_some_and(|tls| tls.is_set("client_ca"));
    if !asked && table.words("allow").next().is_none() {
        let wrong = "anybody who reaches `listen` could speak for the supplier";
        let suggestion = "add: allow = [\"192.0.2.7\"], or [supplier.link.listen_tls] with client_ca";
        faults.error(table.at("listen"), wrong, suggestion);
    }
    if !asked && table.is_set("certificate_names") {
        let wrong =
            "`certificate_names` needs listen_tls with client_ca: otherwise nobody shows a certificate";
        faults.error(table.at("certificate_names"), wrong, "");
    }
}

/// TLS towards `host`, which the switch dials.
pub(super) fn client_tls(table: &Table, host: &str, data: &Path, faults: &mut Faults<'_>) -> ClientTls {
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if table.is_set(one) && !table.is_set(other) {
            faults.error(table.at(one), format!("`{one}` needs `{other}` beside it"), "");
        }
    }
    ClientTls {
        ca: below(data, table, "ca").unwrap_or_default(),
        certificate: below(data, table, "certificate"),
        key: below(data, table, "key"),
        server_name: table.word("server_name").map_or(host, |word| word.text).to_string(),
    }
}

fn server_tls(table: &Table, data: &Path) -> TlsSettings {
    let client_ca = below(data, table, "client_ca");
    TlsSettings {
        certificate: below(data, table, "certificate").unwrap_or_default(),
        key: below(data, table, "key").unwrap_or_default(),
        client: if client_ca.is_some() { ClientCertificate::Required } else { ClientCertificate::None },
        client_ca,
        version_min: choice(table, "version_min", &TlsVersion::ALL, TlsVersion::name)
            .unwrap_or(TlsVersion::V1_2),
        bind_names: false,
    }
}
