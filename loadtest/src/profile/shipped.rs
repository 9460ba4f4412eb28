//! The profiles that come with the program.
//!
//! Owns: their names and texts. Invariants: each can be read, and says what it is for (a test). Deliberately absent: what they mean
//! (`file`).

use super::file::{Plan, ProfileError};

/// Name and text of every profile.
const PROFILES: [(&str, &str); 6] = [
    ("steady", include_str!("../../profiles/steady.toml")),
    ("mixed", include_str!("../../profiles/mixed.toml")),
    ("reversals", include_str!("../../profiles/reversals.toml")),
    ("misbehaving", include_str!("../../profiles/misbehaving.toml")),
    ("bursts", include_str!("../../profiles/bursts.toml")),
    ("kills", include_str!("../../profiles/kills.toml")),
];

/// The names, in the order in which they are best read.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}

/// The text of a profile; `None` where there is none of that name.
pub fn text(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A profile that comes with the program.
///
/// # Errors
/// There is none of that name.
pub fn open(name: &str) -> Result<Plan, ProfileError> {
    let text = text(name).ok_or_else(|| ProfileError {
        at: None,
        what: format!("there is no profile `{name}`"),
        suggestion: super::file::nearest(name, names()),
    })?;
    Plan::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_be_read_and_says_what_it_is_for() {
        for name in names() {
            let plan = open(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(plan.about.len() > 20 && plan.about.ends_with('.'), "{name}: {}", plan.about);
        }
        assert_eq!(open("stedy").expect_err("none").suggestion.as_deref(), Some("did you mean `steady`?"));
    }
}
