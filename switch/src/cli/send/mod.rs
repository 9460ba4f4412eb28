//! `switchyard send`: one transaction to any conduit, and its answer field by field.
//!
//! Owns: the options and what is printed. Invariants: PINs and other secrets are masked unless they are asked for; the exit code
//! tells approved, refused and unknown apart; after an unknown outcome the command that repeats the request is shown, which is
//! always safe, and the one that reverses it. Deliberately absent: load (`switchyard-loadtest`).

mod ask;
mod exchange;
mod explain;

pub use ask::{Place, Setting};

use super::Io;
use super::decode::{Frames, open_dialect};
use super::exit::{Exit, Failure};
use super::fields::{fields, kind, meaning};
use super::hexdump::{dump, visible, visible_broken};
use super::table::table;
use crate::config::load_shipped;
use crate::settings::ClientTls;
use ask::{Ask, Moment};
use clap::Args;
use exchange::{Answer, Conversation};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::iso8583::{Dialect, Role, View};

/// Where conduits of the demonstration listen.
const PLAIN: &str = "127.0.0.1:8583";
const TLS: &str = "127.0.0.1:8584";

/// Options of `send`. They may hold a card number, so they do not print.
#[derive(Clone, Args)]
pub struct SendArgs {
    /// What to buy, by its code: TOPUP, DATA5, VOUCHER10, VOUCHER20, VOUCHERJIT, GIFT25, ENERGY, WALLET of the demonstration,
    /// or any other: it is sent as asked.
    #[arg(conflicts_with_all = ["reverse", "inquire", "echo", "sign_on", "sign_off", "raw"])]
    pub product: Option<String>,
    /// The amount, such as 10.00; without it, one that the product allows. Of a reversal: what it says to reverse, which must be the whole.
    #[arg(short, long, value_name = "AMOUNT", conflicts_with = "inquire", help_heading = "Request")]
    pub amount: Option<String>,
    /// The account: phone number, meter, contract. The demonstration's suppliers answer by its last two digits.
    #[arg(long, value_name = "ACCOUNT", conflicts_with_all = ["reverse", "inquire"], help_heading = "Request")]
    pub account: Option<String>,
    /// The card number.
    #[arg(long, value_name = "PAN", conflicts_with_all = ["reverse", "inquire"], help_heading = "Request")]
    pub card: Option<String>,
    /// The supplier to use, by its code.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["reverse", "inquire"], help_heading = "Request")]
    pub supplier: Option<String>,
    /// The retail network (DE32).
    #[arg(long, value_name = "CODE", default_value = "100001", help_heading = "Request")]
    pub network: String,
    /// The merchant (DE42).
    #[arg(long, value_name = "CODE", default_value = "SHOP00000000001", help_heading = "Request")]
    pub merchant: String,
    /// The terminal (DE41).
    #[arg(long, value_name = "CODE", default_value = "T0000001", help_heading = "Request")]
    pub terminal: String,
    /// The STAN (DE11); without it, one from the clock.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=999_999), help_heading = "Request")]
    pub stan: Option<u32>,
    /// The local date and time (DE12, DE13), such as 2026-11-21T23:00:59; without it, now.
    #[arg(long, value_name = "TIME", value_parser = local_time, help_heading = "Request")]
    pub time: Option<jiff::civil::DateTime>,
    /// The RRN (DE37); without it, the switch makes one.
    #[arg(long, value_name = "RRN", conflicts_with_all = ["reverse", "inquire"], help_heading = "Request")]
    pub rrn: Option<String>,
    /// The currency (DE49), ISO 4217 numeric; without it, the product's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=999), conflicts_with_all = ["reverse", "inquire"], help_heading = "Request")]
    pub currency: Option<u16>,
    /// The processing code (DE3), six digits; without it, the product's.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["reverse", "inquire"], help_heading = "Request")]
    pub processing_code: Option<String>,
    /// Send it as a repeat (0201): give --stan and --time of the original.
    #[arg(long, help_heading = "Request")]
    pub repeat: bool,
    /// The message type, such as 0100.
    #[arg(long, value_name = "MTI", value_parser = clap::value_parser!(u16).range(0..=9_999), help_heading = "Request")]
    pub mti: Option<u16>,
    /// Set an element or a tag at the end, such as 4=000000001000 or 48.02=0612345678; may be repeated.
    #[arg(long, value_name = "PLACE=VALUE", help_heading = "Request")]
    pub set: Vec<Setting>,
    /// Leave out an element or a tag, such as 49 or 48.01; may be repeated.
    #[arg(long, value_name = "PLACE", help_heading = "Request")]
    pub drop: Vec<Place>,
    /// Reverse an earlier request (0400): give its --stan and --time. Reversing it again, or something unknown, is safe.
    #[arg(long, requires_all = ["stan", "time"], conflicts_with_all = ["inquire", "echo", "sign_on", "sign_off", "raw"], help_heading = "Instead of a transaction")]
    pub reverse: bool,
    /// Ask how an earlier request stands (0100): give its --stan and --time.
    #[arg(long, requires_all = ["stan", "time"], conflicts_with_all = ["echo", "sign_on", "sign_off", "raw"], help_heading = "Instead of a transaction")]
    pub inquire: bool,
    /// Send an echo (0800, 301) instead.
    #[arg(long, conflicts_with_all = ["sign_on", "sign_off", "raw"], help_heading = "Instead of a transaction")]
    pub echo: bool,
    /// Send a sign-on (0800, 001) instead.
    #[arg(long, conflicts_with_all = ["sign_off", "raw"], help_heading = "Instead of a transaction")]
    pub sign_on: bool,
    /// Send a sign-off (0800, 002) instead.
    #[arg(long, conflicts_with = "raw", help_heading = "Instead of a transaction")]
    pub sign_off: bool,
    /// Send these bytes as the message instead, and show the first message that comes back.
    #[arg(long, value_name = "HEX", help_heading = "Instead of a transaction")]
    pub raw: Option<String>,
    /// The conduit [default: 127.0.0.1:8583, with --tls 127.0.0.1:8584].
    #[arg(short, long, value_name = "HOST:PORT", help_heading = "Connection")]
    pub to: Option<String>,
    /// The dialect: a shipped one (see `decode --dialects`) or a dialect file.
    #[arg(short, long, value_name = "NAME|FILE", default_value = "prepaid87", help_heading = "Connection")]
    pub dialect: String,
    /// The length before each message.
    #[arg(long, value_enum, default_value_t = Frames::Binary2, hide_possible_values = true, help_heading = "Connection")]
    pub framing: Frames,
    /// Bytes of a header (such as a TPDU) between length and message, sent as zeros.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=32), help_heading = "Connection")]
    pub header_bytes: u8,
    /// Use TLS.
    #[arg(long, help_heading = "Connection")]
    pub tls: bool,
    /// The authority that signed the switch's certificate, PEM.
    #[arg(long, value_name = "FILE", default_value = "data/demo/tls/ca.pem", help_heading = "Connection")]
    pub ca: PathBuf,
    /// The client's certificate, PEM; `none` shows none.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "data/demo/tls/client-100001.pem",
        help_heading = "Connection"
    )]
    pub cert: PathBuf,
    /// Its private key, PEM.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "data/demo/tls/client-100001.key",
        help_heading = "Connection"
    )]
    pub key: PathBuf,
    /// The name that the switch's certificate must carry.
    #[arg(long, value_name = "NAME", default_value = "localhost", help_heading = "Connection")]
    pub server_name: String,
    /// How long the answer is awaited, milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=600_000), help_heading = "Connection")]
    pub timeout_ms: u64,
    /// Show why the switch chose the supplier.
    #[arg(long, help_heading = "Output")]
    pub explain: bool,
    /// Where the switch serves its pages, for --explain.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", help_heading = "Output")]
    pub admin: String,
    /// Show card numbers, accounts and PINs in clear.
    #[arg(long, help_heading = "Output")]
    pub show_secrets: bool,
    /// Show the request field by field too.
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,
    /// Show the bytes in hex too.
    #[arg(long, help_heading = "Output")]
    pub hex: bool,
    /// Print JSON, one object.
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

impl SendArgs {
    /// The network management code that is asked for, if one is (DE70).
    fn management(&self) -> Option<&'static str> {
        [(self.echo, "301"), (self.sign_on, "001"), (self.sign_off, "002")]
            .into_iter()
            .find_map(|(is, code)| is.then_some(code))
    }

    fn target(&self) -> &str {
        self.to.as_deref().unwrap_or(if self.tls { TLS } else { PLAIN })
    }

    fn client_tls(&self) -> Option<ClientTls> {
        let shows = self.cert.as_os_str() != "none";
        self.tls.then(|| ClientTls {
            ca: self.ca.clone(),
            certificate: shows.then(|| self.cert.clone()),
            key: shows.then(|| self.key.clone()),
            server_name: self.server_name.clone(),
        })
    }
}

/// What is sent.
struct Question {
    message: Vec<u8>,
    stan: u32,
    /// Its local time; none for raw bytes and network management.
    time: Option<jiff::civil::DateTime>,
}

/// Runs the command.
///
/// # Errors
/// Options that make no message, a conduit that is not reached, no answer.
pub fn run(args: &SendArgs, io: &mut Io) -> Result<Exit, Failure> {
    let dialect = open_dialect(&args.dialect)?;
    let catalogue = shipped_catalogue()?;
    let question = question(args, &catalogue, &dialect)?;
    let timeout = Duration::from_millis(args.timeout_ms);
    let mut conversation = Conversation::connect(args.target(), args.client_tls().as_ref(), timeout)?;
    if !args.json {
        show_question(&question, &dialect, args, io);
    }
    let framing = args.framing.framing(args.header_bytes);
    let is_answer = |message: &[u8]| args.raw.is_some() || is_answer(&dialect, message, question.stan);
    let answer = conversation
        .exchange(&framing, &question.message, is_answer)
        .map_err(|failure| with_repeat(failure, args, &question))?;
    let exit = show_answer(&answer, &question, &dialect, args, io)?;
    if let Some(said) = args
        .product
        .as_deref()
        .and_then(|code| ask::unknown_product(code, &catalogue))
        .filter(|_| exit != Exit::Done)
    {
        io.note(said);
    }
    if args.explain && !args.json {
        let explanation = explain::fetch(&args.admin, &args.terminal, question.stan)?;
        for line in explain::lines(explanation.as_ref(), &io.paint) {
            io.line(line);
        }
    }
    Ok(exit)
}

fn shipped_catalogue() -> Result<Arc<Catalogue>, Failure> {
    // The shipped configuration is part of the program and a test loads it.
    load_shipped(&super::adapter_keys()).map(|settings| settings.catalogue).map_err(Failure::system)
}

fn question(args: &SendArgs, catalogue: &Catalogue, dialect: &Dialect) -> Result<Question, Failure> {
    if let Some(raw) = &args.raw {
        let digits: String = raw.chars().filter(|character| !character.is_whitespace()).collect();
        let message =
            hex::decode(digits).map_err(|_| Failure::usage("--raw takes hex digits, two a byte"))?;
        return Ok(Question { message, stan: 0, time: None });
    }
    let zoned = jiff::Zoned::now();
    let now = Moment {
        utc: zoned.with_time_zone(jiff::tz::TimeZone::UTC).datetime(),
        local: zoned.datetime(),
        wall_ms: u64::try_from(zoned.timestamp().as_millisecond()).unwrap_or_default(),
    };
    let ask: Ask = ask::ask(args, catalogue, dialect, now)?;
    let time = args.management().is_none().then(|| args.time.unwrap_or(now.local));
    Ok(Question { message: ask.build(dialect)?, stan: ask.stan, time })
}

fn is_answer(dialect: &Dialect, message: &[u8], stan: u32) -> bool {
    let answers = |view: &View<'_>| {
        let same = view.value(Role::Stan).and_then(|value| value.number()) == Some(u64::from(stan));
        view.mti().is_response() && same
    };
    match dialect.view(message) {
        Ok(view) => answers(&view),
        Err(broken) => broken.read.as_ref().is_some_and(answers),
    }
}

fn show_question(question: &Question, dialect: &Dialect, args: &SendArgs, io: &mut Io) {
    let Question { message, .. } = question;
    let secure = if args.tls { ", TLS" } else { "" };
    let to = format!("{} ({}{secure}, {} bytes)", args.target(), dialect.name(), message.len());
    match dialect.view(message) {
        Ok(view) => {
            io.line(format!("{}{}{} {} → {to}", io.paint.bold, view.mti(), io.paint.end, kind(view.mti())));
            if args.verbose {
                io.text(table(&fields(&view, args.show_secrets), false, &io.paint));
            }
            if args.hex {
                io.text(dump(message, &visible(&view, args.show_secrets), &io.paint));
            }
        }
        Err(broken) => {
            io.line(format!("raw bytes → {to}"));
            if args.hex {
                io.text(dump(message, &visible_broken(&broken, message, true), &io.paint));
            }
        }
    }
}

fn show_answer(
    answer: &Answer,
    question: &Question,
    dialect: &Dialect,
    args: &SendArgs,
    io: &mut Io,
) -> Result<Exit, Failure> {
    let message = &answer.message;
    let view = dialect.view(message).map_err(|broken| {
        if !args.json {
            io.text(dump(message, &visible_broken(&broken, message, args.show_secrets), &io.paint));
        }
        Failure::new(
            Exit::Unknown,
            format!("the answer is no message of {}: {}", dialect.name(), broken.error),
        )
        .help("see --dialect, and `switchyard decode`")
    })?;
    let code = view.value(Role::ResponseCode).and_then(|value| value.text::<2>());
    let code = code.map_or_else(|| "--".to_owned(), |code| code.to_string());
    let exit = match code.as_str() {
        "00" | "10" => Exit::Done,
        "68" => Exit::Unknown,
        _ => Exit::Negative,
    };
    let elapsed_ms = answer.elapsed.as_secs_f64() * 1_000.0;
    let meaning = meaning(&code).unwrap_or("a code that the dialect does not define");
    if args.json {
        let explanation = match args.explain {
            true => explain::fetch(&args.admin, &args.terminal, question.stan)?,
            false => None,
        };
        io.line(json!({
            "mti": view.mti().to_string(),
            "code": code,
            "meaning": meaning,
            "elapsed_ms": elapsed_ms,
            "stan": question.stan,
            "time": question.time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
            "elements": fields(&view, args.show_secrets),
            "explanation": explanation,
        }));
        return Ok(exit);
    }
    let colour = match exit {
        Exit::Done => io.paint.good,
        Exit::Unknown => io.paint.odd,
        _ => io.paint.bad,
    };
    let (bold, end) = (io.paint.bold, io.paint.end);
    io.line(format!(
        "{bold}{}{end} {} ← {colour}{code} {meaning}{end}, after {elapsed_ms:.1} ms",
        view.mti(),
        kind(view.mti())
    ));
    io.text(table(&fields(&view, args.show_secrets), false, &io.paint));
    if args.hex {
        io.text(dump(message, &visible(&view, args.show_secrets), &io.paint));
    }
    if answer.passed_over > 0 {
        io.note(format!("{} messages came before it that answer something else", answer.passed_over));
    }
    if let Some(command) = repeat_command(args, question).filter(|_| !args.repeat) {
        io.line(format!("{}repeat it, never performed twice: {command}{}", io.paint.quiet, io.paint.end));
    }
    if let Some(command) = reverse_command(args, question).filter(|_| exit == Exit::Done) {
        io.line(format!("{}reverse it: {command}{}", io.paint.quiet, io.paint.end));
    }
    Ok(exit)
}

/// A local date and time, as `send` itself prints it.
fn local_time(text: &str) -> Result<jiff::civil::DateTime, &'static str> {
    text.parse().map_err(|_| "give a date and a time, such as 2026-11-21T23:00:59")
}

fn with_repeat(failure: Failure, args: &SendArgs, question: &Question) -> Failure {
    match repeat_command(args, question).filter(|_| failure.exit == Exit::Unknown) {
        Some(command) => failure.help(format!("repeat it, which is always safe: {command}")),
        None => failure,
    }
}

/// The command line that asks the same again; none where values would be shown that are secret.
fn repeat_command(args: &SendArgs, question: &Question) -> Option<String> {
    let product = args.product.as_ref()?;
    if !args.set.is_empty() || !args.drop.is_empty() || args.card.is_some() || args.mti.is_some() {
        return None;
    }
    let mut line = format!("switchyard send {product}");
    let options = [
        ("amount", &args.amount),
        ("account", &args.account),
        ("supplier", &args.supplier),
        ("rrn", &args.rrn),
        ("processing-code", &args.processing_code),
    ];
    for (name, value) in options.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        let _ = write!(line, " --{name} {value}");
    }
    write_place(&mut line, args, question)?;
    line.push_str(" --repeat");
    Some(line)
}

/// The command line that reverses what was sold.
fn reverse_command(args: &SendArgs, question: &Question) -> Option<String> {
    args.product.as_ref()?;
    let mut line = "switchyard send --reverse".to_owned();
    write_place(&mut line, args, question)?;
    Some(line)
}

/// Appends who asked, where, and when: what names a request.
fn write_place(line: &mut String, args: &SendArgs, question: &Question) -> Option<()> {
    let time = question.time?.strftime("%Y-%m-%dT%H:%M:%S");
    if let Some(to) = &args.to {
        let _ = write!(line, " --to {to}");
    }
    let defaults = [
        ("network", &args.network, "100001"),
        ("merchant", &args.merchant, "SHOP00000000001"),
        ("terminal", &args.terminal, "T0000001"),
        ("dialect", &args.dialect, "prepaid87"),
    ];
    for (name, value, _) in defaults.into_iter().filter(|(_, value, default)| value.as_str() != *default) {
        let _ = write!(line, " --{name} {value}");
    }
    if args.tls {
        let (ca, cert, key) = (args.ca.display(), args.cert.display(), args.key.display());
        let _ = write!(line, " --tls --ca {ca} --cert {cert} --key {key}");
    }
    let _ = write!(line, " --stan {} --time {time}", question.stan);
    Some(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        send: SendArgs,
    }

    /// The options of a command line.
    pub(crate) fn args(line: &[&str]) -> SendArgs {
        let line = std::iter::once("send").chain(line.iter().copied());
        Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).send
    }

    /// The demonstration's catalogue.
    pub(crate) fn catalogue() -> Arc<Catalogue> {
        shipped_catalogue().expect("shipped")
    }

    #[test]
    fn the_target_depends_on_tls() {
        assert_eq!(args(&["TOPUP"]).target(), PLAIN);
        assert_eq!(args(&["TOPUP", "--tls"]).target(), TLS);
        assert_eq!(args(&["TOPUP", "--tls", "--to", "localhost:1"]).target(), "localhost:1");
        let tls = args(&["TOPUP", "--tls", "--cert", "none"]).client_tls().expect("asked for");
        assert!(tls.certificate.is_none() && tls.key.is_none());
    }

    #[test]
    fn a_repeat_names_the_same_request() {
        let args = args(&["TOPUP", "--account", "0612345685", "--to", "127.0.0.1:9000"]);
        let time = Some(jiff::civil::date(2026, 11, 21).at(23, 0, 59, 0));
        let question = Question { message: Vec::new(), stan: 42, time };
        assert_eq!(
            repeat_command(&args, &question).expect("possible"),
            "switchyard send TOPUP --account 0612345685 --to 127.0.0.1:9000 --stan 42 --time 2026-11-21T23:00:59 --repeat"
        );
        assert_eq!(
            reverse_command(&args, &question).expect("possible"),
            "switchyard send --reverse --to 127.0.0.1:9000 --stan 42 --time 2026-11-21T23:00:59"
        );
    }

    #[test]
    fn what_a_reversal_or_an_inquiry_does_not_say_is_refused_and_not_left_out() {
        let original = ["send", "--stan", "7", "--time", "2026-11-21T23:00:59"];
        let options = ["--account", "--card", "--supplier", "--rrn", "--currency", "--processing-code"];
        for about in ["--reverse", "--inquire"] {
            let parsed = |more: &[&str]| Line::try_parse_from([&original[..], &[about], more].concat());
            assert!(parsed(&[]).is_ok());
            for option in options {
                let error = parsed(&[option, "1"]).err().map(|error| error.to_string()).unwrap_or_default();
                assert!(error.contains(option) && error.contains(about), "{option}: {error}");
            }
            assert_eq!(parsed(&["--amount", "10.00"]).is_ok(), about == "--reverse");
        }
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let dialect = open_dialect("prepaid87").expect("shipped");
        let catalogue = catalogue();
        let question = question(&args(&["--echo", "--stan", "7"]), &catalogue, &dialect).expect("an echo");
        assert!(!is_answer(&dialect, &question.message, 7), "a request is no answer");
        let mut answer = question.message.clone();
        answer[2] = b'1';
        assert!(is_answer(&dialect, &answer, 7));
        assert!(!is_answer(&dialect, &answer, 8));
    }
}
