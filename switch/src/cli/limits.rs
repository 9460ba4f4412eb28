//! `switchyard limits`: every limit of a configuration, and what it takes in memory.
//!
//! Owns: how the sheet is printed, and the warning where it is more than the machine has. Deliberately absent: the numbers (`limits`).

use super::Io;
use super::check;
use super::exit::{Exit, Failure};
use crate::limits::{Part, Sheet, sheet};
use crate::machine;
use crate::settings::Settings;
use clap::Args;
use std::path::PathBuf;
use switchyard_core::schema::grouped;

/// Options of `limits`.
#[derive(Clone, Debug, Args)]
pub struct LimitsArgs {
    /// The configuration's main file.
    #[arg(short, long, value_name = "FILE", default_value = "switchyard.toml")]
    pub config: PathBuf,
    /// Print JSON: the lines and their sums, in bytes.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong.
pub fn run(args: &LimitsArgs, io: &mut Io) -> Result<Exit, Failure> {
    let settings = check::read(&args.config, io)?;
    let sheet = sheet(&settings);
    if args.json {
        io.line(serde_json::to_string_pretty(&sheet).map_err(Failure::system)?);
        return Ok(Exit::Done);
    }
    for part in Part::ALL {
        print(part, &sheet, io);
    }
    let (bold, end) = (io.paint.bold, io.paint.end);
    let (start, most) = (readable(sheet.start_bytes), readable(sheet.max_bytes));
    io.line(format!("{bold}{:<54} {:>13} {start:>11} {most:>11}{end}", "sum", ""));
    if let Some(bytes) = machine::memory_bytes() {
        io.line(format!("{:<54} {:>13} {:>11} {:>11}", "memory of this machine", "", "", readable(bytes)));
    }
    Ok(Exit::Done)
}

fn print(part: Part, sheet: &Sheet, io: &mut Io) {
    let (bold, quiet, end) = (io.paint.bold, io.paint.quiet, io.paint.end);
    let (start, most) = if part == Part::Window { ("", "") } else { ("at start", "at most") };
    io.line(format!("{bold}{:<54} {:>13} {start:>11} {most:>11}{end}  set by", part.name(), "count"));
    for line in sheet.lines.iter().filter(|line| line.part == part) {
        let bytes = |bytes| if part == Part::Window { String::new() } else { readable(bytes) };
        let (start, most) = (bytes(line.start_bytes), bytes(line.max_bytes));
        let count = grouped(i64::try_from(line.count).unwrap_or(i64::MAX));
        io.line(format!(
            "  {:<52} {count:>13} {start:>11} {most:>11}  {quiet}{}{end}",
            line.name, line.set_by
        ));
        if !line.when_reached.is_empty() && part != Part::Ring {
            io.line(format!("  {quiet}    reached: {}{end}", line.when_reached));
        }
    }
    io.line("");
}

/// Says so where the limits add up to more memory than there is: before the last of them is reached, the system ends the process.
pub fn warn_of_memory(settings: &Settings, io: &Io) {
    let Some(memory_bytes) = machine::memory_bytes() else { return };
    let sheet = sheet(settings);
    if sheet.max_bytes <= memory_bytes {
        return;
    }
    let largest = sheet.lines.iter().filter(|line| line.part != Part::System).max_by_key(|l| l.max_bytes);
    let Some(largest) = largest else { return };
    io.note(format!(
        "the limits add up to {}, and this machine has {}: at its limits the process would be ended by the system. The largest part is `{}`, {}, set by {}. \
         `switchyard limits` shows all of them",
        readable(sheet.max_bytes),
        readable(memory_bytes),
        largest.name,
        readable(largest.max_bytes),
        largest.set_by
    ));
}

/// Bytes for people.
fn readable(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        let shown = [0, 1_023, 1_024, 1_536, 64 << 20, 3 << 30].map(readable);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "64.0 MiB", "3.0 GiB"]);
    }
}
