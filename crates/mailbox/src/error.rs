//! What can go wrong behind the mailbox service.

use paquebot_formats::FormatError;
use paquebot_model::{Refusal, RowsError};
use paquebot_replica::ProposeError;
use paquebot_store::{IndexError, ReadError, StageError};
use paquebot_types::ShardId;

/// A failure of ours, not of the client's: it is logged once, at the edge that answers.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("cannot read the index")]
    Index(#[from] IndexError),
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("the index row {} is damaged or of a newer version; `paquebot check` tells more", .0.escape_ascii())]
    DamagedRow(Vec<u8>),
    #[error("cannot read a message's body")]
    Body(#[from] ReadError),
    #[error("the message's body is not on this machine")]
    NoBody,
    #[error("the message's body is not on this machine, and could not be fetched from another: {0}")]
    Unfetched(String),
    /// Another node may serve it. Whoever has a mailbox of it open here is told to connect again.
    #[error("shard {0} is not on this machine, or not any more")]
    NotHosted(ShardId),
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error("cannot write a message's body")]
    Stage(#[from] StageError),
    #[error("the message has more than 4,294,967,295 octets")]
    TooLarge,
    /// A mailbox in another server's files.
    #[error(transparent)]
    Format(FormatError),
    #[error("the server is stopping")]
    Stopping,
}

impl ServiceError {
    /// Whether there was no room on the disk: not done, and a matter for the operator.
    pub fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Propose(ProposeError::Full) | Self::Stage(StageError::Full(_)) | Self::Format(FormatError::Full(_))
        )
    }

    /// Whether nobody can tell if the change was made: its client must not be told that it was not.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Propose(ProposeError::Unknown(_)))
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The model's answer: the same on every node.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Failed(#[from] ServiceError),
}

impl From<ProposeError> for ChangeError {
    fn from(error: ProposeError) -> Self {
        Self::Failed(error.into())
    }
}
