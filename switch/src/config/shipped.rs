//! The configuration that comes with the switch, as part of the program: the demonstration.
//!
//! Owns its texts, which are the files of `config`.

use super::load::load_from;
use super::report::Report;
use super::sources::Files;
use crate::settings::Settings;
use std::path::Path;
use switchyard_core::schema::AdapterKeys;

/// The main file of `SHIPPED`.
pub const SHIPPED_FILE: &str = "switchyard.toml";

/// Path and text of every file of the shipped configuration. Dialects are the core's.
pub const SHIPPED: &[(&str, &str)] = &[
    (SHIPPED_FILE, include_str!("../../../config/switchyard.toml")),
    ("networks.toml", include_str!("../../../config/networks.toml")),
    ("products.toml", include_str!("../../../config/products.toml")),
    ("suppliers/cardco.toml", include_str!("../../../config/suppliers/cardco.toml")),
    ("suppliers/pinhouse.toml", include_str!("../../../config/suppliers/pinhouse.toml")),
    ("suppliers/telco-a.toml", include_str!("../../../config/suppliers/telco-a.toml")),
    ("suppliers/telco-b.toml", include_str!("../../../config/suppliers/telco-b.toml")),
    ("suppliers/utility.toml", include_str!("../../../config/suppliers/utility.toml")),
    ("suppliers/wallet.toml", include_str!("../../../config/suppliers/wallet.toml")),
    ("merchants.csv", include_str!("../../../config/merchants.csv")),
    ("terminals.csv", include_str!("../../../config/terminals.csv")),
];

/// Reads the shipped configuration.
///
/// # Errors
/// As [`load`](super::load): only where `adapters` are not the registered ones.
pub fn load_shipped(adapters: &[AdapterKeys]) -> Result<Settings, Report> {
    load_from(Files::Memory(SHIPPED), Path::new(SHIPPED_FILE), adapters)
}
