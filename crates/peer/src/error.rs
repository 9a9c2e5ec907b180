//! What may go wrong with a peer.

use crate::host::Refusal;
use crate::name::NodeName;

/// Why a peer did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PeerError {
    /// It was not reached: nothing was asked.
    #[error("node {node} cannot be reached at {address}: {why}")]
    Unreachable { node: NodeName, address: String, why: String },
    /// One of the two ends does not accept the other's certificate: nothing was asked.
    #[error("node {node} at {address}: {why}")]
    Certificate { node: NodeName, address: String, why: String },
    /// The connection broke, or no answer came in time: what was asked may have been done.
    #[error("node {node} gave no answer: {why}")]
    Broken { node: NodeName, why: String },
    /// It answered that it will not do it, or cannot.
    #[error("node {node} refused: {refusal}")]
    Refused { node: NodeName, refusal: Refusal },
    /// Its disk is full.
    #[error("node {node}: the disk is full")]
    Full { node: NodeName },
    /// What it sent is not what was asked for: a body whose hash is another, a chunk whose checksum is wrong, a snapshot that ends early.
    #[error("node {node} sent what is damaged: {why}")]
    Damaged { node: NodeName, why: String },
    /// This node could not do its own part of it, as when its disk is full.
    #[error("{0}")]
    Here(String),
}

impl PeerError {
    /// Whether it is sure that the peer has done nothing.
    pub fn is_nothing_done(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Certificate { .. } | Self::Refused { .. } | Self::Full { .. })
    }
}
