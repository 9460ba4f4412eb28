//! A table that was read and checked against its keys.
//!
//! Owns: values with their positions, and the way to ask for them by key.
//! Invariants: every value lies in its key's range; a key with a default has a value. A key whose value
//! was wrong was reported and has `Value::Wrong`, or its default: whoever asks goes on, and finds what else is wrong.

use super::sources::At;
use std::collections::BTreeMap;
use switchyard_core::schema::Key;

/// A value of the configuration.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// What was wrong and was reported; the key is there all the same.
    Wrong,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text of any kind.
    Text(String),
    /// Values in their order.
    List(Vec<Item>),
    /// A table with known keys.
    Table(Table),
    /// Tables with known keys.
    Tables(Vec<Table>),
    /// A table with free keys: name and value.
    Map(Vec<(Item, Item)>),
    /// An adapter's own keys.
    Adapter(Table, &'static [Key]),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Where: a default stands where its table begins.
    pub(super) at: At,
    /// Whether a file says it; else it is a default.
    pub(super) set: bool,
    /// The value.
    pub(super) value: Value,
}

/// A text and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// The text.
    pub(super) text: &'a str,
    /// Where.
    pub(super) at: At,
}

/// A table and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Where its header or first key stands.
    pub(super) at: At,
    /// Its values by key.
    pub(super) items: BTreeMap<&'static str, Item>,
}

impl Item {
    fn word(&self) -> Option<Word<'_>> {
        match &self.value {
            Value::Text(text) => Some(Word { text, at: self.at }),
            _ => None,
        }
    }
}

impl Table {
    /// Where the value of `key` stands; where it has none, where the table begins.
    pub(super) fn at(&self, key: &str) -> At {
        self.items.get(key).map_or(self.at, |item| item.at)
    }

    /// Whether a file says `key`.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.items.get(key).is_some_and(|item| item.set)
    }

    /// The truth of `key`; false where it was wrong.
    pub(super) fn bool(&self, key: &str) -> bool {
        matches!(self.items.get(key), Some(Item { value: Value::Bool(true), .. }))
    }

    /// The number of `key`; 0 where it was wrong.
    pub(super) fn integer(&self, key: &str) -> i64 {
        match self.items.get(key) {
            Some(Item { value: Value::Integer(number), .. }) => *number,
            _ => 0,
        }
    }

    /// The number of `key` in the width that its range fits; 0 where it was wrong.
    pub(super) fn number<N: TryFrom<i64> + Default>(&self, key: &str) -> N {
        N::try_from(self.integer(key)).unwrap_or_default()
    }

    /// The text of `key`.
    pub(super) fn word(&self, key: &str) -> Option<Word<'_>> {
        self.items.get(key)?.word()
    }

    /// The text of `key`; empty where there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.word(key).map_or("", |word| word.text)
    }

    /// The texts of the list `key`.
    pub(super) fn words(&self, key: &str) -> impl Iterator<Item = Word<'_>> {
        let items = match self.items.get(key) {
            Some(Item { value: Value::List(items), .. }) => items.as_slice(),
            _ => &[],
        };
        items.iter().filter_map(Item::word)
    }

    /// The table `key`.
    pub(super) fn table(&self, key: &str) -> Option<&Table> {
        match self.items.get(key) {
            Some(Item { value: Value::Table(table), .. }) => Some(table),
            _ => None,
        }
    }

    /// The tables `key`.
    pub(super) fn tables(&self, key: &str) -> &[Table] {
        match self.items.get(key) {
            Some(Item { value: Value::Tables(tables), .. }) => tables,
            _ => &[],
        }
    }

    /// The names and texts of the table `key`, whose keys are free.
    pub(super) fn pairs(&self, key: &str) -> impl Iterator<Item = (Word<'_>, Word<'_>)> {
        let pairs = match self.items.get(key) {
            Some(Item { value: Value::Map(pairs), .. }) => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().filter_map(|(name, value)| Some((name.word()?, value.word()?)))
    }

    /// The adapter's own keys as TOML, defaults filled in.
    pub(super) fn adapter(&self, key: &str) -> toml::Table {
        match self.items.get(key) {
            Some(Item { value: Value::Adapter(settings, _), .. }) => settings.plain(),
            _ => toml::Table::new(),
        }
    }

    /// The table as TOML, without positions.
    fn plain(&self) -> toml::Table {
        self.items.iter().map(|(key, item)| ((*key).to_string(), item.value.plain())).collect()
    }
}

impl Value {
    /// The value as TOML, without positions.
    pub(super) fn plain(&self) -> toml::Value {
        match self {
            // Settings with something wrong in them never leave the loader.
            Self::Wrong => "".into(),
            Self::Bool(truth) => (*truth).into(),
            Self::Integer(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => toml::Value::Array(items.iter().map(|item| item.value.plain()).collect()),
            Self::Table(table) | Self::Adapter(table, _) => table.plain().into(),
            Self::Tables(tables) => {
                toml::Value::Array(tables.iter().map(|table| table.plain().into()).collect())
            }
            Self::Map(pairs) => toml::Value::Table(pairs.iter().filter_map(plain_pair).collect()),
        }
    }
}

fn plain_pair((name, item): &(Item, Item)) -> Option<(String, toml::Value)> {
    Some((name.word()?.text.to_string(), item.value.plain()))
}
