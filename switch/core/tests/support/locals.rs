//! Local suppliers of the tests: vouchers whose PIN follows from their serial, and wallets.

use std::sync::Arc;
use switchyard_core::adapter::{Local, LocalAsk, LocalEffect, LocalSale};
use switchyard_core::code::Code;
use switchyard_core::details::{Detail, put};
use switchyard_core::ids::{Now, ProductId};
use switchyard_core::log::Lsn;
use switchyard_core::money::Minor;
use switchyard_core::seal::{DataKey, KeyId, Keyring, Nonce};
use switchyard_core::shelf::Shelf;
use switchyard_core::state::State;
use switchyard_core::stock::StockBatch;

use super::books::text;

/// Adds the key of a batch to the ring.
pub(crate) fn stock_key(keyring: &Keyring, batch: u32) {
    let key = DataKey::new([batch as u8; 32].into()).expect("a key");
    keyring.insert(KeyId::stock(batch), key);
}

/// The fact of a batch of vouchers.
pub(crate) fn batch(product: ProductId, number: u32, count: u32) -> StockBatch {
    StockBatch { product, number, name: text(&format!("batch-{number}")), count, digest: [0; 32] }
}

/// The PIN that belongs to a serial.
pub(crate) fn pin_of(serial: &str) -> String {
    format!("PIN{}", serial.chars().rev().collect::<String>())
}

/// Sells the next voucher of the state, sealed as it would lie in its batch file. Every seventh is passed over, as an expired one would be.
pub(crate) struct Stock {
    pub(crate) keyring: Arc<Keyring>,
}

impl Local for Stock {
    fn decide(
        &self,
        _: Now,
        state: &State,
        _: &mut Shelf,
        ask: &LocalAsk,
        sale: &mut LocalSale,
    ) -> Result<(), Code> {
        sale.clear();
        let mut place = state.stock.next(ask.product).ok_or(Code::STOCK)?;
        if place.index % 7 == 3 {
            place = state.stock.after(ask.product, place).ok_or(Code::STOCK)?;
        }
        let serial = format!("S{:04}{:06}", place.batch, place.index);
        let mut run = Vec::new();
        put(&mut run, Detail::Pin, pin_of(&serial).as_bytes());
        let (id, nonce) = (KeyId::stock(place.batch), Nonce::of(Lsn(place.batch.into()), place.index));
        sale.sealed.extend_from_slice(&id.0.to_be_bytes());
        sale.sealed.extend_from_slice(&nonce.0);
        let key = self.keyring.key(id).ok_or(Code::FAULT)?;
        key.seal(nonce, serial.as_bytes(), &run, &mut sale.sealed).map_err(|_| Code::FAULT)?;
        sale.details.put(Detail::Serial, serial.as_bytes());
        sale.effect =
            Some(LocalEffect::Voucher { product: ask.product, batch: place.batch, index: place.index });
        Ok(())
    }
}

/// Loads any account up to a limit.
pub(crate) struct Wallet {
    pub(crate) balance_max: Minor,
}

impl Local for Wallet {
    fn decide(
        &self,
        _: Now,
        state: &State,
        _: &mut Shelf,
        ask: &LocalAsk,
        sale: &mut LocalSale,
    ) -> Result<(), Code> {
        sale.clear();
        let held = state.wallet(ask.account).unwrap_or_default();
        let balance =
            held.plus(ask.amount).filter(|balance| *balance <= self.balance_max).ok_or(Code::LIMIT)?;
        sale.details.put(Detail::Balances, format!("0002{:03}C{:012}", ask.currency, balance.0).as_bytes());
        sale.effect = Some(LocalEffect::Load { account: ask.account, amount: ask.amount });
        Ok(())
    }
}
