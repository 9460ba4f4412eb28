//! Profiles as TOML files.
//!
//! Owns: the keys of a profile file and what they mean; [`Plan`], everything that a file says. Invariants: a key that is not known is
//! refused with its line, column and the nearest known one; a value out of range is refused by its name.
//! Deliberately absent: what the command line adds or overrides, and the profiles that are shipped (`shipped`).

use super::{Account, Endings, FollowUps, Item, Profile, Terminal};
use crate::arrivals::Phase;
use crate::load::{Length, Pace};
use serde::Deserialize;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;
use switchyard_core::catalogue::Service;

/// Everything that a profile file says.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is for, in a line.
    pub about: String,
    /// What is asked for.
    pub profile: Profile,
    /// How fast.
    pub pace: Pace,
    /// How many connections.
    pub connections: u32,
    /// How long.
    pub length: Length,
    /// Load before anything is measured, milliseconds.
    pub warm_up_ms: u64,
    /// How long reversals may take to settle at the end, milliseconds.
    pub settle_ms: u64,
}

/// What is wrong with a profile file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProfileError {
    /// Line and column, from 1, where there is one place.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub what: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.at {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "{}", self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    connections: Option<u32>,
    seconds: Option<f64>,
    requests: Option<u64>,
    warm_up_seconds: Option<f64>,
    settle_seconds: Option<f64>,
    #[serde(default)]
    smallest_amounts: bool,
    pace: Option<PaceKeys>,
    #[serde(default)]
    product: Vec<ProductKeys>,
    mix: Option<toml::Table>,
    #[serde(default)]
    behaviour: Vec<BehaviourKeys>,
    #[serde(default)]
    terminals: Vec<TerminalsKeys>,
    repeats: Option<RepeatsKeys>,
    reversals: Option<ReversalsKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaceKeys {
    in_flight: Option<usize>,
    per_second: Option<f64>,
    #[serde(default)]
    phase: Vec<PhaseKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseKeys {
    seconds: f64,
    per_second: Option<f64>,
    from_per_second: Option<f64>,
    to_per_second: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductKeys {
    code: String,
    service: String,
    amount_minor_min: u64,
    amount_minor_max: Option<u64>,
    currency: Option<u16>,
    weight: Option<u32>,
    account: Option<AccountKeys>,
    card: Option<CardKeys>,
    #[serde(default)]
    local: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountKeys {
    prefixes: Vec<String>,
    length: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardKeys {
    prefix: String,
    length: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BehaviourKeys {
    endings: String,
    weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TerminalsKeys {
    network: String,
    merchant: String,
    first: String,
    count: u32,
    per_merchant: Option<u32>,
    #[serde(default)]
    except: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatsKeys {
    answered_percent: Option<f64>,
    in_flight_percent: Option<f64>,
    reversed_percent: Option<f64>,
    reversals_percent: Option<f64>,
    all_at_end: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReversalsKeys {
    approved_percent: Option<f64>,
    in_flight_percent: Option<f64>,
    timed_out_percent: Option<f64>,
    unknown_percent: Option<f64>,
    advice_percent: Option<f64>,
    own_stan_percent: Option<f64>,
}

/// Services by the words of the configuration.
const SERVICES: [(&str, Service); 5] = [
    ("voucher", Service::Voucher),
    ("recharge", Service::Recharge),
    ("activation", Service::Activation),
    ("bill-payment", Service::BillPayment),
    ("stored-value", Service::StoredValue),
];

/// Euro: the currency of a product that names none.
const CURRENCY: u16 = 978;
/// Longest load, seconds.
const SECONDS_MAX: f64 = 1e6;
/// Most requests a second.
const RATE_MAX: f64 = 1e7;
/// Most terminals of one table.
const TERMINALS_MAX: u32 = 1_000_000;

impl Plan {
    /// Reads a profile file.
    ///
    /// # Errors
    /// What is wrong first, and where.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let file: File = toml::from_str(text).map_err(|error| toml_error(text, &error))?;
        Ok(Self {
            profile: file.profile()?,
            pace: file.pace()?,
            connections: ranged("connections", u64::from(file.connections.unwrap_or(8)), 1..=100_000)? as u32,
            length: file.length()?,
            warm_up_ms: ms("warm_up_seconds", file.warm_up_seconds.unwrap_or(0.0))?,
            settle_ms: ms("settle_seconds", file.settle_seconds.unwrap_or(120.0))?,
            about: file.about,
        })
    }
}

impl File {
    fn profile(&self) -> Result<Profile, ProfileError> {
        let mut profile = Profile::demonstration();
        if !self.product.is_empty() {
            profile.items = self.product.iter().map(ProductKeys::item).collect::<Result<_, _>>()?;
        }
        if self.smallest_amounts {
            profile.smallest_amounts();
        }
        if let Some(mix) = &self.mix {
            profile.mix(&weights(mix)?).map_err(|unknown| {
                let known = profile.items.iter().map(|item| item.product.as_str());
                wrong(format!("mix: there is no product `{unknown}`")).suggest(nearest(&unknown, known))
            })?;
        }
        if !self.terminals.is_empty() {
            profile.terminals.clear();
            for terminals in &self.terminals {
                terminals.add_to(&mut profile.terminals)?;
            }
        }
        if !self.behaviour.is_empty() {
            let behaviours = self.behaviour.iter().map(|keys| Ok((endings(&keys.endings)?, keys.weight)));
            profile.endings = Endings::weighted(&behaviours.collect::<Result<Vec<_>, ProfileError>>()?);
        }
        profile.follow_ups = self.follow_ups()?;
        Ok(profile)
    }

    fn follow_ups(&self) -> Result<FollowUps, ProfileError> {
        let (repeats, reversals) = (RepeatsKeys::default(), ReversalsKeys::default());
        let (repeats, reversals) =
            (self.repeats.as_ref().unwrap_or(&repeats), self.reversals.as_ref().unwrap_or(&reversals));
        Ok(FollowUps {
            repeat_answered: share("repeats.answered_percent", repeats.answered_percent)?,
            repeat_in_flight: share("repeats.in_flight_percent", repeats.in_flight_percent)?,
            repeat_reversed: share("repeats.reversed_percent", repeats.reversed_percent)?,
            reversal_repeated: share("repeats.reversals_percent", repeats.reversals_percent)?,
            repeat_all: repeats.all_at_end.unwrap_or(false),
            remember: false,
            reverse_approved: share("reversals.approved_percent", reversals.approved_percent)?,
            reverse_in_flight: share("reversals.in_flight_percent", reversals.in_flight_percent)?,
            reverse_timed_out: share("reversals.timed_out_percent", reversals.timed_out_percent)?,
            reverse_unknown: share("reversals.unknown_percent", reversals.unknown_percent)?,
            advices: share("reversals.advice_percent", reversals.advice_percent)?,
            own_stans: share("reversals.own_stan_percent", reversals.own_stan_percent)?,
        })
    }

    fn pace(&self) -> Result<Pace, ProfileError> {
        let Some(pace) = &self.pace else { return Ok(Pace::Closed { in_flight: 16 }) };
        match (pace.in_flight, pace.per_second, &*pace.phase) {
            (Some(in_flight), None, []) => Ok(Pace::Closed {
                in_flight: ranged("pace.in_flight", in_flight as u64, 1..=10_000)? as usize,
            }),
            (None, Some(per_second), []) => {
                Ok(Pace::Open { per_second: rate("pace.per_second", Some(per_second), 1e-3)? })
            }
            (None, None, phases @ [_, ..]) => {
                let phases: Vec<Phase> = phases.iter().map(PhaseKeys::phase).collect::<Result<_, _>>()?;
                if phases.iter().all(|phase| phase.from_per_second + phase.to_per_second == 0.0) {
                    return Err(wrong("pace.phase: all phases are rests"));
                }
                Ok(Pace::Phases(phases.into()))
            }
            _ => Err(wrong("pace: give one of in_flight (closed loop), per_second (open loop), or phases")),
        }
    }

    fn length(&self) -> Result<Length, ProfileError> {
        match (self.seconds, self.requests) {
            (Some(_), Some(_)) => Err(wrong("seconds, requests: give one of them")),
            (None, Some(requests)) => Ok(Length::Requests(ranged("requests", requests, 1..=u64::MAX)?)),
            (seconds, None) => {
                let seconds = seconds.unwrap_or(10.0);
                if seconds > 0.0 && seconds <= SECONDS_MAX {
                    return Ok(Length::Time(Duration::from_secs_f64(seconds)));
                }
                Err(wrong(format!("seconds: above 0, at most {SECONDS_MAX}, not {seconds}")))
            }
        }
    }
}

impl PhaseKeys {
    fn phase(&self) -> Result<Phase, ProfileError> {
        if !(self.seconds > 0.0 && self.seconds <= SECONDS_MAX) {
            return Err(wrong(format!(
                "pace.phase.seconds: above 0, at most {SECONDS_MAX}, not {}",
                self.seconds
            )));
        }
        let (from, to) = match (self.per_second, self.from_per_second, self.to_per_second) {
            (Some(even), None, None) => (Some(even), Some(even)),
            (None, from @ Some(_), to @ Some(_)) => (from, to),
            _ => return Err(wrong("pace.phase: give per_second, or from_per_second and to_per_second")),
        };
        Ok(Phase {
            seconds: self.seconds,
            from_per_second: rate("pace.phase.from_per_second", from, 0.0)?,
            to_per_second: rate("pace.phase.to_per_second", to, 0.0)?,
        })
    }
}

impl ProductKeys {
    fn item(&self) -> Result<Item, ProfileError> {
        let service = SERVICES.iter().find(|(word, _)| *word == self.service);
        let (_, service) = service.ok_or_else(|| {
            let what = format!("product `{}`: there is no service `{}`", self.code, self.service);
            wrong(what).suggest(nearest(&self.service, SERVICES.iter().map(|(word, _)| *word)))
        })?;
        let account = match (&self.account, &self.card) {
            (None, None) => Account::None,
            (Some(AccountKeys { prefixes, length }), None) => {
                Account::Account { prefixes: prefixes.clone(), length: *length }
            }
            (None, Some(CardKeys { prefix, length })) => {
                Account::Card { prefix: prefix.clone(), length: *length }
            }
            _ => return Err(wrong(format!("product `{}`: an account or a card, not both", self.code))),
        };
        let amounts = self.amount_minor_min..=self.amount_minor_max.unwrap_or(self.amount_minor_min);
        if amounts.is_empty() {
            return Err(wrong(format!(
                "product `{}`: amount_minor_max is below amount_minor_min",
                self.code
            )));
        }
        Ok(Item {
            product: self.code.clone(),
            service: *service,
            amounts,
            currency: self.currency.unwrap_or(CURRENCY),
            account,
            weight: self.weight.unwrap_or(1),
            local: self.local,
        })
    }
}

impl TerminalsKeys {
    /// Terminals and merchants count up from the first; digits at the end of their names grow.
    fn add_to(&self, terminals: &mut Vec<Terminal>) -> Result<(), ProfileError> {
        let count = ranged("terminals.count", u64::from(self.count), 1..=u64::from(TERMINALS_MAX))?;
        let per_merchant =
            ranged("terminals.per_merchant", self.per_merchant.unwrap_or(self.count).into(), 1..=u64::MAX)?;
        for number in 0..count {
            let terminal =
                counted(&self.first, number).ok_or_else(|| too_far("terminals.first", &self.first))?;
            let merchant = counted(&self.merchant, number / per_merchant)
                .ok_or_else(|| too_far("terminals.merchant", &self.merchant))?;
            if !self.except.contains(&terminal) {
                terminals.push(Terminal { terminal, merchant, network: self.network.clone() });
            }
        }
        Ok(())
    }
}

fn too_far(key: &str, first: &str) -> ProfileError {
    wrong(format!("{key}: `{first}` has too few digits at its end to count so far"))
}

/// The name that comes so many after `first`, of the same length.
fn counted(first: &str, number: u64) -> Option<String> {
    let letters = first.trim_end_matches(|character: char| character.is_ascii_digit());
    let digits = &first[letters.len()..];
    if number == 0 {
        return Some(first.to_owned());
    }
    let name = format!(
        "{letters}{:0width$}",
        digits.parse::<u64>().ok()?.checked_add(number)?,
        width = digits.len()
    );
    (name.len() == first.len()).then_some(name)
}

fn weights(mix: &toml::Table) -> Result<Vec<(String, u32)>, ProfileError> {
    let weight = |(product, weight): (&String, &toml::Value)| {
        let weight = weight.as_integer().and_then(|weight| u32::try_from(weight).ok());
        let weight = weight.ok_or_else(|| wrong(format!("mix.{product}: a whole number, 0 or more")))?;
        Ok((product.clone(), weight))
    };
    mix.iter().map(weight).collect()
}

/// Two digits, or two pairs of them with a hyphen: `00-79`.
///
/// # Errors
/// It is neither.
pub fn endings(text: &str) -> Result<RangeInclusive<u8>, ProfileError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|number: &u8| *number <= 99);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(wrong(format!("endings `{text}`: two digits, or two pairs of them with a hyphen: 00-79"))),
    }
}

fn share(key: &str, percent: Option<f64>) -> Result<f64, ProfileError> {
    let percent = percent.unwrap_or(0.0);
    if (0.0..=100.0).contains(&percent) {
        return Ok(percent / 100.0);
    }
    Err(wrong(format!("{key}: 0 to 100, not {percent}")))
}

fn rate(key: &str, per_second: Option<f64>, min: f64) -> Result<f64, ProfileError> {
    let per_second = per_second.unwrap_or(0.0);
    if (min..=RATE_MAX).contains(&per_second) {
        return Ok(per_second);
    }
    Err(wrong(format!("{key}: {min} to {RATE_MAX} requests a second, not {per_second}")))
}

fn ms(key: &str, seconds: f64) -> Result<u64, ProfileError> {
    if (0.0..=SECONDS_MAX).contains(&seconds) {
        return Ok((seconds * 1_000.0) as u64);
    }
    Err(wrong(format!("{key}: 0 to {SECONDS_MAX}, not {seconds}")))
}

fn ranged(key: &str, number: u64, range: RangeInclusive<u64>) -> Result<u64, ProfileError> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(wrong(format!("{key}: {} to {}, not {number}", range.start(), range.end())))
}

fn wrong(what: impl Into<String>) -> ProfileError {
    ProfileError { at: None, what: what.into(), suggestion: None }
}

impl ProfileError {
    fn suggest(self, suggestion: Option<String>) -> Self {
        Self { suggestion, ..self }
    }
}

fn toml_error(text: &str, error: &toml::de::Error) -> ProfileError {
    let message = error.message();
    // serde puts the unknown key and those it knows between back quotes, in this order.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let suggestion = match quoted.next() {
        Some(unknown) if message.starts_with("unknown field") => nearest(unknown, quoted),
        _ => None,
    };
    let what = match message.split_once(", expected") {
        Some((what, _)) if message.starts_with("unknown field") => {
            what.replace("unknown field", "unknown key")
        }
        _ => message.to_owned(),
    };
    ProfileError { at: error.span().map(|span| place(text, span.start)), what, suggestion }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Proposes the known word nearest to an unknown one, if one is near; else lists them.
pub(crate) fn nearest<'w>(unknown: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let known: Vec<&str> = known.collect();
    let distance = |word: &str| strsim::damerau_levenshtein(unknown, word);
    let best = known.iter().min_by_key(|word| distance(word))?;
    if distance(best) <= unknown.len().div_ceil(3) {
        return Some(format!("did you mean `{best}`?"));
    }
    Some(format!("known are {}", known.join(", ")))
}

#[cfg(test)]
mod tests;
