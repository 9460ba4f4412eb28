//! `switchyard decode`: what is in a message.
//!
//! Owns: the options, the search for the reading that fits, and what is printed. Invariants: values are masked as the dialect
//! says unless secrets are asked for, in errors too. Deliberately absent: mandatory elements and meaning, which are the
//! switch's business.

use super::Io;
use super::exit::{Exit, Failure, nearest};
use super::fields::{fields, kind};
use super::hexdump::{dump, dump_around, visible, visible_broken};
use super::input::{Form, Reading, cut, readings};
use super::paint::Paint;
use super::table::table;
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchyard_core::iso8583::{Broken, Dialect, Framing, Header, HeaderBytes, LengthForm};
use zeroize::Zeroizing;

/// Longest input, in bytes.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Options of `decode`. They may hold a message in clear, so they do not print.
#[derive(Clone, Args)]
pub struct DecodeArgs {
    /// The message: hex, base64 or plain text. Without it and --file, standard input is read.
    #[arg(conflicts_with = "file")]
    pub message: Option<String>,
    /// A file with the message or a captured stream of them; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The dialect: a shipped one (see --dialects) or a dialect file.
    #[arg(short, long, value_name = "NAME|FILE", default_value = "prepaid87")]
    pub dialect: String,
    /// How the input is written; without it, what fits.
    #[arg(long, value_enum, value_name = "FORM")]
    pub form: Option<Form>,
    /// The length before each message; `auto`: none or two bytes, whichever fits.
    #[arg(long, value_enum, default_value_t = Frames::Auto)]
    pub framing: Frames,
    /// Bytes of a header (such as a TPDU) between length and message.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=32))]
    pub header_bytes: u8,
    /// Show card numbers, accounts and PINs in clear.
    #[arg(long)]
    pub show_secrets: bool,
    /// Print the bytes in hex too.
    #[arg(long)]
    pub hex: bool,
    /// Print JSON, one object a message and line.
    #[arg(long)]
    pub json: bool,
    /// List the shipped dialects and end.
    #[arg(long, exclusive = true)]
    pub dialects: bool,
}

/// How messages are cut out of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Frames {
    /// None or two bytes, whichever fits.
    #[default]
    Auto,
    /// The input is one message.
    None,
    /// Two bytes.
    Binary2,
    /// Four bytes.
    Binary4,
    /// Four ASCII digits.
    Ascii4,
    /// Four packed digits in two bytes.
    Bcd4,
}

impl Frames {
    /// The framing, for a connection: `auto` and `none` are two bytes.
    pub fn framing(self, header_bytes: u8) -> Framing {
        let length = match self {
            Self::Auto | Self::None | Self::Binary2 => LengthForm::Binary2,
            Self::Binary4 => LengthForm::Binary4,
            Self::Ascii4 => LengthForm::Ascii4,
            Self::Bcd4 => LengthForm::Bcd4,
        };
        let header = HeaderBytes::new(&[0; 32][..usize::from(header_bytes.min(32))]);
        Framing { length, header: header.map_or(Header::None, Header::Fixed), ..Framing::DEFAULT }
    }
}

/// A dialect by its shipped name, or from a file.
///
/// # Errors
/// There is none of that name, or the file is not a dialect; with a suggestion.
pub fn open_dialect(name: &str) -> Result<Arc<Dialect>, Failure> {
    if Dialect::shipped(name).is_some() {
        return Dialect::open_shipped(name).map(Arc::new).map_err(Failure::system);
    }
    let path = Path::new(name);
    if !path.is_file() {
        let failure = Failure::usage(format!("there is no dialect `{name}`"));
        let failure = match nearest(name, Dialect::shipped_names()) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure,
        };
        let shipped = Dialect::shipped_names().collect::<Vec<_>>().join(", ");
        return Err(failure.help(format!("shipped are {shipped}; or give the path of a dialect file")));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let base = |base: &str| {
        let beside = std::fs::read_to_string(folder.join(format!("{base}.toml"))).ok();
        beside.or_else(|| Dialect::shipped(base).map(str::to_owned))
    };
    Dialect::parse(&text, base).map(Arc::new).map_err(|error| Failure::usage(format!("{name}: {error}")))
}

/// Runs the command.
///
/// # Errors
/// The input cannot be read, or is no message of the dialect.
pub fn run(args: &DecodeArgs, io: &mut Io) -> Result<Exit, Failure> {
    if args.dialects {
        return list(io);
    }
    let dialect = open_dialect(&args.dialect)?;
    let input = input(args)?;
    let readings = readings(&input, args.form);
    if readings.is_empty() {
        let form = args.form.map_or_else(|| "a message".to_owned(), |form| form.to_string());
        return Err(Failure::usage(format!("the input is not {form}"))
            .help("give hex, base64 or the bytes themselves"));
    }
    match Decoded::find(&readings, &dialect, args) {
        Ok(decoded) => decoded.print(&dialect, args, io),
        Err(fault) => Err(fault.failure(&dialect, args, io)),
    }
}

fn list(io: &mut Io) -> Result<Exit, Failure> {
    for name in Dialect::shipped_names() {
        let dialect = open_dialect(name)?;
        io.line(format!("{name:<22} ISO 8583:{}", dialect.version().year()));
    }
    Ok(Exit::Done)
}

fn input(args: &DecodeArgs) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if let Some(message) = &args.message {
        return Ok(Zeroizing::new(message.as_bytes().to_vec()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let (name, read) = match args.file.as_deref().filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let opened = std::fs::File::open(file);
            let read = opened.and_then(|opened| opened.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes));
            (file.display().to_string(), read)
        }
        None => {
            ("standard input".to_owned(), std::io::stdin().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes))
        }
    };
    read.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::usage(format!("{name} is longer than {INPUT_BYTES_MAX} bytes")));
    }
    if bytes.trim_ascii().is_empty() {
        return Err(Failure::usage(format!("there is nothing in {name}"))
            .help("give the message as an argument, with --file, or on standard input"));
    }
    Ok(bytes)
}

/// Messages that are sound, and how they were found.
struct Decoded {
    form: Form,
    framed: bool,
    messages: Vec<Vec<u8>>,
}

/// The reading that came furthest, and how far.
struct Fault {
    form: Form,
    /// What is wrong with the frames; else the message is at fault.
    frames: Option<String>,
    /// Where the message begins in the input.
    begins: usize,
    message: Vec<u8>,
}

impl Decoded {
    fn find(readings: &[Reading], dialect: &Dialect, args: &DecodeArgs) -> Result<Self, Fault> {
        let ways: &[Frames] = match args.framing {
            Frames::Auto if args.header_bytes == 0 => &[Frames::None, Frames::Binary2],
            Frames::Auto => &[Frames::Binary2],
            _ => std::slice::from_ref(&args.framing),
        };
        let mut worst: Option<((bool, usize), Fault)> = None;
        for reading in readings {
            for way in ways {
                let fault = match read(reading, *way, dialect, args.header_bytes) {
                    Ok(decoded) => return Ok(decoded),
                    Err(fault) => fault,
                };
                let score = fault.score(dialect);
                if worst.as_ref().is_none_or(|(known, _)| score > *known) {
                    worst = Some((score, fault));
                }
            }
        }
        match worst {
            Some((_, fault)) => Err(fault),
            None => Err(Fault {
                form: Form::Raw,
                frames: Some("nothing to read".into()),
                begins: 0,
                message: Vec::new(),
            }),
        }
    }

    fn print(&self, dialect: &Dialect, args: &DecodeArgs, io: &mut Io) -> Result<Exit, Failure> {
        for message in &self.messages {
            let view = match dialect.view(message) {
                Ok(view) => view,
                // `find` read it with this same dialect.
                Err(broken) => return Err(Failure::new(Exit::Negative, broken)),
            };
            let fields = fields(&view, args.show_secrets);
            if args.json {
                io.line(json!({
                    "dialect": dialect.name(),
                    "form": self.form,
                    "framed": self.framed,
                    "bytes": message.len(),
                    "mti": view.mti().to_string(),
                    "kind": kind(view.mti()),
                    "elements": fields,
                }));
                continue;
            }
            let Paint { bold, quiet, end, .. } = io.paint;
            let framed = if self.framed { ", framed" } else { "" };
            io.line(format!("{bold}{}{end} {}", view.mti(), kind(view.mti())));
            io.line(format!(
                "{quiet}{}, {} bytes, from {}{framed}{end}",
                dialect.name(),
                message.len(),
                self.form
            ));
            io.text(table(&fields, true, &io.paint));
            if args.hex {
                io.text(dump(message, &visible(&view, args.show_secrets), &io.paint));
            }
        }
        Ok(Exit::Done)
    }
}

fn read(reading: &Reading, way: Frames, dialect: &Dialect, header_bytes: u8) -> Result<Decoded, Fault> {
    let form = reading.form;
    let messages = match way {
        Frames::None => vec![(0, reading.bytes.to_vec())],
        _ => cut(&reading.bytes, &way.framing(header_bytes)).map_err(|error| Fault {
            form,
            frames: Some(
                error.map_or_else(|| "the input ends within a frame".to_owned(), |error| error.to_string()),
            ),
            begins: 0,
            message: Vec::new(),
        })?,
    };
    if let Some((begins, message)) = messages.iter().find(|(_, message)| dialect.view(message).is_err()) {
        return Err(Fault { form, frames: None, begins: *begins, message: message.clone() });
    }
    if messages.is_empty() {
        return Err(Fault {
            form,
            frames: Some("there are only keep-alives".into()),
            begins: 0,
            message: Vec::new(),
        });
    }
    let messages = messages.into_iter().map(|(_, message)| message).collect();
    Ok(Decoded { form, framed: way != Frames::None, messages })
}

impl Fault {
    /// How far the reading came: whether MTI and bitmaps could be read, and where the fault lies.
    fn score(&self, dialect: &Dialect) -> (bool, usize) {
        match dialect.view(&self.message) {
            Err(broken) if self.frames.is_none() => (broken.read.is_some(), broken.error.offset),
            _ => (false, 0),
        }
    }

    fn failure(&self, dialect: &Dialect, args: &DecodeArgs, io: &mut Io) -> Failure {
        if let Some(frames) = &self.frames {
            let failure = Failure::new(Exit::Negative, format!("the frames cannot be read: {frames}"));
            return failure.help("try another --framing, or --framing none for a message alone");
        }
        let Err(broken) = dialect.view(&self.message) else {
            return Failure::new(Exit::Negative, "the message is sound");
        };
        self.show(&broken, args, io);
        let mut failure = Failure::new(
            Exit::Negative,
            format!("this is no message of {} (read from {}): {}", dialect.name(), self.form, broken.error),
        );
        if self.begins > 0 {
            failure = failure.help(format!("the message begins at byte {} of the input", self.begins));
        }
        let others = Dialect::shipped_names().filter(|name| *name != dialect.name());
        let fitting =
            others.filter(|name| open_dialect(name).is_ok_and(|other| other.view(&self.message).is_ok()));
        match fitting.collect::<Vec<_>>().as_slice() {
            [] => failure,
            fitting => failure.help(format!("it can be read as {}: give --dialect", fitting.join(" or "))),
        }
    }

    /// What was read before the fault, and the bytes around it.
    fn show(&self, broken: &Broken<'_>, args: &DecodeArgs, io: &mut Io) {
        let read = broken.read.as_ref();
        let fields = read.map_or_else(Vec::new, |view| fields(view, args.show_secrets));
        let offset = broken.error.offset;
        if args.json {
            io.line(json!({
                "form": self.form,
                "bytes": self.message.len(),
                "mti": read.map_or(Json::Null, |view| view.mti().to_string().into()),
                "fault": {
                    "element": broken.error.element,
                    "tag": broken.error.tag.map(|tag| tag.name()),
                    "offset": offset,
                    "rule": broken.error.rule.to_string(),
                },
                "elements": fields,
            }));
            return;
        }
        if let Some(view) = read {
            io.line(format!(
                "{}{}{} {}, up to the fault:",
                io.paint.bold,
                view.mti(),
                io.paint.end,
                kind(view.mti())
            ));
            io.text(table(&fields, true, &io.paint));
        }
        let visible = visible_broken(broken, &self.message, args.show_secrets);
        io.text(dump_around(&self.message, &visible, offset, &io.paint));
    }
}
