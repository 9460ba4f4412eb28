//! Money: who has how much, in double entry.
//!
//! Owns: `Account` (whose), `Balance`, and `Accounts`, changed only by moving an amount from one account to another.
//! Invariants: `money-conserved`: the sum over all accounts is zero at every moment; a move happens whole or not at all; `reserved` of an
//! account is the sum over its open flights (S-15); neither that sum nor a copy costs anything for each of the accounts of which there may be very many.
//! Deliberately absent: limits and credit lines (admission), and currencies: an account has its network's or supplier's, and
//! products are only sold in the currency of the network's account.

mod many;

use crate::ids::{NetworkId, SupplierId};
use crate::money::Minor;
use crate::numbered::Numbered;
use crate::pack::{self, Pack, Unpack, Unreadable};
use crate::text::Text;
use many::Many;

/// Whose money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The position of a retail network. Positive: it has money with us.
    Network(NetworkId),
    /// What we owe a supplier for what it sold.
    Supplier(SupplierId),
    /// Amounts of a supplier's reversals that are not settled yet.
    Suspense(SupplierId),
    /// A stored-value account held here.
    Wallet(Text<30>),
    /// Where deposits come from, and where what merchants spend of their own positions goes.
    Contra,
    /// The position of a merchant that has one of its own, by DE42.
    Merchant(Text<15>),
}

impl Pack for Account {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Network(id) => (1u8.pack(out), id.pack(out)),
            Self::Supplier(id) => (2u8.pack(out), id.pack(out)),
            Self::Suspense(id) => (3u8.pack(out), id.pack(out)),
            Self::Wallet(account) => (4u8.pack(out), account.pack(out)),
            Self::Contra => (5u8.pack(out), ()),
            Self::Merchant(code) => (6u8.pack(out), code.pack(out)),
        };
    }
}

impl Account {
    /// Reads a packed account.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(match from.byte()? {
            1 => Self::Network(from.network()?),
            2 => Self::Supplier(from.supplier()?),
            3 => Self::Suspense(from.supplier()?),
            4 => Self::Wallet(from.text()?),
            5 => Self::Contra,
            6 => Self::Merchant(from.text()?),
            _ => return Err(Unreadable),
        })
    }
}

/// What an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Posted, minor units.
    pub posted: Minor,
    /// Reserved by open flights, minor units, never negative.
    pub reserved: Minor,
}

/// A move that would leave the range of amounts. Admission forbids it, so seeing it means a damaged log or a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount left the range of 64 bits")]
pub struct OutOfRange;

/// All accounts. Those of every sale lie where their number says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    networks: Numbered<Balance>,
    suppliers: Numbered<Balance>,
    suspense: Numbered<Balance>,
    wallets: Many<30>,
    merchants: Many<15>,
    contra: Option<Balance>,
}

impl Accounts {
    /// What `account` holds; an account not seen before holds nothing.
    #[inline]
    pub fn balance(&self, account: Account) -> Balance {
        self.get(account).copied().unwrap_or_default()
    }

    /// Whether there is such an account.
    pub fn holds(&self, account: Account) -> bool {
        self.get(account).is_some()
    }

    #[inline]
    fn get(&self, account: Account) -> Option<&Balance> {
        match account {
            Account::Network(id) => self.networks.get(id.0),
            Account::Supplier(id) => self.suppliers.get(id.0),
            Account::Suspense(id) => self.suspense.get(id.0),
            Account::Wallet(account) => self.wallets.get(account),
            Account::Merchant(code) => self.merchants.get(code),
            Account::Contra => self.contra.as_ref(),
        }
    }

    /// Puts a balance in place of what an account held.
    #[inline]
    fn set(&mut self, account: Account, balance: Balance) {
        match account {
            Account::Network(id) => self.networks.set(id.0, balance),
            Account::Supplier(id) => self.suppliers.set(id.0, balance),
            Account::Suspense(id) => self.suspense.set(id.0, balance),
            Account::Wallet(account) => self.wallets.set(account, balance),
            Account::Merchant(code) => self.merchants.set(code, balance),
            Account::Contra => self.contra = Some(balance),
        }
    }

    /// Appends all accounts, in their order, so that equal books are equal bytes.
    pub fn pack(&self, out: &mut Vec<u8>) {
        let mut balances: Vec<_> = self.iter().collect();
        balances.sort_unstable_by_key(|(account, _)| *account);
        pack::list(out, balances.into_iter(), |(account, balance), out| {
            account.pack(out);
            balance.posted.pack(out);
            balance.reserved.pack(out);
        });
    }

    /// Reads packed accounts.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        let balances = from.list(|from| {
            let account = Account::unpack(from)?;
            Ok((account, Balance { posted: from.minor()?, reserved: from.minor()? }))
        })?;
        let mut accounts = Self::default();
        for (account, balance) in balances {
            accounts.set(account, balance);
        }
        Ok(accounts)
    }

    /// Moves an amount.
    ///
    /// # Errors
    /// The amount leaves the range; nothing was moved.
    #[inline]
    pub fn transfer(&mut self, from: Account, to: Account, amount: Minor) -> Result<(), OutOfRange> {
        let (source, target) = (self.balance(from), self.balance(to));
        let paid = source.posted.minus(amount).ok_or(OutOfRange)?;
        let received = target.posted.plus(amount).ok_or(OutOfRange)?;
        if from != to {
            self.set(from, Balance { posted: paid, ..source });
            self.set(to, Balance { posted: received, ..target });
        }
        Ok(())
    }

    /// Reserves an amount for an open flight.
    ///
    /// # Errors
    /// The amount leaves the range.
    #[inline]
    pub fn reserve(&mut self, account: Account, amount: Minor) -> Result<(), OutOfRange> {
        let balance = self.balance(account);
        let reserved = balance.reserved.plus(amount).ok_or(OutOfRange)?;
        self.set(account, Balance { reserved, ..balance });
        Ok(())
    }

    /// Gives a reservation back.
    ///
    /// # Errors
    /// More is given back than was reserved.
    #[inline]
    pub fn release(&mut self, account: Account, amount: Minor) -> Result<(), OutOfRange> {
        let balance = self.balance(account);
        let reserved = balance.reserved.minus(amount).filter(|rest| *rest >= Minor::ZERO);
        let reserved = reserved.ok_or(OutOfRange)?;
        self.set(account, Balance { reserved, ..balance });
        Ok(())
    }

    /// The sum over all accounts: zero, always (`money-conserved`). Wallets and merchants are not looked at one by one: what they hold together is known.
    pub fn sum(&self) -> i128 {
        let few = sum(&self.networks) + sum(&self.suppliers) + sum(&self.suspense);
        let contra = self.contra.map_or(0, |balance| i128::from(balance.posted.0));
        few + contra + self.wallets.sum() + self.merchants.sum()
    }

    /// The same, from each account: what `sum` must be.
    pub fn sum_of_each(&self) -> i128 {
        self.iter().map(|(_, balance)| i128::from(balance.posted.0)).sum()
    }

    /// Everything reserved.
    pub fn reserved(&self) -> i128 {
        self.iter().map(|(_, balance)| i128::from(balance.reserved.0)).sum()
    }

    /// How many stored-value accounts there are, and what they hold together.
    pub fn wallets(&self) -> (usize, i128) {
        (self.wallets.len(), self.wallets.sum())
    }

    /// Every account and what it holds, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Account, Balance)> + '_ {
        let wallets = self.wallets.iter().map(|(account, balance)| (Account::Wallet(account), balance));
        self.positions().chain(wallets)
    }

    /// As `iter`, without stored-value accounts.
    pub fn positions(&self) -> impl Iterator<Item = (Account, Balance)> + '_ {
        let networks = self.networks.iter().map(|(id, balance)| (Account::Network(NetworkId(id)), *balance));
        let suppliers =
            self.suppliers.iter().map(|(id, balance)| (Account::Supplier(SupplierId(id)), *balance));
        let suspense =
            self.suspense.iter().map(|(id, balance)| (Account::Suspense(SupplierId(id)), *balance));
        let merchants = self.merchants.iter().map(|(code, balance)| (Account::Merchant(code), balance));
        let contra = self.contra.map(|balance| (Account::Contra, balance));
        networks.chain(suppliers).chain(suspense).chain(merchants).chain(contra)
    }
}

/// What accounts of a kind hold together.
fn sum(accounts: &Numbered<Balance>) -> i128 {
    accounts.iter().map(|(_, balance)| i128::from(balance.posted.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stored_value_accounts_hold_together_is_known_without_looking_at_each() {
        let mut accounts = Accounts::default();
        let wallet = |number: &str| Account::Wallet(Text::new(number.as_bytes()).expect("fits"));
        for (from, to, amount) in [
            (Account::Contra, wallet("1"), 700),
            (Account::Contra, wallet("2"), 50),
            (wallet("1"), wallet("3"), 200),
            (wallet("3"), wallet("3"), 9),
            (wallet("2"), Account::Contra, 50),
        ] {
            accounts.transfer(from, to, Minor(amount)).expect("in range");
        }
        let mut packed = Vec::new();
        accounts.pack(&mut packed);
        let read = Accounts::unpack(&mut Unpack(&packed)).expect("reads back");
        for accounts in [&accounts, &read] {
            assert_eq!(accounts.wallets(), (3, 700));
            assert_eq!(
                accounts.positions().map(|(account, _)| account).collect::<Vec<_>>(),
                [Account::Contra]
            );
            assert_eq!((accounts.iter().count(), accounts.sum(), accounts.sum_of_each()), (4, 0, 0));
        }
        assert_eq!(accounts, read);
    }

    #[test]
    fn money_is_moved_whole_or_not_at_all() {
        let mut accounts = Accounts::default();
        let network = Account::Network(NetworkId(1));
        assert!(accounts.transfer(Account::Contra, network, Minor(i64::MAX)).is_ok());
        let before = accounts.clone();
        assert_eq!(accounts.transfer(Account::Contra, network, Minor(2)), Err(OutOfRange));
        assert_eq!(accounts, before);
        assert_eq!(accounts.sum(), 0);
    }

    #[test]
    fn no_more_is_released_than_was_reserved() {
        let mut accounts = Accounts::default();
        let network = Account::Network(NetworkId(1));
        assert!(accounts.reserve(network, Minor(5)).is_ok());
        assert_eq!(accounts.release(network, Minor(6)), Err(OutOfRange));
        assert!(accounts.release(network, Minor(5)).is_ok());
        assert_eq!(accounts.reserved(), 0);
    }
}
