//! Command tags.

use std::fmt;

/// A command's tag: 1 or more ASCII characters of an astring, without `+` (RFC 9051, 9: `tag`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// `None` if `text` is not a tag.
    pub fn new(text: &[u8]) -> Option<Self> {
        let valid = !text.is_empty() && text.iter().all(|&byte| Self::takes(byte));
        let text = valid.then(|| std::str::from_utf8(text).ok()).flatten()?;
        Some(Self(text.into()))
    }

    /// Whether a tag may hold this byte.
    pub(crate) fn takes(byte: u8) -> bool {
        byte > b' ' && byte < 0x7f && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b'+')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_an_atom_without_plus() {
        for good in ["a", "A001", ".", "a]b", "1"] {
            assert_eq!(Tag::new(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in ["", "+", "a+b", "a b", "*", "a(", "a\"", "ä", "a\0", "a\x7f"] {
            assert_eq!(Tag::new(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
