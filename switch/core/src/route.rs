//! Routing: which suppliers may provide a product, in which order, and why.
//!
//! Owns: the choice (`Route`) and its explanation (`Trace`).
//! Invariants: the choice is a function of catalogue, request, health and a seed; every candidate has its reason in the trace.
//! Deliberately absent: credits (the gate takes them) and what a failed attempt means (S-12, the gate).

use crate::catalogue::{CANDIDATES_MAX, Candidate, Catalogue, Policy, Product};
use crate::money::Minor;
use crate::text::Text;

/// How a supplier does, as the gate sees it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    /// Whether it can be asked now: a link is ready.
    pub ready: bool,
    /// Whether an operator has drained it: it gets no new sales.
    pub drained: bool,
    /// Whether its breaker keeps sales away from it now.
    pub shut: bool,
    /// Recent time to answer, microseconds, exponentially weighted.
    pub latency_us: u32,
    /// Recent share of answers in time, in thousandths.
    pub success_permille: u16,
}

/// What routing looks at.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Index of the network.
    pub network: u32,
    /// DE41.
    pub terminal: Text<8>,
    /// Minor units.
    pub amount: Minor,
    /// Account or card; empty where there is none.
    pub account: &'a [u8],
    /// The supplier that the request names; empty where it names none.
    pub named: Text<12>,
    /// Minute of the UTC day.
    pub minute: u16,
    /// For `Policy::Weight`: any number, a new one for each choice.
    pub seed: u64,
}

/// Why a candidate has its place, or has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Not a candidate.
    #[default]
    None,
    /// In the route, at this place from 1.
    Place(u8),
    /// The request names another supplier.
    NotNamed,
    /// The account's prefix belongs to another supplier.
    Prefix,
    /// The amount is outside its band.
    Amount,
    /// The time of day is outside its windows.
    Time,
    /// The network may not use it.
    Network,
    /// The terminal may not use it.
    Terminal,
    /// It is out of reach now.
    Down,
    /// An operator has drained it.
    Drained,
    /// Its breaker keeps sales away from it.
    Breaker,
}

impl Reason {
    /// In words, for explanations.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "not a candidate",
            Self::Place(1) => "chosen first",
            Self::Place(_) => "in reserve",
            Self::NotNamed => "the request names another supplier",
            Self::Prefix => "the account's prefix belongs to another supplier",
            Self::Amount => "the amount is outside its band",
            Self::Time => "outside its hours",
            Self::Network => "not for this network",
            Self::Terminal => "not for this terminal",
            Self::Down => "out of reach now",
            Self::Drained => "drained by an operator",
            Self::Breaker => "left alone by its breaker: too many outcomes were unknown",
        }
    }
}

/// The explanation of a choice: one reason a candidate, in the order of the product's candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Reasons.
    pub reasons: [Reason; CANDIDATES_MAX],
}

/// The suppliers to try, in order: indexes into the product's candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    places: [u8; CANDIDATES_MAX],
    /// How many of them were taken.
    taken: u8,
    length: u8,
    /// Why.
    pub trace: Trace,
}

/// Why there is nobody to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No candidate's conditions allow the request: 92.
    Nobody,
    /// Candidates are there, but all are out of reach, or left alone by their breakers: 91.
    OutOfReach,
}

impl Route {
    /// The candidates to try, in order, as indexes into the product's list.
    pub fn places(&self) -> &[u8] {
        &self.places[usize::from(self.taken)..usize::from(self.length)]
    }

    /// Takes the next candidate to try.
    pub fn take(&mut self) -> Option<u8> {
        let first = *self.places().first()?;
        self.taken += 1;
        Some(first)
    }
}

/// Chooses.
///
/// # Errors
/// Nobody can be tried; the trace says why for each candidate.
pub fn route(
    catalogue: &Catalogue,
    product: &Product,
    query: &Query<'_>,
    health: impl Fn(u32) -> Health,
) -> Result<Route, (NoRoute, Trace)> {
    let mut route = Route::default();
    let mut down = false;
    let prefix = product
        .prefix_table
        .and_then(|table| catalogue.prefix_tables.get(table as usize))
        .and_then(|table| table.longest(query.account))
        .map(|(_, supplier)| supplier);
    for (place, candidate) in product.candidates.iter().enumerate().take(CANDIDATES_MAX) {
        let mut reason = judge(catalogue, candidate, query, prefix);
        if reason.is_none() {
            reason = unfit(health(candidate.supplier));
            down |= reason.is_some();
        }
        match reason {
            Some(reason) => route.trace.reasons[place] = reason,
            None => {
                route.places[usize::from(route.length)] = place as u8;
                route.length += 1;
            }
        }
    }
    let length = usize::from(route.length);
    order(product, query.seed, &health, &mut route.places[..length]);
    for (place, candidate) in route.places[..length].iter().enumerate() {
        route.trace.reasons[usize::from(*candidate)] = Reason::Place(place as u8 + 1);
    }
    match (length, down) {
        (0, true) => Err((NoRoute::OutOfReach, route.trace)),
        (0, false) => Err((NoRoute::Nobody, route.trace)),
        _ => Ok(route),
    }
}

/// Why nobody may be asked who could be.
fn unfit(health: Health) -> Option<Reason> {
    match health {
        Health { drained: true, .. } => Some(Reason::Drained),
        Health { ready: false, .. } => Some(Reason::Down),
        Health { shut: true, .. } => Some(Reason::Breaker),
        _ => None,
    }
}

/// The first condition that excludes a candidate.
fn judge(
    catalogue: &Catalogue,
    candidate: &Candidate,
    query: &Query<'_>,
    prefix: Option<u32>,
) -> Option<Reason> {
    let conditions = &candidate.conditions;
    let named = || catalogue.suppliers.get(candidate.supplier as usize).map(|supplier| supplier.code);
    if !query.named.is_empty() && named() != Some(query.named) {
        return Some(Reason::NotNamed);
    }
    if prefix.is_some_and(|supplier| supplier != candidate.supplier) {
        return Some(Reason::Prefix);
    }
    if conditions.amount.is_some_and(|band| !band.allows(query.amount)) {
        return Some(Reason::Amount);
    }
    if !conditions.windows.is_empty() && !conditions.windows.iter().any(|window| window.holds(query.minute)) {
        return Some(Reason::Time);
    }
    if !conditions.networks.is_empty() && !conditions.networks.contains(&query.network) {
        return Some(Reason::Network);
    }
    let terminal = query.terminal.as_bytes();
    let allowed = |prefix: &Text<8>| terminal.starts_with(prefix.as_bytes());
    if !conditions.terminals.is_empty() && !conditions.terminals.iter().any(allowed) {
        return Some(Reason::Terminal);
    }
    None
}

/// Puts the candidates in the order of the policy. Ties keep the order of priority, then of the file.
fn order(product: &Product, seed: u64, health: &impl Fn(u32) -> Health, places: &mut [u8]) {
    if places.len() < 2 {
        return;
    }
    let candidate = |place: &u8| product.candidates.get(usize::from(*place));
    let by = |key: &dyn Fn(&Candidate) -> i64, places: &mut [u8]| {
        places.sort_by_key(|place| candidate(place).map_or(i64::MAX, key));
    };
    by(&|candidate| i64::from(candidate.priority), places);
    match product.policy {
        Policy::Priority => {}
        Policy::LeastCost => by(&|candidate| i64::from(candidate.cost_bp), places),
        Policy::LowestLatency => by(&|candidate| i64::from(health(candidate.supplier).latency_us), places),
        Policy::SuccessRate => {
            by(&|candidate| -i64::from(health(candidate.supplier).success_permille), places)
        }
        Policy::Weight => draw(product, seed, places),
    }
}

/// Brings one candidate to the front, drawn in proportion to the weights.
fn draw(product: &Product, seed: u64, places: &mut [u8]) {
    let weight = |place: &u8| product.candidates.get(usize::from(*place)).map_or(0, |c| u64::from(c.weight));
    let total: u64 = places.iter().map(weight).sum();
    if total == 0 {
        return;
    }
    let mut ticket = mix(seed) % total;
    for at in 0..places.len() {
        let share = weight(&places[at]);
        if ticket < share {
            places[..=at].rotate_right(1);
            return;
        }
        ticket -= share;
    }
}

/// Spreads a counter over all of 64 bits (SplitMix64's finish).
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
