//! System flags and keywords (RFC 9051, 2.3.2).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest keyword that is taken, in octets.
pub const KEYWORD_BYTES_MAX: usize = 255;

/// A set of system flags, one bit each. `\Recent` is not among them: it belongs to a session, not to a message.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Flags(u8);

impl Flags {
    pub const NONE: Self = Self(0);
    pub const SEEN: Self = Self(1);
    pub const ANSWERED: Self = Self(2);
    pub const FLAGGED: Self = Self(4);
    pub const DELETED: Self = Self(8);
    pub const DRAFT: Self = Self(16);
    pub const ALL: Self = Self(31);

    /// Each flag with its name on the wire, in the order in which they are written.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// The set with these bits; bits without a meaning are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    pub const fn bits(self) -> u8 {
        self.0
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| *name);
        f.debug_set().entries(names).finish()
    }
}

/// A keyword: an atom, compared without regard to case and kept as it was first written (RFC 9051, 2.3.2).
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Keyword(Arc<str>);

/// Why something is not a flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    #[error("a keyword is an atom of 1 to {KEYWORD_BYTES_MAX} ASCII characters")]
    NotAnAtom,
    #[error("{0} is not a system flag that can be set")]
    UnknownSystemFlag(String),
}

impl Keyword {
    /// Takes any atom that does not begin with a backslash.
    pub fn new(name: &str) -> Result<Self, FlagError> {
        let atom = |byte: u8| byte > b' ' && byte < 0x7f && !br#"(){%*"\]"#.contains(&byte);
        if name.is_empty() || name.len() > KEYWORD_BYTES_MAX || !name.bytes().all(atom) {
            return Err(FlagError::NotAnAtom);
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Keyword {
    type Error = FlagError;

    fn try_from(name: String) -> Result<Self, FlagError> {
        Self::new(&name)
    }
}

impl From<Keyword> for String {
    fn from(keyword: Keyword) -> Self {
        keyword.0.as_ref().into()
    }
}

/// A flag as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    System(Flags),
    Keyword(Keyword),
}

impl Flag {
    /// Reads `\Seen` or a keyword. `\Recent` and unknown system flags are refused: no client may set them.
    pub fn parse(text: &str) -> Result<Self, FlagError> {
        if !text.starts_with('\\') {
            return Keyword::new(text).map(Self::Keyword);
        }
        let known = Flags::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        known.map(|(flag, _)| Self::System(*flag)).ok_or_else(|| FlagError::UnknownSystemFlag(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_compare_without_case() {
        assert_eq!(Keyword::new("$Forwarded"), Keyword::new("$forwarded"));
    }

    #[test]
    fn only_atoms_are_keywords() {
        for bad in ["", "a b", "a(", "\\x", "a]", "ä", "a\"", &"x".repeat(256)] {
            assert_eq!(Keyword::new(bad).unwrap_err(), FlagError::NotAnAtom, "{bad:?}");
        }
    }

    #[test]
    fn recent_cannot_be_set() {
        assert!(matches!(Flag::parse("\\Recent"), Err(FlagError::UnknownSystemFlag(_))));
        assert_eq!(Flag::parse("\\sEEn").unwrap(), Flag::System(Flags::SEEN));
    }
}
