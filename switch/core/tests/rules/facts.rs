//! Facts read back as they were written; no bytes make reading panic; positions and reservations hold at the edges.

use proptest::prelude::*;
use switchyard_core::account::Account;
use switchyard_core::adapter::LocalEffect;
use switchyard_core::code::Code;
use switchyard_core::fact::{Cause, Fact, NameKind, Proof, Settlement};
use switchyard_core::flight::{Attempt, Flight, SealedPan};
use switchyard_core::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use switchyard_core::index::{Entry, Index, Standing};
use switchyard_core::log::Lsn;
use switchyard_core::money::Minor;
use switchyard_core::operate::{Act, Action, Operator, Party, Payer};
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::reversal::{Named, Original, Reversal, Taken, Undone};
use switchyard_core::stock::StockBatch;
use switchyard_core::text::Text;

/// Everything that facts are made of, drawn once.
#[derive(Clone, Debug)]
struct Drawn {
    numbers: [u64; 6],
    word: String,
    bytes: Vec<u8>,
    more: Vec<u8>,
    sealed: Vec<u8>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    (any::<[u64; 6]>(), "[ -~]{0,10}", bytes(), bytes(), prop::collection::vec(any::<u8>(), 0..64))
        .prop_map(|(numbers, word, bytes, more, sealed)| Drawn { numbers, word, bytes, more, sealed })
}

fn text<const N: usize>(word: &str) -> Text<N> {
    Text::new(&word.as_bytes()[..word.len().min(N)]).expect("ASCII that fits")
}

fn flight(drawn: &Drawn) -> Flight {
    let [a, b, c, d, ..] = drawn.numbers;
    Flight {
        number: FlightNo(a),
        admitted_ms: b,
        key: u128::from(c) << 64 | u128::from(d),
        named: u128::from(d) << 64 | u128::from(a),
        contents: c,
        network: NetworkId(a as u16),
        product: ProductId(b as u16),
        service: c as u8,
        amount: Minor(d as i64),
        currency: a as u16,
        account: text(&drawn.word),
        terminal: text(&drawn.word),
        merchant: text(&drawn.word),
        merchant_pays: a % 2 == 0,
        acquirer: text(&drawn.word),
        local: [b as u8; 10],
        day: [c as u8; 4],
        rrn: text(&drawn.word),
        attempt: attempt(drawn),
        pan: SealedPan::new(&drawn.sealed).expect("it fits"),
        ..Flight::default()
    }
}

fn attempt(drawn: &Drawn) -> Attempt {
    let [a, b, c, ..] = drawn.numbers;
    Attempt {
        number: a as u8,
        supplier: SupplierId(b as u16),
        stan: c as u32,
        transmission: [a as u8; 10],
        product: text(&drawn.word),
    }
}

fn outcome(drawn: &Drawn) -> Outcome<'_> {
    let verdicts = [Verdict::Approved, Verdict::Declined, Verdict::Unknown, Verdict::Cancelled];
    Outcome {
        flight: FlightNo(drawn.numbers[0]),
        verdict: verdicts[drawn.numbers[4] as usize % 4],
        code: Code([drawn.numbers[1] as u8, 0]),
        day: [3; 4],
        rrn: text(&drawn.word),
        approval: text(&drawn.word),
        details: &drawn.bytes,
        sealed: &drawn.more,
    }
}

fn acts(drawn: &Drawn) -> [Act; 12] {
    let [a, b, c, ..] = drawn.numbers;
    let (network, amount) = (NetworkId(a as u16), Minor(b as i64));
    [
        Act::Credited { network, merchant: None, amount },
        Act::Debited { network, merchant: None, amount },
        Act::Credited { network, merchant: Some(text(&drawn.word)), amount },
        Act::Debited { network, merchant: Some(text(&drawn.word)), amount },
        Act::KeysRotated { old: a.to_be_bytes(), new: b.to_be_bytes(), since_ms: c, retired: a as u32 },
        Act::Terminal { terminal: text(&drawn.word), blocked: a % 2 == 0 },
        Act::Supplier { supplier: SupplierId(b as u16), drained: a % 2 == 0 },
        Act::DayClosed { network, date: b as u32, until_ms: c },
        Act::Loaded { product: ProductId(a as u16), batch: text(&drawn.word), count: b as u32 },
        Act::Retried { flight: FlightNo(a), stan: b as u32 },
        Act::Settled { flight: FlightNo(a), payer: Payer::Suspense, to: Party::Network },
        Act::Settled { flight: FlightNo(a), payer: Payer::Nobody, to: Party::Supplier },
    ]
}

fn facts(drawn: &Drawn) -> Vec<Fact<'_>> {
    let [a, b, c, d, e, _] = drawn.numbers;
    let (number, at_ms, code) = (FlightNo(a), b, text(&drawn.word));
    let accounts = [
        Account::Network(NetworkId(a as u16)),
        Account::Supplier(SupplierId(b as u16)),
        Account::Suspense(SupplierId(c as u16)),
        Account::Wallet(text(&drawn.word)),
        Account::Contra,
        Account::Merchant(text(&drawn.word)),
    ];
    let voucher = LocalEffect::Voucher { product: ProductId(a as u16), batch: b as u32, index: c as u32 };
    let load = LocalEffect::Load { account: text(&drawn.word), amount: Minor(d as i64) };
    let sale = |effect| Fact::Sale {
        flight: flight(drawn),
        dialect: e as u16,
        frame: &drawn.bytes,
        outcome: outcome(drawn),
        effect,
    };
    let stray = |bytes| Fact::Stray {
        at_ms,
        flight: number,
        supplier: SupplierId(b as u16),
        code,
        approved: c % 2 == 0,
        details: bytes,
        sealed: bytes,
    };
    let mut all = vec![
        Fact::Day { network: NetworkId(a as u16), date: b as u32, until_ms: c },
        Fact::Stock(StockBatch {
            product: ProductId(a as u16),
            number: b as u32,
            name: text(&drawn.word),
            count: c as u32,
            digest: [d as u8; 32],
        }),
        Fact::Intent { flight: flight(drawn), dialect: e as u16, frame: &drawn.bytes },
        Fact::Moved { at_ms, flight: number, proof: Proof::NeverSent, attempt: attempt(drawn) },
        Fact::Moved { at_ms, flight: number, proof: Proof::Refused(code), attempt: attempt(drawn) },
        Fact::Outcome { at_ms, link: a as u8, moved: None, outcome: outcome(drawn) },
        Fact::Outcome { at_ms, link: a as u8, moved: Some(attempt(drawn)), outcome: outcome(drawn) },
        sale(voucher),
        sale(load),
        Fact::Parked { at_ms, flight: number, code },
        Fact::Late {
            at_ms,
            flight: number,
            code,
            approved: [None, Some(false), Some(true)][e as usize % 3],
            details: &drawn.bytes,
            sealed: &drawn.bytes,
            stan: d as u32,
        },
        Fact::Replayed { at_ms, flight: number },
        Fact::Contradicted { at_ms, flight: number, code, undo: None, stan: 0 },
        stray(&[]),
        stray(&drawn.bytes),
        Fact::Contradicted { at_ms, flight: number, code, undo: Some(flight(drawn)), stan: e as u32 },
        Fact::Seen { at_ms, key: u128::from(a) << 64 | u128::from(b), named: u128::from(c) },
        Fact::Blocked { at_ms, key: u128::from(b) << 64 | u128::from(c), named: u128::from(a) },
        Fact::CutOver {
            at_ms,
            network: NetworkId(a as u16),
            date: b as u32,
            until_ms: c,
            stan: d as u32,
            transmission: [e as u8; 10],
        },
    ];
    all.extend(undone(drawn).map(|undone| Fact::Undo {
        at_ms,
        reversal: Reversal {
            number,
            key: u128::from(a) << 64 | u128::from(b),
            named: u128::from(c),
            contents: d,
            network: NetworkId(e as u16),
            reason: text("68"),
        },
        dialect: e as u16,
        frame: &drawn.bytes,
        outcome: outcome(drawn),
        undone,
    }));
    all.extend(undone(drawn).map(|undone| Fact::Recognised { at_ms, day: [c as u8; 4], undone }));
    all.extend(acts(drawn).map(|act| {
        let by = Operator { uid: a as u32, name: text(&drawn.word) };
        Fact::Operated(Action { at_ms, by, reason: text(&drawn.word), act })
    }));
    all.extend(NameKind::ALL.map(|kind| Fact::Named { kind, id: a as u16, name: text(&drawn.word) }));
    all.extend(accounts.map(|account| Fact::Deposit {
        at_ms,
        account,
        amount: Minor(d as i64),
        reason: text(&drawn.word),
    }));
    let causes = [Cause::TimedOut, Cause::LinkLost, Cause::Crash, Cause::Unmapped];
    all.extend(causes.map(|cause| Fact::Doubt { at_ms, cause, outcome: outcome(drawn) }));
    all.extend(
        [Settlement::Reversed, Settlement::NotFound, Settlement::NotPerformed]
            .map(|settlement| Fact::Settled { at_ms, flight: number, settlement }),
    );
    all
}

fn undone(drawn: &Drawn) -> [Undone; 10] {
    let [a, b, c, d, e, _] = drawn.numbers;
    let original = Original {
        key: u128::from(a),
        named: u128::from(b),
        contents: c,
        flight: FlightNo(d),
        admitted_ms: e,
        intent_at: Lsn(0),
    };
    let placed = Original { intent_at: Lsn(e.max(1)), ..original };
    let sold = |taken| Undone::Sold { flight: Box::new(flight(drawn)), link: a as u8, taken };
    [
        Undone::Blocked(Named { key: Some(u128::from(a)), named: None }),
        Undone::Open(original),
        Undone::Nothing(original),
        Undone::Open(placed),
        Undone::Nothing(placed),
        Undone::Again,
        sold(Taken::Asked { stan: b as u32 }),
        sold(Taken::Withdrawn { credited: c % 2 == 0 }),
        sold(Taken::Unloaded),
        sold(Taken::Spent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_fact_reads_back_and_no_part_of_one_does(drawn in drawn()) {
        for fact in facts(&drawn) {
            let mut bytes = Vec::new();
            fact.pack(&mut bytes);
            prop_assert_eq!(Fact::unpack(&bytes), Ok(fact));
            for cut in 0..bytes.len() {
                prop_assert!(Fact::unpack(&bytes[..cut]).is_err());
            }
            bytes.push(0);
            prop_assert!(Fact::unpack(&bytes).is_err());
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0u8..40) {
        let mut bytes = bytes;
        bytes.insert(0, kind);
        let _ = Fact::unpack(&bytes);
    }

    #[test]
    fn the_index_finds_what_a_plain_list_finds(
        steps in prop::collection::vec((0u8..4, 0u64..12, 0u64..6), 1..200),
    ) {
        let (mut index, mut list) = (Index::default(), Vec::<Entry>::new());
        for (at, (step, key, named)) in steps.into_iter().enumerate() {
            let (key, named) = (u128::from(key) << 120 | 5, u128::from(named) << 121 | 9);
            match step {
                0 => {
                    // Everything before a moment leaves, but not past what is open.
                    let before = at as u64 / 2;
                    let stays = list.iter().position(|entry| entry.admitted_ms >= before || entry.standing == Standing::InFlight);
                    list.drain(..stays.unwrap_or(list.len()));
                    index.expire(before);
                }
                _ if list.iter().any(|entry| entry.key == key) => {}
                _ => {
                    let standing = if step == 1 { Standing::InFlight } else { Standing::Answered };
                    let entry = Entry {
                        key,
                        named,
                        contents: 1,
                        flight: FlightNo(at as u64),
                        admitted_ms: at as u64,
                        intent_at: Lsn(1),
                        outcome_at: Lsn(2),
                        standing,
                        secret: false,
                    };
                    index.add(entry);
                    list.push(entry);
                }
            }
            prop_assert_eq!(index.len(), list.len());
            prop_assert!(index.iter().eq(list.iter()));
            let found = index.by_key(key).and_then(|at| index.entry(at));
            prop_assert_eq!(found, list.iter().find(|entry| entry.key == key));
            // Of several under one second key the newest is found.
            let found = index.by_named(named).and_then(|at| index.entry(at));
            prop_assert_eq!(found, list.iter().rev().find(|entry| entry.named == named));
        }
    }
}
