//! Open reversals, as operators see and settle them (S-9).
//!
//! Owns: the answers of `advices`. Invariants: those of `control::operate`; accounts are masked.
//! Deliberately absent: a count of tries over starts: its session counts them, and begins anew with a start and with a retry.

use super::operate::{Actors, Failed, Refused, STOPPING, answer, instruct, look};
use crate::cli::operators::{ActArgs, AdvicesCommand, Side};
use crate::gate::{AdviceList, OpenAdvices, Sight};
use crate::history::{self, masked};
use crate::supplier::{AskTries, TriesOf};
use serde_json::json;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use switchyard_core::flight::{Flight, Held, Phase};
use switchyard_core::gate::NotDone;
use switchyard_core::ids::FlightNo;
use switchyard_core::operate::{Instruction, Operator, Party};

/// Carries out a command on open reversals.
///
/// # Errors
/// Why not, for people.
pub async fn advices(command: &AdvicesCommand, by: Operator, actors: &Actors) -> Result<String, Refused> {
    let sight = look(actors).await?;
    match command {
        AdvicesCommand::List { limit, show } => {
            let list = actors.gate.send(OpenAdvices(*limit as usize)).await;
            let list = list.map_err(|_| STOPPING.to_owned())?;
            let tries = tries(&list, actors).await;
            Ok(print(&list, &tries, &sight, show.json))
        }
        AdvicesCommand::Retry(args) => {
            let flight = number(&args.flight)?;
            act(Instruction::Retry { flight }, flight, &args.act, by, &sight, actors).await
        }
        AdvicesCommand::Settle(args) => {
            let flight = number(&args.flight)?;
            let to = match args.to {
                Side::Network => Party::Network,
                Side::Supplier => Party::Supplier,
            };
            act(Instruction::Settle { flight, to }, flight, &args.act, by, &sight, actors).await
        }
    }
}

/// How far the reversals under way are, by flight.
async fn tries(list: &AdviceList, actors: &Actors) -> HashMap<FlightNo, TriesOf> {
    let under_way = list.flights.iter().filter(|flight| flight.phase == Phase::Doubt);
    let flights: Arc<[Flight]> = under_way.copied().collect();
    let mut all = HashMap::new();
    for supplier in &actors.suppliers {
        // One that is gone has none under way.
        let tries = supplier.send(AskTries(Arc::clone(&flights))).await.unwrap_or_default();
        all.extend(tries.into_iter().map(|tries| (tries.flight, tries)));
    }
    all
}

async fn act(
    instruction: Instruction,
    flight: FlightNo,
    args: &ActArgs,
    by: Operator,
    sight: &Sight,
    actors: &Actors,
) -> Result<String, Refused> {
    let done = instruct(instruction, args, by, sight, actors).await.map_err(|failed| match failed {
        Failed::Not(NotDone::NotParked) => {
            format!("no reversal of flight {flight} is parked; `advices list` shows those that are")
        }
        Failed::Not(NotDone::NotThere) => {
            format!("the supplier of flight {flight} is no longer configured; settle the reversal")
        }
        other => other.into(),
    })?;
    let text = history::act(&done, &sight.names);
    Ok(answer(args.json, text.clone(), json!({ "flight": flight.to_string(), "done": text })))
}

fn number(text: &str) -> Result<FlightNo, Refused> {
    FlightNo::of_rrn(text).ok_or_else(|| {
        format!("`{text}` is no flight: give the 12 letters and digits that `advices list` shows")
    })
}

fn print(list: &AdviceList, tries: &HashMap<FlightNo, TriesOf>, sight: &Sight, as_json: bool) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut out = String::new();
    if !as_json {
        let _ = writeln!(
            out,
            "{:<12}  {:<9}  {:>9}  {:>5}  {:>8}  {:<12}  {:<8}  {:<12}  {:>16}  {:<12}  ACCOUNT",
            "FLIGHT", "STATE", "AGE", "TRIES", "NEXT", "SUPPLIER", "TERMINAL", "PRODUCT", "AMOUNT", "HELD"
        );
    }
    for flight in &list.flights {
        let line = Line::of(flight, tries.get(&flight.number), now, sight);
        let _ = if as_json {
            writeln!(out, "{}", line.object())
        } else {
            writeln!(out, "{}", line.text().trim_end())
        };
    }
    if !as_json {
        let _ = writeln!(out, "{} parked, {} under way", list.parked, list.under_way);
    }
    out
}

/// An open reversal, in words.
struct Line<'a> {
    flight: &'a Flight,
    state: &'static str,
    age_s: u64,
    tries: Option<&'a TriesOf>,
    supplier: &'a str,
    product: &'a str,
    amount: String,
    held: &'static str,
}

impl<'a> Line<'a> {
    fn of(flight: &'a Flight, tries: Option<&'a TriesOf>, now: Duration, sight: &'a Sight) -> Self {
        let age = now.saturating_sub(Duration::from_millis(flight.admitted_ms));
        Self {
            flight,
            state: if flight.phase == Phase::Parked { "parked" } else { "under way" },
            age_s: age.as_secs(),
            tries,
            supplier: sight.names.supplier(flight.attempt.supplier),
            product: sight.names.product(flight.product),
            amount: sight.names.money(flight.network, flight.amount),
            held: match flight.held {
                Held::Nothing => "nothing",
                Held::Reserved => "reserved",
                Held::Suspense => "suspense",
            },
        }
    }

    fn text(&self) -> String {
        let Self { flight, state, supplier, product, amount, held, .. } = self;
        let age = format!("{} s", self.age_s);
        let account = masked(flight.account.as_str());
        let tries = self.tries.map_or_else(String::new, |tries| tries.sent.to_string());
        let next = self.next();
        format!(
            "{:<12}  {state:<9}  {age:>9}  {tries:>5}  {next:>8}  {supplier:<12}  {:<8}  {product:<12}  {amount:>16}  {held:<12}  {account}",
            flight.number.to_string(),
            flight.terminal,
        )
    }

    /// When it is sent next, in words; empty where nothing is sent any more.
    fn next(&self) -> String {
        match (self.flight.phase, self.tries.and_then(|tries| tries.next)) {
            (Phase::Doubt, Some(next)) => format!("in {} s", next.as_secs()),
            (Phase::Doubt, None) => "waits".to_owned(),
            _ => String::new(),
        }
    }

    fn object(&self) -> serde_json::Value {
        json!({
            "flight": self.flight.number.to_string(),
            "state": self.state,
            "age_s": self.age_s,
            "tries": self.tries.map(|tries| tries.sent),
            "next_ms": self.tries.and_then(|tries| tries.next).map(|next| next.as_millis() as u64),
            "supplier": self.supplier,
            "network": self.flight.acquirer.as_str(),
            "terminal": self.flight.terminal.as_str(),
            "rrn": self.flight.rrn.as_str(),
            "product": self.product,
            "amount": self.amount,
            "held": self.held,
            "account": masked(self.flight.account.as_str()),
            "reversed_by_terminal": self.flight.cancelled,
        })
    }
}
