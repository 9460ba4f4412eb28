//! Conduits, framings and TLS of the side that listens.

use super::super::dialects::Dialects;
use super::super::faults::Faults;
use super::super::forms;
use super::super::table::Table;
use super::framing::framing;
use super::{Names, below, choice};
use crate::settings::{
    AddressRange, ClientCertificate, ConduitSettings, Durability, TlsSettings, TlsVersion,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// What stands in for an address that was wrong; such settings never leave the loader.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `[[conduit]]`, in the order of the files.
pub(in super::super) fn conduits(
    tables: &[Table],
    networks: &Names<'_>,
    dialects: &Dialects,
    data: &Path,
    faults: &mut Faults<'_>,
) -> Vec<ConduitSettings> {
    tables
        .iter()
        .map(|table| ConduitSettings {
            name: table.text("name").to_string(),
            listen: forms::listen(table.text("listen")).unwrap_or(NOWHERE),
            dialect: dialects.index(table.text("dialect")).unwrap_or(0),
            framing: framing(table.table("framing")),
            durability: choice(table, "durability", &Durability::ALL, Durability::name)
                .unwrap_or(Durability::Strict),
            sign_on: table.bool("sign_on"),
            networks: networks.find_all(table, "networks", faults),
            tls: table.table("tls").map(|tls| server_tls(tls, data, faults)),
            allow: table.words("allow").filter_map(|word| AddressRange::parse(word.text)).collect(),
            connections_max: table.number("connections_max"),
            connections_per_address_max: table.number("connections_per_address_max"),
            window_requests: table.number("window_requests"),
            frame_bytes_max: table.number("frame_bytes_max"),
            handshake_ms: table.number("handshake_ms"),
            first_byte_ms: table.number("first_byte_ms"),
            frame_ms: table.number("frame_ms"),
            idle_ms: table.number("idle_ms"),
            echo_ms: table.number("echo_ms"),
            write_ms: table.number("write_ms"),
            deadline_ms: table.number("deadline_ms"),
        })
        .collect()
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
