//! Why a shard is not followed any more.

use paquebot_log::LogError;
use paquebot_model::{ApplyError, RecordError};
use paquebot_store::{IndexError, OpenError};
use paquebot_types::{Sequence, ShardId};

/// A shard that this node does not follow any more: it shows what it has, and takes no changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub shard: ShardId,
    pub kind: TroubleKind,
    /// For the operator.
    pub text: String,
}

/// What is wrong, as far as the remedy differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// The log has what comes next no more: the shard must be copied from a peer.
    Trimmed,
    /// The log has lost what was acknowledged; nobody must follow it.
    Lost,
    /// This replica is not what its peers are.
    Diverged,
    /// The log has a record of a newer format version than this build reads.
    Newer(u8),
    /// A record or this machine's copy of the shard cannot be read.
    Damaged,
}

/// Why records of a shard are not applied any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("the index cannot be opened again")]
    Reopen(#[source] OpenError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("shard {shard}: record {found} came, and {expected} was next")]
    Gap { shard: ShardId, expected: Sequence, found: Sequence },
    /// The index was recovered, and what it lost since its last checkpoint cannot be had any more.
    #[error("shard {shard}: the index failed, and of what it had applied up to {told} only {left} is left")]
    Behind { shard: ShardId, told: Sequence, left: Sequence },
    #[error("shard {0}: {1}")]
    Log(ShardId, LogError),
}

impl FollowError {
    pub(crate) fn kind(&self) -> TroubleKind {
        match self {
            Self::Log(_, LogError::Trimmed(_)) | Self::Behind { .. } => TroubleKind::Trimmed,
            Self::Log(_, LogError::Lost(_)) => TroubleKind::Lost,
            Self::Log(_, LogError::Newer(version)) | Self::Record(RecordError::NewerVersion(version)) => {
                TroubleKind::Newer(*version)
            }
            _ => TroubleKind::Damaged,
        }
    }

    /// The error and what caused it, in a line.
    pub(crate) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        text
    }
}
