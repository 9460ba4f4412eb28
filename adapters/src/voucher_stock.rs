//! `voucher-stock`: vouchers from the switch's own stock, sold by the gate itself.
//!
//! Owns: which voucher a sale gets, and what the answer says about it.
//! Invariants:
//! - The voucher handed out is the first on the product's tray that `State` has not sold and that is good
//!   for `margin_days` more. Those before it are passed over by the sale's fact, for ever.
//! - A decision changes no state. The voucher stays on its tray until `State` counts it as sold, so that a
//!   decision of which nothing comes loses none.
//! - The PIN stays sealed as it lies in the stock (S-18).
//!
//! Deliberately absent: filling the trays (the keeper's), batch files, and opening what is sealed.

use crate::settings::Settings;
use crate::{Made, MakeContext, MakeError, Registration, digits};
use switchyard_core::adapter::{Local, LocalAsk, LocalEffect, LocalSale};
use switchyard_core::batch::sealed_form;
use switchyard_core::code::Code;
use switchyard_core::details::Detail;
use switchyard_core::ids::{Now, ProductId};
use switchyard_core::schema::{Form, Key, Kind};
use switchyard_core::shelf::{Date, Shelf, Voucher};
use switchyard_core::state::State;
use switchyard_core::stock::{Place, Stock};

/// The entry in the registry.
pub const REGISTRATION: Registration = Registration {
    name: "voucher-stock",
    help: "Vouchers from the switch's own stock, loaded with `switchyard stock load`.",
    local: true,
    links: false,
    keys: KEYS,
    make,
};

/// Most characters of the text on redeeming: it shares DE48 with PIN, serial and the rest.
const REDEEM_CHARACTERS_MAX: usize = 200;

const REDEEM: Form = Form {
    name: "a text on redeeming",
    range: "1 to 200 printable ASCII characters",
    check: |text| {
        (1..=REDEEM_CHARACTERS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    },
};

const KEYS: &[Key] = &[
    Key::integer(
        "margin_days",
        "days",
        0,
        3_650,
        "A voucher is sold while it stays good for at least so many days more, counted in UTC. 1 keeps it from being sold past its last day in any time zone.",
    )
    .default("1"),
    Key::new("redeem", Kind::Form(&REDEEM), "How the customer redeems a voucher, shown with each one.")
        .example("\"Dial *101*PIN# to redeem.\""),
];

fn make(table: &toml::Table, _: &MakeContext<'_>) -> Result<Made, MakeError> {
    let settings = Settings::new(KEYS, table);
    let margin_days = u16::try_from(settings.number("margin_days")?)
        .map_err(|_| MakeError { key: "margin_days", what: "must be at most 3,650".into() })?;
    let redeem = if table.contains_key("redeem") { settings.text("redeem")? } else { String::new() };
    Ok(Made::Local(Box::new(VoucherStock { margin_days, redeem })))
}

struct VoucherStock {
    margin_days: u16,
    redeem: String,
}

impl Local for VoucherStock {
    fn decide(
        &self,
        now: Now,
        state: &State,
        shelf: &mut Shelf,
        ask: &LocalAsk,
        sale: &mut LocalSale,
    ) -> Result<(), Code> {
        sale.clear();
        let date = Date::after(now, self.margin_days);
        let voucher = choose(&state.stock, shelf, ask.product, date)?;
        self.fill(voucher, ask, sale);
        Ok(())
    }
}

/// The voucher that is sold next. What the tray still holds before it was sold, or is no longer good, and
/// is taken off.
///
/// # Errors
/// 79 where none is left; 96 where the keeper has not filled the tray yet.
fn choose<'a>(
    stock: &Stock,
    shelf: &'a mut Shelf,
    product: ProductId,
    date: Date,
) -> Result<&'a Voucher, Code> {
    let next = stock.next(product).ok_or(Code::STOCK)?;
    while shelf.next(product).is_some_and(|voucher| !sellable(voucher, next, date)) {
        shelf.take(product);
    }
    let none = if shelf.wanted(product, stock).is_some() { Code::FAULT } else { Code::STOCK };
    shelf.next(product).ok_or(none)
}

fn sellable(voucher: &Voucher, next: Place, date: Date) -> bool {
    voucher.place() >= next && voucher.is_good_on(date)
}

impl VoucherStock {
    fn fill(&self, voucher: &Voucher, ask: &LocalAsk, sale: &mut LocalSale) {
        sale.effect =
            Some(LocalEffect::Voucher { product: ask.product, batch: voucher.batch, index: voucher.index });
        sale.details.put(Detail::Serial, voucher.serial.as_bytes());
        if !voucher.expiry.is_empty() {
            sale.details.put(Detail::Expiry, voucher.expiry.as_bytes());
        }
        sale.details.put(Detail::FaceValue, &face_value(ask));
        if !self.redeem.is_empty() {
            sale.details.put(Detail::Redeem, self.redeem.as_bytes());
        }
        sealed_form(voucher, &mut sale.sealed);
    }
}

/// Twelve digits of the amount, three of the currency.
fn face_value(ask: &LocalAsk) -> [u8; 15] {
    let mut value = [0; 15];
    value[..12].copy_from_slice(&digits::<12>(ask.amount.0.unsigned_abs()));
    value[12..].copy_from_slice(&digits::<3>(u64::from(ask.currency)));
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use switchyard_core::catalogue::Service;
    use switchyard_core::details;
    use switchyard_core::money::Minor;
    use switchyard_core::stock::StockBatch;
    use switchyard_core::text::Text;

    const PRODUCT: ProductId = ProductId(4);
    /// 2026-01-01, noon in UTC.
    const NOW: Now = Now { mono_us: 0, wall_ms: 1_767_268_800_000 };
    const GOOD: &[u8] = b"20271231";
    const EXPIRED: &[u8] = b"20251231";
    const TRAY: usize = 3;

    fn adapter() -> VoucherStock {
        VoucherStock { margin_days: 1, redeem: "Dial *101*PIN#.".into() }
    }

    fn ask() -> LocalAsk {
        LocalAsk {
            product: PRODUCT,
            service: Service::Voucher,
            amount: Minor(1_000),
            currency: 978,
            exponent: 2,
            account: Text::EMPTY,
        }
    }

    fn state(counts: &[u32]) -> State {
        let mut state = State::default();
        for (number, &count) in (1..).zip(counts) {
            let name = Text::new(format!("b{number}").as_bytes()).expect("short");
            let batch = StockBatch { product: PRODUCT, number, name, count, digest: [0; 32] };
            state.stock.add(&batch).expect("a new batch");
        }
        state
    }

    fn voucher(place: Place, expiry: &[u8]) -> Voucher {
        let serial = Text::new(format!("S{}-{}", place.batch, place.index).as_bytes()).expect("short");
        let expiry = Text::new(expiry).expect("a date");
        Voucher::new(place.batch, place.index, serial, expiry, b"sealed-pin-and-its-tag").expect("short")
    }

    /// Fills the tray as the keeper does, with what `expiry` says of a place.
    fn fill(state: &State, shelf: &mut Shelf, expiry: impl Fn(Place) -> &'static [u8]) {
        while shelf.len(PRODUCT) < TRAY {
            let Some(place) = shelf.wanted(PRODUCT, &state.stock) else { return };
            shelf.put(PRODUCT, voucher(place, expiry(place)), TRAY);
        }
    }

    /// Decides and applies.
    fn sell(state: &mut State, shelf: &mut Shelf) -> Result<Place, Code> {
        let mut sale = LocalSale::default();
        adapter().decide(NOW, state, shelf, &ask(), &mut sale)?;
        let Some(LocalEffect::Voucher { product, batch, index }) = sale.effect else {
            panic!("a sale without a voucher");
        };
        state.stock.sold(product, batch, index).expect("never twice");
        Ok(Place { batch, index })
    }

    #[test]
    fn an_answer_says_what_was_sold_and_keeps_the_pin_sealed() {
        let state = state(&[5]);
        let mut shelf = Shelf::default();
        fill(&state, &mut shelf, |_| GOOD);
        let mut sale = LocalSale::default();
        sale.sealed.extend_from_slice(b"of another sale");
        adapter().decide(NOW, &state, &mut shelf, &ask(), &mut sale).expect("in stock");
        let found = |detail| details::find(&sale.details.0, detail);
        assert_eq!(found(Detail::Serial), Some(&b"S1-0"[..]));
        assert_eq!(found(Detail::Expiry), Some(GOOD));
        assert_eq!(found(Detail::FaceValue), Some(&b"000000001000978"[..]));
        assert_eq!(found(Detail::Redeem), Some(&b"Dial *101*PIN#."[..]));
        assert_eq!(found(Detail::Pin), None);
        assert_eq!(&sale.sealed[..4], [0x80, 0, 0, 1]);
        assert_eq!(&sale.sealed[16..], b"sealed-pin-and-its-tag");
    }

    #[test]
    fn a_decision_of_which_nothing_comes_loses_no_voucher() {
        let state = state(&[5]);
        let mut shelf = Shelf::default();
        fill(&state, &mut shelf, |_| GOOD);
        let mut sale = LocalSale::default();
        for _ in 0..3 {
            adapter().decide(NOW, &state, &mut shelf, &ask(), &mut sale).expect("in stock");
            assert_eq!(sale.effect, Some(LocalEffect::Voucher { product: PRODUCT, batch: 1, index: 0 }));
        }
        assert_eq!(shelf.len(PRODUCT), TRAY);
    }

    #[test]
    fn an_empty_tray_is_a_fault_and_an_empty_stock_is_not() {
        let mut state = state(&[1]);
        let mut shelf = Shelf::default();
        assert_eq!(sell(&mut state, &mut shelf), Err(Code::FAULT));
        fill(&state, &mut shelf, |_| GOOD);
        assert_eq!(sell(&mut state, &mut shelf), Ok(Place { batch: 1, index: 0 }));
        assert_eq!(sell(&mut state, &mut shelf), Err(Code::STOCK));
        assert_eq!(sell(&mut State::default(), &mut Shelf::default()), Err(Code::STOCK));
    }

    #[test]
    fn a_stock_of_expired_vouchers_is_an_empty_one() {
        let mut state = state(&[5]);
        let mut shelf = Shelf::default();
        fill(&state, &mut shelf, |_| EXPIRED);
        assert_eq!(sell(&mut state, &mut shelf), Err(Code::FAULT));
        fill(&state, &mut shelf, |_| EXPIRED);
        assert_eq!(sell(&mut state, &mut shelf), Err(Code::STOCK));
        assert_eq!((shelf.len(PRODUCT), state.stock.left(PRODUCT)), (0, 5));
    }

    #[test]
    fn settings_are_read() {
        let make_of = |text: &str| {
            let table: toml::Table = text.parse().expect("TOML");
            let dialect = |_: &str| None;
            let context = MakeContext { supplier: Text::EMPTY, seed: 0, dialect: &dialect, record: b"" };
            make(&table, &context).map(|_| ())
        };
        assert_eq!(make_of(""), Ok(()));
        assert_eq!(make_of("margin_days = 30\nredeem = \"Dial.\""), Ok(()));
        assert_eq!(make_of("margin_days = -1").map_err(|error| error.key), Err("margin_days"));
        assert!((REDEEM.check)("Dial *101#") && !(REDEEM.check)("Wählen") && !(REDEEM.check)(""));
    }

    proptest! {
        /// Sales, fills and restarts in any order: sold once, in order, never expired, none forgotten.
        #[test]
        fn vouchers_are_sold_once_in_order_and_never_expired(
            counts in prop::collection::vec(1u32..8, 1..4),
            expired in prop::collection::vec(any::<bool>(), 32),
            steps in prop::collection::vec(0u8..8, 0..80),
        ) {
            let mut state = state(&counts);
            let mut shelf = Shelf::default();
            let is_expired = |place: Place| expired[(place.batch * 8 + place.index) as usize % 32];
            let expiry = |place| if is_expired(place) { EXPIRED } else { GOOD };
            let mut last = None;
            for step in steps.into_iter().chain(std::iter::repeat_n(6, 200)) {
                match step {
                    0 => shelf = Shelf::default(),
                    1 | 2 => fill(&state, &mut shelf, expiry),
                    6 => {
                        fill(&state, &mut shelf, expiry);
                        let _ = sell(&mut state, &mut shelf).inspect(|&place| last = Some(place));
                    }
                    _ => if let Ok(place) = sell(&mut state, &mut shelf) {
                        prop_assert!(last < Some(place) && !is_expired(place));
                        last = Some(place);
                    },
                }
            }
            let good = (1u32..).zip(&counts).flat_map(|(batch, &count)| (0..count).map(move |index| Place { batch, index }));
            let sold: u32 = state.stock.batches(PRODUCT).iter().map(|batch| batch.sold).sum();
            prop_assert_eq!(sold as usize, good.filter(|&place| !is_expired(place)).count());
            prop_assert_eq!(sell(&mut state, &mut shelf), Err(Code::STOCK));
        }
    }
}
