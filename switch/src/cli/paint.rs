//! Colours, where people look.
//!
//! Owns: whether a stream gets escape sequences, and the few that are used (ECMA-48 SGR). Deliberately absent: what is printed.

use clap::ValueEnum;
use std::io::IsTerminal;

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The escape sequences of a stream, empty where it gets none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// What matters.
    pub bold: &'static str,
    /// What may be passed over.
    pub quiet: &'static str,
    /// Success.
    pub good: &'static str,
    /// Failure.
    pub bad: &'static str,
    /// What is neither.
    pub odd: &'static str,
    /// Back to normal.
    pub end: &'static str,
}

impl Paint {
    /// No colours.
    pub const NONE: Self = Self { bold: "", quiet: "", good: "", bad: "", odd: "", end: "" };

    const ANSI: Self = Self {
        bold: "\x1b[1m",
        quiet: "\x1b[2m",
        good: "\x1b[1;32m",
        bad: "\x1b[1;31m",
        odd: "\x1b[1;33m",
        end: "\x1b[0m",
    };

    /// For a stream.
    pub fn of(stream: &impl IsTerminal, colour: Colour) -> Self {
        let wanted = match colour {
            Colour::Always => true,
            Colour::Never => false,
            // An empty NO_COLOR counts as not set (no-color.org).
            Colour::Auto => {
                stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        if wanted { Self::ANSI } else { Self::NONE }
    }

    /// Whether it is coloured.
    pub fn is_on(&self) -> bool {
        !self.end.is_empty()
    }
}
