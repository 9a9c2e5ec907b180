//! What an op came to: the same on every node.

use paquebot_types::{AccountId, MailboxId, ModSeq, ShardId, Uid, UidSet, UidValidity};

/// The answer to one op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and there is nothing more to say.
    Done,
    Login {
        account: AccountId,
        shard: ShardId,
    },
    Created {
        mailbox: MailboxId,
        uid_validity: UidValidity,
    },
    /// APPENDUID (RFC 4315, 3).
    Appended {
        uid_validity: UidValidity,
        uids: UidSet,
        modseq: ModSeq,
    },
    /// What a delivery came to, or had come to when it was made before.
    Delivered {
        uid_validity: UidValidity,
        uid: Uid,
        modseq: ModSeq,
        /// Whether it was made before, and nothing has changed now.
        repeat: bool,
    },
    /// The login's account is in this shard now.
    Moved {
        account: AccountId,
        shard: ShardId,
    },
    /// Whether rows of the account are left that another such op has to remove.
    Departed {
        more: bool,
    },
    /// `modified` failed UNCHANGEDSINCE (RFC 7162, 3.1.3); `modseq` is the new one of those that changed, if any did.
    Stored {
        modified: UidSet,
        changed: UidSet,
        modseq: Option<ModSeq>,
    },
    Expunged {
        uids: UidSet,
        modseq: Option<ModSeq>,
    },
    /// COPYUID (RFC 4315, 3): `source` and `destination` in the same order. `modseq` is the source's after a MOVE that took something.
    Copied {
        uid_validity: UidValidity,
        source: UidSet,
        destination: UidSet,
        modseq: Option<ModSeq>,
    },
    /// How many messages came back.
    Undeleted {
        messages: u64,
    },
    Refused(Refusal),
}

/// Why an op was not done, and never will be. Its message is for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no such account")]
    NoSuchAccount,
    #[error("no such login")]
    NoSuchLogin,
    #[error("a login of this name exists")]
    LoginExists,
    #[error("no such mailbox")]
    NoSuchMailbox,
    #[error("a mailbox of this name exists")]
    MailboxExists,
    #[error("INBOX cannot be deleted")]
    InboxStays,
    #[error("a mailbox cannot be moved below itself")]
    BelowItself,
    #[error("the new name of an inferior mailbox would be too long or too deep")]
    NameTooLong,
    #[error("the account has as many mailboxes as it may have")]
    TooManyMailboxes,
    #[error("the mailbox has as many keywords as it may have")]
    TooManyKeywords,
    #[error("the mailbox has no UIDs left")]
    NoMoreUids,
    #[error("another mailbox has this special use")]
    SpecialUseTaken,
    /// The account takes no changes in this shard: it is on its way to or from another.
    #[error("the account is being moved to other machines; try again soon")]
    AccountMoving,
    #[error("the account is in the shard already")]
    AccountExists,
    /// The account is in another move, or in another stage of this one.
    #[error("the move of the account is not at this step")]
    OtherMove,
    #[error("the rows of the account do not follow on those that came, or are damaged")]
    WrongRows,
    /// The record came after the window in which its id can be told from one that was applied.
    #[error("the record came too late")]
    TooLate,
}
