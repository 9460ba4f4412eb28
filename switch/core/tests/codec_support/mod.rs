//! What the tests of the codec share: dialects compiled once, messages as lists of elements, one message written by hand.

use std::sync::LazyLock;

use switchyard_core::iso8583::{Dialect, Value};

pub(crate) fn dialect(name: &str) -> Dialect {
    Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every shipped dialect, compiled once for all cases of all tests.
pub(crate) fn shipped() -> &'static [Dialect] {
    static SHIPPED: LazyLock<Vec<Dialect>> =
        LazyLock::new(|| Dialect::shipped_names().map(dialect).collect());
    &SHIPPED
}

pub(crate) fn canonical(value: Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    value.append_to(&mut out);
    out
}

/// Number, then canonical value, of every element.
pub(crate) fn read(dialect: &Dialect, message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let view = dialect.view(message).unwrap_or_else(|broken| panic!("{}: {broken}", dialect.name()));
    view.elements().map(|(de, value)| (de, canonical(value))).collect()
}

pub(crate) fn rebuilt(dialect: &Dialect, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    dialect.view(message).unwrap().rebuild(&mut out).unwrap();
    out
}

/// A sale in `prepaid87`.
pub(crate) const SALE: &str = "02003238000100C180002100000000000010001121224200123456224200112106100001T0000001SHOP00000000001\
                    02501005TOPUP020100612345678978";
