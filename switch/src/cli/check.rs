//! `switchyard check`: whether a configuration is right.
//!
//! Owns: what is printed of a report, and of a configuration that is right. Deliberately absent: the checks (`config`).

use super::Io;
use super::exit::{Exit, Failure};
use crate::config::{Report, load};
use crate::settings::Settings;
use clap::Args;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The configuration's main file.
    #[arg(short, long, value_name = "FILE", default_value = "switchyard.toml")]
    pub config: PathBuf,
    /// Print every key with the value it has and where it is set; secrets as `***`.
    #[arg(long)]
    pub values: bool,
}

/// Reads a configuration; prints its warnings, or all its errors.
///
/// # Errors
/// It is wrong; everything was said.
pub fn read(config: &Path, io: &Io) -> Result<Settings, Failure> {
    let settings = load(config, &super::adapter_keys()).map_err(|report| {
        eprint!("{}", report.display(io.error_paint.is_on()));
        let errors = report.errors();
        Failure::usage(format!("{} has {}", config.display(), counted(errors, "error")))
    })?;
    if !settings.warnings.is_empty() {
        let warnings = Report { findings: settings.warnings.clone() };
        eprint!("{}", warnings.display(io.error_paint.is_on()));
    }
    Ok(settings)
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong.
pub fn run(args: &CheckArgs, io: &mut Io) -> Result<Exit, Failure> {
    let settings = read(&args.config, io)?;
    super::limits::warn_of_memory(&settings, io);
    if args.values {
        for value in &settings.values {
            let set = value
                .set
                .as_ref()
                .map_or_else(|| "default".to_owned(), |(file, line)| format!("{file}:{line}"));
            io.line(format!("{} = {}  {}# {set}{}", value.key, value.value, io.paint.quiet, io.paint.end));
        }
        return Ok(Exit::Done);
    }
    let catalogue = &settings.catalogue;
    let counts = [
        counted(catalogue.networks.len(), "network"),
        counted(catalogue.merchants.len(), "merchant"),
        counted(catalogue.terminals.len(), "terminal"),
        counted(catalogue.products.len(), "product"),
        counted(catalogue.suppliers.len(), "supplier"),
        counted(settings.conduits.len(), "conduit"),
    ];
    io.line(format!(
        "{}{} is right{}: {}",
        io.paint.good,
        args.config.display(),
        io.paint.end,
        counts.join(", ")
    ));
    for conduit in &settings.conduits {
        let dialect = settings.dialect_of(conduit).map_or("", |dialect| dialect.name());
        let secure = if conduit.is_secure() { ", TLS" } else { "" };
        line(io, &format!("conduit {}", conduit.name), format!("{}, {dialect}{secure}", conduit.way));
    }
    for supplier in &settings.suppliers {
        let links: Vec<_> = supplier.links.iter().map(ToString::to_string).collect();
        let links = if links.is_empty() { String::new() } else { format!(" at {}", links.join(", ")) };
        line(io, &format!("supplier {}", supplier.code), format!("{}{links}", supplier.adapter));
    }
    line(
        io,
        "pages",
        settings.admin.listen.map_or_else(|| "not served".to_owned(), |listen| format!("http://{listen}")),
    );
    line(io, "data", settings.data.display());
    Ok(Exit::Done)
}

fn line(io: &mut Io, what: &str, value: impl Display) {
    io.line(format!("  {what:<24} {value}"));
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
