//! STATUS (RFC 9051, 6.3.11) with HIGHESTMODSEQ (RFC 7162), APPENDLIMIT (RFC 7889), SIZE (RFC 8438), MAILBOXID (RFC 8474).

use crate::Mailbox;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub mailbox: Mailbox,
    /// In the order asked, doubles dropped. At least one.
    pub items: Vec<StatusItem>,
}

/// One thing to be told about a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    MailboxId,
    AppendLimit,
}
