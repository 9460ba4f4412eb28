//! Fields as columns.
//!
//! Owns: the layout that `send` and `decode` print. Deliberately absent: what the values are (`fields`).

use super::fields::Field;
use super::paint::Paint;
use std::fmt::Write as _;

/// Widest name that still gets its own column, in characters.
const NAME_WIDTH_MAX: usize = 44;

/// The fields, one a line, what lies within another under it. With `formats` a column for these.
pub fn table(fields: &[Field], formats: bool, paint: &Paint) -> String {
    let mut rows = Vec::new();
    flatten(fields, 0, &mut rows);
    let id_width = width(rows.iter().map(|(depth, field)| indented(*depth, &field.id).len()));
    let name_width = width(rows.iter().map(|(_, field)| field.name.len())).min(NAME_WIDTH_MAX);
    let format_width = if formats { width(rows.iter().map(|(_, field)| field.format.len())) } else { 0 };
    let mut out = String::new();
    for (depth, field) in rows {
        let id = indented(depth, &field.id);
        let Field { name, format, value, note, .. } = field;
        let mut line = format!("  {}{id:<id_width$}{}  {name:<name_width$}  ", paint.bold, paint.end);
        if formats {
            let _ = write!(line, "{}{format:<format_width$}{}  ", paint.quiet, paint.end);
        }
        line.push_str(value);
        if !note.is_empty() {
            let _ = write!(line, "  {}{note}{}", paint.quiet, paint.end);
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn flatten<'f>(fields: &'f [Field], depth: usize, rows: &mut Vec<(usize, &'f Field)>) {
    for field in fields {
        rows.push((depth, field));
        flatten(&field.parts, depth + 1, rows);
    }
}

fn indented(depth: usize, id: &str) -> String {
    format!("{:indent$}{id}", "", indent = depth)
}

fn width(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or(0)
}
