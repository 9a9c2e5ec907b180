//! Mailbox names in commands.

use paquebot_types::{MailboxName, MailboxNameError};

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
