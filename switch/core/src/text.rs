//! Short ASCII text, held inline.
//!
//! Owns [`Text`]. Invariants: the content is ASCII, and the bytes after its end are zero (which makes the derived equality,
//! order and hash those of the text). Deliberately absent: other character sets, growth, and any knowledge of what the text
//! means; a secret is a type of its own, not a `Text`.

use std::fmt;

/// ASCII text of at most `N` bytes (`N` is at most 255), inline and `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Text<N> {
    const FITS: () = assert!(N <= 255, "a Text holds at most 255 bytes");

    /// The empty text.
    pub const EMPTY: Self = {
        let () = Self::FITS;
        Self { bytes: [0; N], length: 0 }
    };

    /// The text of these bytes; `None` if they are more than `N` or not ASCII.
    #[inline]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut text = Self::EMPTY;
        match bytes.first_chunk::<N>() {
            // As long as can be, which codes of a fixed length are: a copy whose length is known to the compiler.
            Some(all) if bytes.len() == N => text.bytes = *all,
            _ => text.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes),
        }
        text.length = bytes.len() as u8;
        // All of it, zeros too: the length is known to the compiler, so this is a few wide operations.
        text.bytes.iter().fold(0, |all, byte| all | byte).is_ascii().then_some(text)
    }

    /// The text's bytes, all ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The text's bytes and zeros behind them.
    pub fn padded(&self) -> &[u8; N] {
        &self.bytes
    }

    /// The text as a string, without loss.
    pub fn as_str(&self) -> &str {
        // The constructor admits ASCII only, so the fallback is never taken.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Length in bytes, which are characters.
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether there is no character at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The text without its trailing spaces.
    #[inline]
    pub fn trimmed(&self) -> Self {
        let mut text = *self;
        while text.length > 0 && text.bytes[usize::from(text.length) - 1] == b' ' {
            text.length -= 1;
            text.bytes[usize::from(text.length)] = 0;
        }
        text
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn holds_ascii_up_to_its_size() {
        assert_eq!(Text::<4>::new(b"abcd").unwrap().as_str(), "abcd");
        assert_eq!(Text::<4>::new(b"abcde"), None);
        assert_eq!(Text::<4>::new("é".as_bytes()), None);
        assert!(Text::<4>::new(b"").unwrap().is_empty());
    }

    #[test]
    fn trimming_leaves_an_equal_text() {
        let trimmed = Text::<8>::new(b"ab  ").unwrap().trimmed();
        assert_eq!(trimmed, Text::new(b"ab").unwrap());
        assert_eq!(trimmed.len(), 2);
    }

    #[test]
    fn order_is_that_of_the_text() {
        assert!(Text::<4>::new(b"b").unwrap() > Text::new(b"abc").unwrap());
        assert!(Text::<4>::new(b"a").unwrap() < Text::new(b"ab").unwrap());
    }
}
