//! Operators' commands: at the running switch, else at the books of one that stands still.
//!
//! Owns: which of the two it is, and what went wrong. Invariants: what changes anything but the stock needs a switch that runs, which knows what is open;
//! what only reads the journal does without. Deliberately absent: what the commands do (`control::operate`, `history`, `cli::stock`), and how the switch is reached
//! (`control::socket`).

use super::Io;
use super::books::OfflineBooks;
use super::check;
use super::exit::{Exit, Failure};
use super::operators::{OperatorCommand, TransactionCommand};
use super::run::not_started;
use super::stock::{PlaceArgs, StockCommand, StockCommandError, run_load, run_show};
use crate::clock::Clock;
use crate::config::load_shipped;
use crate::control::socket::{self, Command, Done};
use crate::history::card::CardNumber;
use crate::history::{Names, Source, print};
use crate::settings::Settings;
use crate::topology;

/// Runs `stock load` or `stock show`.
///
/// # Errors
/// Neither the switch nor its books can be reached, or the command fails.
pub fn run(command: &StockCommand, io: &mut Io) -> Result<Exit, Failure> {
    let place = match command {
        StockCommand::Load(args) => &args.place,
        StockCommand::Show(args) => &args.place,
    };
    let settings = settings(place, io)?;
    let printed = match at_switch(command, &settings)? {
        Some(printed) => printed,
        None => at_books(command, &settings)?,
    };
    io.line(printed.trim_end());
    Ok(Exit::Done)
}

/// What the running switch answers; `None` where none runs.
fn at_switch(command: &StockCommand, settings: &Settings) -> Result<Option<String>, Failure> {
    let command = match command {
        StockCommand::Load(args) => {
            let mut args = args.clone();
            // The switch may run in another folder.
            args.file = std::path::absolute(&args.file).map_err(Failure::usage)?;
            Command::StockLoad(args)
        }
        StockCommand::Show(args) => Command::StockShow(args.clone()),
    };
    sent(&command, settings)
}

/// What the running switch answers to a command; `None` where none runs.
fn sent(command: &Command, settings: &Settings) -> Result<Option<String>, Failure> {
    let path = socket::path(&settings.data);
    let unreachable = |error: std::io::Error| {
        let failure = Failure::system(format!("the switch at {} does not answer: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                failure.help("only the user that the switch runs as may give it commands; be that user")
            }
            _ => failure,
        }
    };
    match socket::send(&settings.data, command).map_err(unreachable)? {
        Some(Done::Ok(printed)) => Ok(Some(printed)),
        Some(Done::Failed(why)) => Err(Failure::usage(why)),
        None => Ok(None),
    }
}

/// Runs any other command of an operator.
///
/// # Errors
/// The switch cannot be reached where it is needed, or the command fails.
pub fn operate(mut command: OperatorCommand, io: &mut Io) -> Result<Exit, Failure> {
    let settings = settings(command.place(), io)?;
    if let OperatorCommand::Transaction(TransactionCommand::Find(args)) = &mut command
        && args.card
    {
        args.number = CardNumber::read(std::io::stdin().lock()).map_err(Failure::usage)?;
    }
    let asked = Command::Operator(command);
    let printed = match sent(&asked, &settings)? {
        Some(printed) => printed,
        None => past(&asked, &settings)?,
    };
    if !printed.is_empty() {
        io.line(printed.trim_end());
    }
    Ok(Exit::Done)
}

/// What the journal of a switch that stands still answers.
fn past(command: &Command, settings: &Settings) -> Result<String, Failure> {
    let Command::Operator(
        command @ (OperatorCommand::Audit(_) | OperatorCommand::Transaction(TransactionCommand::Find(_))),
    ) = command
    else {
        let what = format!("no switch runs on {}; nothing was changed", settings.data.display());
        return Err(Failure::new(Exit::Unreachable, what)
            .help("start it (`switchyard run`, `switchyard demo`), then give the command again"));
    };
    let books = topology::open_books(settings).map_err(not_started)?;
    let reader = books.opening.reader();
    let names = Names::of(&books.state, &settings.catalogue);
    let source = Source { reader: &reader, upto: books.replayed.end, names: &names, keyring: &books.keyring };
    let now_ms = Clock::start().now().wall_ms;
    let printed = match command {
        OperatorCommand::Audit(args) => print::run_audit(args, &source, now_ms),
        OperatorCommand::Transaction(TransactionCommand::Find(args)) => {
            print::run_find(args, source, &settings.dialects, now_ms)
        }
        _ => Ok(String::new()),
    };
    printed.map_err(Failure::usage)
}

fn at_books(command: &StockCommand, settings: &Settings) -> Result<String, Failure> {
    let now = Clock::start().now();
    let mut books = OfflineBooks::open(settings, now).map_err(not_started)?;
    let done = match command {
        StockCommand::Load(args) => run_load(args, &mut books, now),
        StockCommand::Show(args) => run_show(args, &books),
    };
    let closed = books.close();
    let printed = done.map_err(|error| match error {
        StockCommandError::Append(_) => Failure::system(error),
        _ => Failure::usage(error),
    })?;
    closed.map_err(Failure::system)?;
    Ok(printed)
}

/// The settings of the switch that is meant.
///
/// # Errors
/// The configuration is wrong, or it is not said which switch.
pub(super) fn settings(place: &PlaceArgs, io: &Io) -> Result<Settings, Failure> {
    if let Some(config) = &place.config {
        return check::read(config, io);
    }
    let Some(data) = &place.data else {
        return Err(Failure::usage("it is not said which switch")
            .help("give --config FILE of the switch, or --data DIR of a demonstration"));
    };
    if !data.is_dir() {
        return Err(Failure::usage(format!("there is no folder {}", data.display()))
            .help("`switchyard demo --data DIR` makes one"));
    }
    let mut settings = load_shipped(&super::adapter_keys()).map_err(Failure::system)?;
    settings.relocate(data.clone());
    Ok(settings)
}
