//! The last account: the suppliers' own records against what the switch says, and against what terminals were told.

use super::{WALL_MS, World};
use crate::host::Deed;
use crate::story::Stand;
use std::collections::HashMap;
use switchyard_core::ids::FlightNo;
use switchyard_core::text::Text;

/// What the switch makes of what stands at a supplier under an RRN.
#[derive(Clone, Copy, Debug)]
struct Owner {
    stand: Stand,
    /// Whether it is the last try of its flight.
    last: bool,
}

impl World {
    /// Nothing stands at a supplier but what is approved, and what an operator sees parked; every approved sale stands once.
    pub(super) fn account_for_deeds(&self) {
        let owners = self.owners();
        for (rrn, deed) in self.hosts.iter().flat_map(|host| &host.ledger) {
            assert!(
                !self.never_sent.contains(rrn) || deed.asked == 0,
                "a sale that was never sent arrived: {rrn}"
            );
            if deed.stands() && !self.orphans.contains(rrn) && !self.is_unheard(*rrn, deed) {
                let owner = owners.get(rrn);
                let right = matches!(
                    owner,
                    Some(Owner { stand: Stand::Approved | Stand::Parked | Stand::Closed, last: true, .. })
                );
                assert!(right, "performed-once: {rrn} stands at the supplier, and is {owner:?}: {deed:?}");
            }
        }
        for (flight, story) in self.stories.flights.iter().filter(|(_, story)| story.stand == Stand::Approved)
        {
            let performed = story.tries.last().map_or(0, |tried| self.standing(tried.rrn));
            assert_eq!(
                performed, 1,
                "performed-once: {flight} is approved and was performed {performed} times"
            );
        }
    }

    /// Who owns what. What contradicts a refusal is owned by the flight that undoes it.
    fn owners(&self) -> HashMap<Text<12>, Owner> {
        let mut owners = HashMap::new();
        for story in self.stories.flights.values() {
            for (at, tried) in story.tries.iter().enumerate() {
                let owner = Owner { stand: story.stand, last: at + 1 == story.tries.len() };
                if story.contradicts.is_some() {
                    owners.insert(tried.rrn, owner);
                } else {
                    owners.entry(tried.rrn).or_insert(owner);
                }
            }
        }
        owners
    }

    /// Whether a supplier performed this again, and said so when the switch could not know it any more, or was down.
    fn is_unheard(&self, rrn: Text<12>, deed: &Deed) -> bool {
        let again_ms = deed.again_us.map(|again_us| WALL_MS + again_us / 1_000);
        again_ms.is_some_and(|again_ms| !self.stories.is_told_again(rrn, again_ms))
    }

    /// How often an attempt stands at suppliers.
    fn standing(&self, rrn: Text<12>) -> usize {
        self.hosts.iter().filter(|host| host.ledger.get(&rrn).is_some_and(Deed::stands)).count()
    }

    /// By the last word that each terminal has: what it holds as sold stands once, anything else not at all, but where an operator sees it.
    pub(super) fn account_for_words(&self) {
        let owners = self.owners();
        for (flight, told_sold) in self.terminals.last_words() {
            let story = &self.stories.flights[&flight];
            // A reversal that was accepted, and not answered before a crash, counts too.
            let sold = told_sold && story.reversed_at.is_none();
            let fits = match story.tries.iter().all(|tried| tried.stan == 0) {
                true => sold == (story.stand == Stand::Sold),
                false => self.performances(flight, &owners) == usize::from(sold),
            };
            assert!(fits, "{flight} is {:?}, and its terminal holds it as sold: {sold}", story.stand);
        }
    }

    /// How many attempts of a flight stand, as far as the switch could know, and no operator saw them parked.
    fn performances(&self, flight: FlightNo, owners: &HashMap<Text<12>, Owner>) -> usize {
        let is_seen_to =
            |rrn| owners.get(&rrn).is_some_and(|owner| matches!(owner.stand, Stand::Parked | Stand::Closed));
        let attempts = (1..FlightNo::ATTEMPTS_MAX).map(|number| flight.rrn(number));
        let stands = |rrn: Text<12>| {
            let mut deeds = self.hosts.iter().filter_map(|host| host.ledger.get(&rrn));
            deeds.any(|deed| deed.stands() && !self.is_unheard(rrn, deed))
        };
        attempts.filter(|rrn| stands(*rrn) && !is_seen_to(*rrn)).count()
    }
}
