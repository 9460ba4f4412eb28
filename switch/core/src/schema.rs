//! The shape of configuration keys: what a key is called, means, may hold, and holds when nobody says.
//!
//! Owns: `Key`, `Kind`, `Form` and `AdapterKeys`, plain constant data. The shell's own keys and every
//! adapter's keys are tables of `Key`; the same table reads a file, refuses what is not in it, fills
//! in defaults, and documents the shipped configuration.
//! Invariants: a key's `default` and `example` are written as TOML and lie within its range (a test
//! of each table holds that).
//! Deliberately absent: files, positions and TOML itself. The shell reads; the core only describes.

/// One key of a configuration table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in TOML, units last (`timeout_ms`).
    pub name: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its unit; empty where it has none.
    pub unit: &'static str,
    /// What it is when nobody says, as TOML; `None`: nothing (or it is `required`).
    pub default: Option<&'static str>,
    /// Whether it must be there.
    pub required: bool,
    /// A value to copy, as TOML; empty: the default serves.
    pub example: &'static str,
    /// Its value never appears in an error, a report or a log.
    pub secret: bool,
}

impl Key {
    /// An optional key without a default.
    pub const fn new(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, meaning, kind, unit: "", default: None, required: false, example: "", secret: false }
    }

    /// A whole number between `min` and `max`, both included.
    pub const fn integer(
        name: &'static str,
        unit: &'static str,
        min: i64,
        max: i64,
        meaning: &'static str,
    ) -> Self {
        Self::new(name, Kind::Integer { min, max }, meaning).unit(unit)
    }

    /// The same key with a unit.
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The same key with a default, written as TOML.
    pub const fn default(mut self, toml: &'static str) -> Self {
        self.default = Some(toml);
        self
    }

    /// The same key, which must be there.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same key with an example, written as TOML.
    pub const fn example(mut self, toml: &'static str) -> Self {
        self.example = toml;
        self
    }

    /// The same key, whose value is never shown.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// What a key may hold.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// Text of 1 to `max` characters.
    Text {
        /// Most characters.
        max: usize,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The path of a file or folder.
    Path,
    /// The name of a dialect, shipped or in the folder `dialects` beside the configuration.
    Dialect,
    /// Text of a form with rules of its own.
    Form(&'static Form),
    /// An array of such values.
    List(&'static Kind),
    /// A table with these keys.
    Table(&'static [Key]),
    /// Any number of tables with these keys; where there is one, a plain table will do.
    Tables(&'static [Key]),
    /// A table whose keys are of one form and whose values are of one kind.
    Map(&'static Form, &'static Kind),
    /// A table with the keys of the adapter that the same table names.
    Adapter,
}

/// Text with rules of its own.
#[derive(Debug)]
pub struct Form {
    /// What such a text is called, with an article: "a time of day".
    pub name: &'static str,
    /// What is allowed, for people: `00:00 to 23:59`.
    pub range: &'static str,
    /// Whether `text` is such a text.
    pub check: fn(text: &str) -> bool,
}

impl Kind {
    /// What is allowed, in words: the "range" of the documentation and of errors.
    pub fn range(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Integer { min, max } => format!("{} to {}", grouped(*min), grouped(*max)),
            Self::Text { max } => format!("1 to {max} characters"),
            Self::Choice(words) => {
                words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | ")
            }
            Self::Path => "a path".into(),
            Self::Dialect => "the name of a dialect".into(),
            Self::Form(form) => form.range.into(),
            Self::List(of) => format!("list, each: {}", of.range()),
            Self::Table(_) | Self::Adapter => "a table".into(),
            Self::Tables(_) => "tables".into(),
            Self::Map(name, value) => format!("{} = {}", name.range, value.range()),
        }
    }
}

/// `number` with an underscore between thousands, as TOML reads it.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

/// What the configuration needs to know about a registered adapter.
#[derive(Clone, Copy, Debug)]
pub struct AdapterKeys {
    /// The name that `supplier.adapter` calls it by.
    pub name: &'static str,
    /// Whether the gate decides by itself: no links, window or time-out.
    pub local: bool,
    /// Whether it speaks over links of its own; then a supplier needs at least one.
    pub links: bool,
    /// The keys of `[supplier.settings]`.
    pub keys: &'static [Key],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1_000");
        assert_eq!(grouped(-1_234_567), "-1_234_567");
        assert_eq!(grouped(i64::MIN), "-9_223_372_036_854_775_808");
    }

    #[test]
    fn a_range_is_said_in_words() {
        const WORDS: Kind = Kind::Choice(&["strict", "relaxed"]);
        assert_eq!(Kind::Integer { min: 8, max: 4_096 }.range(), "8 to 4_096");
        assert_eq!(WORDS.range(), "\"strict\" | \"relaxed\"");
        assert_eq!(Kind::List(&WORDS).range(), "list, each: \"strict\" | \"relaxed\"");
    }
}
