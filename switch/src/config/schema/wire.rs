//! Keys of conduits, framings, and both sides of TLS.

use super::connection::{connect_ms, frame_bytes_max, reconnect_first_ms, reconnect_max_ms};
use super::forms;
use crate::settings::WINDOW_REQUESTS_MIN;
use switchyard_core::schema::{Key, Kind};

pub(super) const CONDUIT: &[Key] = &[
    Key::new("name", Kind::Text { max: 32 }, "Its name in pages, metrics and logs; unique.")
        .required()
        .example("\"plain\""),
    Key::new("listen", Kind::Form(&forms::LISTEN), "Where it listens; unique. This, or dial.")
        .example("\"127.0.0.1:8583\""),
    Key::new(
        "dial",
        Kind::Form(&forms::DIAL),
        "The retail network's host, where the switch dials it instead of listening (R-8); its name is looked up at each dial. What the host asks is served as on a connection that was accepted.",
    )
    .example("\"iso.network.example:8583\""),
    Key::integer(
        "connections",
        "connections",
        1,
        256,
        "With dial: connections that are kept open to the host.",
    )
    .default("1"),
    connect_ms(
        "With dial: longest wait for a connection, TLS included.",
    ),
    reconnect_first_ms(
        "With dial: wait before the first new attempt after a connection was lost; doubles, with jitter.",
    ),
    reconnect_max_ms(
        "With dial: longest wait between attempts.",
    ),
    Key::new("dialect", Kind::Dialect, "The dialect spoken on it.").required().example("\"prepaid87\""),
    Key::new(
        "durability",
        Kind::Choice(&["strict", "relaxed"]),
        "When an answer may leave (S-17): strict, once its records are synced; relaxed, once they are written: a power cut may lose it. Vouchers and reversals are always strict.",
    )
    .default("\"strict\""),
    Key::new(
        "sign_on",
        Kind::Bool,
        "Whether a network must sign on (DE70 001) on its connection before its sales are taken; others get 31 (R-6).",
    )
    .default("false"),
    Key::new(
        "networks",
        Kind::List(&Kind::Form(&forms::NETWORK)),
        "Networks that may use it, by code; empty: all.",
    )
    .default("[]")
    .example("[\"100001\"]"),
    Key::new(
        "allow",
        Kind::List(&Kind::Form(&forms::ADDRESSES)),
        "With listen: addresses that may connect; empty: all.",
    )
    .default("[]")
    .example("[\"10.0.0.0/8\", \"2001:db8::/32\"]"),
    Key::integer("connections_max", "connections", 1, 65_536, "With listen: most connections at a time.").default("1_024"),
    Key::integer(
        "connections_per_address_max",
        "connections",
        1,
        65_536,
        "With listen: most connections at a time from one address.",
    )
    .default("256"),
    Key::integer(
        "window_requests",
        "requests",
        WINDOW_REQUESTS_MIN as i64,
        16_384,
        "Requests that one connection may have open (R-41); beyond it the connection is not read. An eighth is kept for reversals. Half may be one supplier's; its sales beyond that get 91 at once (S-19). While the switch has no idle time at all, as little as a quarter is open, and sales beyond that wait unread (R-43).",
    )
    .default("128"),
    frame_bytes_max(
        "Longest message, with its header and without its length; a longer one closes the connection (S-20).",
    ),
    Key::integer("handshake_ms", "ms", 100, 60_000, "With listen: longest TLS handshake.").default("5_000"),
    Key::integer(
        "first_byte_ms",
        "ms",
        0,
        3_600_000,
        "Longest wait for a new connection's first byte; 0: for ever.",
    )
    .default("30_000"),
    Key::integer(
        "frame_ms",
        "ms",
        100,
        60_000,
        "Longest time from the first byte of a message to its last.",
    )
    .default("5_000"),
    Key::integer(
        "idle_ms",
        "ms",
        0,
        86_400_000,
        "A connection without traffic for so long is closed; 0: never.",
    )
    .default("600_000"),
    Key::integer(
        "echo_ms",
        "ms",
        0,
        86_400_000,
        "A connection on which nothing was heard for so long is sent an echo (0800, DE70 301), once (R-6); 0: never. One that does not answer ends by idle_ms. With dial it is also sent before the host has said anything: shorter than first_byte_ms, it keeps a silent connection.",
    )
    .default("0"),
    Key::integer(
        "write_ms",
        "ms",
        100,
        60_000,
        "A client that takes no answer for so long is closed; its repeats get the stored answers.",
    )
    .default("5_000"),
    Key::integer(
        "deadline_ms",
        "ms",
        100,
        120_000,
        "A request not answered for so long gets 68. Longer than every supplier's timeout_ms (R-33).",
    )
    .default("5_000"),
    Key::new("framing", Kind::Table(FRAMING), "How messages are cut out of the stream.").default("{}"),
    Key::new("tls", Kind::Table(TLS), "TLS; without this table a conduit that listens is plain TCP."),
    Key::new(
        "dial_tls",
        Kind::Table(DIAL_TLS),
        "TLS towards the host that is dialled; without this table a conduit that dials is plain TCP.",
    ),
];

pub(super) const FRAMING: &[Key] = &[
    Key::new(
        "length",
        Kind::Choice(&["binary2", "binary4", "ascii4", "bcd4"]),
        "The length before each message: two or four bytes, four ASCII digits, or four BCD digits in two bytes.",
    )
    .default("\"binary2\""),
    Key::new(
        "order",
        Kind::Choice(&["big", "little"]),
        "Which byte of a binary length comes first: the big end or the little one.",
    )
    .default("\"big\""),
    Key::new("inclusive", Kind::Bool, "Whether the length counts itself.").default("false"),
    Key::new(
        "header",
        Kind::Form(&forms::HEADER),
        "What stands between length and message: nothing, a TPDU of five bytes, or a fixed header of so many bytes, in hex.",
    )
    .default("\"none\"")
    .example("\"tpdu\""),
    Key::new(
        "header_mode",
        Kind::Choice(&["mirror", "rewrite"]),
        "The header of an answer: the request's (a TPDU with its addresses exchanged), or the configured one.",
    )
    .default("\"mirror\""),
];

pub(super) const TLS: &[Key] = &[
    Key::new("certificate", Kind::Path, "Certificate chain of the server, PEM; below the data folder unless absolute.")
        .required()
        .example("\"tls/server.pem\""),
    Key::new("key", Kind::Path, "Its private key, PEM, mode 0600; below the data folder unless absolute.")
        .required()
        .example("\"tls/server.key\""),
    Key::new(
        "client",
        Kind::Choice(&["none", "optional", "required"]),
        "Whether clients show a certificate.",
    )
    .default("\"none\""),
    Key::new(
        "client_ca",
        Kind::Path,
        "Authority that signs client certificates, PEM; needed unless client is none.",
    )
    .example("\"tls/ca.pem\""),
    Key::new("version_min", Kind::Choice(&["1.2", "1.3"]), "Oldest version of TLS that is spoken.")
        .default("\"1.2\""),
    Key::new(
        "bind_names",
        Kind::Bool,
        "Whether the name in the client's certificate (CN or DNS, see network.certificate_names) decides which network it may speak for; others get 31.",
    )
    .default("false"),
];

/// Of TLS towards what the switch dials, whoever that is.
const CLIENT_CERTIFICATE: Key =
    Key::new("certificate", Kind::Path, "Certificate that the switch shows, PEM.")
        .example("\"tls/switch.pem\"");
const CLIENT_KEY: Key =
    Key::new("key", Kind::Path, "Its private key, PEM, mode 0600; needed with certificate.")
        .example("\"tls/switch.key\"");

pub(super) const CLIENT_TLS: &[Key] = &[
    Key::new(
        "ca",
        Kind::Path,
        "Authority that signs the supplier's certificate, PEM; below the data folder unless absolute.",
    )
    .required()
    .example("\"tls/telco-a-ca.pem\""),
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    Key::new(
        "server_name",
        Kind::Form(&forms::HOST),
        "Name that the supplier's certificate must carry; without it, the link's host.",
    )
    .example("\"switch.telco-a.example\""),
];

pub(super) const DIAL_TLS: &[Key] = &[
    Key::new(
        "ca",
        Kind::Path,
        "Authority that signs the host's certificate, PEM; below the data folder unless absolute.",
    )
    .required()
    .example("\"tls/network-ca.pem\""),
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    Key::new(
        "server_name",
        Kind::Form(&forms::HOST),
        "Name that the host's certificate must carry; without it, the host of dial.",
    )
    .example("\"iso.network.example\""),
    Key::new(
        "bind_names",
        Kind::Bool,
        "Whether the name in the host's certificate (CN or DNS, see network.certificate_names) decides which network it may speak for; others get 31.",
    )
    .default("false"),
];

pub(super) const LISTEN_TLS: &[Key] = &[
    Key::new(
        "certificate",
        Kind::Path,
        "Certificate chain that the switch shows, PEM; below the data folder unless absolute.",
    )
    .required()
    .example("\"tls/switch.pem\""),
    Key::new("key", Kind::Path, "Its private key, PEM, mode 0600; below the data folder unless absolute.")
        .required()
        .example("\"tls/switch.key\""),
    Key::new(
        "client_ca",
        Kind::Path,
        "Authority that signs the supplier's certificate, PEM; with it a certificate is required.",
    )
    .example("\"tls/telco-a-ca.pem\""),
    Key::new("version_min", Kind::Choice(&["1.2", "1.3"]), "Oldest version of TLS that is spoken.")
        .default("\"1.2\""),
];
