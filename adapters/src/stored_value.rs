//! `stored-value`: accounts that the switch itself holds, opened at their first load.
//!
//! Owns: whether a load is taken, and the balance that the answer shows.
//! Invariants: a decision changes no state (the fact that follows it moves the money from the network's
//! position into the account, double entry); a balance never passes `balance_max`, so that DE54 can
//! always show it; arithmetic never wraps.
//! Deliberately absent: spending and closing of accounts, and the accounts themselves (`State`).

use crate::settings::Settings;
use crate::{Made, MakeContext, MakeError, Registration, digits};
use switchyard_core::adapter::{Local, LocalAsk, LocalEffect, LocalSale};
use switchyard_core::code::Code;
use switchyard_core::details::Detail;
use switchyard_core::ids::Now;
use switchyard_core::money::Minor;
use switchyard_core::schema::{Form, Key, Kind, grouped};
use switchyard_core::shelf::Shelf;
use switchyard_core::state::State;
use switchyard_core::text::Text;

/// The entry in the registry.
pub const REGISTRATION: Registration = Registration {
    name: "stored-value",
    help: "Stored-value accounts that the switch holds, opened at their first load.",
    local: true,
    links: false,
    keys: KEYS,
    make,
};

/// The largest balance that the twelve digits of DE54 can show.
const BALANCE_MAX: i64 = 999_999_999_999;

const CURRENCY: Form = Form {
    name: "a currency",
    range: "three digits, ISO 4217",
    check: |text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()),
};

const KEYS: &[Key] = &[
    Key::integer(
        "balance_max",
        "minor units",
        1,
        BALANCE_MAX,
        "The most that an account may hold; a load beyond it gets 61. The default is what DE54 can show.",
    )
    .default("999_999_999_999"),
    Key::new(
        "currency",
        Kind::Form(&CURRENCY),
        "The currency of the accounts; a load in another one gets 12. Without it the products alone decide, and they must agree.",
    )
    .example("\"978\""),
];

fn make(table: &toml::Table, _: &MakeContext<'_>) -> Result<Made, MakeError> {
    let settings = Settings::new(KEYS, table);
    let balance_max = match i64::try_from(settings.number("balance_max")?) {
        Ok(max) if (1..=BALANCE_MAX).contains(&max) => Minor(max),
        _ => {
            let what = format!("must be 1 to {} minor units", grouped(BALANCE_MAX));
            return Err(MakeError { key: "balance_max", what });
        }
    };
    let currency = settings.short::<3>("currency")?;
    let currency = if currency.is_empty() { None } else { Some(number(currency)?) };
    Ok(Made::Local(Box::new(StoredValue { balance_max, currency })))
}

fn number(currency: Text<3>) -> Result<u16, MakeError> {
    let number = currency.as_str().parse().ok().filter(|_| currency.len() == 3);
    number.ok_or_else(|| MakeError { key: "currency", what: "must be three digits, ISO 4217".into() })
}

struct StoredValue {
    balance_max: Minor,
    currency: Option<u16>,
}

impl Local for StoredValue {
    fn decide(
        &self,
        _: Now,
        state: &State,
        _: &mut Shelf,
        ask: &LocalAsk,
        sale: &mut LocalSale,
    ) -> Result<(), Code> {
        sale.clear();
        let balance = self.balance_after(state.wallet(ask.account), ask)?;
        sale.effect = Some(LocalEffect::Load { account: ask.account, amount: ask.amount });
        sale.details.put(Detail::Balances, &available(balance, ask.currency));
        Ok(())
    }
}

impl StoredValue {
    /// The balance after the load; `held` is `None` for an account that is opened by it.
    fn balance_after(&self, held: Option<Minor>, ask: &LocalAsk) -> Result<Minor, Code> {
        if ask.account.is_empty() {
            return Err(Code::ACCOUNT);
        }
        if self.currency.is_some_and(|currency| currency != ask.currency) {
            return Err(Code::NOT_VALID);
        }
        if ask.amount <= Minor::ZERO {
            return Err(Code::AMOUNT);
        }
        let balance = held.unwrap_or(Minor::ZERO).plus(ask.amount);
        balance.filter(|&balance| balance <= self.balance_max).ok_or(Code::LIMIT)
    }
}

/// One balance in the form of DE54 (ISO 8583:1987): account type 00 (not specified), amount type 02
/// (available), currency, sign (C: in the holder's favour, D: owed), twelve digits.
fn available(balance: Minor, currency: u16) -> [u8; 20] {
    let mut field = *b"0002000C000000000000";
    field[4..7].copy_from_slice(&digits::<3>(u64::from(currency)));
    if balance < Minor::ZERO {
        field[7] = b'D';
    }
    field[8..].copy_from_slice(&digits::<12>(balance.0.unsigned_abs()));
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use switchyard_core::catalogue::Service;
    use switchyard_core::details;
    use switchyard_core::ids::ProductId;

    fn ask(account: &[u8], amount: i64) -> LocalAsk {
        LocalAsk {
            product: ProductId(1),
            service: Service::StoredValue,
            amount: Minor(amount),
            currency: 978,
            exponent: 2,
            account: Text::new(account).expect("short ASCII"),
        }
    }

    fn adapter(balance_max: i64, currency: Option<u16>) -> StoredValue {
        StoredValue { balance_max: Minor(balance_max), currency }
    }

    #[test]
    fn a_first_load_opens_the_account_and_shows_its_balance() {
        let mut sale = LocalSale::default();
        let (ask, state) = (ask(b"W1", 2_500), State::default());
        adapter(10_000, Some(978))
            .decide(Now::default(), &state, &mut Shelf::default(), &ask, &mut sale)
            .expect("within limits");
        assert_eq!(sale.effect, Some(LocalEffect::Load { account: ask.account, amount: ask.amount }));
        let balances = details::find(&sale.details.0, Detail::Balances);
        assert_eq!(balances, Some(&b"0002978C000000002500"[..]));
        assert!(sale.sealed.is_empty());
    }

    #[test]
    fn loads_are_refused_by_rule() {
        let table = [
            (Some(7_000), ask(b"W1", 3_000), Ok(Minor(10_000))),
            (Some(7_000), ask(b"W1", 3_001), Err(Code::LIMIT)),
            (Some(i64::MAX), ask(b"W1", 1), Err(Code::LIMIT)),
            (None, ask(b"W1", 10_001), Err(Code::LIMIT)),
            (None, ask(b"", 100), Err(Code::ACCOUNT)),
            (None, ask(b"W1", 0), Err(Code::AMOUNT)),
            (None, ask(b"W1", -5), Err(Code::AMOUNT)),
            (None, LocalAsk { currency: 840, ..ask(b"W1", 100) }, Err(Code::NOT_VALID)),
        ];
        for (held, ask, expected) in table {
            let answer = adapter(10_000, Some(978)).balance_after(held.map(Minor), &ask);
            assert_eq!(answer, expected, "{held:?} {ask:?}");
        }
        let foreign = LocalAsk { currency: 840, ..ask(b"W1", 100) };
        assert_eq!(adapter(10_000, None).balance_after(None, &foreign), Ok(Minor(100)));
    }

    #[test]
    fn settings_are_read_and_checked() {
        let make_of = |text: &str| {
            let table: toml::Table = text.parse().expect("TOML");
            let dialect = |_: &str| None;
            let context = MakeContext { supplier: Text::EMPTY, seed: 0, dialect: &dialect, record: b"" };
            make(&table, &context).map(|_| ()).map_err(|error| error.key)
        };
        assert_eq!(make_of(""), Ok(()));
        assert_eq!(make_of("balance_max = 5_000\ncurrency = \"978\""), Ok(()));
        assert_eq!(make_of("balance_max = 0"), Err("balance_max"));
        assert_eq!(make_of("balance_max = 1_000_000_000_000"), Err("balance_max"));
        assert_eq!(make_of("currency = \"97\""), Err("currency"));
        assert_eq!(make_of("currency = \"EUR\""), Err("currency"));
    }

    #[test]
    fn a_balance_is_shown_with_its_sign() {
        assert_eq!(&available(Minor(-1_234), 36), b"0002036D000000001234");
        assert_eq!(&available(Minor(BALANCE_MAX), 978), b"0002978C999999999999");
    }

    proptest! {
        #[test]
        fn a_balance_is_exact_and_never_over_its_limit(
            held in 0i64..=BALANCE_MAX, amount in any::<i64>(), max in 1i64..=BALANCE_MAX,
        ) {
            match adapter(max, None).balance_after(Some(Minor(held)), &ask(b"W1", amount)) {
                Ok(balance) => {
                    prop_assert_eq!(balance.0, held + amount);
                    prop_assert!(amount > 0 && balance.0 <= max);
                }
                Err(code) if amount <= 0 => prop_assert_eq!(code, Code::AMOUNT),
                Err(_) => prop_assert!(i128::from(held) + i128::from(amount) > i128::from(max)),
            }
        }
    }
}
