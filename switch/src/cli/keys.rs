//! `switchyard keys`: which key-encryption keys a data folder has, and another one in place of the present one.
//!
//! Owns: whether the running switch rotates or this process does, and what is printed. Invariants: no key is printed, only its
//! fingerprint; this process changes keys only while it has the journal locked. Deliberately absent: how a rotation goes
//! (`crate::keys`).

use super::Io;
use super::exit::{Exit, Failure};
use super::operate::settings;
use super::stock::PlaceArgs;
use crate::clock::Clock;
use crate::control::operate::REASON_FORM;
use crate::control::socket::{self, Command, Done, operator};
use crate::journal::{self, JournalError};
use crate::keys::{By, Kek, KeyError, KeyInUse, Rotated, keys_in_use};
use crate::settings::Settings;
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use switchyard_core::ids::Now;
use switchyard_core::operate;

const DAY_MS: u64 = 86_400_000;

/// What can be done with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Show which key opens a data folder and which it followed: fingerprints, ages, and what each still opens.
    #[command(after_help = "Examples:\n  \
        switchyard keys show --config /etc/switchyard/switchyard.toml\n  \
        switchyard keys show --data data/demo")]
    Show(ShowArgs),
    /// Put a new key-encryption key in place of the present one. Nothing that the old one wrapped is written again.
    ///
    /// The new key wraps the old one, in DATA/keys/succession; the journal and the stock open through it. Keep copies of both
    /// files. Without --old-file and --old-env the key file gets a new random key, while the switch runs or stands still. With
    /// one of them, the new key lies already where the configuration says (a file or an environment variable) and the old one
    /// where the option says; the switch must stand still. A rotation that is cut off at any moment leaves a folder that starts
    /// with the key that lies where the configuration says, or, with --old-file and --old-env, with the old or the new one: the
    /// start says which. Run it again then. The audit trail says who, when and why: at once, or from the next start on.
    #[command(after_help = "Examples:\n  \
        switchyard keys rotate --reason 'once a year' --config /etc/switchyard/switchyard.toml\n  \
        switchyard keys rotate --reason 'once a year' --config switchyard.toml --old-file /etc/switchyard/kek.2025\n  \
        SWITCHYARD_KEK=$NEW OLD_KEK=$OLD switchyard keys rotate --reason 'the old one leaked' --config switchyard.toml --old-env OLD_KEK")]
    Rotate(RotateArgs),
}

/// Options of `keys show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Whose keys.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Options of `keys rotate`.
#[derive(Clone, Debug, Args)]
pub struct RotateArgs {
    /// Why: 1 to 120 printable ASCII characters, kept in the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The old key is in this file; the new one is where the configuration says.
    #[arg(long, value_name = "FILE", conflicts_with = "old_env")]
    pub old_file: Option<PathBuf>,
    /// The old key is in this environment variable; the new one is where the configuration says.
    #[arg(long, value_name = "NAME")]
    pub old_env: Option<String>,
    /// Whose keys.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Runs `keys show` or `keys rotate`.
///
/// # Errors
/// The key is missing or another one, the folder is in use, or the system refused.
pub fn run(command: &KeysCommand, io: &mut Io) -> Result<Exit, Failure> {
    let now = Clock::start().now();
    match command {
        KeysCommand::Show(args) => show(&settings(&args.place, io)?, now, io),
        KeysCommand::Rotate(args) => {
            let settings = settings(&args.place, io)?;
            let line = rotate(args, &settings, now)?;
            io.line(line);
            Ok(Exit::Done)
        }
    }
}

/// Rotates the keys of the switch that runs this.
///
/// # Errors
/// As [`Kek::rotate`], for people.
pub fn rotate_live(kek: &Kek, data: &Path, by: &By, now: Now) -> Result<Rotated, String> {
    let rotated = kek.rotate(data, by, now.wall_ms).map_err(|error| error.to_string())?;
    tracing::info!(old = %rotated.old, new = %rotated.new, "the key-encryption key was exchanged");
    Ok(rotated)
}

fn rotate(args: &RotateArgs, settings: &Settings, now: Now) -> Result<String, Failure> {
    if !settings.data.is_dir() {
        return Err(Failure::usage(format!("there is no data folder {}", settings.data.display()))
            .help("the first start makes it, and its key"));
    }
    let why = operate::reason(&args.reason).ok_or_else(|| Failure::usage(REASON_FORM))?;
    let by = By::of(operator(nix::unistd::getuid().as_raw()), why);
    let old = match (&args.old_file, &args.old_env) {
        (Some(file), _) => Some(Kek::from_file(file)),
        (_, Some(name)) => Some(Kek::from_env(name)),
        _ => None,
    };
    if old.is_none() {
        let sent = socket::send(&settings.data, &Command::KeysRotate { reason: why.to_string() });
        match sent.map_err(|error| Failure::system(format!("the switch does not answer: {error}")))? {
            Some(Done::Ok(line)) => return Ok(line),
            Some(Done::Failed(why)) => return Err(Failure::new(Exit::Data, why)),
            None => {}
        }
    }
    let _lock = journal::lock(&settings.data.join("journal")).map_err(locked)?;
    let rotated = match old {
        Some(old) => {
            let (old, new) = (old.map_err(refused)?, configured(settings)?);
            Kek::succeed(old, &new, &settings.data, &by, now.wall_ms)
        }
        None => Kek::open(&settings.keys, &settings.data)
            .and_then(|kek| kek.rotate(&settings.data, &by, now.wall_ms)),
    };
    rotated.map(|rotated| told(&rotated)).map_err(refused)
}

/// The key where the configuration says, of which the folder may know nothing yet.
fn configured(settings: &Settings) -> Result<Kek, Failure> {
    let keys = &settings.keys;
    let variable = keys.env.as_deref().filter(|name| std::env::var_os(name).is_some());
    variable.map_or_else(|| Kek::from_file(&keys.file), Kek::from_env).map_err(refused)
}

/// What is printed of a rotation.
pub fn told(rotated: &Rotated) -> String {
    let Rotated { old, new, retired } = rotated;
    format!(
        "key {new} is in use; key {old} is retired ({retired} in all)\nKeep a copy of the new key and of keys/succession, apart from the data folder"
    )
}

fn locked(error: JournalError) -> Failure {
    match error {
        JournalError::Locked { .. } => Failure::new(Exit::Data, error).help(
            "end the switch before: with --old-file and --old-env the key is exchanged while it stands still",
        ),
        error => Failure::system(error),
    }
}

fn refused(error: KeyError) -> Failure {
    match error {
        KeyError::Io { .. } | KeyError::Unavailable(_) => Failure::system(error),
        KeyError::SameKey { .. } | KeyError::Unset { .. } | KeyError::FromEnvironment { .. } => {
            Failure::usage(error)
        }
        error => Failure::new(Exit::Data, error),
    }
}

fn show(settings: &Settings, now: Now, io: &mut Io) -> Result<Exit, Failure> {
    let (keys, unopened) = Kek::open(&without_making(settings), &settings.data)
        .and_then(|kek| keys_in_use(&kek, &settings.data))
        .map_err(refused)?;
    io.text(table(&keys, now.wall_ms));
    if unopened > 0 {
        return Err(Failure::new(Exit::Data, format!("{unopened} wrapped keys open with none of these"))
            .help("restore the key file and the keys folder that belong to this data folder"));
    }
    Ok(Exit::Done)
}

/// A key that is missing here is not made: it would be another one.
fn without_making(settings: &Settings) -> crate::settings::KeySettings {
    crate::settings::KeySettings { create: false, ..settings.keys.clone() }
}

fn table(keys: &[KeyInUse], now_ms: u64) -> String {
    let mut out = format!("{:<16}  {:<20}  {:>8}  {:<20}  opens\n", "key", "since", "age", "until");
    for key in keys {
        let age = key
            .since_ms
            .map_or_else(String::new, |since| format!("{} d", now_ms.saturating_sub(since) / DAY_MS));
        let since = key.since.as_deref().unwrap_or("not started yet");
        let until = key.until.as_deref().unwrap_or("now");
        let opens: Vec<_> = key.opens.iter().map(|(what, count)| format!("{what} {count}")).collect();
        let _ = writeln!(out, "{}  {since:<20}  {age:>8}  {until:<20}  {}", key.key, opens.join(", "));
    }
    out
}
