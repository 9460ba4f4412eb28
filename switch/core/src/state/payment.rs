//! Who pays for a flight, and how its amount moves (R-37, S-15).
//!
//! Owns: reserving a flight's amount, giving it back, paying it, paying it back. Invariants: everybody who pays does so together; money only moves between two accounts
//! (`money-conserved`). Deliberately absent: when that is done (the fold of each fact), and balances (`account`).

use crate::account::{Account, Accounts, OutOfRange};
use crate::flight::Flight;

/// Reserves the amount of a flight with everybody who pays.
pub(super) fn reserve(accounts: &mut Accounts, flight: &Flight) -> Result<(), OutOfRange> {
    accounts.reserve(Account::Network(flight.network), flight.amount)?;
    if flight.merchant_pays {
        accounts.reserve(Account::Merchant(flight.merchant), flight.amount)?;
    }
    Ok(())
}

/// Gives that back.
pub(super) fn release(accounts: &mut Accounts, flight: &Flight) -> Result<(), OutOfRange> {
    accounts.release(Account::Network(flight.network), flight.amount)?;
    if flight.merchant_pays {
        accounts.release(Account::Merchant(flight.merchant), flight.amount)?;
    }
    Ok(())
}

/// Everybody who pays does; the network's money goes `to`.
pub(super) fn pay(accounts: &mut Accounts, flight: &Flight, to: Account) -> Result<(), OutOfRange> {
    accounts.transfer(Account::Network(flight.network), to, flight.amount)?;
    if flight.merchant_pays {
        accounts.transfer(Account::Merchant(flight.merchant), Account::Contra, flight.amount)?;
    }
    Ok(())
}

/// Everybody who paid gets it back; the network's money comes `from`.
pub(super) fn pay_back(accounts: &mut Accounts, flight: &Flight, from: Account) -> Result<(), OutOfRange> {
    accounts.transfer(from, Account::Network(flight.network), flight.amount)?;
    if flight.merchant_pays {
        accounts.transfer(Account::Contra, Account::Merchant(flight.merchant), flight.amount)?;
    }
    Ok(())
}
