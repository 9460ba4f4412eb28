//! Holds a TOML text against the table of keys.
//!
//! Owns: unknown keys and what they were meant to be, kinds, ranges, defaults, required keys.
//! Invariants: it never stops at the first fault; what it makes keeps the promises of `table`.

use super::faults::{Faults, meant};
use super::reference::sections;
use super::sources::{At, at};
use super::table::{Item, Table, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use switchyard_core::schema::{AdapterKeys, Form, Key, Kind, grouped};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads files one after the other and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    /// What is wrong.
    pub(super) faults: Faults<'a>,
    /// The registered adapters.
    pub(super) adapters: &'a [AdapterKeys],
    /// Names of dialects that were seen, and where.
    pub(super) dialects: Vec<(String, At)>,
}

/// Where the values being read come from.
#[derive(Clone, Copy)]
enum Origin {
    /// A file, by number.
    File(usize),
    /// A default of the table that begins here.
    Default(At),
}

impl Origin {
    fn at<T>(self, spanned: &Spanned<T>) -> At {
        match self {
            Self::File(file) => at(file, spanned.span()),
            Self::Default(at) => at,
        }
    }

    fn is_file(self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl Reader<'_> {
    /// Reads file `file` as a table with the keys `keys`.
    pub(super) fn file(&mut self, file: usize, keys: &'static [Key]) -> Table {
        let text = self.faults.sources.files.get(file).map_or("", |source| source.text.as_str());
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.faults.syntax(at(file, span), error.message());
        }
        self.table(Origin::File(file), at(file, 0..0), root.get_ref(), keys, "")
    }

    /// Reads `table`, which begins at `begin` and has the path `path`, with the keys `keys`.
    fn table(
        &mut self,
        origin: Origin,
        begin: At,
        table: &DeTable<'_>,
        keys: &'static [Key],
        path: &str,
    ) -> Table {
        let mut read = Table { at: begin, items: BTreeMap::new() };
        for (key, value) in in_order(table) {
            match keys.iter().find(|known| known.name == key.get_ref().as_ref()) {
                Some(known) => self.entry(origin, table, known, value, path, &mut read),
                None => self.unknown_key(origin.at(key), key.get_ref(), keys, path),
            }
        }
        for key in keys {
            if !read.items.contains_key(key.name) {
                self.absent(key, table, path, &mut read);
            }
        }
        read
    }

    /// Reads the value of one known key into `read`.
    fn entry(
        &mut self,
        origin: Origin,
        table: &DeTable<'_>,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        read: &mut Table,
    ) {
        let known = match key.kind {
            Kind::Adapter => self.adapter_settings(origin, value, table),
            _ => self.value(origin, &inner(path, key.name), &key.kind, value),
        };
        // A default stands in for what is wrong. Where there is none, nobody shall miss what is there.
        let value_read = known.or_else(|| key.default.is_none().then_some(Value::Wrong));
        if let Some(value_read) = value_read {
            let item = Item { at: origin.at(value), set: origin.is_file(), value: value_read };
            read.items.insert(key.name, item);
        }
    }

    /// What to do about a key without a value: its default, a complaint, or nothing.
    fn absent(&mut self, key: &'static Key, table: &DeTable<'_>, path: &str, read: &mut Table) {
        if key.required && !table.contains_key(key.name) {
            let example = format!("add: {} = {}    # {}", key.name, key.example, key.meaning);
            self.faults.error(read.at, format!("`{}` is missing in {}", key.name, shown(path)), example);
        }
        if let Some(default) = key.default.and_then(|text| DeValue::parse(text).ok()) {
            self.entry(Origin::Default(read.at), table, key, &default, path, read);
        }
    }

    fn unknown_key(&mut self, at: At, key: &str, keys: &'static [Key], path: &str) {
        let elsewhere = sections(self.adapters)
            .into_iter()
            .find(|section| !section.header.is_empty() && section.keys.iter().any(|known| known.name == key));
        let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
        let suggestion = match elsewhere {
            Some(section) => format!("it is a key of {}", section.header),
            None => meant(key, &names),
        };
        self.faults.error(at, format!("`{key}` is not a key of {}", shown(path)), suggestion);
    }

    /// Reads the value of the key with the path `path`.
    fn value(
        &mut self,
        origin: Origin,
        path: &str,
        kind: &'static Kind,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        let place = origin.at(value);
        let key = path.rsplit('.').next().unwrap_or(path);
        match (kind, value.get_ref()) {
            (Kind::Bool, DeValue::Boolean(truth)) => Some(Value::Bool(*truth)),
            (Kind::Integer { min, max }, DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                self.integer(place, key, number, *min, *max)
            }
            (Kind::Text { max }, DeValue::String(text)) => self.text(place, key, text, *max),
            (Kind::Path, DeValue::String(text)) => self.text(place, key, text, 4_096),
            (Kind::Choice(words), DeValue::String(text)) => self.choice(place, key, text, words),
            (Kind::Form(form), DeValue::String(text)) => self.form(place, key, text, form),
            (Kind::Dialect, DeValue::String(text)) => {
                self.dialects.push((text.to_string(), place));
                Some(Value::Text(text.to_string()))
            }
            (Kind::List(of), DeValue::Array(items)) => {
                let read = items.iter().filter_map(|item| self.item(origin, key, of, item));
                Some(Value::List(read.collect()))
            }
            (Kind::Table(keys), DeValue::Table(table)) => {
                Some(Value::Table(self.table(origin, place, table, keys, path)))
            }
            (Kind::Tables(keys), DeValue::Table(table)) => {
                Some(Value::Tables(vec![self.table(origin, place, table, keys, path)]))
            }
            (Kind::Tables(keys), DeValue::Array(items)) => self.tables(origin, path, keys, items),
            (Kind::Map(name, of), DeValue::Table(table)) => Some(self.map(origin, name, of, table)),
            _ => self.other_kind(place, key, kind, value.get_ref()),
        }
    }

    fn item(
        &mut self,
        origin: Origin,
        key: &str,
        of: &'static Kind,
        item: &Spanned<DeValue<'_>>,
    ) -> Option<Item> {
        let value = self.value(origin, key, of, item)?;
        Some(Item { at: origin.at(item), set: origin.is_file(), value })
    }

    fn tables(
        &mut self,
        origin: Origin,
        path: &str,
        keys: &'static [Key],
        items: &[Spanned<DeValue<'_>>],
    ) -> Option<Value> {
        let mut tables = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => {
                    tables.push(self.table(origin, origin.at(item), table, keys, path));
                }
                other => {
                    self.other_kind(origin.at(item), path, &Kind::Tables(&[]), other);
                }
            }
        }
        Some(Value::Tables(tables))
    }

    fn map(&mut self, origin: Origin, name: &'static Form, of: &'static Kind, table: &DeTable<'_>) -> Value {
        let mut pairs = Vec::with_capacity(table.len());
        for (key, value) in in_order(table) {
            let (text, place) = (key.get_ref(), origin.at(key));
            let known = self.form(place, text, text, name);
            let item = self.item(origin, text, of, value);
            if let (Some(known), Some(item)) = (known, item) {
                pairs.push((Item { at: place, set: origin.is_file(), value: known }, item));
            }
        }
        Value::Map(pairs)
    }

    fn integer(&mut self, at: At, key: &str, number: Option<i64>, min: i64, max: i64) -> Option<Value> {
        match number {
            Some(number) if (min..=max).contains(&number) => Some(Value::Integer(number)),
            _ => {
                let range = format!("allowed: {} to {}", grouped(min), grouped(max));
                self.faults.error(at, format!("`{key}` is out of its range"), range);
                None
            }
        }
    }

    fn text(&mut self, at: At, key: &str, text: &str, max: usize) -> Option<Value> {
        let count = text.chars().count();
        let is_text = (1..=max).contains(&count) && !text.chars().any(char::is_control);
        if is_text {
            return Some(Value::Text(text.to_string()));
        }
        self.faults.error(
            at,
            format!("`{key}` has {count} characters, or some that do not print"),
            format!("allowed: 1 to {} printable characters", grouped(i64::try_from(max).unwrap_or(i64::MAX))),
        );
        None
    }

    fn choice(&mut self, at: At, key: &str, text: &str, words: &[&str]) -> Option<Value> {
        if words.contains(&text) {
            return Some(Value::Text(text.to_string()));
        }
        self.faults.error(at, format!("`{key}` does not know this word"), meant(text, words));
        None
    }

    fn form(&mut self, at: At, key: &str, text: &str, form: &'static Form) -> Option<Value> {
        if (form.check)(text) {
            return Some(Value::Text(text.to_string()));
        }
        self.faults.error(at, format!("`{key}` is not {}", form.name), format!("allowed: {}", form.range));
        None
    }

    fn other_kind(&mut self, at: At, key: &str, kind: &Kind, value: &DeValue<'_>) -> Option<Value> {
        let wanted = wanted(kind);
        let found = with_article(value.type_str());
        self.faults.error(
            at,
            format!("`{key}` is {found}, and must be {wanted}"),
            format!("allowed: {}", kind.range()),
        );
        None
    }

    /// Reads `[supplier.settings]` with the keys of the adapter that the table beside it names.
    fn adapter_settings(
        &mut self,
        origin: Origin,
        value: &Spanned<DeValue<'_>>,
        supplier: &DeTable<'_>,
    ) -> Option<Value> {
        let name = supplier.get("adapter").and_then(|adapter| adapter.get_ref().as_str())?;
        let adapter = self.adapters.iter().find(|adapter| adapter.name == name)?;
        let place = origin.at(value);
        let DeValue::Table(table) = value.get_ref() else {
            return self.other_kind(place, "settings", &Kind::Adapter, value.get_ref());
        };
        let read = self.table(origin, place, table, adapter.keys, "supplier.settings");
        Some(Value::Adapter(read, adapter.keys))
    }
}

/// What is wrong with `toml` as a value of `key`.
#[cfg(test)]
pub(super) fn fault_of(key: &'static Key, toml: &str) -> Option<String> {
    let Ok(value) = DeValue::parse(toml) else { return Some("it is not TOML".to_string()) };
    let sources = super::sources::Sources::default();
    let mut reader = Reader { faults: Faults::new(&sources), adapters: &[], dialects: Vec::new() };
    if !matches!(key.kind, Kind::Adapter) {
        reader.value(Origin::File(0), key.name, &key.kind, &value);
    }
    reader.faults.findings().first().map(|finding| finding.wrong.clone())
}

/// The path of `key` within the table of path `path`.
fn inner(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_string() } else { format!("{path}.{key}") }
}

/// A table's path for people.
fn shown(path: &str) -> String {
    if path.is_empty() { "the top of the file".to_string() } else { format!("[{path}]") }
}

/// The entries of `table` in the order of the file.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Spanned<Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "a boolean",
        Kind::Integer { .. } => "an integer",
        Kind::List(_) => "an array",
        Kind::Table(_) | Kind::Tables(_) | Kind::Map(..) | Kind::Adapter => "a table",
        Kind::Text { .. } | Kind::Path | Kind::Choice(_) | Kind::Form(_) | Kind::Dialect => "a string",
    }
}

fn with_article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}
