//! `switchyard completions`: completion scripts for shells.

use super::Io;
use super::exit::{Exit, Failure};
use clap::Args;
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// None.
pub fn run(args: &CompletionsArgs, io: &mut Io) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "switchyard", &mut script);
    io.text(String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
