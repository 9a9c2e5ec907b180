//! A body as it comes from another node: small ones in memory, large ones to the disk.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use paquebot_log::Body;
use paquebot_store::{StageError, StagedBody, Store};
use paquebot_types::BlobHash;

use crate::octets::PIECE_BYTES;

/// A body of more octets is written to disk as it comes.
pub(crate) const STAGED_BYTES: u64 = 256 << 10;

/// A body that is being received. Dropped, nothing of it is left.
pub(crate) enum Arriving {
    Memory(BytesMut),
    /// What is gathered to be written at once, and the file; it is with the thread that writes it, meanwhile.
    Disk(BytesMut, Box<StagedBody>),
}

/// Why a body was not received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArriveError {
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("its hash is {found}, and should be {expected}")]
    Other { found: BlobHash, expected: BlobHash },
    #[error("this node is stopping")]
    Stopping,
}

impl Arriving {
    pub(crate) fn in_memory() -> Self {
        Self::Memory(BytesMut::new())
    }

    pub(crate) async fn on_disk(store: &Arc<Store>) -> Result<Self, ArriveError> {
        let store = store.clone();
        let staged = blocking(move || store.stage()).await??;
        Ok(Self::Disk(BytesMut::new(), Box::new(staged)))
    }

    /// Takes the next octets.
    pub(crate) async fn write(self, octets: &Bytes) -> Result<Self, ArriveError> {
        match self {
            Self::Memory(mut bytes) => {
                bytes.extend_from_slice(octets);
                Ok(Self::Memory(bytes))
            }
            Self::Disk(mut gathered, staged) => {
                gathered.extend_from_slice(octets);
                if gathered.len() < PIECE_BYTES {
                    return Ok(Self::Disk(gathered, staged));
                }
                Self::flush(gathered, staged).await.map(|(gathered, staged)| Self::Disk(gathered, staged))
            }
        }
    }

    async fn flush(
        mut gathered: BytesMut,
        mut staged: Box<StagedBody>,
    ) -> Result<(BytesMut, Box<StagedBody>), ArriveError> {
        let work = move || {
            staged.write(&gathered)?;
            gathered.clear();
            Ok::<_, StageError>((gathered, staged))
        };
        Ok(blocking(work).await??)
    }

    /// Ends the body and proves it. A large one is on disk when this returns.
    pub(crate) async fn finish(self, expected: BlobHash) -> Result<Body, ArriveError> {
        let body = match self {
            Self::Memory(bytes) => {
                let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
                Body::Bytes { hash, bytes: bytes.freeze() }
            }
            Self::Disk(gathered, staged) => {
                let (_, staged) = Self::flush(gathered, staged).await?;
                Body::Staged(Arc::new(blocking(move || staged.finish()).await??))
            }
        };
        let found = body.hash();
        if found == expected { Ok(body) } else { Err(ArriveError::Other { found, expected }) }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ArriveError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ArriveError::Stopping)
}
