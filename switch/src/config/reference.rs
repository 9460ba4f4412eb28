//! What every key means, as text: the documentation in the shipped files and in the program's help.
//!
//! Owns: the wording around meaning, unit, range and default.
//! Invariants: it says nothing that the table of keys does not.

use super::schema::ROOT;
use std::fmt::Write;
use switchyard_core::schema::{AdapterKeys, Key, Kind};

/// Longest line of a comment, in characters.
const LINE_MAX: usize = 110;

/// A table of the configuration and its keys.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its header in TOML: `[[conduit]]`, `[conduit.tls]`; empty for the top of the file.
    pub header: String,
    /// The adapter whose keys these are; empty for all others.
    pub adapter: &'static str,
    /// What the table is.
    pub meaning: &'static str,
    /// What it holds, in words.
    pub range: String,
    /// Its keys, without the tables within it; none where its keys are free.
    pub keys: Vec<&'static Key>,
}

/// Every table of the configuration, outer before inner; those of `adapters` last.
pub fn sections(adapters: &[AdapterKeys]) -> Vec<Section> {
    let mut sections = vec![section(String::new(), "Top of the file.", ROOT)];
    add_sections("", ROOT, &mut sections);
    for adapter in adapters.iter().filter(|adapter| !adapter.keys.is_empty()) {
        let meaning = "The adapter's own keys.";
        let section = section("[supplier.settings]".into(), meaning, adapter.keys);
        sections.push(Section { adapter: adapter.name, ..section });
    }
    sections
}

fn section(header: String, meaning: &'static str, keys: &'static [Key]) -> Section {
    let keys = keys.iter().filter(|key| !is_section(&key.kind)).collect();
    Section { header, adapter: "", meaning, range: String::new(), keys }
}

/// Whether a key is written as a table of its own.
fn is_section(kind: &Kind) -> bool {
    matches!(kind, Kind::Table(_) | Kind::Tables(_) | Kind::Map(..) | Kind::Adapter)
}

fn add_sections(path: &str, keys: &'static [Key], sections: &mut Vec<Section>) {
    for key in keys {
        let path = if path.is_empty() { key.name.to_string() } else { format!("{path}.{}", key.name) };
        match key.kind {
            Kind::Table(inner) => {
                sections.push(section(format!("[{path}]"), key.meaning, inner));
                add_sections(&path, inner, sections);
            }
            Kind::Tables(inner) => {
                sections.push(section(format!("[[{path}]]"), key.meaning, inner));
                add_sections(&path, inner, sections);
            }
            Kind::Map(..) => {
                let free = section(format!("[{path}]"), key.meaning, &[]);
                sections.push(Section { range: key.kind.range(), ..free });
            }
            _ => {}
        }
    }
}

/// The comment that documents `section`: lines that begin with `# `.
pub fn section_comment(section: &Section) -> String {
    let mut text = wrapped(section.meaning);
    if !section.range.is_empty() {
        text.push_str(&wrapped(&format!("{}.", section.range)));
    }
    text
}

/// The comment that documents `key`: meaning, range, unit, default; lines that begin with `# `.
pub fn key_comment(key: &Key) -> String {
    let range = key.kind.range();
    let unit = match key.unit {
        "" => String::new(),
        unit if matches!(key.kind, Kind::Integer { .. }) => format!(" {unit}"),
        unit => format!(" ({unit})"),
    };
    let default = match (key.required, key.default) {
        (true, _) => "required".to_string(),
        (false, Some(default)) => format!("default {default}"),
        (false, None) => "no default".to_string(),
    };
    wrapped(key.meaning) + &wrapped(&format!("{range}{unit}; {default}."))
}

/// `text` as comment lines.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > LINE_MAX {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

/// The line of `key` as an example, commented out: `#key = value`.
pub fn example(key: &Key) -> String {
    let value = if key.example.is_empty() { key.default.unwrap_or("\"\"") } else { key.example };
    format!("#{} = {value}\n", key.name)
}

/// Every key with its documentation, as a configuration file in which all is commented out.
pub fn reference(adapters: &[AdapterKeys]) -> String {
    let mut text = String::new();
    for section in sections(adapters) {
        let adapter =
            if section.adapter.is_empty() { String::new() } else { format!("    # {}", section.adapter) };
        let _ = writeln!(text, "{}#{}{adapter}\n", section_comment(&section), section.header);
        for key in &section.keys {
            let _ = writeln!(text, "{}{}", key_comment(key), example(key));
        }
    }
    text
}
