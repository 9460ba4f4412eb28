//! `switchyard journal`: what is in a journal, and whether it is sound.
//!
//! Owns: the commands' help, and which folder is meant. Invariants: nothing is changed; nothing secret is shown.
//! Deliberately absent: repair. What was once on disk and is gone comes back from a copy only.

mod facts;
mod show;
mod verify;

use super::Io;
use super::check;
use super::exit::{Exit, Failure};
use crate::config::load_shipped;
use crate::journal::JournalError;
use crate::settings::Settings;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Look at a journal: what happened, and whether it is sound.
#[derive(Clone, Debug, Subcommand)]
pub enum JournalCommand {
    /// Print what happened, one fact a line, oldest first.
    ///
    /// Each line has the fact's position, its time (UTC), what it is, its flight and its fields. Card numbers, PINs and whatever is sealed are not shown, of accounts
    /// the last four characters. It may run beside a switch: it reads up to where the journal ends at that moment.
    #[command(after_help = "Examples:\n  \
        switchyard journal show --data data/demo --limit 20\n  \
        switchyard journal show --data data/demo --terminal T0000001        # every step of its requests\n  \
        switchyard journal show --config switchyard.toml --kind doubt --json\n  \
        switchyard journal show --data data/demo --from 4096 --to 100000    # positions, as they stand first on each line")]
    Show(show::ShowArgs),
    /// Check a whole journal, and say what is damaged and where.
    ///
    /// It reads every segment: epochs, the chain of batches, checksums; folds every fact; compares each checkpoint with the fold; adds up all accounts, which must be zero; and
    /// opens every data key, where it has the key-encryption key. The switch must stand still. Nothing is changed, so a copy on a read-only disk will do.
    #[command(after_help = "Examples:\n  \
        switchyard journal verify --data data/demo\n  \
        switchyard journal verify --config switchyard.toml && echo sound\n\n\
        Exit code 0: sound. 5: damaged, or in use, and the last line says where.")]
    Verify(verify::VerifyArgs),
}

/// Whose journal.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhichArgs {
    /// The configuration that the switch runs with.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data folder, such as that of a demonstration.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl WhichArgs {
    /// The settings of that switch; with a folder alone, the shipped ones in it.
    fn settings(&self, io: &Io) -> Result<Settings, Failure> {
        let settings = match (&self.config, &self.data) {
            (Some(config), _) => check::read(config, io)?,
            (None, data) => {
                let mut settings = load_shipped(&super::adapter_keys()).map_err(Failure::system)?;
                settings.relocate(data.clone().unwrap_or_default());
                settings
            }
        };
        let journal = settings.data.join("journal");
        if journal.is_dir() {
            return Ok(settings);
        }
        Err(Failure::usage(format!("there is no journal in {}", settings.data.display()))
            .help("give the data folder of a switch: the one that has a folder `journal` in it"))
    }
}

/// Runs the command.
///
/// # Errors
/// The journal cannot be read, or is not sound.
pub fn run(command: &JournalCommand, io: &mut Io) -> Result<Exit, Failure> {
    match command {
        JournalCommand::Show(args) => show::run(args, io),
        JournalCommand::Verify(args) => verify::run(args, io),
    }
}

/// Whose fault an error is.
fn failure(error: JournalError) -> Failure {
    match &error {
        JournalError::Io { .. } => Failure::system(&error),
        JournalError::Locked { .. } => {
            Failure::new(Exit::Data, &error).help("`journal show` reads beside a running switch")
        }
        _ => Failure::new(Exit::Data, &error),
    }
}
