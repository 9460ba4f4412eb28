//! A small catalogue: two networks that may sell, one that may not; a product of every kind; two local suppliers and three over a wire.

use switchyard_core::breaker::BreakerRules;
use switchyard_core::catalogue::*;
use switchyard_core::code::Code;
use switchyard_core::ids::{NetworkId, ProductId, SupplierId};
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// What networks of the tests pay in.
pub(crate) const EURO: u16 = 978;

/// Text of a fixed size, which the tests know to fit.
pub(crate) fn text<const N: usize>(value: &str) -> Text<N> {
    Text::new(value.as_bytes()).expect("fits")
}

/// The suppliers over a wire, by their place in the catalogue.
pub(crate) const ALPHA: usize = 2;
pub(crate) const BETA: usize = 3;
pub(crate) const GAMMA: usize = 4;

fn network(code: &str, funding: Funding) -> Network {
    Network {
        id: NetworkId(0),
        code: text(code),
        name: code.into(),
        suspended: false,
        funding,
        currency: EURO,
        cut_over: CutOver { minute: 0, zone: jiff::tz::TimeZone::UTC },
        certificate_names: Vec::new(),
    }
}

/// A supplier as most tests want it: 3 s to answer, 20 s late window, repeats from 500 ms to 4 s, expiry after 60 s.
pub(crate) fn supplier(code: &str, local: bool) -> Supplier {
    let sale = [
        ("00", Meaning::Approved),
        ("05", Meaning::Declined(Code::REFUSED)),
        ("14", Meaning::Declined(Code::ACCOUNT)),
        ("91", Meaning::NotPerformed(Code::SUPPLIER)),
    ];
    let reversal = [
        ("00", ReversalMeaning::Reversed),
        ("25", ReversalMeaning::NotFound),
        ("12", ReversalMeaning::Refused),
    ];
    let status = [("00", StatusMeaning::Performed), ("25", StatusMeaning::NotPerformed)];
    Supplier {
        id: SupplierId(0),
        code: text(code),
        name: code.into(),
        adapter: "scripted".into(),
        local,
        window_requests_max: 32,
        advices_max: 64,
        late_max: 1_000,
        timeout_ms: 3_000,
        late_window_ms: 20_000,
        advice_retry_ms: 500,
        advice_retry_max_ms: 4_000,
        advice_expires_ms: 60_000,
        after_unknown: AfterUnknown::Reverse,
        reversal_blocks_original: false,
        breaker: BreakerRules::default(),
        codes: CodeTable {
            sale: sale.into_iter().map(|(code, meaning)| (text(code), meaning)).collect(),
            reversal: reversal.into_iter().map(|(code, meaning)| (text(code), meaning)).collect(),
            status: status.into_iter().map(|(code, meaning)| (text(code), meaning)).collect(),
        },
    }
}

/// A candidate without conditions.
pub(crate) fn candidate(supplier: usize, priority: u16) -> Candidate {
    Candidate {
        supplier: supplier as u32,
        product: text("SKU"),
        priority,
        weight: 1,
        cost_bp: 0,
        conditions: Conditions::default(),
    }
}

/// A product without an account, sold for anything from 1.00 to 50.00.
pub(crate) fn product(code: &str, service: Service, candidates: Vec<Candidate>) -> Product {
    Product {
        id: ProductId(0),
        code: text(code),
        name: code.into(),
        service,
        currency: EURO,
        exponent: 2,
        amount: AmountRule { min: Minor(100), max: Minor(5_000) },
        account: account(AccountSource::None, 0, 30, &[]),
        networks: Vec::new(),
        policy: Policy::Priority,
        prefix_table: None,
        candidates,
    }
}

/// An account rule: digits only.
pub(crate) fn account(
    source: AccountSource,
    length_min: u8,
    length_max: u8,
    prefixes: &[&str],
) -> AccountRule {
    let prefixes = prefixes.iter().map(|prefix| text(prefix)).collect();
    AccountRule { source, length_min, length_max, digits: true, prefixes }
}

/// The products, in the order of the catalogue.
fn products() -> Vec<Product> {
    let phone = || account(AccountSource::Account, 10, 10, &[]);
    vec![
        product("VOUCHER10", Service::Voucher, vec![candidate(0, 1)]),
        Product { account: phone(), ..product("WALLET", Service::StoredValue, vec![candidate(1, 1)]) },
        product("JIT", Service::Voucher, vec![candidate(ALPHA, 1), candidate(BETA, 2)]),
        Product {
            account: phone(),
            ..product(
                "TOPUP",
                Service::Recharge,
                vec![candidate(ALPHA, 1), candidate(BETA, 2), candidate(GAMMA, 3)],
            )
        },
        Product {
            account: account(AccountSource::Card, 16, 19, &["600649"]),
            ..product("GIFT", Service::Activation, vec![candidate(BETA, 1)])
        },
        Product {
            account: account(AccountSource::Account, 11, 11, &[]),
            ..product("ENERGY", Service::BillPayment, vec![candidate(GAMMA, 1)])
        },
        Product { currency: 840, ..product("DOLLARS", Service::Recharge, vec![candidate(ALPHA, 1)]) },
        Product { networks: vec![1], ..product("METRO", Service::Recharge, vec![candidate(ALPHA, 1)]) },
    ]
}

/// The catalogue. Networks: 100001 (prefunded), 100002 (credit), 100003 (suspended). Merchants M1 (100001), M2 (100002), M3 (100003).
/// Terminals T1 to T4 of M1, T5 to T8 of M2, T9 of M3, TX of M1 (blocked).
pub(crate) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    catalogue.networks = vec![
        network("100001", Funding::Prefunded { opening: Minor(500_000) }),
        network("100002", Funding::Credit { line: Minor(300_000) }),
        Network { suspended: true, ..network("100003", Funding::Credit { line: Minor(1_000_000) }) },
    ];
    catalogue.merchants = (0..3u32)
        .map(|at| Merchant { code: text(&format!("MERCHANT{:07}", at + 1)), network: at, funding: None })
        .collect();
    catalogue.terminals = (1..=9u32)
        .map(|at| Terminal { code: text(&format!("T{at:07}")), merchant: (at - 1) / 4, blocked: false })
        .chain([Terminal { code: text("TX"), merchant: 0, blocked: true }])
        .collect();
    catalogue.products = products();
    catalogue.suppliers = vec![
        supplier("stock", true),
        supplier("wallet", true),
        supplier("alpha", false),
        Supplier { reversal_blocks_original: true, ..supplier("beta", false) },
        Supplier {
            window_requests_max: 8,
            advices_max: 12,
            after_unknown: AfterUnknown::Status,
            ..supplier("gamma", false)
        },
    ];
    catalogue.index().expect("no code is there twice");
    catalogue
}
