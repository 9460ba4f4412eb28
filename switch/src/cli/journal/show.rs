//! `switchyard journal show`: facts, one a line.
//!
//! Owns: which facts are shown, and the layout. Deliberately absent: what a fact says (`facts`).

use super::facts::{KINDS, Shown, shown};
use super::{WhichArgs, failure};
use crate::cli::Io;
use crate::cli::exit::{Exit, Failure, nearest};
use crate::history::time;
use crate::journal::Inspection;
use clap::Args;
use serde_json::{Map, Value as Json};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use switchyard_core::fact::{Fact, NameKind};
use switchyard_core::ids::FlightNo;
use switchyard_core::log::Lsn;
use switchyard_core::state::State;
use switchyard_core::text::Text;

/// Flights that a terminal is followed over.
const FLIGHTS_MAX: usize = 1_000_000;

/// Options of `journal show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Begin at this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    from: u64,
    /// End before this position.
    #[arg(long, value_name = "POSITION", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Only facts of this kind: intent, outcome, sale, doubt, ...
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<&'static str>,
    /// Only the requests of this terminal (DE41), with everything that became of them.
    #[arg(long, value_name = "TERMINAL", value_parser = terminal)]
    terminal: Option<Text<8>>,
    /// At most so many lines.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

fn kind(word: &str) -> Result<&'static str, String> {
    let known = KINDS.into_iter().find(|kind| *kind == word);
    known.ok_or_else(|| match nearest(word, KINDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", KINDS.join(", ")),
    })
}

fn terminal(word: &str) -> Result<Text<8>, String> {
    Text::new(word.as_bytes()).ok_or_else(|| "a terminal has at most eight characters".to_owned())
}

/// Prints what is asked for.
///
/// # Errors
/// The journal cannot be read.
pub fn run(args: &ShowArgs, io: &mut Io) -> Result<Exit, Failure> {
    let settings = args.which.settings(io)?;
    let inspection = Inspection::beside(&settings.data.join("journal")).map_err(failure)?;
    let mut reading = Reading::new(args, &inspection);
    let read = inspection.read(Lsn(args.from), |at, bytes| {
        match reading.fact(at, bytes)? {
            Seen::Passed => Ok(()),
            Seen::Line(line) => {
                io.line(line);
                Ok(())
            }
            // Reading ends by refusing a fact: there is nothing more to be read.
            Seen::Enough => Err(String::new()),
        }
    });
    match read {
        Err(_) if reading.is_over => Ok(Exit::Done),
        Ok(None) => Ok(Exit::Done),
        Ok(Some((at, what))) => {
            let (file, offset) = inspection.place(at);
            io.note(format!(
                "the journal is read up to position {at}; there, in {} at byte {offset}: {what}. Beside a running switch that may be a batch on its way; else `journal verify` says more",
                file.display()
            ));
            Ok(Exit::Done)
        }
        Err(error) => Err(failure(error)),
    }
}

/// What becomes of a fact.
enum Seen {
    Passed,
    Line(String),
    Enough,
}

/// What is known while facts go by.
struct Reading<'a> {
    args: &'a ShowArgs,
    /// Names that came before the first fact that is read.
    before: Option<State>,
    named: HashMap<(NameKind, u16), String>,
    /// Flights of the terminal that is asked for.
    flights: HashSet<FlightNo>,
    lines: u64,
    is_over: bool,
}

impl<'a> Reading<'a> {
    fn new(args: &'a ShowArgs, inspection: &Inspection) -> Self {
        // Names are never taken back, so those of any checkpoint do. Without one, ids are shown until their names come by.
        let positions = inspection.checkpoints().unwrap_or_default();
        let before = positions.into_iter().find_map(|at| inspection.checkpoint(at).ok());
        let (named, flights) = (HashMap::new(), HashSet::new());
        Self { args, before, named, flights, lines: 0, is_over: false }
    }

    fn fact(&mut self, at: Lsn, bytes: &[u8]) -> Result<Seen, String> {
        let fact = Fact::unpack(bytes).map_err(|error| error.to_string())?;
        if let Fact::Named { kind, id, name } = &fact {
            self.named.insert((*kind, *id), name.to_string());
        }
        if at.0 < self.args.from {
            return Ok(Seen::Passed);
        }
        if at.0 >= self.args.to || self.lines >= self.args.limit {
            self.is_over = true;
            return Ok(Seen::Enough);
        }
        let shown = shown(&fact, &|kind, id| self.name(kind, id));
        if !self.is_wanted(&shown) {
            return Ok(Seen::Passed);
        }
        self.lines += 1;
        Ok(Seen::Line(if self.args.json { json(at, shown) } else { line(at, &shown) }))
    }

    fn name(&self, kind: NameKind, id: u16) -> String {
        let before =
            || self.before.as_ref().and_then(|state| state.name(kind, id)).map(|name| name.to_string());
        self.named.get(&(kind, id)).cloned().or_else(before).unwrap_or_else(|| format!("#{id}"))
    }

    fn is_wanted(&mut self, shown: &Shown) -> bool {
        let is_of_terminal = match (self.args.terminal, shown.terminal) {
            (None, _) => true,
            (Some(wanted), Some(terminal)) => {
                if wanted == terminal && self.flights.len() < FLIGHTS_MAX {
                    self.flights.extend(shown.flight);
                }
                wanted == terminal
            }
            (Some(_), None) => shown.flight.is_some_and(|flight| self.flights.contains(&flight)),
        };
        is_of_terminal && self.args.kind.is_none_or(|kind| kind == shown.kind)
    }
}

/// Columns for people.
fn line(at: Lsn, shown: &Shown) -> String {
    let when = shown.at_ms.map_or_else(|| "-".to_owned(), time);
    let flight = shown.flight.map_or_else(|| "-".to_owned(), |flight| flight.to_string());
    let mut line = format!("{:<14} {when:<24} {:<8} {flight:<12}", at.0, shown.kind);
    if let Some(terminal) = shown.terminal {
        let _ = write!(line, " terminal={terminal}");
    }
    for (name, value) in &shown.fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = if text.contains(' ') {
            write!(line, " {name}={text:?}")
        } else {
            write!(line, " {name}={text}")
        };
    }
    line
}

fn json(at: Lsn, shown: Shown) -> String {
    let mut object = Map::new();
    object.insert("position".into(), at.0.into());
    object.insert("kind".into(), shown.kind.into());
    if let Some(at_ms) = shown.at_ms {
        object.insert("at".into(), time(at_ms).into());
    }
    if let Some(flight) = shown.flight {
        object.insert("flight".into(), flight.to_string().into());
    }
    if let Some(terminal) = shown.terminal {
        object.insert("terminal".into(), terminal.as_str().into());
    }
    object.extend(shown.fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Json::Object(object).to_string()
}
