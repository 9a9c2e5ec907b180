//! Copying a shard from a peer.

use std::sync::Arc;

use paquebot_model::{Blob, key};
use paquebot_peer::{Peer, PeerError};
use paquebot_store::{Applied, ImportError, Store};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

/// Why a shard was not taken in. It is out of use until another attempt succeeds.
#[derive(Debug, thiserror::Error)]
pub enum TakeInError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("the server is stopping")]
    Stopping,
}

/// The body that a row names, if it is a blob's.
pub fn blob_of(key: &[u8], value: &[u8]) -> Option<(AccountId, BlobId, BlobHash)> {
    match key::parse_account_row(key) {
        Some((account, key::AccountRow::Blob(blob))) => Some((account, blob, Blob::decode(value)?.hash)),
        _ => None,
    }
}

/// Replaces what this machine has of a shard by the peer's copy of it; gives the sequence that the copy is at. The bodies that are here stay, and the
/// others are wanted. Nobody may follow the shard meanwhile.
pub async fn take_in(store: &Arc<Store>, peer: &Peer, shard: ShardId) -> Result<Sequence, TakeInError> {
    let mut copy = peer.snapshot(shard).await?;
    let header = copy.header();
    let here = store.clone();
    let mut import = blocking(move || here.begin_import(shard, blob_of)).await??;
    while let Some(chunk) = copy.next().await? {
        import = blocking(move || import.rows(&chunk).map(|()| import)).await??;
    }
    let applied = Applied { sequence: header.applied, chain: header.chain };
    blocking(move || import.finish(applied, header.state_hash)).await??;
    tracing::info!(%shard, from = %peer.node(), sequence = %header.applied, "a shard was copied from a peer");
    Ok(header.applied)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TakeInError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| TakeInError::Stopping)
}
