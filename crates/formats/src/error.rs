//! Why a foreign mailbox cannot be served.

use std::io;
use std::path::{Path, PathBuf};

use paquebot_types::{MailboxName, Uid};

/// Why something was not done to a foreign mailbox: nothing of it was, unless the text says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("there is no mailbox {0}")]
    NoMailbox(MailboxName),
    #[error("there is a mailbox {0} already")]
    Exists(MailboxName),
    /// The format or the file system cannot hold it.
    #[error("{0}")]
    CannotHold(String),
    #[error("the mailbox cannot be changed: {0}")]
    ReadOnly(String),
    /// Another program holds a lock; trying again later helps.
    #[error("{path} is in use: {by}")]
    InUse { path: PathBuf, by: String },
    /// Machines share the file system that it is on: path, operation and what to do instead.
    #[error(transparent)]
    Shared(paquebot_guard::Refusal),
    #[error("there is no message with UID {0}")]
    NoMessage(Uid),
    /// What is before the place is served; nothing is written to the file.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged { path: PathBuf, offset: u64, what: String },
    #[error("the disk is full")]
    Full(#[source] io::Error),
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// What the system answered when something was done to a file; a full disk, and a quota that is used up, for what they are.
pub(crate) fn failed(doing: &'static str, path: &Path, source: io::Error) -> FormatError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FormatError::Full(source),
        _ => FormatError::Io { doing, path: path.into(), source },
    }
}
