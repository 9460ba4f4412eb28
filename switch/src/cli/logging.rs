//! Where log lines go.
//!
//! Owns: the subscriber. `SWITCHYARD_LOG` filters, as `info` does without it: `debug`, `switchyard::door=debug,info`.
//! Deliberately absent: what is logged.

use super::exit::Failure;
use super::paint::Paint;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

/// The environment variable that filters.
pub const FILTER_VARIABLE: &str = "SWITCHYARD_LOG";

fn filter() -> Result<EnvFilter, Failure> {
    let Ok(text) = std::env::var(FILTER_VARIABLE) else { return Ok(EnvFilter::new("info")) };
    EnvFilter::try_new(&text)
        .map_err(|error| Failure::usage(format!("{FILTER_VARIABLE}=`{text}` is no filter: {error}")))
}

/// Log lines go to standard error; as JSON where programs read them.
///
/// # Errors
/// The filter is none.
pub fn to_standard_error(json: bool, paint: &Paint) -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter()?)
        .with_writer(std::io::stderr)
        .with_ansi(paint.is_on());
    // An error says that a subscriber is there already, which is as good.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
    Ok(())
}

/// Log lines are appended to a file.
///
/// # Errors
/// The filter is none, or the file cannot be written.
pub fn to_file(path: &Path) -> Result<(), Failure> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = file.map_err(|error| Failure::system(format!("cannot write {}: {error}", path.display())))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter()?).with_writer(Mutex::new(file)).with_ansi(false);
    let _ = builder.try_init();
    Ok(())
}
