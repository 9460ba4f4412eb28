//! The supply adapters of Switchyard, and their registry.
//!
//! Owns: [`ADAPTERS`], the one table that configuration, start-up and the conformance tests read.
//! Invariants: an adapter is pure (no clock, socket, thread, file or randomness); its keys are data that
//! is checked before `make` runs; adding one is one file and one line here (see `README.md`).
//! Deliberately absent: transports, time-outs, matching and money; those are the session's, the shell's
//! and the gate's.

pub mod behaviour;
pub mod iso8583_host;
pub mod moment;
pub mod record;
pub mod settings;
pub mod simulated_supplier;
pub mod simulator;
pub mod stored_value;
pub mod voucher_stock;

use std::sync::Arc;
use switchyard_core::adapter::{Local, Wire};
use switchyard_core::iso8583::Dialect;
use switchyard_core::schema::{AdapterKeys, Key};
use switchyard_core::text::Text;

/// Every adapter there is.
pub static ADAPTERS: &[Registration] = &[
    iso8583_host::REGISTRATION,
    simulator::REGISTRATION,
    voucher_stock::REGISTRATION,
    stored_value::REGISTRATION,
];

/// One adapter, as the registry knows it.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The name that `supplier.adapter` calls it by.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub help: &'static str,
    /// Whether the gate decides by itself: no links, window or time-out.
    pub local: bool,
    /// Whether it speaks over links of its own; then a supplier needs at least one.
    pub links: bool,
    /// The keys of `[supplier.settings]`.
    pub keys: &'static [Key],
    /// Makes one for a supplier, from settings that were checked against `keys`.
    ///
    /// # Errors
    /// The settings contradict each other or name what is not there: the configuration's fault.
    pub make: fn(&toml::Table, &MakeContext<'_>) -> Result<Made, MakeError>,
}

impl Registration {
    /// What the configuration needs to know about it.
    pub const fn adapter_keys(&self) -> AdapterKeys {
        AdapterKeys { name: self.name, local: self.local, links: self.links, keys: self.keys }
    }
}

/// The adapter registered under `name`.
pub fn find(name: &str) -> Option<&'static Registration> {
    ADAPTERS.iter().find(|registration| registration.name == name)
}

/// What an adapter is made from, beside its settings.
pub struct MakeContext<'a> {
    /// The supplier's code, DE48 tag 03.
    pub supplier: Text<12>,
    /// The only source of variety in a simulated supplier: the same seed gives the same run.
    pub seed: u64,
    /// The dialect of a name, shipped or beside the configuration; `None` where there is none.
    pub dialect: &'a dyn Fn(&str) -> Option<Arc<Dialect>>,
    /// What the supplier's record file holds already, from the start of a line; empty where it has
    /// none. A simulated supplier remembers by it across a restart of the switch.
    pub record: &'a [u8],
}

/// What `make` made.
pub enum Made {
    /// A supplier that is asked over a wire.
    Wire(Box<dyn Wire>),
    /// A supplier that the gate itself decides.
    Local(Box<dyn Local>),
}

/// Why an adapter could not be made. The configuration's fault; correct it and start again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("supplier.settings.{key}: {what}")]
pub struct MakeError {
    /// The key in question.
    pub key: &'static str,
    /// What is wrong and what to do; never the value of a secret.
    pub what: String,
}

/// The last `N` decimal digits of `number`, zero-padded.
pub(crate) fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_core::schema::Kind;

    #[test]
    fn names_are_unique_and_found() {
        for registration in ADAPTERS {
            let same = ADAPTERS.iter().filter(|other| other.name == registration.name).count();
            assert_eq!(same, 1, "{}", registration.name);
            assert!(find(registration.name).is_some());
            assert!(!registration.help.is_empty());
        }
        assert!(find("carrier-pigeon").is_none());
    }

    #[test]
    fn defaults_and_examples_of_keys_are_toml_within_their_range() {
        for key in ADAPTERS.iter().flat_map(|registration| registration.keys) {
            for text in key.default.into_iter().chain(Some(key.example).filter(|text| !text.is_empty())) {
                let value = settings::parse(text).unwrap_or_else(|| panic!("{}: {text}", key.name));
                if let Kind::Integer { min, max } = key.kind {
                    let number = value.as_integer().unwrap_or_else(|| panic!("{}: {text}", key.name));
                    assert!((min..=max).contains(&number), "{}: {text}", key.name);
                }
            }
        }
    }
}
