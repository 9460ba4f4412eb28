//! Every key of the configuration, in one tree.
//!
//! Owns: names, meanings, units, ranges, defaults. Reading, checking and the documentation in the
//! shipped files come from here and from nowhere else.

mod catalogue;
mod connection;
mod process;
mod supplier;
mod wire;

use super::forms;
use switchyard_core::schema::{Key, Kind};

/// The keys of a configuration file.
pub(super) const ROOT: &[Key] = &[
    Key::new(
        "include",
        Kind::List(&Kind::Path),
        "More configuration files, relative to this one; * stands for any part of a file's name. Only the main file may include.",
    )
    .default("[]")
    .example("[\"networks.toml\", \"suppliers/*.toml\"]"),
    Key::new("data", Kind::Path, "The data folder: journal, keys, stock, records; relative to this file.")
        .default("\"data\""),
    Key::new(
        "merchants",
        Kind::List(&Kind::Path),
        "CSV files of merchants, header code,network; relative to this file.",
    )
    .default("[]")
    .example("[\"merchants.csv\"]"),
    Key::new(
        "positions",
        Kind::List(&Kind::Path),
        "CSV files of merchants with a position of their own beside their network's (R-37), header merchant,funding,amount, funding prefunded or credit; relative to this file.",
    )
    .default("[]")
    .example("[\"positions.csv\"]"),
    Key::new(
        "terminals",
        Kind::List(&Kind::Path),
        "CSV files of terminals, header code,merchant,status, status active or blocked; relative to this file.",
    )
    .default("[]")
    .example("[\"terminals.csv\"]"),
    Key::new("admin", Kind::Table(process::ADMIN), "Pages, API, health and metrics.").default("{}"),
    Key::new("journal", Kind::Table(process::JOURNAL), "The log that every transaction is written to first (R-30).").default("{}"),
    Key::new("keys", Kind::Table(process::KEYS), "The key-encryption key, which seals PINs and card numbers (S-18).").default("{}"),
    Key::new("gate", Kind::Table(process::GATE), "Admission, duplicates, and the bounds of the process (R-40).").default("{}"),
    Key::new(
        "conduit",
        Kind::Tables(wire::CONDUIT),
        "An interface on which requests arrive (R-4): a listener, or a host that is dialled, with a dialect, framing, TLS and limits of its own. At least one.",
    ),
    Key::new("network", Kind::Tables(catalogue::NETWORK), "A retail network: owns merchants and terminals, has a position (R-37)."),
    Key::new("product", Kind::Tables(catalogue::PRODUCT), "What is sold, to whom, and who may provide it (R-14)."),
    Key::new(
        "prefix_table",
        Kind::Tables(catalogue::PREFIX_TABLE),
        "Beginnings of accounts and the supplier each means; the longest match counts (R-13).",
    ),
    Key::new("supplier", Kind::Tables(supplier::SUPPLIER), "An organisation that provides products (R-10)."),
];
