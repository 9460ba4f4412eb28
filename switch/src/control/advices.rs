//! Open reversals, as operators see and settle them (S-9).
//!
//! Owns: the answers of `advices`. Invariants: those of `control::operate`; accounts are masked.
//! Deliberately absent: how often a reversal was tried (its session knows, and it begins anew with a start).

use super::operate::{Actors, Failed, Refused, STOPPING, answer, instruct, look};
use crate::cli::operators::{ActArgs, AdvicesCommand, Side};
use crate::gate::{AdviceList, OpenAdvices, Sight};
use crate::history::{self, masked};
use serde_json::json;
use std::fmt::Write as _;
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
            Ok(print(&list, &sight, show.json))
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

fn print(list: &AdviceList, sight: &Sight, as_json: bool) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut out = String::new();
    if !as_json {
        let _ = writeln!(
            out,
            "{:<12}  {:<9}  {:>9}  {:<12}  {:<8}  {:<12}  {:>16}  {:<12}  ACCOUNT",
            "FLIGHT", "STATE", "AGE", "SUPPLIER", "TERMINAL", "PRODUCT", "AMOUNT", "HELD"
        );
    }
    for flight in &list.flights {
        let line = Line::of(flight, now, sight);
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
    supplier: &'a str,
    product: &'a str,
    amount: String,
    held: &'static str,
}

impl<'a> Line<'a> {
    fn of(flight: &'a Flight, now: Duration, sight: &'a Sight) -> Self {
        let age = now.saturating_sub(Duration::from_millis(flight.admitted_ms));
        Self {
            flight,
            state: if flight.phase == Phase::Parked { "parked" } else { "under way" },
            age_s: age.as_secs(),
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
        format!(
            "{:<12}  {state:<9}  {age:>9}  {supplier:<12}  {:<8}  {product:<12}  {amount:>16}  {held:<12}  {account}",
            flight.number.to_string(),
            flight.terminal,
        )
    }

    fn object(&self) -> serde_json::Value {
        json!({
            "flight": self.flight.number.to_string(),
            "state": self.state,
            "age_s": self.age_s,
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
