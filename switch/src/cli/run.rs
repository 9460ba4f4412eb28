//! `switchyard run`: the switch, on a configuration.
//!
//! Owns: the order of a start and an end as the operator sees them, and what a start error means for the exit code. Deliberately
//! absent: the switch (`topology`).

use super::Io;
use super::check;
use super::exit::{Exit, Failure};
use super::logging;
use super::signals::{Asked, Signals};
use crate::door::DoorError;
use crate::journal::JournalError;
use crate::runs::RunsError;
use crate::topology::{self, Running, StartError};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// How long one wait for a signal takes; the wait goes on until one comes.
const WAIT: Duration = Duration::from_secs(3_600);

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The configuration's main file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// The data folder, instead of the configured one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write log lines as JSON.
    #[arg(long)]
    pub log_json: bool,
}

/// Runs the switch until it is asked to end.
///
/// # Errors
/// It does not start, or does not end in order.
pub fn run(args: &RunArgs, io: &mut Io) -> Result<Exit, Failure> {
    let mut settings = check::read(&args.config, io)?;
    if let Some(data) = &args.data {
        settings.relocate(data.clone());
    }
    logging::to_standard_error(args.log_json, &io.error_paint)?;
    let signals = Signals::listen_with_hangup()?;
    let running = topology::start(settings).map_err(not_started)?;
    io.line(format!(
        "switchyard is ready, after {:.2} s ({} records replayed)",
        running.ready_after.as_secs_f64(),
        running.replayed.facts
    ));
    for (name, address) in running.addresses() {
        io.line(format!("  conduit {name:<16} {address}"));
    }
    for (name, host) in running.dialled() {
        io.line(format!("  conduit {name:<16} dials {host}"));
    }
    for (supplier, address) in running.berths() {
        io.line(format!("  link of {supplier:<16} {address}"));
    }
    if let Some(admin) = running.admin() {
        io.line(format!("  pages {:<18} http://{admin}", ""));
    }
    io.text("");
    loop {
        match signals.wait(WAIT) {
            Some(Asked::End) => break,
            Some(Asked::Renew) => renew(&running),
            None => {}
        }
    }
    eprintln!("switchyard: ending in order; once more ends at once");
    let exit = stop(running)?;
    eprintln!("switchyard: ended in order; the journal is sealed");
    Ok(exit)
}

/// Reads certificates again, and says how that went.
fn renew(running: &Running) {
    let wrong = running.renew_certificates();
    for what in &wrong {
        tracing::error!("a certificate is not renewed, the one before stays in use: {what}");
    }
    tracing::info!(wrong = wrong.len(), "certificates, keys and authorities are read again");
}

/// Stops a switch in order.
///
/// # Errors
/// It did not stop in order; what was answered stands.
pub fn stop(running: Running) -> Result<Exit, Failure> {
    running.stop().map(|()| Exit::Done).map_err(Failure::system)
}

/// Whose fault it is that the switch does not start.
pub fn not_started(error: StartError) -> Failure {
    let exit = match &error {
        StartError::Journal(JournalError::Options(_))
        | StartError::Tls { .. }
        | StartError::Adapter { .. } => Exit::Usage,
        StartError::Door(DoorError::Tls { .. } | DoorError::BerthTls { .. }) => Exit::Usage,
        StartError::Journal(JournalError::Io { .. }) | StartError::Data { .. } => Exit::Failed,
        StartError::Runs(RunsError::Io { .. }) => Exit::Failed,
        StartError::Runs(_) | StartError::Journal(_) | StartError::Key(_) | StartError::Stock(_) => {
            Exit::Data
        }
        StartError::Door(_) | StartError::Admin { .. } | StartError::Socket { .. } => Exit::Failed,
        StartError::Thread(_) | StartError::OwnKey => Exit::Failed,
    };
    let failure = Failure::new(exit, &error);
    match error {
        StartError::Door(DoorError::Listen { .. } | DoorError::Berth { .. }) | StartError::Admin { .. } => {
            failure.help("end what listens there, or choose another address; `demo` takes --port-base")
        }
        StartError::Journal(error @ (JournalError::Io { .. } | JournalError::NoSegment)) => {
            failure.help(error.advice())
        }
        _ => failure,
    }
}
