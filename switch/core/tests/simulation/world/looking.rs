//! What must hold at every moment: the checker's own books against the switch's.

use super::World;
use crate::story::Stand;
use std::collections::HashSet;
use switchyard_core::account::Account;
use switchyard_core::flight::Phase;
use switchyard_core::text::Text;

impl World {
    pub(super) fn look(&mut self) {
        let gate = &mut self.process.gate;
        assert_eq!(gate.misfit(), None);
        let accounts = &gate.state().accounts;
        assert_eq!((accounts.sum(), accounts.sum_of_each()), (0, 0), "money-conserved");
        *self.counted.entry("alerts").or_default() += gate.alerts().count() as u64;
        if gate.log().facts() > 0 {
            return;
        }
        self.process.tally.check(&self.process.gate.counters);
        self.controls();
        self.credits();
        self.money();
        self.phases();
    }

    /// What operators have set.
    fn controls(&self) {
        let controls = self.process.gate.state().controls();
        let blocked: HashSet<Text<8>> = controls.blocked().iter().copied().collect();
        assert_eq!(blocked, self.stories.blocked_terminals, "blocked terminals");
        for supplier in &self.process.gate.catalogue().suppliers {
            let drained = self.stories.drained.contains(&supplier.id);
            assert_eq!(controls.is_drained(supplier.id), drained, "{} is drained", supplier.code);
        }
    }

    /// What suppliers hold: windows and advice credits.
    fn credits(&self) {
        let gate = &self.process.gate;
        for supplier in gate.catalogue().suppliers.iter().filter(|supplier| !supplier.local) {
            let supply = gate.supply(supplier.id).expect("known");
            let asked = self.stories.count(supplier.id, Stand::Asked);
            let doubts = self.stories.count(supplier.id, Stand::Doubt);
            let held = (supply.in_flight() as usize, supply.advices() as usize);
            assert!(held.0 <= supply.window() as usize, "bounded: the window of {}", supplier.code);
            // What a crash left open holds an advice credit, and none of the window.
            assert_eq!(held, (asked, asked + doubts), "bounded: the credits of {}", supplier.code);
            let away = self.process.undoing.values().filter(|at| **at == supplier.id).count();
            assert!(away <= supplier.advices_max as usize, "bounded: reversals at {}", supplier.code);
            assert!(away + supply.backlog() <= doubts, "bounded: the backlog of {}", supplier.code);
        }
    }

    /// Every account holds what the log says.
    fn money(&self) {
        let gate = &self.process.gate;
        let accounts = &gate.state().accounts;
        for network in &gate.catalogue().networks {
            let balance = accounts.balance(Account::Network(network.id));
            let reserved = self.stories.reserved.get(&network.id).copied().unwrap_or(0);
            let posted = self.stories.posted.get(&network.id).copied().unwrap_or(0);
            assert_eq!(
                (balance.posted.0, balance.reserved.0),
                (posted, reserved),
                "money-conserved: {}",
                network.code
            );
            let forced = self.stories.forced.get(&network.id).copied().unwrap_or(0);
            let free = posted - reserved + network.funding.line().0;
            assert!(free + forced >= 0, "a network sold more than it can pay");
        }
        let merchant = &gate.catalogue().merchants[0];
        let network = gate.catalogue().networks[0].id;
        let balance = accounts.balance(Account::Merchant(merchant.code));
        let reserved = accounts.balance(Account::Network(network)).reserved;
        let expected = self.stories.merchant(merchant.code, network);
        assert_eq!((balance.posted.0, balance.reserved), (expected, reserved), "money-conserved: a merchant");
        let forced = self.stories.forced.get(&network).copied().unwrap_or(0);
        let free = balance.posted.0 - balance.reserved.0;
        assert!(free + forced >= 0, "a merchant sold more than it can pay (R-37)");
        for supplier in &gate.catalogue().suppliers {
            let told = [&self.stories.suppliers, &self.stories.suspense]
                .map(|amounts| amounts.get(&supplier.id).copied().unwrap_or(0));
            let held = [Account::Supplier(supplier.id), Account::Suspense(supplier.id)]
                .map(|account| accounts.balance(account).posted.0);
            assert_eq!(held, told, "money-conserved: {}", supplier.code);
            assert_eq!(
                told[1],
                self.stories.held(supplier.id),
                "money-conserved: suspense of {}",
                supplier.code
            );
        }
        for (account, amount) in &self.stories.wallets {
            assert_eq!(
                accounts.balance(Account::Wallet(*account)).posted.0,
                *amount,
                "money-conserved: {account}"
            );
        }
    }

    /// Every flight that the state has open is open in the log too, and stands there as it does here.
    fn phases(&self) {
        let state = self.process.gate.state();
        for flight in state.flights() {
            let story = &self.stories.flights[&flight.number];
            let fits = match flight.phase {
                Phase::Asked => story.stand == Stand::Asked,
                Phase::Doubt => story.stand == Stand::Doubt,
                Phase::Settled => story.stand == Stand::Settled,
                Phase::Parked => story.stand == Stand::Parked,
                Phase::Void | Phase::Stands => story.stand == Stand::Closed,
            };
            assert!(fits, "{} is {:?}, and {:?} in the log", flight.number, flight.phase, story.stand);
            assert_eq!(flight.cancelled, story.reversed_at.is_some(), "{}", flight.number);
        }
        let open = [Stand::Asked, Stand::Doubt, Stand::Parked];
        let open = self.stories.flights.iter().filter(|(_, story)| open.contains(&story.stand));
        for (number, _) in open {
            assert!(state.flight(*number).is_some(), "{number} is open in the log, and forgotten");
        }
        assert_eq!(state.withdrawn.iter().count(), self.stories.withdrawn, "vouchers taken back (S-10)");
        for (terminal, day, credits) in state.withdrawn.all_credits() {
            assert_eq!(
                self.stories.credits.get(&(terminal, day)),
                Some(&credits),
                "credits of {terminal} (S-10)"
            );
        }
    }
}
