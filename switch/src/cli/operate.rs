//! Operators' commands: at the running switch, else at the books of one that stands still.
//!
//! Owns: which of the two it is, and what went wrong. Deliberately absent: what the commands do (`cli::stock`), and how the switch is
//! reached (`control::socket`).

use super::Io;
use super::books::OfflineBooks;
use super::check;
use super::exit::{Exit, Failure};
use super::run::not_started;
use super::stock::{PlaceArgs, StockCommand, StockCommandError, run_load, run_show};
use crate::clock::Clock;
use crate::config::load_shipped;
use crate::control::socket::{self, Command, Done};
use crate::settings::Settings;

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
    let sent = socket::send(&settings.data, &command);
    match sent.map_err(|error| Failure::system(format!("the switch does not answer: {error}")))? {
        Some(Done::Ok(printed)) => Ok(Some(printed)),
        Some(Done::Failed(why)) => Err(Failure::usage(why)),
        None => Ok(None),
    }
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
