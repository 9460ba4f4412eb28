//! Operators' commands at the running switch: from what was typed to an instruction, and from what was done to what is printed.
//!
//! Owns: names and amounts of commands, read against the catalogue in force, and the texts of answers.
//! Invariants: a command that changes something is answered once it is durable (S-17), and a block once every conduit has it; one that cannot be read says what was
//! meant. Deliberately absent: what is allowed (the core's gate), and transactions and the trail (`history`).

use crate::cli::exit::nearest;
use crate::cli::operators::{ActArgs, DayCommand, SupplierCommand, TerminalCommand};
use crate::conduit::{Block, Conduit};
use crate::gate::{GateActor, Look, OpenAt, Operate, Sight};
use crate::history;
use crate::supplier::SupplierActor;
use actix::Addr;
use serde_json::json;
use switchyard_core::catalogue::{Catalogue, Network};
use switchyard_core::gate::NotDone;
use switchyard_core::operate::{Act, Instruction, Operator, reason};
use switchyard_core::state::Day;
use switchyard_core::text::Text;

/// Why a command was not carried out; nothing was changed, unless it says so.
pub type Refused = String;

/// The actors that commands need.
#[derive(Clone)]
pub struct Actors {
    /// The gate.
    pub gate: Addr<GateActor>,
    /// The conduits.
    pub conduits: Vec<Addr<Conduit>>,
    /// The suppliers.
    pub suppliers: Vec<Addr<SupplierActor>>,
}

/// How a reason is given, for messages.
pub const REASON_FORM: &str = "a reason is 1 to 120 printable ASCII characters, without line breaks";

pub(super) const STOPPING: &str = "the switch is stopping; nothing was changed";

/// Blocks or unblocks a terminal.
///
/// # Errors
/// Why not, for people.
pub async fn terminal(command: &TerminalCommand, by: Operator, actors: &Actors) -> Result<String, Refused> {
    let (args, blocked) = match command {
        TerminalCommand::Block(args) => (args, true),
        TerminalCommand::Unblock(args) => (args, false),
    };
    let sight = look(actors).await?;
    let terminal =
        Text::new(args.terminal.as_bytes()).ok_or_else(|| unknown_terminal(&sight, &args.terminal))?;
    let instruction = Instruction::Terminal { terminal, blocked };
    instruct(instruction, &args.act, by, &sight, actors).await.map_err(|refused| match refused {
        Failed::Not(NotDone::NotThere) => unknown_terminal(&sight, &args.terminal),
        Failed::Not(NotDone::Already) => {
            format!("terminal {terminal} is {} already", if blocked { "blocked" } else { "not blocked" })
        }
        Failed::Not(NotDone::Configured) => format!(
            "the configuration blocks terminal {terminal}; change its status in the file of terminals, and start the switch again"
        ),
        other => other.into(),
    })?;
    let text = match blocked {
        true => format!("terminal {terminal} is blocked: its sales get 58, its reversals are still taken"),
        false => format!("terminal {terminal} is not blocked any more"),
    };
    Ok(answer(args.act.json, text, json!({ "terminal": terminal.as_str(), "blocked": blocked })))
}

/// Drains a supplier, or gives it sales again.
///
/// # Errors
/// Why not, for people.
pub async fn supplier(command: &SupplierCommand, by: Operator, actors: &Actors) -> Result<String, Refused> {
    let (args, drained) = match command {
        SupplierCommand::Drain(args) => (args, true),
        SupplierCommand::Resume(args) => (args, false),
    };
    let sight = look(actors).await?;
    let known = || sight.catalogue.suppliers.iter().map(|supplier| supplier.code.as_str());
    let code = Text::new(args.supplier.as_bytes()).and_then(|code| sight.catalogue.supplier(code));
    let (_, supplier) = code.ok_or_else(|| unknown("supplier", &args.supplier, known()))?;
    let instruction = Instruction::Supplier { supplier: supplier.id, drained };
    instruct(instruction, &args.act, by, &sight, actors).await.map_err(|refused| match refused {
        Failed::Not(NotDone::Already) => {
            format!(
                "supplier {} is {} already",
                supplier.code,
                if drained { "drained" } else { "not drained" }
            )
        }
        other => other.into(),
    })?;
    let (open, advices) = actors.gate.send(OpenAt(supplier.id)).await.map_err(|_| done_and_stopping())?;
    let text = match drained {
        true => format!(
            "supplier {} is drained: no new sales; {open} sales are open there, {} reversals",
            supplier.code,
            advices.saturating_sub(open)
        ),
        false => format!("supplier {} gets sales again", supplier.code),
    };
    let object = json!({
        "supplier": supplier.code.as_str(), "drained": drained, "open": open,
        "reversals": advices.saturating_sub(open),
    });
    Ok(answer(args.act.json, text, object))
}

/// Closes a network's business day.
///
/// # Errors
/// Why not, for people.
pub async fn day(command: &DayCommand, by: Operator, actors: &Actors) -> Result<String, Refused> {
    let DayCommand::Close { network, again, act } = command;
    let sight = look(actors).await?;
    let (_, network) = find_network(&sight.catalogue, network)?;
    let instruction = Instruction::CloseDay { network: network.id, again: *again };
    let done = instruct(instruction, act, by, &sight, actors).await.map_err(|refused| match refused {
        Failed::Not(NotDone::ClosedEarly { open }) => closed_early(network.code.as_str(), open),
        other => other.into(),
    })?;
    let Act::DayClosed { date, until_ms, .. } = done else { return Err(done_and_stopping()) };
    let (begun, until) = (history::date(date), history::time(until_ms));
    let text = format!("the day of {} is closed; {begun} has begun, until {until}", network.code);
    let object = json!({ "network": network.code.as_str(), "day": begun, "until": until });
    Ok(answer(act.json, text, object))
}

fn closed_early(network: &str, open: Day) -> Refused {
    let (begun, until) = (history::date(open.date), history::time(open.until_ms));
    format!(
        "not done: the day before of {network} was closed early already, and {begun} has begun, until {until}; `audit` says who closed it, when and why. To close {begun} as well: --again"
    )
}

/// What the gate knows that commands name.
///
/// # Errors
/// The switch is stopping.
pub async fn look(actors: &Actors) -> Result<Sight, Refused> {
    actors.gate.send(Look).await.map_err(|_| STOPPING.to_owned())
}

/// Why an instruction was not carried out.
pub(super) enum Failed {
    /// The gate refused it.
    Not(NotDone),
    /// Anything else, for people.
    Other(String),
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Not(why) => format!("not done: {why}"),
            Failed::Other(why) => why,
        }
    }
}

/// Has the gate carry an instruction out, and waits until it is durable and every conduit knows of it.
pub(super) async fn instruct(
    instruction: Instruction,
    args: &ActArgs,
    by: Operator,
    sight: &Sight,
    actors: &Actors,
) -> Result<Act, Failed> {
    let why = reason(&args.reason).ok_or_else(|| Failed::Other(REASON_FORM.to_owned()))?;
    let (durable, told) = tokio::sync::oneshot::channel();
    let operate = Operate { instruction, by, reason: why, durable };
    let done = actors.gate.send(operate).await.map_err(|_| Failed::Other(STOPPING.to_owned()))?;
    let done = done.map_err(|not_done| match (not_done, instruction) {
        (NotDone::Short { free }, Instruction::Debit { network, .. }) => Failed::Other(format!(
            "not done: {} is free; what open sales have reserved cannot be debited",
            sight.names.money(network, free)
        )),
        (other, _) => Failed::Not(other),
    })?;
    told.await.map_err(|_| {
        Failed::Other(
            "the switch stopped before that was durable; look at `audit` after its next start".to_owned(),
        )
    })?;
    if let Act::Terminal { .. } = done.act {
        for conduit in &actors.conduits {
            // A conduit that is gone refuses everything.
            let _ = conduit.send(Block(done.blocked.clone())).await;
        }
    }
    Ok(done.act)
}

pub(super) fn done_and_stopping() -> String {
    "it is done, and the switch is stopping".to_owned()
}

pub(super) fn answer(as_json: bool, text: String, object: serde_json::Value) -> String {
    if as_json { object.to_string() } else { text }
}

pub(super) fn find_network<'c>(
    catalogue: &'c Catalogue,
    code: &str,
) -> Result<(usize, &'c Network), Refused> {
    let found = Text::new(code.as_bytes()).and_then(|code| catalogue.network(code));
    let known = || catalogue.networks.iter().map(|network| network.code.as_str());
    found.map(|(at, network)| (at as usize, network)).ok_or_else(|| unknown("network", code, known()))
}

fn unknown_terminal(sight: &Sight, code: &str) -> String {
    unknown("terminal", code, sight.catalogue.terminals.iter().map(|terminal| terminal.code.as_str()))
}

pub(super) fn unknown<'w>(what: &str, word: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
    const LISTED_MAX: usize = 8;
    if let Some(near) = nearest(word, known.clone()) {
        return format!("there is no {what} `{word}`; did you mean `{near}`?");
    }
    let listed: Vec<_> = known.clone().take(LISTED_MAX + 1).collect();
    match listed.len() {
        0 => format!("there is no {what} `{word}`; the configuration has none"),
        all if all <= LISTED_MAX => format!("there is no {what} `{word}`; there are {}", listed.join(", ")),
        _ => format!("there is no {what} `{word}`, and none that is spelled like it"),
    }
}
