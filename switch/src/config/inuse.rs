//! Every key with the value it has: the report of `check`.

use super::faults::Faults;
use super::table::{Item, Table, Value};
use switchyard_core::schema::{Key, Kind};

/// A key and the value it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInUse {
    /// The key with its path: `conduit[plain].window_requests`.
    pub key: String,
    /// The value as TOML; `***` where the key is secret.
    pub value: String,
    /// File and line where it is set; `None`: it is the default.
    pub set: Option<(String, usize)>,
}

/// The values of `root`, table by table, in the order of the keys.
pub(super) fn values(root: &Table, keys: &'static [Key], faults: &Faults<'_>) -> Vec<ValueInUse> {
    let mut values = Vec::new();
    table("", root, keys, faults, &mut values);
    values
}

fn table(path: &str, table: &Table, keys: &'static [Key], faults: &Faults<'_>, values: &mut Vec<ValueInUse>) {
    for key in keys {
        if let Some(item) = table.items.get(key.name) {
            let path = if path.is_empty() { key.name.to_string() } else { format!("{path}.{}", key.name) };
            value(path, key, item, faults, values);
        }
    }
}

fn value(path: String, key: &'static Key, item: &Item, faults: &Faults<'_>, values: &mut Vec<ValueInUse>) {
    match (&item.value, key.kind) {
        (Value::Adapter(inner, keys), _) => table(&path, inner, keys, faults, values),
        (Value::Table(inner), Kind::Table(keys)) => table(&path, inner, keys, faults, values),
        (Value::Tables(tables), Kind::Tables(keys)) => {
            for (index, inner) in tables.iter().enumerate() {
                table(&format!("{path}[{}]", called(inner, index)), inner, keys, faults, values);
            }
        }
        _ => values.push(ValueInUse {
            key: path,
            value: if key.secret { "***".into() } else { item.value.plain().to_string() },
            set: if item.set { place(item, faults) } else { None },
        }),
    }
}

fn place(item: &Item, faults: &Faults<'_>) -> Option<(String, usize)> {
    faults.sources.place(item.at).map(|place| (place.file, place.line))
}

/// What a table is called among its like: its code or name, else its number from 1.
fn called(table: &Table, index: usize) -> String {
    let name = table.word("code").or_else(|| table.word("name")).or_else(|| table.word("supplier"));
    name.map_or_else(|| (index + 1).to_string(), |word| word.text.to_string())
}
