//! What is wrong with a configuration, for people.
//!
//! Owns: findings with their place, and how a report prints.
//! Invariants: a finding names file, line and column where it has a place; values of secret keys are
//! replaced before a finding is made, so that nothing here can print them.

use std::fmt;

/// Most findings that are printed; the rest is counted.
pub const FINDINGS_PRINTED_MAX: usize = 200;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The switch refuses to start.
    Error,
    /// Legal, and worth a look.
    Warning,
}

impl Severity {
    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub width: usize,
    /// The line itself; empty where there is none to show.
    pub text: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands; `None` where it is about something that is not there.
    pub place: Option<Place>,
    /// What is wrong.
    pub wrong: String,
    /// What to do; empty where there is nothing to say.
    pub suggestion: String,
}

/// Everything that is wrong with a configuration: errors and warnings, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many of the findings are errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// The report for a terminal, with or without colours.
    pub fn display(&self, colours: bool) -> impl fmt::Display + '_ {
        Printed { report: self, paint: if colours { &COLOURS } else { &PLAIN } }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(false).fmt(f)
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, &PLAIN, f)
    }
}

/// The escape sequences of a report (ECMA-48 SGR).
struct Paint {
    error: &'static str,
    warning: &'static str,
    quiet: &'static str,
    end: &'static str,
}

const PLAIN: Paint = Paint { error: "", warning: "", quiet: "", end: "" };
const COLOURS: Paint = Paint { error: "\x1b[1;31m", warning: "\x1b[1;33m", quiet: "\x1b[2m", end: "\x1b[0m" };

struct Printed<'a> {
    report: &'a Report,
    paint: &'a Paint,
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.report.findings.iter().take(FINDINGS_PRINTED_MAX) {
            print(finding, self.paint, f)?;
        }
        let more = self.report.findings.len().saturating_sub(FINDINGS_PRINTED_MAX);
        if more > 0 {
            writeln!(f, "and {more} more")?;
        }
        Ok(())
    }
}

fn print(finding: &Finding, paint: &Paint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let colour = match finding.severity {
        Severity::Error => paint.error,
        Severity::Warning => paint.warning,
    };
    if let Some(place) = &finding.place {
        write!(f, "{}:{}:{}: ", place.file, place.line, place.column)?;
    }
    writeln!(f, "{colour}{}{}: {}", finding.severity.name(), paint.end, finding.wrong)?;
    if let Some(place) = &finding.place {
        print_line(place, colour, paint, f)?;
    }
    if !finding.suggestion.is_empty() {
        writeln!(f, "     = {}", finding.suggestion)?;
    }
    Ok(())
}

fn print_line(place: &Place, colour: &str, paint: &Paint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if place.text.is_empty() {
        return Ok(());
    }
    let before: String = place
        .text
        .chars()
        .take(place.column - 1)
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    let carets = "^".repeat(place.width.max(1));
    writeln!(f, "{}{:>4} |{} {}", paint.quiet, place.line, paint.end, place.text)?;
    writeln!(f, "{}     |{} {before}{colour}{carets}{}", paint.quiet, paint.end, paint.end)
}
