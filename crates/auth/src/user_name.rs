//! The name by which someone logs in, in its one normal form.

use std::fmt;

/// The longest user name, in bytes.
pub const USER_NAME_BYTES_MAX: usize = 255;

/// A user name: lower case, from a small set of characters, harmless as a part of a path, a key or a log line.
///
/// The rules are Dovecot's defaults (`auth_username_chars`, and `auth_username_format = %Lu`, which lowers the whole name), made
/// stricter where a name could later be mistaken for something else. Nothing is trimmed and nothing in a name is ever expanded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

/// Why bytes are not a user name. The name itself is left out: what a client sends in its place may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    #[error("a user name has 1 to {USER_NAME_BYTES_MAX} bytes")]
    Length,
    #[error("a user name holds letters a-z, digits and . - _ @ only")]
    Character,
    #[error("a user name has one @ at most, something on both sides of it, and no part that starts with . or -")]
    Form,
}

impl UserName {
    /// Parses and lowers a name.
    ///
    /// Refuses what is empty or over [`USER_NAME_BYTES_MAX`] bytes, any byte outside `a-z A-Z 0-9 . - _ @`, a second `@`, and a local
    /// part or domain that is empty or starts with `.` (so `..` cannot climb out of a directory) or `-` (so a name is never an option).
    pub fn parse(name: &[u8]) -> Result<Self, UserNameError> {
        if name.is_empty() || name.len() > USER_NAME_BYTES_MAX {
            return Err(UserNameError::Length);
        }
        let text = std::str::from_utf8(name).map_err(|_| UserNameError::Character)?;
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte)) {
            return Err(UserNameError::Character);
        }
        let mut parts = text.split('@');
        let sound = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']);
        if !parts.by_ref().take(2).all(sound) || parts.next().is_some() {
            return Err(UserNameError::Form);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for UserName {
    type Err = UserNameError;

    fn from_str(name: &str) -> Result<Self, UserNameError> {
        Self::parse(name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_whole_name_is_lowered() {
        assert_eq!(UserName::parse(b"Bob.Smith-1_x@Example.ORG").unwrap().as_str(), "bob.smith-1_x@example.org");
    }

    #[test]
    fn unsafe_names_are_refused() {
        use UserNameError::*;
        let table: &[(&[u8], UserNameError)] = &[
            (b"", Length),
            (&[b'a'; 256], Length),
            (b"a\0b", Character),
            (b"a/b", Character),
            (b"a b", Character),
            (b" a", Character),
            (b"a\n", Character),
            (b"a\x7f", Character),
            (b"%u%{env:HOME}", Character),
            (b"' OR 1=1", Character),
            (b"*)(uid=*", Character),
            (b"bob+detail", Character),
            ("josé".as_bytes(), Character),
            (b"\xff\xfe", Character),
            (b".", Form),
            (b"..", Form),
            (b"..@x", Form),
            (b"x@..", Form),
            (b"-oProxyCommand", Form),
            (b"@x", Form),
            (b"x@", Form),
            (b"@", Form),
            (b"a@b@c", Form),
            (b"a@b@", Form),
        ];
        for (name, error) in table {
            assert_eq!(UserName::parse(name), Err(*error), "{:?}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn the_longest_name_passes() {
        assert_eq!(UserName::parse(&[b'A'; 255]).unwrap().as_str(), "a".repeat(255));
    }
}
