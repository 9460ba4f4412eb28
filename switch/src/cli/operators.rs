//! Operators' commands as they are typed.
//!
//! Owns: their options and help. The same values go over the operators' socket, so that the switch reads what was typed.
//! Invariants: whatever changes something needs a reason. Deliberately absent: what they do (`control::operate`), and who may (the socket's permissions).

use super::stock::PlaceArgs;
use crate::history::card::CardNumber;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

/// Why, where, and how the answer is to look: of every command that changes something.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct ActArgs {
    /// Why: 1 to 120 printable ASCII characters, kept in the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where the switch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Where, and how the answer is to look: of every command that only shows.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct ShowArgs {
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// Where the switch is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Positions of retail networks, and of merchants that have one of their own: see them, pay in, take out.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum PositionCommand {
    /// Show what each network has posted, reserved and free, and its business day.
    #[command(after_help = "Examples:\n  \
        switchyard position show --data data/demo\n  \
        switchyard position show 100001 --config /etc/switchyard/switchyard.toml --json\n  \
        switchyard position show 100001 --merchant SHOP00000000001 --data data/demo")]
    Show {
        /// Only this network, by its code.
        network: Option<String>,
        /// The own position of this merchant of the network (DE42), instead of the network's.
        #[arg(long, value_name = "CODE", requires = "network")]
        merchant: Option<String>,
        /// Where, and how the answer is to look.
        #[command(flatten)]
        show: ShowArgs,
    },
    /// Pay money into a network's position, or into a merchant's own.
    #[command(after_help = "Examples:\n  \
        switchyard position credit 100001 2500.00 --reason 'bank transfer 2026-117' --data data/demo\n  \
        switchyard position credit 100001 50.00 --merchant SHOP00000000001 --reason 'paid in cash' --data data/demo")]
    Credit(AmountArgs),
    /// Take money out of a network's position, or out of a merchant's own: no more than what is free.
    #[command(after_help = "Example:\n  \
        switchyard position debit 100001 100.00 --reason 'paid out, ticket 4711' --data data/demo")]
    Debit(AmountArgs),
}

/// A network, or a merchant of it, and an amount.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct AmountArgs {
    /// The network's code (DE32).
    pub network: String,
    /// How much, in units of the network's currency, such as 2500.00.
    pub amount: String,
    /// The own position of this merchant of the network (DE42), instead of the network's.
    #[arg(long, value_name = "CODE")]
    pub merchant: Option<String>,
    /// Why, where, and how the answer is to look.
    #[command(flatten)]
    pub act: ActArgs,
}

/// Reversals that suppliers owe an answer to.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum AdvicesCommand {
    /// Show open reversals: parked ones, which wait for you, then those under way; oldest first.
    #[command(after_help = "Examples:\n  \
        switchyard advices list --data data/demo\n  \
        switchyard advices list --limit 1000 --json --config /etc/switchyard/switchyard.toml")]
    List {
        /// The first so many.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        /// Where, and how the answer is to look.
        #[command(flatten)]
        show: ShowArgs,
    },
    /// Send a parked reversal again. Its supplier has as long to answer it as the first time.
    #[command(after_help = "Example:\n  \
        switchyard advices retry 0GHXG0G6QNLS --reason 'the supplier has corrected its table' --data data/demo")]
    Retry(RetryArgs),
    /// End a parked reversal: its amount goes to the network (the sale does not stand) or to the supplier (it stands).
    #[command(after_help = "Example:\n  \
        switchyard advices settle 0GHXG0G6QNLS --to network --reason 'agreed with the supplier, case 88' --data data/demo")]
    Settle(SettleArgs),
}

/// A reversal to be sent again.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct RetryArgs {
    /// The sale's flight, as `advices list` and `transaction find` show it.
    pub flight: String,
    /// Why, where, and how the answer is to look.
    #[command(flatten)]
    pub act: ActArgs,
}

/// A reversal to be settled.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct SettleArgs {
    /// The sale's flight, as `advices list` and `transaction find` show it.
    pub flight: String,
    /// Who gets the amount.
    #[arg(long, value_enum)]
    pub to: Side,
    /// Why, where, and how the answer is to look.
    #[command(flatten)]
    pub act: ActArgs,
}

/// Who gets an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Side {
    /// The retail network.
    Network,
    /// The supplier.
    Supplier,
}

/// Terminals: block and unblock.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum TerminalCommand {
    /// Block a terminal: its sales get 58 from now on, over restarts. Its reversals are still taken.
    #[command(after_help = "Example:\n  \
        switchyard terminal block T0000007 --reason 'reported stolen' --data data/demo")]
    Block(TerminalArgs),
    /// Unblock a terminal that was blocked by `terminal block`.
    #[command(after_help = "Example:\n  \
        switchyard terminal unblock T0000007 --reason 'found again' --data data/demo")]
    Unblock(TerminalArgs),
}

/// A terminal.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct TerminalArgs {
    /// The terminal's code (DE41).
    pub terminal: String,
    /// Why, where, and how the answer is to look.
    #[command(flatten)]
    pub act: ActArgs,
}

/// Suppliers: drain and resume.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum SupplierCommand {
    /// Give a supplier no new sales from now on, over restarts. What is open there ends as usual, and reversals still go out.
    #[command(after_help = "Example:\n  \
        switchyard supplier drain telco-a --reason 'maintenance 22:00 to 23:00' --data data/demo")]
    Drain(SupplierArgs),
    /// Give a drained supplier sales again.
    #[command(after_help = "Example:\n  \
        switchyard supplier resume telco-a --reason 'maintenance is over' --data data/demo")]
    Resume(SupplierArgs),
}

/// A supplier.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct SupplierArgs {
    /// The supplier's code.
    pub supplier: String,
    /// Why, where, and how the answer is to look.
    #[command(flatten)]
    pub act: ActArgs,
}

/// Business days.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum DayCommand {
    /// Close a network's business day, as its own cut-over (0800 with 201) would; sales from now on count in the next one.
    ///
    /// A day that began early already, because the one before was closed, is closed with --again only: no day is taken back.
    #[command(after_help = "Example:\n  \
        switchyard day close 100001 --reason 'the network could not send its cut-over' --data data/demo")]
    Close {
        /// The network's code (DE32).
        network: String,
        /// Close a day that has begun early already, too.
        #[arg(long)]
        #[serde(default)]
        again: bool,
        /// Why, where, and how the answer is to look.
        #[command(flatten)]
        act: ActArgs,
    },
}

/// Transactions.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub enum TransactionCommand {
    /// Find transactions, and show every step of theirs with its time; accounts are masked.
    ///
    /// What is given must all fit. The journal is read back from now, for at most 20 seconds; the answer says how far that was
    /// (in JSON: the last object).
    /// A card number is read from standard input, so that no list of processes shows it; it finds what a supplier was asked with it,
    /// and nothing that the switch sold from its own stock and accounts: no number is kept there.
    #[command(after_help = "Examples:\n  \
        switchyard transaction find --terminal T0000001 --stan 4711 --data data/demo\n  \
        switchyard transaction find --account 0612345678 --since 2h --json --data data/demo\n  \
        switchyard transaction find --serial D00000017 --since 2026-05-01 --data data/demo\n  \
        switchyard transaction find --card --since 7d --data data/demo < number.txt")]
    Find(FindArgs),
}

/// What a transaction is found by.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
#[group(id = "find")]
pub struct FindArgs {
    /// The terminal's code (DE41).
    #[arg(long, value_name = "CODE", required_unless_present_any = ["stan", "rrn", "account", "serial", "card"])]
    pub terminal: Option<String>,
    /// The STAN of the request (DE11).
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=999_999))]
    pub stan: Option<u32>,
    /// The retrieval reference number (DE37): the network's, or the one that a supplier was asked under.
    #[arg(long, value_name = "RRN")]
    pub rrn: Option<String>,
    /// The account that was asked for.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// The serial number of the voucher that was sold.
    #[arg(long, value_name = "SERIAL")]
    pub serial: Option<String>,
    /// The card number (DE2 or track 2) on the first line of standard input.
    #[arg(long)]
    pub card: bool,
    /// That number.
    #[arg(skip)]
    #[serde(default)]
    pub number: CardNumber,
    /// Nothing older: 90s, 30m, 2h, 7d, a date, or a time.
    #[arg(long, value_name = "WHEN", default_value = "3d")]
    pub since: String,
    /// The newest so many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub limit: u32,
    /// Where, and how the answer is to look.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// Options of `audit`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct AuditArgs {
    /// Nothing older: 90s, 30m, 2h, 7d, a date, or a time.
    #[arg(long, value_name = "WHEN", default_value = "30d")]
    pub since: String,
    /// The newest so many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Where, and how the answer is to look.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// A command of an operator, apart from those of the stock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", content = "options", rename_all = "kebab-case")]
pub enum OperatorCommand {
    /// `position`.
    Position(PositionCommand),
    /// `advices`.
    Advices(AdvicesCommand),
    /// `terminal`.
    Terminal(TerminalCommand),
    /// `supplier`.
    Supplier(SupplierCommand),
    /// `day`.
    Day(DayCommand),
    /// `transaction`.
    Transaction(TransactionCommand),
    /// `audit`.
    Audit(AuditArgs),
}

impl OperatorCommand {
    /// Where the switch is.
    pub fn place(&self) -> &PlaceArgs {
        match self {
            Self::Position(PositionCommand::Show { show, .. }) => &show.place,
            Self::Position(PositionCommand::Credit(args) | PositionCommand::Debit(args)) => &args.act.place,
            Self::Advices(AdvicesCommand::List { show, .. }) => &show.place,
            Self::Advices(AdvicesCommand::Retry(args)) => &args.act.place,
            Self::Advices(AdvicesCommand::Settle(args)) => &args.act.place,
            Self::Terminal(TerminalCommand::Block(args) | TerminalCommand::Unblock(args)) => &args.act.place,
            Self::Supplier(SupplierCommand::Drain(args) | SupplierCommand::Resume(args)) => &args.act.place,
            Self::Day(DayCommand::Close { act, .. }) => &act.place,
            Self::Transaction(TransactionCommand::Find(args)) => &args.show.place,
            Self::Audit(args) => &args.show.place,
        }
    }
}
