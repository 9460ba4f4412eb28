//! The files of a configuration and positions in them.
//!
//! Owns: where files come from (a disk, or a set in memory), their texts, and `At`, a place in one.
//! Invariants: an `At` lies within the text it names; the value of a secret key is masked in every
//! line that leaves this module.

use super::report::Place;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest configuration file that is read.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Most characters of a line that a report shows.
const LINE_SHOWN_MAX: usize = 160;

/// Where the files of a configuration come from.
#[derive(Clone, Copy, Debug)]
pub enum Files<'a> {
    /// A file system.
    Disk,
    /// A set in memory, path and text, for configurations that are part of the program.
    Memory(&'a [(&'a str, &'a str)]),
}

impl Files<'_> {
    /// The text of `path`.
    ///
    /// # Errors
    /// It cannot be read, is longer than `FILE_BYTES_MAX`, or is not UTF-8.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        match self {
            Self::Disk if std::fs::metadata(path)?.len() > FILE_BYTES_MAX => {
                Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too long"))
            }
            Self::Disk => std::fs::read_to_string(path),
            Self::Memory(set) => set
                .iter()
                .find(|(name, _)| Path::new(name) == path)
                .map(|(_, text)| (*text).to_string())
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
        }
    }

    /// The names of the files in `folder`, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = match self {
            Self::Disk => std::fs::read_dir(Path::new(".").join(folder))?
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect(),
            Self::Memory(set) => set
                .iter()
                .filter(|(name, _)| Path::new(name).parent() == Some(folder))
                .filter_map(|(name, _)| Some(Path::new(name).file_name()?.to_str()?.to_string()))
                .collect(),
        };
        names.sort();
        Ok(names)
    }
}

/// A place in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// Which file.
    pub(super) file: usize,
    /// First byte.
    pub(super) start: usize,
    /// The byte after the last.
    pub(super) end: usize,
}

/// One file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Source {
    /// The text of the file `path`.
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(newline, _)| newline + 1)).collect();
        Self { path, text, lines }
    }

    /// The folder that paths in it are relative to.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// The files that were read, and the names of keys whose values are never shown.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The files, in the order of reading.
    pub(super) files: Vec<Source>,
    /// Names of secret keys.
    pub(super) secrets: Vec<&'static str>,
}

impl Sources {
    /// The folder that paths at `at` are relative to.
    pub(super) fn folder(&self, at: At) -> &Path {
        self.files.get(at.file).map_or(Path::new(""), Source::folder)
    }

    /// Line and column of `at`, with the line.
    pub(super) fn place(&self, at: At) -> Option<Place> {
        let source = self.files.get(at.file)?;
        let text = source.text.as_str();
        let start = floor(text, at.start);
        let line = source.lines.partition_point(|begin| *begin <= start);
        let line_start = line.checked_sub(1).and_then(|line| source.lines.get(line)).copied()?;
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let shown = text[line_start..line_end].trim_end_matches('\r');
        let end = floor(text, at.end.clamp(start, line_start + shown.len().max(start - line_start)));
        Some(Place {
            file: source.path.display().to_string(),
            line,
            column: 1 + text[line_start..start].chars().count(),
            width: text[start..end].chars().count().max(1),
            text: self.shown(shown),
        })
    }

    /// Whether the file at `at` may hold a secret that goes over several lines.
    pub(super) fn has_long_secrets(&self, at: At) -> bool {
        let text = self.files.get(at.file).map_or("", |source| source.text.as_str());
        let is_long = text.contains("\"\"\"") || text.contains("'''");
        is_long && self.secrets.iter().any(|key| text.contains(key))
    }

    /// The line as a report may show it: secrets masked, cut where it is too long.
    fn shown(&self, line: &str) -> String {
        let secret_end = self.secrets.iter().filter_map(|key| line.find(key).map(|at| at + key.len())).min();
        let masked = match secret_end {
            Some(end) => format!("{} = ***", &line[..end]),
            None => line.to_string(),
        };
        match masked.char_indices().nth(LINE_SHOWN_MAX) {
            Some((cut, _)) => format!("{}…", &masked[..cut]),
            None => masked,
        }
    }
}

/// `at` moved down to a boundary of a character within `text`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// The place of `span` in file `file`.
pub(super) fn at(file: usize, span: Range<usize>) -> At {
    At { file, start: span.start, end: span.end }
}
