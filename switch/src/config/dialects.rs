//! The dialects that a configuration names.
//!
//! Owns: where a dialect comes from: the folder `dialects` beside the main file, else the shipped ones.
//! Invariants: each dialect is compiled once; its name is the one that it is asked for by.

use super::faults::{Faults, meant};
use super::report::Place;
use super::sources::{At, Files};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchyard_core::iso8583::Dialect;

/// The folder of a configuration's own dialects, beside its main file.
pub(super) const FOLDER: &str = "dialects";

/// The dialects that were named, each once.
#[derive(Debug, Default)]
pub(super) struct Dialects {
    /// Compiled, in the order of naming.
    pub(super) list: Vec<Arc<Dialect>>,
}

impl Dialects {
    /// The index of the dialect `name`.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|dialect| dialect.name() == name)
    }

    /// The dialects of `named`; what cannot be found or compiled is an error where it is named.
    pub(super) fn load(
        named: &[(String, At)],
        files: Files<'_>,
        beside: &Path,
        faults: &mut Faults<'_>,
    ) -> Self {
        let folder = Folder { files, path: beside.join(FOLDER) };
        let mut dialects = Self::default();
        for (name, at) in named {
            if dialects.index(name).is_some() {
                continue;
            }
            match folder.text(name) {
                Some((path, text)) => dialects.compile(name, *at, &path, &text, &folder, faults),
                None => unknown(name, *at, &folder, faults),
            }
        }
        dialects
    }

    fn compile(
        &mut self,
        name: &str,
        at: At,
        path: &str,
        text: &str,
        folder: &Folder<'_>,
        faults: &mut Faults<'_>,
    ) {
        match Dialect::parse(text, |base| folder.text(base).map(|(_, text)| text)) {
            Ok(dialect) if dialect.name() == name => self.list.push(Arc::new(dialect)),
            Ok(dialect) => {
                let wrong = format!("{path} holds the dialect `{}`, not `{name}`", dialect.name());
                faults.error(at, wrong, "name the file after its dialect");
            }
            Err(error) => {
                let file = error.base.as_deref().unwrap_or(path).to_string();
                let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or("");
                let shown = if error.base.is_none() { line.to_string() } else { String::new() };
                let (line, column) = (error.line.max(1), error.column.max(1));
                let place = Place { file, line, column, width: 1, text: shown };
                faults.error_elsewhere(at, place, error.what, error.suggestion.unwrap_or_default());
            }
        }
    }
}

struct Folder<'f> {
    files: Files<'f>,
    path: PathBuf,
}

impl Folder<'_> {
    /// The path and text of the dialect `name`. A name is no path.
    fn text(&self, name: &str) -> Option<(String, String)> {
        let is_name = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
        let path = self.path.join(format!("{name}.toml"));
        let own = if is_name { self.files.read(&path).ok() } else { None };
        match own {
            Some(text) => Some((path.display().to_string(), text)),
            None => Dialect::shipped(name).map(|text| (format!("{name} (shipped)"), text.to_string())),
        }
    }

    fn names(&self) -> Vec<String> {
        let own = self.files.names(&self.path).unwrap_or_default();
        let own = own.iter().filter_map(|name| name.strip_suffix(".toml")).map(str::to_string);
        let mut names: Vec<String> = own.chain(Dialect::shipped_names().map(str::to_string)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn unknown(name: &str, at: At, folder: &Folder<'_>, faults: &mut Faults<'_>) {
    let names = folder.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    faults.error(at, format!("there is no dialect `{name}`"), meant(name, &names));
}
