//! What peers ask this node for.

use bytes::Bytes;
use paquebot_peer::{BodyName, Refusal, Snapshot, SnapshotHeader};
use paquebot_store::{BodyFile, Export, ExportError, ReadError, Store, Wanted};
use paquebot_types::ShardId;

/// The body of a message, to be read; `None` if this node does not have it, or has found it damaged just now.
pub fn body(store: &Store, name: BodyName) -> Result<Option<BodyFile>, Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::Failed(error.to_string());
    let txn = store.read().map_err(|error| failed(&error))?;
    let location = txn.location(name.shard, name.account, name.blob).map_err(|error| failed(&error))?;
    let Some(location) = location else { return Ok(None) };
    match store.body_file_anywhere(location) {
        Ok(file) => Ok(Some(file)),
        Err(error @ (ReadError::Corrupt { .. } | ReadError::Gone { .. } | ReadError::Elsewhere { .. })) => {
            tracing::warn!(?name, %error, "a body that a peer asked for cannot be read");
            Ok(None)
        }
        Err(error) => Err(failed(&error)),
    }
}

/// A peer was given a body, and it was found damaged on the way: this node wants it anew.
pub fn damaged(store: &Store, name: BodyName, file: &BodyFile) {
    let BodyName { shard, account, blob } = name;
    let wanted = Wanted { shard, account, blob, hash: file.hash() };
    let location = store.read().and_then(|txn| txn.location(shard, account, blob));
    let doubted = match location {
        Ok(Some(location)) => store.doubt(&wanted, location),
        Ok(None) => return,
        Err(error) => Err(error),
    };
    match doubted {
        Ok(_) => tracing::warn!(?wanted, "a body is damaged on this machine: it is fetched from another"),
        Err(error) => tracing::error!(?wanted, %error, "a body is damaged, and it cannot be noted"),
    }
}

/// A consistent copy of a shard.
pub fn export(store: &Store, shard: ShardId) -> Result<Box<dyn Snapshot>, Refusal> {
    let refused = |error: ExportError| match error {
        ExportError::NotWhole { .. } => Refusal::NotHere(error.to_string()),
        error => Refusal::Failed(error.to_string()),
    };
    let export = store.export(shard).map_err(refused)?;
    // The hash comes first, so that nobody takes in what he cannot prove.
    let state_hash = export.hash_of_all().map_err(|error| Refusal::Failed(error.to_string()))?;
    let applied = export.applied();
    let header = SnapshotHeader { applied: applied.sequence, chain: applied.chain, state_hash };
    Ok(Box::new(Copy { export, header }))
}

struct Copy {
    export: Export,
    header: SnapshotHeader,
}

impl Snapshot for Copy {
    fn header(&self) -> SnapshotHeader {
        self.header
    }

    fn next(&mut self) -> Result<Option<Bytes>, String> {
        self.export.next_chunk().map_err(|error| error.to_string())
    }
}
