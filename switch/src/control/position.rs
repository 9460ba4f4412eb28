//! Positions, as operators see, credit and debit them (R-37, S-15).
//!
//! Owns: the answers of `position`, for networks and for merchants with a position of their own.
//! Invariants: those of `control::operate`; an amount is read in the currency of its network.
//! Deliberately absent: how much may be taken out (the core's gate).

use super::operate::{
    Actors, Refused, STOPPING, answer, done_and_stopping, find_network, instruct, look, unknown,
};
use crate::cli::operators::{AmountArgs, PositionCommand};
use crate::gate::{MerchantPosition, NetworkPositions, PositionNow, Sight};
use crate::history::{self, phrases};
use serde_json::json;
use std::fmt::Write as _;
use switchyard_core::catalogue::{Funding, Merchant, Network};
use switchyard_core::money::Minor;
use switchyard_core::operate::{Instruction, Operator};
use switchyard_core::text::Text;

/// Whose position is meant.
#[derive(Clone, Copy)]
struct Holder<'a> {
    /// Index in the catalogue.
    at: usize,
    network: &'a Network,
    /// The merchant and its index, where its own is meant.
    merchant: Option<(u32, &'a Merchant)>,
}

/// Carries out a command on positions.
///
/// # Errors
/// Why not, for people.
pub async fn position(command: &PositionCommand, by: Operator, actors: &Actors) -> Result<String, Refused> {
    let sight = look(actors).await?;
    let (args, credit) = match command {
        PositionCommand::Show { network, merchant, show } => {
            let holder = network.as_deref().map(|code| Holder::find(&sight, code, merchant.as_deref()));
            return show_positions(holder.transpose()?, show.json, &sight, actors).await;
        }
        PositionCommand::Credit(args) => (args, true),
        PositionCommand::Debit(args) => (args, false),
    };
    let AmountArgs { network, amount, merchant, act } = args;
    let holder = Holder::find(&sight, network, merchant.as_deref())?;
    let amount = read_amount(amount, holder.network)?;
    let (network, merchant) = (holder.network.id, holder.merchant.map(|(_, merchant)| merchant.code));
    let instruction = match credit {
        true => Instruction::Credit { network, merchant, amount },
        false => Instruction::Debit { network, merchant, amount },
    };
    let done = instruct(instruction, act, by, &sight, actors).await?;
    let position = holder.position(actors).await.flatten().ok_or_else(done_and_stopping)?;
    let text = format!(
        "{} {} with {}: posted {}, free {}",
        holder.code(),
        phrases::act(&done),
        sight.names.money(network, amount),
        sight.names.money(network, position.posted),
        holder.free(&sight, &position)
    );
    Ok(answer(act.json, text, holder.object(&sight, &position)))
}

impl<'a> Holder<'a> {
    fn find(sight: &'a Sight, network: &str, merchant: Option<&str>) -> Result<Self, Refused> {
        let (at, network) = find_network(&sight.catalogue, network)?;
        let merchant = merchant.map(|code| find_merchant(sight, at, code)).transpose()?;
        Ok(Self { at, network, merchant })
    }

    fn code(&self) -> String {
        match self.merchant {
            Some((_, merchant)) => format!("merchant {} of {}", merchant.code, self.network.code),
            None => self.network.code.to_string(),
        }
    }

    fn funding(&self) -> Funding {
        self.merchant.and_then(|(_, merchant)| merchant.funding).unwrap_or(self.network.funding)
    }

    /// `None`: the switch is stopping; `Some(None)`: the merchant has none of its own.
    async fn position(&self, actors: &Actors) -> Option<Option<PositionNow>> {
        match self.merchant {
            Some((at, _)) => actors.gate.send(MerchantPosition(at)).await.ok(),
            None => Some(actors.gate.send(NetworkPositions).await.ok()?.get(self.at).copied()),
        }
    }

    fn free(&self, sight: &Sight, position: &PositionNow) -> String {
        let money = |amount| sight.names.money(self.network.id, amount);
        position.free.map_or_else(|| "out of range".to_owned(), money)
    }

    fn object(&self, sight: &Sight, position: &PositionNow) -> serde_json::Value {
        let money = |amount| sight.names.money(self.network.id, amount);
        let mut object = json!({
            "network": self.network.code.as_str(),
            "posted": money(position.posted),
            "reserved": money(position.reserved),
            "line": money(self.funding().line()),
            "free": self.free(sight, position),
            "day": history::date(position.day.date),
        });
        if let Some((_, merchant)) = self.merchant {
            object["merchant"] = merchant.code.as_str().into();
        }
        object
    }

    fn line(&self, sight: &Sight, position: &PositionNow) -> String {
        let money = |amount| sight.names.money(self.network.id, amount);
        let [posted, reserved] = [position.posted, position.reserved].map(money);
        let (free, day) = (self.free(sight, position), history::date(position.day.date));
        let code =
            self.merchant.map_or(self.network.code.to_string(), |(_, merchant)| merchant.code.to_string());
        format!("{code:<15} {posted:>18} {reserved:>18} {free:>18} {day:>11}")
    }
}

/// The position of one holder, or those of all networks.
async fn show_positions(
    holder: Option<Holder<'_>>,
    as_json: bool,
    sight: &Sight,
    actors: &Actors,
) -> Result<String, Refused> {
    let mut shown = Vec::new();
    match holder {
        Some(holder) => {
            let position = holder.position(actors).await.ok_or_else(|| STOPPING.to_owned())?;
            shown.push((holder, position.ok_or_else(|| no_position(&holder))?));
        }
        None => {
            let positions = actors.gate.send(NetworkPositions).await.map_err(|_| STOPPING.to_owned())?;
            let networks = sight.catalogue.networks.iter().enumerate();
            let holders = networks.map(|(at, network)| Holder { at, network, merchant: None });
            shown.extend(holders.zip(positions));
        }
    }
    let mut out = String::new();
    if !as_json {
        let what =
            if holder.is_some_and(|holder| holder.merchant.is_some()) { "MERCHANT" } else { "NETWORK" };
        let _ = writeln!(out, "{what:<15} {:>18} {:>18} {:>18} {:>11}", "POSTED", "RESERVED", "FREE", "DAY");
    }
    for (holder, position) in &shown {
        let _ = match as_json {
            true => writeln!(out, "{}", holder.object(sight, position)),
            false => writeln!(out, "{}", holder.line(sight, position)),
        };
    }
    Ok(out)
}

fn no_position(holder: &Holder<'_>) -> Refused {
    format!(
        "{} has no position of its own: its network's pays for its sales (`position show {}`)",
        holder.code(),
        holder.network.code
    )
}

fn find_merchant<'c>(sight: &'c Sight, network: usize, code: &str) -> Result<(u32, &'c Merchant), Refused> {
    let catalogue = &sight.catalogue;
    let of_it = |merchant: &Merchant| merchant.network as usize == network;
    let found = Text::new(code.as_bytes()).and_then(|code| catalogue.merchant(code));
    let known =
        || catalogue.merchants.iter().filter(|merchant| of_it(merchant)).map(|known| known.code.as_str());
    found
        .filter(|(_, merchant)| of_it(merchant))
        .ok_or_else(|| unknown("merchant of that network", code, known()))
}

fn read_amount(text: &str, network: &Network) -> Result<Minor, Refused> {
    let (code, exponent) = history::currency(network.currency).unwrap_or_default();
    crate::config::amount(text, exponent).ok_or_else(|| {
        let example = Minor(250_000).display(exponent);
        format!(
            "`{text}` is no amount: give units of {code} with at most {exponent} decimal places and no sign, such as {example}"
        )
    })
}
