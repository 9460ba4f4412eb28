//! Keys of networks, products and prefix tables.

use super::forms;
use switchyard_core::schema::{Key, Kind};

const CURRENCY: Key =
    Key::integer("currency", "ISO 4217 numeric", 1, 999, "Currency, by its numeric code (978 is EUR).")
        .required()
        .example("978");

pub(super) const NETWORK: &[Key] = &[
    Key::new("code", Kind::Form(&forms::NETWORK), "Its code, DE32 of its requests; unique.")
        .required()
        .example("\"100001\""),
    Key::new("name", Kind::Text { max: 64 }, "Its name, for people.").required().example("\"Corner Shops\""),
    Key::new("suspended", Kind::Bool, "A suspended network gets 31 for everything but reversals.")
        .default("false"),
    CURRENCY,
    Key::new(
        "funding",
        Kind::Choice(&["prefunded", "credit"]),
        "How its sales are paid for (R-37): with money paid in before, or owed up to a credit line.",
    )
    .required()
    .example("\"prefunded\""),
    Key::new(
        "opening",
        Kind::Form(&forms::AMOUNT),
        "Prefunded: deposited once, when the network is first seen. Later deposits are made by operators.",
    )
    .unit("units of currency")
    .example("\"10_000_000.00\""),
    Key::new("credit_line", Kind::Form(&forms::AMOUNT), "Credit: the most it may owe.")
        .unit("units of currency")
        .example("\"500_000.00\""),
    Key::new("cut_over", Kind::Form(&forms::TIME), "When its business day ends (S-16), in zone.")
        .default("\"00:00\""),
    Key::new("zone", Kind::Form(&forms::ZONE), "Time zone of cut_over.")
        .default("\"UTC\"")
        .example("\"Europe/Amsterdam\""),
    Key::new(
        "certificate_names",
        Kind::List(&Kind::Text { max: 253 }),
        "Names (CN or DNS) in client certificates that may speak for it, on conduits with bind_names; empty: any certificate of the conduit's authority.",
    )
    .default("[]")
    .example("[\"100001\", \"pos.corner-shops.example\"]"),
];

pub(super) const PRODUCT: &[Key] = &[
    Key::new("code", Kind::Form(&forms::PRODUCT), "Its code (SKU or EAN), DE48 tag 01; unique.")
        .required()
        .example("\"TOPUP\""),
    Key::new("name", Kind::Text { max: 64 }, "Its name, for people.").required().example("\"Top-up\""),
    Key::new(
        "service",
        Kind::Choice(&["voucher", "recharge", "activation", "bill-payment", "stored-value"]),
        "What kind of thing it is; decides the processing code that asks for it.",
    )
    .required()
    .example("\"recharge\""),
    CURRENCY,
    Key::new("amount", Kind::Form(&forms::AMOUNT), "The only amount it is sold for; or amount_min and amount_max.")
        .unit("units of currency")
        .example("\"10.00\""),
    Key::new("amount_min", Kind::Form(&forms::AMOUNT), "Smallest amount.")
        .unit("units of currency")
        .example("\"1.00\""),
    Key::new("amount_max", Kind::Form(&forms::AMOUNT), "Largest amount.")
        .unit("units of currency")
        .example("\"200.00\""),
    Key::new("account", Kind::Table(ACCOUNT), "The account or card that a request must name; without this table, none."),
    Key::new("networks", Kind::List(&Kind::Form(&forms::NETWORK)), "Networks that may sell it, by code; empty: all.")
        .default("[]")
        .example("[\"100001\"]"),
    Key::new(
        "policy",
        Kind::Choice(&["priority", "weight", "least-cost", "lowest-latency", "success-rate"]),
        "How to choose among the candidates (R-14).",
    )
    .default("\"priority\""),
    Key::new(
        "prefix_table",
        Kind::Text { max: 32 },
        "Prefix table that narrows the candidates by the account (R-13); an account that it does not hold may use all.",
    )
    .example("\"mobile\""),
    Key::new("candidate", Kind::Tables(CANDIDATE), "A supplier that can provide it; at most 8."),
];

const ACCOUNT: &[Key] = &[
    Key::new(
        "source",
        Kind::Choice(&["account", "card"]),
        "Where it comes from: account, DE48 tag 02; card, the PAN of DE2 or of the track in DE35.",
    )
    .default("\"account\""),
    Key::integer("length_min", "characters", 1, 30, "Fewest characters.").default("1"),
    Key::integer("length_max", "characters", 1, 30, "Most characters.").default("30"),
    Key::new("digits", Kind::Bool, "Only digits; check digits are not verified.").default("true"),
    Key::new(
        "prefixes",
        Kind::List(&Kind::Form(&forms::ACCOUNT_PREFIX)),
        "It must begin with one of these; empty: with anything. Others get 14.",
    )
    .default("[]")
    .example("[\"600649\"]"),
];

const CANDIDATE: &[Key] = &[
    Key::new("supplier", Kind::Form(&forms::SUPPLIER), "The supplier, by code.")
        .required()
        .example("\"telco-a\""),
    Key::new(
        "product",
        Kind::Form(&forms::PRODUCT),
        "The supplier's own code for the product; without it, the product's.",
    )
    .example("\"TOPUP\""),
    Key::integer(
        "priority",
        "",
        0,
        65_535,
        "Policy priority: the lowest number comes first; breaks ties of the others.",
    )
    .default("0"),
    Key::integer("weight", "", 0, 65_535, "Policy weight: its share; 0: never first.").default("1"),
    Key::integer(
        "cost_bp",
        "hundredths of a percent of the face value",
        -10_000,
        10_000,
        "Policy least-cost: what the supplier takes.",
    )
    .default("0"),
    Key::new("amount_min", Kind::Form(&forms::AMOUNT), "Only from this amount on.")
        .unit("units of currency")
        .example("\"5.00\""),
    Key::new("amount_max", Kind::Form(&forms::AMOUNT), "Only up to this amount.")
        .unit("units of currency")
        .example("\"50.00\""),
    Key::new(
        "windows",
        Kind::List(&Kind::Form(&forms::WINDOW)),
        "Only at these parts of the day, UTC; empty: always.",
    )
    .default("[]")
    .example("[\"08:00-20:00\"]"),
    Key::new(
        "networks",
        Kind::List(&Kind::Form(&forms::NETWORK)),
        "Only for these networks, by code; empty: for all.",
    )
    .default("[]")
    .example("[\"100001\"]"),
    Key::new(
        "terminals",
        Kind::List(&Kind::Form(&forms::TERMINAL)),
        "Only for terminals whose code begins with one of these; empty: for all.",
    )
    .default("[]")
    .example("[\"T00001\"]"),
];

pub(super) const PREFIX_TABLE: &[Key] = &[
    Key::new("name", Kind::Text { max: 32 }, "Its name, for product.prefix_table; unique.")
        .required()
        .example("\"mobile\""),
    Key::new(
        "prefixes",
        Kind::Map(&forms::ACCOUNT_PREFIX, &Kind::Form(&forms::SUPPLIER)),
        "Beginnings of accounts, each with the code of the only supplier that may serve it.",
    )
    .required()
    .example("{ \"06\" = \"telco-a\" }"),
];
