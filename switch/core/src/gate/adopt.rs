//! A catalogue taken over: its names get the journal's ids, its accounts their opening deposits.
//!
//! Owns: the facts that a start with a new configuration writes (`Named`, `Deposit`), and the places of suppliers.
//! Invariants: a name keeps its id for ever; an opening amount comes once; no batch of the log overflows, however many names and merchants there are: whoever has the log's
//! file writes in between, and a start that ends in between is gone on with by the next.
//! Deliberately absent: reading a configuration (the shell's), and names of what the journal has and the configuration no longer.

use super::{Gate, Supply};
use crate::account::Account;
use crate::catalogue::{Catalogue, Funding};
use crate::fact::{Fact, NameKind};
use crate::ids::{NetworkId, Now, ProductId, SupplierId};
use crate::log::Log;
use crate::money::Minor;
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::sync::Arc;

impl Gate {
    /// Takes a catalogue over: gives ids to names not seen before, deposits to accounts not seen before. `write` as in [`Gate::new`].
    ///
    /// # Errors
    /// Those of `write`.
    pub fn adopt<E>(
        &mut self,
        mut catalogue: Catalogue,
        now: Now,
        mut write: impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<Arc<Catalogue>, E> {
        let Catalogue { suppliers, products, networks, .. } = &mut catalogue;
        let codes = suppliers.iter().map(|supplier| supplier.code.as_str());
        let ids = self.name_all(NameKind::Supplier, codes, &mut write)?;
        suppliers.iter_mut().zip(ids).for_each(|(supplier, id)| supplier.id = SupplierId(id));
        let codes = products.iter().map(|product| product.code.as_str());
        let ids = self.name_all(NameKind::Product, codes, &mut write)?;
        products.iter_mut().zip(ids).for_each(|(product, id)| product.id = ProductId(id));
        let codes = networks.iter().map(|network| network.code.as_str());
        let ids = self.name_all(NameKind::Network, codes, &mut write)?;
        networks.iter_mut().zip(ids).for_each(|(network, id)| network.id = NetworkId(id));
        for network in &catalogue.networks {
            self.open_account(Account::Network(network.id), Some(network.funding), now, &mut write)?;
        }
        for merchant in &catalogue.merchants {
            self.open_account(Account::Merchant(merchant.code), merchant.funding, now, &mut write)?;
        }
        self.place_suppliers(now, &catalogue);
        self.catalogue = Arc::new(catalogue);
        Ok(Arc::clone(&self.catalogue))
    }

    /// The ids of names, in their order; new ones are named.
    pub(super) fn name_all<'a, E>(
        &mut self,
        kind: NameKind,
        names: impl Iterator<Item = &'a str>,
        write: &mut impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<Vec<u16>, E> {
        let known = (0..self.state.names(kind)).filter_map(|id| Some((self.state.name(kind, id)?, id)));
        let mut known: FxHashMap<Text<30>, u16> = known.collect();
        let mut ids = Vec::new();
        for name in names {
            let name = Text::new(name.as_bytes()).unwrap_or_default();
            let id = match known.get(&name) {
                Some(id) => *id,
                None => {
                    let id = self.state.names(kind);
                    self.record_amply(&Fact::Named { kind, id, name }, write)?;
                    known.insert(name, id);
                    id
                }
            };
            ids.push(id);
        }
        Ok(ids)
    }

    /// The opening deposit of an account that has none yet.
    fn open_account<E>(
        &mut self,
        account: Account,
        funding: Option<Funding>,
        now: Now,
        write: &mut impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<(), E> {
        match funding {
            Some(Funding::Prefunded { opening }) if !self.state.accounts.holds(account) => {
                self.deposit(account, opening, now, write)
            }
            _ => Ok(()),
        }
    }

    fn deposit<E>(
        &mut self,
        account: Account,
        amount: Minor,
        now: Now,
        write: &mut impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<(), E> {
        let reason = Text::new(b"opening amount of the configuration").unwrap_or_default();
        self.record_amply(&Fact::Deposit { at_ms: now.wall_ms, account, amount, reason }, write)
    }

    /// Records one of many facts: the batch is written before it overflows.
    fn record_amply<E>(
        &mut self,
        fact: &Fact<'_>,
        write: &mut impl FnMut(&mut Log) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.log.is_full() {
            write(&mut self.log)?;
        }
        self.record(fact);
        Ok(())
    }

    /// Suppliers that are no longer configured have a place too: the journal may hold doubts about them.
    fn place_suppliers(&mut self, now: Now, catalogue: &Catalogue) {
        let places = usize::from(self.state.names(NameKind::Supplier));
        let stan_max = self.options.stan_max;
        self.supplies.resize_with(self.supplies.len().max(places), || Supply::new(stan_max));
        for supplier in &catalogue.suppliers {
            let supply = &mut self.supplies[usize::from(supplier.id.0)];
            supply.configure(supplier);
            supply.drain(self.state.controls().is_drained(supplier.id));
            self.count_parked(now, supplier.id);
        }
    }
}
