//! The dialects that come with the switch.
//!
//! Owns their texts, which are the files of `config/dialects`. Deliberately absent: dialects of one network.

use super::dialect::Dialect;
use super::error::DialectError;

/// Name and text, bases before those that extend them.
const SHIPPED: [(&str, &str); 7] = [
    ("iso8583-1987", include_str!("../../../../config/dialects/iso8583-1987.toml")),
    ("iso8583-1993", include_str!("../../../../config/dialects/iso8583-1993.toml")),
    ("iso8583-2003", include_str!("../../../../config/dialects/iso8583-2003.toml")),
    ("prepaid87", include_str!("../../../../config/dialects/prepaid87.toml")),
    ("prepaid87-binbitmap", include_str!("../../../../config/dialects/prepaid87-binbitmap.toml")),
    ("prepaid87-bcd", include_str!("../../../../config/dialects/prepaid87-bcd.toml")),
    ("prepaid87-ebcdic", include_str!("../../../../config/dialects/prepaid87-ebcdic.toml")),
];

impl Dialect {
    /// Text of the shipped dialect with this name.
    pub fn shipped(name: &str) -> Option<&'static str> {
        SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, text)| *text)
    }

    /// Names of the shipped dialects.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// Compiles the shipped dialect with this name.
    ///
    /// # Errors
    /// When there is none of this name; the shipped ones themselves compile, which a test holds.
    pub fn open_shipped(name: &str) -> Result<Dialect, DialectError> {
        let text = Dialect::shipped(name).ok_or_else(|| DialectError {
            base: None,
            line: 0,
            column: 0,
            what: format!("no dialect `{name}` is shipped"),
            suggestion: Some(format!(
                "shipped are {}",
                Dialect::shipped_names().collect::<Vec<_>>().join(", ")
            )),
        })?;
        Dialect::parse(text, |base| Dialect::shipped(base).map(str::to_owned))
    }
}
