//! Conduits: those that listen, those that dial, and TLS of either.

use super::super::dialects::Dialects;
use super::super::faults::Faults;
use super::super::forms;
use super::super::table::Table;
use super::framing::framing;
use super::link::client_tls;
use super::{Names, below, choice, ordered};
use crate::settings::{
    AddressRange, ClientCertificate, ConduitDial, ConduitSettings, ConduitWay, DialSettings, Durability,
    TlsSettings, TlsVersion,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// What stands in for an address that was wrong; such settings never leave the loader.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Keys that mean something only where the conduit listens.
const LISTEN_ONLY: [&str; 5] =
    ["tls", "allow", "connections_max", "connections_per_address_max", "handshake_ms"];
/// Keys that mean something only where it dials.
const DIAL_ONLY: [&str; 5] =
    ["dial_tls", "connections", "connect_ms", "reconnect_first_ms", "reconnect_max_ms"];

/// `[[conduit]]`, in the order of the files.
pub(in super::super) fn conduits(
    tables: &[Table],
    networks: &Names<'_>,
    dialects: &Dialects,
    data: &Path,
    faults: &mut Faults<'_>,
) -> Vec<ConduitSettings> {
    tables.iter().map(|table| conduit(table, networks, dialects, data, faults)).collect()
}

fn conduit(
    table: &Table,
    networks: &Names<'_>,
    dialects: &Dialects,
    data: &Path,
    faults: &mut Faults<'_>,
) -> ConduitSettings {
    let way = way(table, data, faults);
    // What a conduit dials it counts itself: as many as it keeps, whatever the address.
    let (all, from_one) = match way {
        ConduitWay::Listen(_) => ("connections_max", "connections_per_address_max"),
        ConduitWay::Dial(_) => ("connections", "connections"),
    };
    ConduitSettings {
        name: table.text("name").to_string(),
        way,
        dialect: dialects.index(table.text("dialect")).unwrap_or(0),
        framing: framing(table.table("framing")),
        durability: choice(table, "durability", &Durability::ALL, Durability::name)
            .unwrap_or(Durability::Strict),
        sign_on: table.bool("sign_on"),
        networks: networks.find_all(table, "networks", faults),
        tls: table.table("tls").map(|tls| server_tls(tls, data, faults)),
        allow: table.words("allow").filter_map(|word| AddressRange::parse(word.text)).collect(),
        connections_max: table.number(all),
        connections_per_address_max: table.number(from_one),
        window_requests: table.number("window_requests"),
        frame_bytes_max: table.number("frame_bytes_max"),
        handshake_ms: table.number("handshake_ms"),
        first_byte_ms: table.number("first_byte_ms"),
        frame_ms: table.number("frame_ms"),
        idle_ms: table.number("idle_ms"),
        echo_ms: table.number("echo_ms"),
        write_ms: table.number("write_ms"),
        deadline_ms: table.number("deadline_ms"),
    }
}

/// How its connections come to be: exactly one of `listen` and `dial` says so.
fn way(table: &Table, data: &Path, faults: &mut Faults<'_>) -> ConduitWay {
    let (listens, dials) = (table.is_set("listen"), table.is_set("dial"));
    if !listens && !dials {
        let suggestion = "add: listen = \"127.0.0.1:8583\", or dial = \"HOST:PORT\" where the switch calls the network's host";
        faults.error(table.at, "the conduit has neither `listen` nor `dial`", suggestion);
    }
    if listens && dials {
        let wrong = "`dial` is of a conduit that the switch dials, and `listen` of one where it is called";
        faults.error(table.at("dial"), wrong, "remove the one or the other; a conduit for each has both");
    }
    if dials && !listens {
        for key in LISTEN_ONLY.iter().filter(|key| table.is_set(key)) {
            let wrong = format!("`{key}` has no effect: the switch dials this conduit");
            let suggestion = match *key {
                "tls" => "say dial_tls, with ca",
                "connections_max" | "connections_per_address_max" => "say connections",
                "handshake_ms" => "say connect_ms",
                _ => "remove it, or say listen instead of dial",
            };
            faults.error(table.at(key), wrong, suggestion);
        }
        return ConduitWay::Dial(dial(table, data, faults));
    }
    if listens && !dials {
        for key in DIAL_ONLY.iter().filter(|key| table.is_set(key)) {
            let wrong = format!("`{key}` has no effect: this conduit listens");
            faults.error(table.at(key), wrong, "remove it, or say dial instead of listen");
        }
    }
    ConduitWay::Listen(forms::listen(table.text("listen")).unwrap_or(NOWHERE))
}

fn dial(table: &Table, data: &Path, faults: &mut Faults<'_>) -> ConduitDial {
    ordered(table, "reconnect_first_ms", "reconnect_max_ms", faults);
    // What was wrong was reported.
    let (host, port) = forms::dial(table.text("dial")).unwrap_or_default();
    let tls = table.table("dial_tls");
    ConduitDial {
        to: DialSettings {
            host: host.to_string(),
            port,
            tls: tls.map(|tls| client_tls(tls, host, data, faults)),
        },
        bind_names: tls.is_some_and(|tls| tls.bool("bind_names")),
        connect_ms: table.number("connect_ms"),
        reconnect_first_ms: table.number("reconnect_first_ms"),
        reconnect_max_ms: table.number("reconnect_max_ms"),
    }
}

fn server_tls(table: &Table, data: &Path, faults: &mut Faults<'_>) -> TlsSettings {
    let client = choice(table, "client", &ClientCertificate::ALL, ClientCertificate::name)
        .unwrap_or(ClientCertificate::None);
    let is_asked = client != ClientCertificate::None;
    if is_asked && !table.is_set("client_ca") {
        let suggestion = "add: client_ca = \"tls/ca.pem\"";
        faults.error(
            table.at("client"),
            "client certificates need `client_ca`, the authority that signs them",
            suggestion,
        );
    }
    if !is_asked && table.is_set("client_ca") {
        let suggestion = "say client = \"required\", or remove it";
        faults.warning(
            table.at("client_ca"),
            "`client_ca` has no effect: clients show no certificate",
            suggestion,
        );
    }
    if !is_asked && table.bool("bind_names") {
        let suggestion = "say client = \"required\"";
        faults.error(table.at("bind_names"), "`bind_names` needs client certificates", suggestion);
    }
    TlsSettings {
        certificate: below(data, table, "certificate").unwrap_or_default(),
        key: below(data, table, "key").unwrap_or_default(),
        client_ca: below(data, table, "client_ca"),
        client,
        version_min: choice(table, "version_min", &TlsVersion::ALL, TlsVersion::name)
            .unwrap_or(TlsVersion::V1_2),
        bind_names: table.bool("bind_names"),
    }
}
