//! Keys of the process: pages, journal, keys, gate.

use super::forms;
use switchyard_core::schema::{Key, Kind};

pub(super) const ADMIN: &[Key] = &[Key::new(
    "listen",
    Kind::Form(&forms::LISTEN),
    "Where the pages, the API, /healthz, /readyz and /metrics are served; without it, nowhere.",
)
.example("\"127.0.0.1:8080\"")];

pub(super) const JOURNAL: &[Key] = &[
    Key::integer(
        "segment_bytes",
        "bytes",
        4 * 1024 * 1024,
        1024 * 1024 * 1024,
        "Size of a segment, a multiple of 4,096. It is fixed once a journal exists.",
    )
    .default("67_108_864"),
    Key::integer(
        "segments_prepared_min",
        "segments",
        2,
        64,
        "Segments kept written with zeros ahead of need. Below two, sales get 96.",
    )
    .default("3"),
    Key::integer(
        "sync_interval_us",
        "us",
        0,
        100_000,
        "Longest wait of a fact before its sync begins. Larger: fewer syncs, later answers.",
    )
    .default("500"),
    Key::integer("sync_facts_min", "facts", 1, 100_000, "So many waiting facts start a sync at once.")
        .default("32"),
    Key::integer(
        "checkpoint_facts",
        "facts",
        1_000,
        100_000_000,
        "A checkpoint is made after so many facts. More: fewer writes, longer restarts.",
    )
    .default("500_000"),
    Key::integer(
        "keep_days",
        "days",
        31,
        36_500,
        "How long the journal is kept; older segments that nothing needs are removed. Reversals find what is in it (S-3).",
    )
    .default("31"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "file",
        Kind::Path,
        "File of the key-encryption key, mode 0600; below the data folder unless absolute.",
    )
    .default("\"keys/kek\""),
    Key::new(
        "env",
        Kind::Form(&forms::VARIABLE),
        "Environment variable that holds the key in hex or base64; where it is set, the file is not read.",
    )
    .example("\"SWITCHYARD_KEK\""),
    Key::new(
        "create",
        Kind::Bool,
        "Make the file with a random key where it is missing. Without that key nothing sealed can be opened again: keep a copy.",
    )
    .default("false"),
];

pub(super) const GATE: &[Key] = &[
    Key::integer(
        "duplicate_window_h",
        "hours",
        12,
        720,
        "How long a request's key is remembered (S-3). Requests whose local time lies outside get 12.",
    )
    .default("72"),
    Key::integer(
        "duplicate_bytes_max",
        "bytes",
        1024 * 1024,
        1024 * 1024 * 1024 * 1024,
        "Most memory for remembered keys: 122 bytes a request. Beyond an eighth of it the oldest go to files and take 2 bytes each while they can be repeated. Full means 96, never an early eviction (S-3).",
    )
    .default("1_073_741_824"),
    Key::integer(
        "reversal_window_days",
        "days",
        30,
        400,
        "How long a request is found when a reversal or an inquiry names it (S-3).",
    )
    .default("30"),
    Key::integer(
        "reversals_max",
        "reversals",
        1_000,
        10_000_000,
        "Most reversals open at suppliers at a time, over all of them; beyond it reversals of approved sales get 96 and come again.",
    )
    .default("100_000"),
    Key::integer(
        "parked_max",
        "reversals",
        100,
        10_000_000,
        "Most reversals of one supplier that wait for an operator; beyond it the supplier gets no sale, and reversals of what it sold get 96 and come again, but for those that are credited at once.",
    )
    .default("10_000"),
    Key::integer(
        "voucher_credits_max",
        "vouchers",
        0,
        10_000,
        "Vouchers taken back by a reversal that a terminal is credited for by itself on a business day; the amounts of more wait in suspense for an operator (S-10).",
    )
    .default("3"),
    Key::integer(
        "tickets_max",
        "messages",
        64,
        4_194_304,
        "Most messages open at a time, over all conduits; beyond it sales stay unread in their sockets. An eighth is kept for reversals (S-19).",
    )
    .default("16_384"),
    Key::integer(
        "output_bytes_max",
        "bytes",
        1024 * 1024,
        16 * 1024 * 1024 * 1024,
        "Most bytes of answers that wait for slow readers, over all connections; beyond it who has a backlog gets no more until it is taken, or write_ms is over.",
    )
    .default("268_435_456"),
    Key::integer(
        "drain_ms",
        "ms",
        0,
        600_000,
        "Longest wait for open requests when the switch ends; the rest stays in doubt and is resolved at the next start.",
    )
    .default("5_000"),
    Key::integer(
        "tray_vouchers",
        "vouchers",
        16,
        1_048_576,
        "Sealed vouchers held ready per product; refilled from the stock files as they sell.",
    )
    .default("4_096"),
];
