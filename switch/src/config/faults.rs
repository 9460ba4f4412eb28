//! Gathers what is wrong, and says what was probably meant.

use super::report::{Finding, Place, Severity};
use super::sources::{At, Sources};

/// How alike a word must be to be offered instead of an unknown one (Jaro-Winkler, 0 to 1).
const ALIKE_MIN: f64 = 0.75;

/// Most words that a suggestion lists.
const LISTED_MAX: usize = 30;

/// What is wrong so far.
pub(super) struct Faults<'a> {
    /// The files.
    pub(super) sources: &'a Sources,
    /// The findings, with their places for sorting.
    found: Vec<(At, Finding)>,
    /// Whether a file could not be read to its end: what seems to be missing may be there.
    is_cut: bool,
}

impl<'a> Faults<'a> {
    /// Nothing is wrong yet.
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, found: Vec::new(), is_cut: false }
    }

    /// An error at `at`.
    pub(super) fn error(&mut self, at: At, wrong: impl Into<String>, suggestion: impl Into<String>) {
        self.add(Severity::Error, at, wrong.into(), suggestion.into());
    }

    /// A warning at `at`.
    pub(super) fn warning(&mut self, at: At, wrong: impl Into<String>, suggestion: impl Into<String>) {
        self.add(Severity::Warning, at, wrong.into(), suggestion.into());
    }

    /// A text at `at` that is not TOML. The line is not shown where it may be a part of a secret.
    pub(super) fn syntax(&mut self, at: At, wrong: &str) {
        self.is_cut = true;
        self.error(at, wrong, "");
        if let Some((_, Finding { place: Some(place), .. })) = self.found.last_mut()
            && self.sources.has_long_secrets(at)
        {
            place.text.clear();
        }
    }

    /// Whether a file could not be read to its end: what seems to be missing may be there.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// An error in a file that is not one of the configuration's own, which `at` names.
    pub(super) fn error_elsewhere(&mut self, at: At, place: Place, wrong: String, suggestion: String) {
        let finding = Finding { severity: Severity::Error, place: Some(place), wrong, suggestion };
        self.found.push((at, finding));
    }

    fn add(&mut self, severity: Severity, at: At, wrong: String, suggestion: String) {
        let place = self.sources.place(at);
        self.found.push((at, Finding { severity, place, wrong, suggestion }));
    }

    /// `at` for people: file and line.
    pub(super) fn line(&self, at: At) -> String {
        let place = self.sources.place(at);
        place.map_or_else(String::new, |place| format!("{}:{}", place.file, place.line))
    }

    /// The findings in the order of the files, each once.
    pub(super) fn findings(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|(at, _)| *at);
        let mut findings: Vec<Finding> = self.found.into_iter().map(|(_, finding)| finding).collect();
        findings.dedup();
        findings
    }
}

/// What `word` was probably meant to be, as a suggestion.
pub(super) fn meant(word: &str, known: &[&str]) -> String {
    let alike = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match alike {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "none is known".to_string(),
        None if known.len() <= LISTED_MAX => format!("known: {}", known.join(", ")),
        None => format!("known: {}, ...", known[..LISTED_MAX].join(", ")),
    }
}
