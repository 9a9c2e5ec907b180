//! Mailbox names: data, never a path.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name, in octets of UTF-8.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1000;
/// The deepest name.
pub const MAILBOX_NAME_LEVELS_MAX: usize = 64;

/// A mailbox's full name: levels divided by [`MailboxName::SEPARATOR`], UTF-8, no control character, no empty level.
///
/// `INBOX` in any case, alone or as the first level, is the one INBOX (RFC 9051, 5.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailboxName(Arc<str>);

/// Why something cannot be a mailbox's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxNameError {
    #[error("a mailbox name cannot be empty")]
    Empty,
    #[error("a mailbox name cannot have an empty level, begin or end with the hierarchy separator '/'")]
    EmptyLevel,
    #[error("a mailbox name has at most {MAILBOX_NAME_BYTES_MAX} octets")]
    TooLong,
    #[error("a mailbox name has at most {MAILBOX_NAME_LEVELS_MAX} levels")]
    TooDeep,
    #[error("a mailbox name cannot hold control characters")]
    Control,
    #[error("a mailbox name cannot hold the wildcards '*' and '%'")]
    Wildcard,
    #[error("'.' and '..' cannot be levels of a mailbox name")]
    Dots,
}

impl MailboxName {
    /// The hierarchy separator.
    pub const SEPARATOR: char = '/';

    /// Takes a name as a client gives it, decoded to UTF-8. One trailing separator is the caller's to strip (CREATE allows it).
    pub fn new(name: &str) -> Result<Self, MailboxNameError> {
        if name.is_empty() {
            return Err(MailboxNameError::Empty);
        }
        if name.len() > MAILBOX_NAME_BYTES_MAX {
            return Err(MailboxNameError::TooLong);
        }
        // U+2028 and U+2029 end a line in some clients' parsers; net-unicode forbids them as it does controls (RFC 5198, 2).
        if name.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(MailboxNameError::Control);
        }
        if name.contains(['*', '%']) {
            return Err(MailboxNameError::Wildcard);
        }
        let mut levels = 0;
        for level in name.split(Self::SEPARATOR) {
            levels += 1;
            match level {
                "" => return Err(MailboxNameError::EmptyLevel),
                "." | ".." => return Err(MailboxNameError::Dots),
                _ => {}
            }
        }
        if levels > MAILBOX_NAME_LEVELS_MAX {
            return Err(MailboxNameError::TooDeep);
        }
        let first = name.split(Self::SEPARATOR).next().unwrap_or(name);
        if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
            return Ok(Self(format!("INBOX{}", &name[first.len()..]).into()));
        }
        Ok(Self(name.into()))
    }

    /// The account's INBOX.
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name one level up, `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rfind(Self::SEPARATOR).map(|at| Self(self.0[..at].into()))
    }

    /// Whether this name lies below `other`, at any depth.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(Self::SEPARATOR))
    }

    /// This name with its prefix `from` replaced by `to`; `None` if it is neither `from` nor below it, or the result is no name.
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        if self == from {
            return Some(to.clone());
        }
        if !self.is_below(from) {
            return None;
        }
        Self::new(&format!("{}{}", to.0, &self.0[from.0.len()..])).ok()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl TryFrom<String> for MailboxName {
    type Error = MailboxNameError;

    fn try_from(name: String) -> Result<Self, MailboxNameError> {
        Self::new(&name)
    }
}

impl From<MailboxName> for String {
    fn from(name: MailboxName) -> Self {
        name.0.as_ref().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_has_one_spelling_at_the_first_level_only() {
        assert_eq!(MailboxName::new("iNbOx").unwrap(), MailboxName::inbox());
        assert_eq!(MailboxName::new("inbox/a").unwrap().as_str(), "INBOX/a");
        assert_eq!(MailboxName::new("a/inbox").unwrap().as_str(), "a/inbox");
        assert_eq!(MailboxName::new("inboxes").unwrap().as_str(), "inboxes");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        use MailboxNameError::*;
        let cases = [
            ("", Empty),
            ("/a", EmptyLevel),
            ("a/", EmptyLevel),
            ("a//b", EmptyLevel),
            ("a\0b", Control),
            ("a\r\nb", Control),
            ("a*", Wildcard),
            ("../etc/passwd", Dots),
            ("a/../b", Dots),
        ];
        for (name, error) in cases {
            assert_eq!(MailboxName::new(name).unwrap_err(), error, "{name:?}");
        }
        assert_eq!(MailboxName::new(&"x".repeat(1001)).unwrap_err(), TooLong);
        assert_eq!(MailboxName::new(&vec!["x"; 65].join("/")).unwrap_err(), TooDeep);
    }

    #[test]
    fn names_move_with_their_parent() {
        let name = |text| MailboxName::new(text).unwrap();
        assert_eq!(name("a/b/c").moved(&name("a/b"), &name("d")), Some(name("d/c")));
        assert_eq!(name("a/bc").moved(&name("a/b"), &name("d")), None);
        assert_eq!(name("a/b/c").parent(), Some(name("a/b")));
        assert_eq!(name("a").parent(), None);
    }
}
