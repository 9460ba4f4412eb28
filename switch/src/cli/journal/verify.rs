//! `switchyard journal verify`: whether a journal is sound.
//!
//! Owns: what is checked beyond what a start checks: that every fact folds from the first on, that each checkpoint equals the fold, that money adds up.
//! Invariants: it reads everything, and writes nothing; what is wrong is told with file and offset.
//! Deliberately absent: the checks of batches and segments (`journal`), which are those of a start.

use super::{WhichArgs, failure};
use crate::cli::Io;
use crate::cli::exit::{Exit, Failure};
use crate::journal::{Inspection, JournalError};
use crate::keys::Kek;
use crate::restore::apply;
use crate::settings::Settings;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchyard_core::fact::Fact;
use switchyard_core::log::Lsn;
use switchyard_core::state::State;

/// The bar moves after so many facts.
const STEP_FACTS: u64 = 4_096;

/// Options of `journal verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks the journal, and says what came of it.
///
/// # Errors
/// It is damaged, in use, or cannot be read.
pub fn run(args: &VerifyArgs, io: &mut Io) -> Result<Exit, Failure> {
    let settings = args.which.settings(io)?;
    let inspection = Inspection::alone(&settings.data.join("journal")).map_err(failure)?;
    let kek = kek(&settings)?;
    let bar = progress(inspection.first().0, inspection.limit().0);
    let mut fold = Fold::new(&inspection, settings.gate.reversible_ms(), io)?;
    let verified = inspection.verify(kek.as_ref(), |at, bytes| {
        if fold.facts.is_multiple_of(STEP_FACTS) {
            bar.set_position(at.0.saturating_sub(inspection.first().0));
        }
        fold.fact(&inspection, at, bytes)
    });
    bar.finish_and_clear();
    let replayed = verified.map_err(|error| damage(&inspection, error))?;
    fold.end()?;
    let report = Report {
        facts: replayed.facts,
        segments: replayed.segments,
        epoch: replayed.epoch,
        end: replayed.end,
        cut_bytes: replayed.cut_bytes,
        folded_from: fold.from,
        checkpoints: fold.equal,
        keys: kek.is_some(),
    };
    report.print(args.json, io);
    Ok(Exit::Done)
}

/// The key-encryption key, where there is one; none is made.
fn kek(settings: &Settings) -> Result<Option<Kek>, Failure> {
    let variable = settings.keys.env.as_deref().is_some_and(|name| std::env::var_os(name).is_some());
    if !variable && !settings.keys.file.exists() {
        return Ok(None);
    }
    let kek = Kek::open(&settings.keys, &settings.data);
    kek.map(Some).map_err(|error| Failure::new(Exit::Data, error))
}

fn progress(first: u64, limit: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {bytes_per_sec}  {eta} left");
    let bar = ProgressBar::with_draw_target(Some(limit.saturating_sub(first)), ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What is wrong, with file and offset.
fn damage(inspection: &Inspection, error: JournalError) -> Failure {
    match error {
        JournalError::Refused { lsn, reason } => {
            let (file, offset) = inspection.place(lsn);
            Failure::new(
                Exit::Data,
                format!("{} at byte {offset} (position {lsn}): {reason}", file.display()),
            )
            .help("restore the folder from a copy")
        }
        other => failure(other),
    }
}

/// The fold, and the checkpoints that it comes by.
struct Fold {
    state: State,
    /// Facts up to here are only read: the log before them was retired, and a checkpoint stands for it.
    from: Lsn,
    /// Checkpoints still to be compared, the oldest last.
    ahead: Vec<Lsn>,
    facts: u64,
    /// Checkpoints that equal the fold.
    equal: u64,
}

impl Fold {
    fn new(inspection: &Inspection, window_ms: u64, io: &Io) -> Result<Self, Failure> {
        let ahead = inspection.checkpoints().map_err(failure)?;
        let fresh = |ahead| Self { state: State::new(window_ms), from: Lsn(0), ahead, facts: 0, equal: 0 };
        if inspection.first() == Lsn(0) {
            let newest = ahead.first().map(|at| inspection.checkpoint(*at));
            // Requests leave the index by the window that the checkpoints were made with.
            let window_ms = newest.and_then(Result::ok).map_or(window_ms, |state| state.window_ms());
            let mut fold = fresh(ahead);
            fold.state.set_window_ms(window_ms);
            return Ok(fold);
        }
        let Some(oldest) = ahead.last().copied() else {
            let (file, _) = inspection.place(inspection.first());
            let what = format!(
                "the journal begins with {}, and there is no checkpoint for what came before",
                file.display()
            );
            return Err(Failure::new(Exit::Data, what).help("restore the folder from a copy"));
        };
        let state = inspection.checkpoint(oldest).map_err(|fault| Failure::new(Exit::Data, fault))?;
        io.note(format!("what came before position {} was retired: facts up to the checkpoint at {oldest} are read, and folded from there", inspection.first()));
        let ahead = ahead[..ahead.len() - 1].to_vec();
        Ok(Self { state, from: oldest, ahead, facts: 0, equal: 1 })
    }

    fn fact(&mut self, inspection: &Inspection, at: Lsn, bytes: &[u8]) -> Result<(), String> {
        self.facts += 1;
        if at <= self.from {
            return Fact::unpack(bytes).map(drop).map_err(|error| error.to_string());
        }
        apply(&mut self.state, at, bytes)?;
        while self.ahead.last().is_some_and(|checkpoint| *checkpoint <= at) {
            let checkpoint = self.ahead.pop().unwrap_or_default();
            self.compare(inspection, checkpoint)?;
        }
        Ok(())
    }

    fn compare(&mut self, inspection: &Inspection, checkpoint: Lsn) -> Result<(), String> {
        let state = inspection.checkpoint(checkpoint).map_err(|fault| fault.to_string())?;
        let sum = self.state.accounts.sum_of_each();
        if sum != 0 {
            return Err(format!("all accounts together are {sum}, and not zero"));
        }
        if state != self.state {
            return Err(format!(
                "the checkpoint at position {checkpoint} is not what the log makes of its facts"
            ));
        }
        self.equal += 1;
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        let sum = self.state.accounts.sum_of_each();
        if sum != 0 {
            return Err(Failure::new(Exit::Data, format!("all accounts together are {sum}, and not zero")));
        }
        match self.ahead.last() {
            None => Ok(()),
            Some(at) => Err(Failure::new(
                Exit::Data,
                format!("there is a checkpoint at position {at}, but the log ends before it"),
            )),
        }
    }
}

/// What came of it.
#[derive(serde::Serialize)]
struct Report {
    facts: u64,
    segments: u64,
    epoch: u32,
    #[serde(serialize_with = "position")]
    end: Lsn,
    cut_bytes: u64,
    #[serde(serialize_with = "position")]
    folded_from: Lsn,
    checkpoints: u64,
    keys: bool,
}

fn position<S: serde::Serializer>(at: &Lsn, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(at.0)
}

impl Report {
    fn print(&self, json: bool, io: &mut Io) {
        if self.cut_bytes > 0 {
            io.note(format!(
                "{} bytes behind the end were never acknowledged: a torn tail, which the next start cuts",
                self.cut_bytes
            ));
        }
        if !self.keys {
            io.note("there is no key-encryption key here: whether the journal's keys open was not checked");
        }
        if json {
            return io.line(serde_json::json!({ "sound": true, "journal": self }));
        }
        let Self { facts, segments, epoch, end, checkpoints, .. } = self;
        io.line(format!(
            "{}the journal is sound{}: {facts} facts in {segments} segments up to position {end}, {epoch} epochs, {checkpoints} checkpoints equal to the fold, all accounts together zero",
            io.paint.good, io.paint.end
        ));
    }
}
