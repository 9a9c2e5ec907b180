//! Mailbox names in commands.

use std::borrow::Cow;

use paquebot_types::{MailboxName, MailboxNameError};

use crate::utf7::decode_utf7;

/// A mailbox's name as a command gives it: a valid name, or why there can be no mailbox of this name.
///
/// A well-formed string that is no valid name is not a syntax error: such a mailbox does not exist and cannot be made, which is a `NO`
/// (`[NONEXISTENT]`, `[CANNOT]`). One trailing separator is dropped, as some clients add it everywhere (RFC 9051, 6.3.4).
pub type Mailbox = Result<MailboxName, InvalidMailbox>;

/// Why a string is not a mailbox's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMailbox {
    /// Not the modified UTF-7 of any text, or not its only form (RFC 3501, 5.1.3).
    #[error("the mailbox name is not in modified UTF-7")]
    Utf7,
    /// Octets above 127 before UTF-8 was enabled, or not UTF-8.
    #[error("the mailbox name is not in UTF-8, or UTF-8 is not enabled")]
    Utf8,
    #[error(transparent)]
    Name(#[from] MailboxNameError),
}

/// Reads a name as a client sends it, UTF-8 or modified UTF-7, and tells whether it ended in the separator.
pub(crate) fn mailbox_from_wire(bytes: &[u8], utf8: bool) -> (Mailbox, bool) {
    let decoded = match std::str::from_utf8(bytes) {
        Ok(text) if utf8 => Ok(Cow::Borrowed(text)),
        Ok(text) if text.is_ascii() => decode_utf7(text).ok_or(InvalidMailbox::Utf7),
        _ => Err(InvalidMailbox::Utf8),
    };
    let text = match decoded {
        Ok(text) => text,
        Err(error) => return (Err(error), false),
    };
    match text.strip_suffix(MailboxName::SEPARATOR) {
        // The separator by itself has no name before it, and two are an empty level: both are refused.
        Some(name) => (MailboxName::new(name).map_err(InvalidMailbox::Name), true),
        None => (MailboxName::new(&text).map_err(InvalidMailbox::Name), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], utf8: bool) -> Result<String, InvalidMailbox> {
        mailbox_from_wire(bytes, utf8).0.map(|name| name.as_str().into())
    }

    #[test]
    fn an_ampersand_is_a_letter_only_in_utf8() {
        assert_eq!(read(b"a&-b", false).unwrap(), "a&b");
        assert_eq!(read(b"a&-b", true).unwrap(), "a&-b");
        assert_eq!(read(b"a&b", true).unwrap(), "a&b");
        assert_eq!(read(b"a&b", false), Err(InvalidMailbox::Utf7));
        assert_eq!(read("\u{e9}".as_bytes(), true).unwrap(), "\u{e9}");
        assert_eq!(read("\u{e9}".as_bytes(), false), Err(InvalidMailbox::Utf8));
        assert_eq!(read(b"&AOk-", false).unwrap(), "\u{e9}");
        assert_eq!(read(b"\xff", true), Err(InvalidMailbox::Utf8));
    }

    #[test]
    fn one_trailing_separator_is_dropped_and_told() {
        assert_eq!(mailbox_from_wire(b"a/b/", false), (Ok(MailboxName::new("a/b").unwrap()), true));
        assert!(!mailbox_from_wire(b"a", false).1);
        assert_eq!(read(b"a//", false), Err(InvalidMailbox::Name(MailboxNameError::EmptyLevel)));
        assert_eq!(read(b"/", false), Err(InvalidMailbox::Name(MailboxNameError::Empty)));
        assert_eq!(read(b"inbox/", false).unwrap(), "INBOX");
    }
}
