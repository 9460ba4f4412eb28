//! What a load asks for: products and their mix, accounts, terminals.
//!
//! Owns: `Profile` and the demonstration's one.
//! Invariants: a profile is data; the generator turns it into frames.
//! Deliberately absent: how fast, over how many connections, and for how long (`load`).

use std::ops::RangeInclusive;
use switchyard_core::catalogue::Service;

/// What a load asks for.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What is asked for, and how often.
    pub items: Vec<Item>,
    /// Who asks, in turn.
    pub terminals: Vec<Terminal>,
    /// The last two digits of accounts, cards and meters, 0 to 99.
    pub endings: RangeInclusive<u8>,
}

/// One product of a mix.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its code, DE48 tag 01.
    pub product: String,
    /// Which processing code asks for it.
    pub service: Service,
    /// Amounts asked for, minor units: multiples of the smallest up to the largest.
    pub amounts: RangeInclusive<u64>,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// Which accounts.
    pub account: Account,
    /// How often beside the others; 0: never.
    pub weight: u32,
}

/// How a product's accounts are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The product needs none.
    None,
    /// In DE48 tag 02: one of these beginnings, then digits up to `length` characters.
    Account {
        /// Beginnings.
        prefixes: Vec<String>,
        /// Characters in all.
        length: usize,
    },
    /// In DE2: this beginning, then digits up to `length`.
    Card {
        /// The issuer's first digits.
        prefix: String,
        /// Digits in all; even, so that packed dialects need no filling.
        length: usize,
    },
}

/// One terminal.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// DE41.
    pub terminal: String,
    /// DE42.
    pub merchant: String,
    /// DE32.
    pub network: String,
}

/// Currency of the demonstration.
const EURO: u16 = 978;
/// Terminals of the demonstration; one of them is blocked and never asks.
const TERMINALS: u32 = 1_000;
const BLOCKED: u32 = 999;

impl Profile {
    /// The demonstration's products, terminals and accounts that are approved.
    pub fn demonstration() -> Self {
        let account = |prefixes: &[&str], length| Account::Account {
            prefixes: prefixes.iter().map(|prefix| (*prefix).into()).collect(),
            length,
        };
        let item = |product: &str, service, amounts, account, weight| Item {
            product: product.into(),
            service,
            amounts,
            currency: EURO,
            account,
            weight,
        };
        Self {
            items: vec![
                item("TOPUP", Service::Recharge, 500..=20_000, account(&["06", "07", "03"], 10), 50),
                item("DATA5", Service::Recharge, 500..=500, account(&["06"], 10), 10),
                item("VOUCHER10", Service::Voucher, 1_000..=1_000, Account::None, 10),
                item("VOUCHER20", Service::Voucher, 2_000..=2_000, Account::None, 5),
                item("VOUCHERJIT", Service::Voucher, 1_500..=1_500, Account::None, 5),
                item("GIFT25", Service::Activation, 2_500..=2_500, card("600649", 16), 5),
                item("ENERGY", Service::BillPayment, 500..=50_000, account(&["54"], 11), 10),
                item("WALLET", Service::StoredValue, 100..=1_000, account(&["W000"], 8), 5),
            ],
            terminals: (1..=TERMINALS).filter(|number| *number != BLOCKED).map(terminal).collect(),
            endings: 0..=79,
        }
    }

    /// Sets the weights by product, all others to 0; answers the first product that the profile does not have.
    ///
    /// # Errors
    /// The unknown product's code.
    pub fn mix(&mut self, weights: &[(String, u32)]) -> Result<(), String> {
        for item in &mut self.items {
            item.weight = 0;
        }
        for (product, weight) in weights {
            let item = self.items.iter_mut().find(|item| item.product == *product);
            item.ok_or_else(|| product.clone())?.weight = *weight;
        }
        Ok(())
    }
}

fn card(prefix: &str, length: usize) -> Account {
    Account::Card { prefix: prefix.into(), length }
}

/// Ten terminals to a merchant, ten merchants to each of the two networks in turn.
fn terminal(number: u32) -> Terminal {
    let merchant = number.div_ceil(10);
    let network = if ((merchant - 1) / 10).is_multiple_of(2) { "100001" } else { "100002" };
    Terminal {
        terminal: format!("T{number:07}"),
        merchant: format!("SHOP{merchant:011}"),
        network: network.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_those_of_the_demonstration() {
        let profile = Profile::demonstration();
        let shown = |number: usize| {
            let Terminal { terminal, merchant, network } = &profile.terminals[number - 1];
            format!("{terminal} {merchant} {network}")
        };
        assert_eq!(profile.terminals.len(), 999);
        assert_eq!(shown(1), "T0000001 SHOP00000000001 100001");
        assert_eq!(shown(100), "T0000100 SHOP00000000010 100001");
        assert_eq!(shown(101), "T0000101 SHOP00000000011 100002");
        assert_eq!(shown(201), "T0000201 SHOP00000000021 100001");
        assert_eq!(shown(999), "T0001000 SHOP00000000100 100002");
    }

    #[test]
    fn a_mix_names_known_products_only() {
        let mut profile = Profile::demonstration();
        assert_eq!(profile.mix(&[("TOPUP".into(), 3)]), Ok(()));
        assert_eq!(profile.items.iter().map(|item| item.weight).sum::<u32>(), 3);
        assert_eq!(profile.mix(&[("TOPPED".into(), 1)]), Err("TOPPED".into()));
    }
}
