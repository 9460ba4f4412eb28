//! How a command ends: exit codes by meaning, and the failures that carry one.
//!
//! Owns: [`Exit`] and [`Failure`]. Invariants: a failure says what happened and whose fault it is, then what to do; a script can
//! tell by the code alone whether a transaction was approved, refused, or is of unknown outcome. Deliberately absent: printing
//! of reports, which print themselves.

use std::fmt;

/// What an exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1.
    Negative,
    /// 2.
    Usage,
    /// 3.
    Unknown,
    /// 4.
    Unreachable,
    /// 5.
    Data,
    /// 6.
    Failed,
    /// 70.
    Stopped,
    /// 130.
    Aborted,
}

impl Exit {
    /// All of them, for help.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Negative,
        Self::Usage,
        Self::Unknown,
        Self::Unreachable,
        Self::Data,
        Self::Failed,
        Self::Stopped,
        Self::Aborted,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Negative => 1,
            Self::Usage => 2,
            Self::Unknown => 3,
            Self::Unreachable => 4,
            Self::Data => 5,
            Self::Failed => 6,
            Self::Stopped => crate::EXIT_JOURNAL as u8,
            Self::Aborted => 130,
        }
    }

    /// What it means, for help.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; for send: approved (00), or approved in part (10)",
            Self::Negative => {
                "send: answered with any other code than 00, 10 and 68; decode: the message has a fault"
            }
            Self::Usage => "the command line, the configuration or an input file is wrong",
            Self::Unknown => "send: the outcome is unknown (68), or no answer came in time",
            Self::Unreachable => {
                "send: nobody listens there, or TLS refused; an operator's command: no switch runs there"
            }
            Self::Data => "the data folder is in use by another process, damaged, or sealed with another key",
            Self::Failed => "the system refused something: an address in use, a full disk, no permission",
            Self::Stopped => {
                "the switch stopped by itself to protect its journal: start it again, it recovers"
            }
            Self::Aborted => "ended at once by a second Ctrl-C or SIGTERM; safe, the next start recovers",
        }
    }

    /// The table at the end of the help.
    pub fn table() -> String {
        let lines = Self::ALL.map(|exit| format!("  {:>3}  {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened; empty where a report was printed already.
    pub what: String,
    /// What to do, a line each.
    pub help: Vec<String>,
}

impl Failure {
    /// A failure without advice.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self { exit, what: what.to_string(), help: Vec::new() }
    }

    /// A fault of the command line, the configuration or an input.
    pub fn usage(what: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// The system refused something.
    pub fn system(what: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, what)
    }

    /// With a line of advice.
    #[must_use]
    pub fn help(mut self, line: impl fmt::Display) -> Self {
        self.help.push(line.to_string());
        self
    }
}

/// Of the words that there are, the one that was probably meant.
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    /// Edits that make one word of the other, at most: more is another word.
    const EDITS_MAX: usize = 3;
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&word.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(edits, known)| *edits <= EDITS_MAX && *edits < known.len())
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_all_different() {
        let mut codes = Exit::ALL.map(Exit::code);
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Exit::table().contains("  130  "));
    }

    #[test]
    fn the_nearest_word_is_a_near_one() {
        let known = ["TOPUP", "DATA5", "WALLET"];
        assert_eq!(nearest("topupp", known), Some("TOPUP"));
        assert_eq!(nearest("DATA", known), Some("DATA5"));
        assert_eq!(nearest("XYZXYZXYZ", known), None);
    }
}
