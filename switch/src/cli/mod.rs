//! The command line: `switchyard COMMAND`.
//!
//! Owns: the commands and their help, what is printed and where, and exit codes by meaning ([`exit::Exit`]). Invariants: results go to
//! standard output, everything else to standard error; nothing secret is printed unless a command was told to; a closed pipe
//! ends quietly. Deliberately absent: what the switch does; a command reads options, calls it, and says what came of it.

pub mod bench;
pub mod books;
pub mod check;
pub mod completions;
pub mod decode;
pub mod demo;
pub mod exit;
pub mod fields;
pub mod hexdump;
pub mod input;
pub mod journal;
pub mod keys;
pub mod limits;
pub mod logging;
pub mod operate;
pub mod operators;
pub mod paint;
pub mod run;
pub mod send;
pub mod signals;
pub mod stock;
pub mod suppliers;
pub mod table;

use crate::coredump;
use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Effects};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use exit::{Exit, Failure};
use operators::OperatorCommand;
use paint::{Colour, Paint};
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use switchyard_core::schema::AdapterKeys;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .usage(AnsiColor::Green.on_default().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD))
    .placeholder(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().effects(Effects::BOLD))
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

/// A switch for prepaid transactions: vouchers, top-ups, cards and bills, from ISO 8583 conduits to suppliers and back, each
/// performed at most once.
///
/// New here? `switchyard demo` starts a whole switch with suppliers, products and traffic on this machine; it prints a command
/// to try in a second shell.
#[derive(Clone, Parser)]
#[command(name = "switchyard", version, styles = STYLES, max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    /// When to colour the output.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN", help_heading = "Global options")]
    pub color: Colour,
    /// Allow core images of this process, and debuggers: both show secrets. Without it, only root sees its memory.
    #[arg(long, global = true, help_heading = "Global options")]
    pub allow_core_dumps: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Clone, Subcommand)]
pub enum Command {
    /// Start a whole switch with suppliers, products and traffic, to try things out.
    ///
    /// It runs on the shipped configuration and makes what it needs in its data folder: keys, a TLS authority with a client
    /// certificate, a stock of 100,000 vouchers each of VOUCHER10 and VOUCHER20. Its ISO 8583 suppliers are a process of their own,
    /// which outlives a kill of the switch and is used again at the next start. Kill it in the middle, start it again, and
    /// every answer that was given still stands.
    #[command(after_help = "Examples:\n  \
        switchyard demo                               # ports 8583 plain, 8584 TLS, 8080 pages, 8585 binary bitmaps\n  \
        switchyard demo --port-base 9000 --no-traffic # ports 9000 to 9003 in that order, quiet\n  \
        switchyard demo --seconds 30 --rate 200       # half a minute at 200 requests a second")]
    Demo(demo::DemoArgs),
    /// Run the switch on a configuration.
    ///
    /// Ctrl-C or SIGTERM drains it: no new requests, open ones are answered, suppliers are signed off, the journal is sealed. A
    /// second one ends it at once, which is always safe: the next start recovers. SIGHUP reads certificates again.
    #[command(after_help = "Examples:\n  \
        switchyard run --config /etc/switchyard/switchyard.toml\n  \
        switchyard run --config switchyard.toml --data /var/lib/switchyard\n  \
        SWITCHYARD_LOG=debug switchyard run --config switchyard.toml")]
    Run(run::RunArgs),
    /// Check a configuration, and say everything that is wrong with it at once.
    #[command(after_help = "Examples:\n  \
        switchyard check --config switchyard.toml\n  \
        switchyard check --config switchyard.toml --values   # every key, its value, and where it is set")]
    Check(check::CheckArgs),
    /// Show every limit of a configuration: windows, rings, tables, buffers, file caches, and their sum in bytes.
    ///
    /// The numbers are those that the switch is built with. For each limit it says what sets it, and what happens when it is
    /// reached.
    #[command(after_help = "Examples:\n  \
        switchyard limits --config switchyard.toml\n  \
        switchyard limits --config switchyard.toml --json | jq .max_bytes")]
    Limits(limits::LimitsArgs),
    /// Send one transaction to a conduit, and show the answer field by field.
    ///
    /// Everything has a default that fits the demonstration; --set and --drop change the message at the end, so that any error can
    /// be provoked. The demonstration's suppliers answer by the last two digits of the account: 00-79 approve, 80 refuses, 82 is
    /// over the limit, 84 takes a second, 85 stays silent (68), 87 answers twice.
    #[command(after_help = "Examples:\n  \
        switchyard send TOPUP --amount 10.00 --account 0612345678 --explain\n  \
        switchyard send VOUCHER10 --show-secrets          # with its PIN\n  \
        switchyard send TOPUP --account 0612345685        # a silent supplier: 68, exit code 3\n  \
        switchyard send ENERGY --tls --to localhost:8584 --ca data/demo/tls/ca.pem\n  \
        switchyard send TOPUP --set 49=840                # wrong currency: 12, exit code 1\n  \
        switchyard send --reverse --stan 4711 --time 2026-11-21T23:00:59      # take a sale back\n  \
        switchyard send --echo --dialect prepaid87-binbitmap --to 127.0.0.1:8585")]
    Send(Box<send::SendArgs>),
    /// Show what is in an ISO 8583 message.
    ///
    /// The message comes in hex, base64 or raw; which one is found out. Card numbers, accounts and PINs are masked as the
    /// dialect says, in errors too.
    #[command(after_help = "Examples:\n  \
        switchyard decode 30383030...                      # hex\n  \
        switchyard decode --file captured.bin              # framed messages, one after the other\n  \
        cat message.b64 | switchyard decode --dialect prepaid87-bcd --show-secrets\n  \
        switchyard decode --dialects")]
    Decode(decode::DecodeArgs),
    /// Measure what a transaction costs on this machine: CPU time, throughput, latencies, memory.
    #[command(after_help = "Examples:\n  \
        switchyard bench                                    # about five minutes; use a release build\n  \
        switchyard bench --shapes 8x16 --runs 1 --json      # one line of the table\n  \
        switchyard bench restart --records 1000000          # how long a start takes")]
    Bench(bench::BenchArgs),
    /// Load vouchers into the stock, and see what is there.
    #[command(subcommand)]
    Stock(stock::StockCommand),
    /// Look at a journal: what happened, and whether it is sound.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// See positions of retail networks, pay in, take out.
    #[command(subcommand)]
    Position(operators::PositionCommand),
    /// See open reversals; send parked ones again, or settle them.
    #[command(subcommand)]
    Advices(operators::AdvicesCommand),
    /// Block a terminal, or unblock it.
    #[command(subcommand)]
    Terminal(operators::TerminalCommand),
    /// Take a supplier out of service, or back into it.
    #[command(subcommand)]
    Supplier(operators::SupplierCommand),
    /// Find transactions, with every step and its time.
    #[command(subcommand)]
    Transaction(operators::TransactionCommand),
    /// Close a network's business day.
    #[command(subcommand)]
    Day(operators::DayCommand),
    /// Show who did what, when and why: the audit trail.
    ///
    /// Every command that changes something is a fact in the journal, with the user who gave it and the reason. Facts are under
    /// chained checksums: what is changed afterwards, taken out or put in is found at the next start. Repeated hand-outs of PINs and
    /// cut-overs by networks are in the trail too.
    #[command(after_help = "Examples:\n  \
        switchyard audit --data data/demo\n  \
        switchyard audit --since 2026-05-01 --limit 1000 --json --config /etc/switchyard/switchyard.toml")]
    Audit(operators::AuditArgs),
    /// Exchange the key-encryption key, and see which keys there are.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:\n  \
        switchyard completions bash > ~/.local/share/bash-completion/completions/switchyard\n  \
        switchyard completions zsh > ~/.zfunc/_switchyard\n  \
        switchyard completions fish > ~/.config/fish/completions/switchyard.fish")]
    Completions(completions::CompletionsArgs),
    /// Serve the demonstration's ISO 8583 suppliers; started by `demo`.
    #[command(hide = true)]
    Suppliers(suppliers::SuppliersArgs),
}

/// Where a command prints.
pub struct Io {
    out: Box<dyn Write>,
    /// Colours of standard output.
    pub paint: Paint,
    /// Colours of standard error.
    pub error_paint: Paint,
}

impl Io {
    /// Standard output and error.
    pub fn standard(colour: Colour) -> Self {
        Self {
            out: Box::new(io::stdout()),
            paint: Paint::of(&io::stdout(), colour),
            error_paint: Paint::of(&io::stderr(), colour),
        }
    }

    /// Prints a line. Nobody who reads any more is no error.
    pub fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.out, "{line}");
    }

    /// Prints text as it is.
    pub fn text(&mut self, text: impl Display) {
        let _ = write!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Prints a remark to standard error.
    pub fn note(&self, note: impl Display) {
        let Paint { odd, end, .. } = self.error_paint;
        eprintln!("{odd}note{end}: {note}");
    }

    /// Prints a failure to standard error.
    pub fn failure(&self, failure: &Failure) {
        let Paint { bad, odd, end, .. } = self.error_paint;
        if !failure.what.is_empty() {
            eprintln!("{bad}error{end}: {}", failure.what);
        }
        for line in &failure.help {
            eprintln!("  {odd}={end} {line}");
        }
    }
}

/// The command with everything that its help says.
pub fn command() -> clap::Command {
    Cli::command().after_help(Exit::table())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    crate::machine::use_small_pages();
    let matches = command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let mut io = Io::standard(cli.color);
    if !cli.allow_core_dumps
        && let Err(error) = coredump::forbid()
    {
        io.failure(
            &Failure::system(format!("core images of this process cannot be forbidden: {error}"))
                .help("--allow-core-dumps goes on without"),
        );
        return ExitCode::from(Exit::Failed.code());
    }
    let exit = run(&cli.command, &mut io).unwrap_or_else(|failure| {
        io.failure(&failure);
        failure.exit
    });
    io.text("");
    ExitCode::from(exit.code())
}

fn run(command: &Command, io: &mut Io) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::run(args, io),
        Command::Run(args) => run::run(args, io),
        Command::Check(args) => check::run(args, io),
        Command::Limits(args) => limits::run(args, io),
        Command::Send(args) => send::run(args, io),
        Command::Decode(args) => decode::run(args, io),
        Command::Bench(args) => bench::run(args).map_err(Failure::system),
        Command::Stock(command) => operate::run(command, io),
        Command::Journal(command) => journal::run(command, io),
        Command::Position(command) => operate::operate(OperatorCommand::Position(command.clone()), io),
        Command::Advices(command) => operate::operate(OperatorCommand::Advices(command.clone()), io),
        Command::Terminal(command) => operate::operate(OperatorCommand::Terminal(command.clone()), io),
        Command::Supplier(command) => operate::operate(OperatorCommand::Supplier(command.clone()), io),
        Command::Transaction(command) => operate::operate(OperatorCommand::Transaction(command.clone()), io),
        Command::Day(command) => operate::operate(OperatorCommand::Day(command.clone()), io),
        Command::Audit(args) => operate::operate(OperatorCommand::Audit(args.clone()), io),
        Command::Keys(command) => keys::run(command, io),
        Command::Completions(args) => completions::run(args, io),
        Command::Suppliers(args) => suppliers::run(args),
    }
}

/// What the configuration needs to know of every adapter there is.
pub fn adapter_keys() -> Vec<AdapterKeys> {
    switchyard_adapters::ADAPTERS.iter().map(|adapter| adapter.adapter_keys()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_teaches() {
        let mut command = command();
        let help = command.render_long_help().to_string();
        assert!(help.contains("switchyard demo") && help.contains("Exit codes:"), "{help}");
        assert!(!help.contains("\n  suppliers"), "the hidden command is shown");
        for name in ["demo", "run", "check", "limits", "send", "decode", "completions"] {
            let sub = command.find_subcommand_mut(name).unwrap_or_else(|| panic!("no {name}"));
            let help = sub.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{name} shows no example");
        }
    }
}
