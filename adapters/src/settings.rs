//! An adapter's settings, read by key.
//!
//! Owns: `Settings`, which gives a key's value, or its default from the same table that documents it.
//! Invariants: a key that the adapter's table does not have cannot be read; errors name the key.
//! Deliberately absent: ranges, unknown keys and positions in a file. The configuration checks those before.

use crate::MakeError;
use switchyard_core::schema::Key;
use switchyard_core::text::Text;
use toml::Value;

/// The settings of one supplier.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    keys: &'static [Key],
    table: &'a toml::Table,
}

impl<'a> Settings<'a> {
    /// The settings `table`, read by `keys`.
    pub fn new(keys: &'static [Key], table: &'a toml::Table) -> Self {
        Self { keys, table }
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// It is missing and has no default, or is no such number.
    pub fn number(&self, key: &'static str) -> Result<u64, MakeError> {
        let value = self.required(key)?;
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| wrong(key, "must be a whole number, zero or more"))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// It is missing and has no default, or is neither.
    pub fn flag(&self, key: &'static str) -> Result<bool, MakeError> {
        self.required(key)?.as_bool().ok_or_else(|| wrong(key, "must be true or false"))
    }

    /// A text.
    ///
    /// # Errors
    /// It is missing and has no default, or is no text.
    pub fn text(&self, key: &'static str) -> Result<String, MakeError> {
        match self.required(key)? {
            Value::String(text) => Ok(text),
            _ => Err(wrong(key, "must be a text in quotes")),
        }
    }

    /// A short ASCII text; empty where it is not given.
    ///
    /// # Errors
    /// It is no text, too long, or not ASCII.
    pub fn short<const N: usize>(&self, key: &'static str) -> Result<Text<N>, MakeError> {
        match self.value(key) {
            None => Ok(Text::EMPTY),
            Some(Value::String(text)) => Text::new(text.as_bytes())
                .ok_or_else(|| wrong(key, &format!("must be at most {N} ASCII characters"))),
            Some(_) => Err(wrong(key, "must be a text in quotes")),
        }
    }

    fn required(&self, key: &'static str) -> Result<Value, MakeError> {
        self.value(key).ok_or_else(|| wrong(key, "is missing and has no default: add it"))
    }

    fn value(&self, key: &'static str) -> Option<Value> {
        if let Some(value) = self.table.get(key) {
            return Some(value.clone());
        }
        let known = self.keys.iter().find(|known| known.name == key)?;
        parse(known.default?)
    }
}

/// A value written as TOML.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut table: toml::Table = format!("value = {text}").parse().ok()?;
    table.remove("value")
}

fn wrong(key: &'static str, what: &str) -> MakeError {
    MakeError { key, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_core::schema::Kind;

    const KEYS: &[Key] = &[
        Key::integer("echo_ms", "ms", 0, 60_000, "Pause.").default("30_000"),
        Key::new("name", Kind::Text { max: 4 }, "Name."),
    ];

    #[test]
    fn a_key_gives_its_value_else_its_default_else_an_error() {
        let empty = toml::Table::new();
        assert_eq!(Settings::new(KEYS, &empty).number("echo_ms"), Ok(30_000));
        assert_eq!(Settings::new(KEYS, &empty).short::<4>("name"), Ok(Text::EMPTY));
        assert!(Settings::new(KEYS, &empty).text("name").is_err());

        let table: toml::Table = "echo_ms = -1\nname = \"long one\"".parse().expect("TOML");
        assert!(Settings::new(KEYS, &table).number("echo_ms").is_err());
        assert!(Settings::new(KEYS, &table).short::<4>("name").is_err());
        assert_eq!(Settings::new(KEYS, &table).text("name").as_deref(), Ok("long one"));
    }
}
