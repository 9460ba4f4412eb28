//! Keys of suppliers.

use super::connection::{connect_ms, frame_bytes_max, reconnect_first_ms, reconnect_max_ms};
use super::forms;
use super::wire::{CLIENT_TLS, FRAMING, LISTEN_TLS};
use crate::settings::WINDOW_REQUESTS_MIN;
use switchyard_core::schema::{Key, Kind};

pub(super) const SUPPLIER: &[Key] = &[
    Key::new("code", Kind::Form(&forms::SUPPLIER), "Its code, DE48 tag 03; unique.")
        .required()
        .example("\"telco-a\""),
    Key::new("name", Kind::Text { max: 64 }, "Its name, for people.").required().example("\"Telco A\""),
    Key::new("adapter", Kind::Text { max: 32 }, "The adapter that speaks for it, by its registered name.")
        .required()
        .example("\"iso8583-host\""),
    Key::integer(
        "window_requests",
        "requests",
        WINDOW_REQUESTS_MIN as i64,
        100_000,
        "Requests that may be open at it; beyond it another route is taken, or 91 answered (R-42). An eighth is kept for reversals (S-19).",
    )
    .default("1_024"),
    Key::integer(
        "advices_max",
        "reversals",
        8,
        10_000_000,
        "Sales whose reversal could still become necessary, and reversals not yet settled, that may be open at it; beyond it sales go elsewhere.",
    )
    .default("65_536"),
    Key::integer(
        "late_max",
        "attempts",
        8,
        500_000,
        "Attempts without an answer in time whose answer may still come; their STANs are not used again (R-34). Beyond it sales go elsewhere.",
    )
    .default("65_536"),
    Key::integer(
        "timeout_ms",
        "ms",
        50,
        110_000,
        "Without an answer for so long the outcome is unknown: 68, and reversed (R-33). Shorter than every conduit's deadline_ms.",
    )
    .default("3_000"),
    Key::integer(
        "late_window_ms",
        "ms",
        1_000,
        600_000,
        "How long after the time-out an answer is still matched (R-34) and the STAN is not used again.",
    )
    .default("60_000"),
    Key::integer("advice_retry_ms", "ms", 50, 3_600_000, "First wait before a reversal is repeated; doubles.")
        .default("1_000"),
    Key::integer(
        "advice_retry_max_ms",
        "ms",
        50,
        86_400_000,
        "Longest wait between repeats of a reversal.",
    )
    .default("60_000"),
    Key::integer(
        "advice_expires_ms",
        "ms",
        1_000,
        2_678_400_000,
        "A reversal not answered for so long is parked for an operator, never discarded (S-9).",
    )
    .default("259_200_000"),
    Key::new(
        "after_unknown",
        Kind::Choice(&["reverse", "status"]),
        "What is done about an unknown outcome: it is reversed; or the supplier is asked for the sale's status first, and it is reversed unless it was not performed (R-33).",
    )
    .default("\"reverse\""),
    Key::new(
        "reversal_blocks_original",
        Kind::Bool,
        "Whether the supplier refuses an original that arrives after its reversal. Only then does the answer not-found end a reversal before its late window is over (S-8). Of a sale that the supplier had approved not-found confirms nothing: the reversal is parked.",
    )
    .default("false"),
    frame_bytes_max(
        "Longest message, with its header and without its length; a longer one closes the link.",
    ),
    connect_ms(
        "Longest wait for a connection, TLS included; for a supplier that dials in, its longest handshake.",
    ),
    reconnect_first_ms(
        "Wait before the first new attempt after a link was lost; doubles, with jitter.",
    ),
    reconnect_max_ms(
        "Longest wait between attempts.",
    ),
    Key::integer("write_ms", "ms", 100, 60_000, "A link that takes no bytes for so long is closed.")
        .default("3_000"),
    Key::new(
        "record",
        Kind::Path,
        "File that a simulated supplier records in what it does, a line of JSON each; below the data folder unless absolute.",
    )
    .example("\"suppliers/cardco.jsonl\""),
    Key::new("settings", Kind::Adapter, "The adapter's own keys.").default("{}"),
    Key::new("link", Kind::Tables(LINK), "Where it is reached, or dials in; several links share the work. At most 32."),
    Key::new("framing", Kind::Table(FRAMING), "How messages are cut out of the stream.").default("{}"),
    Key::new("breaker", Kind::Table(BREAKER), "When it is left alone for a while. Declines never count.").default("{}"),
    Key::new(
        "codes",
        Kind::Map(&forms::ANSWER_CODE, &Kind::Form(&forms::SALE_MEANING)),
        "What its response codes mean for a sale (S-11). A code that is not here is unknown; nothing is not-performed by default.",
    )
    .default("{}")
    .example("{ \"00\" = \"approved\", \"05\" = \"declined:05\", \"91\" = \"not-performed:91\" }"),
    Key::new(
        "reversal_codes",
        Kind::Map(&forms::ANSWER_CODE, &Kind::Form(&forms::REVERSAL_MEANING)),
        "What its response codes mean for a reversal. With a code that is not here it is asked again.",
    )
    .default("{}")
    .example("{ \"00\" = \"reversed\", \"25\" = \"not-found\" }"),
    Key::new(
        "status_codes",
        Kind::Map(&forms::ANSWER_CODE, &Kind::Form(&forms::STATUS_MEANING)),
        "What its response codes mean for a question for a sale's status. With a code that is not here it is asked again; not-performed is believed when the late window is over.",
    )
    .default("{}")
    .example("{ \"00\" = \"performed\", \"25\" = \"not-performed\" }"),
];

const LINK: &[Key] = &[
    Key::new("host", Kind::Form(&forms::HOST), "Host name or IP address that the switch dials; with port, or listen instead.")
        .example("\"127.0.0.1\""),
    Key::integer("port", "", 1, 65_535, "TCP port that it dials.").example("9583"),
    Key::new(
        "tls",
        Kind::Table(CLIENT_TLS),
        "TLS towards the supplier; without this table a link that the switch dials is plain TCP.",
    ),
    Key::new(
        "listen",
        Kind::Form(&forms::LISTEN),
        "Where the supplier dials in, instead of host and port (R-8); unique. One connection at a time is the link.",
    )
    .example("\"0.0.0.0:9700\""),
    Key::new(
        "allow",
        Kind::List(&Kind::Form(&forms::ADDRESSES)),
        "Addresses from which the supplier dials in; needed, unless listen_tls asks for a certificate.",
    )
    .default("[]")
    .example("[\"192.0.2.7\"]"),
    Key::integer(
        "takeover_ms",
        "ms",
        0,
        600_000,
        "A new connection of the supplier takes the place of one on which nothing was heard for so long; before, it is refused.",
    )
    .default("5_000"),
    Key::new(
        "certificate_names",
        Kind::List(&Kind::Text { max: 255 }),
        "Names (CN or DNS) of which the certificate of a supplier that dials in must carry one; empty: any that client_ca signed.",
    )
    .default("[]")
    .example("[\"host.telco-a.example\"]"),
    Key::new(
        "listen_tls",
        Kind::Table(LISTEN_TLS),
        "TLS towards a supplier that dials in; without this table the link is plain TCP.",
    ),
];

const BREAKER: &[Key] = &[
    Key::integer(
        "unknown_percent",
        "percent",
        1,
        100,
        "It opens when so many of a hundred outcomes are unknown ...",
    )
    .default("50"),
    Key::integer("requests_min", "requests", 1, 1_000_000, "... of at least so many requests ...")
        .default("20"),
    Key::integer("window_ms", "ms", 100, 3_600_000, "... in so long.").default("10_000"),
    Key::integer(
        "open_ms",
        "ms",
        100,
        3_600_000,
        "How long it stays open before sales probe, one at a time.",
    )
    .default("5_000"),
];
