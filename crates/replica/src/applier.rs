//! The thread that applies records to the store, in the log's order.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use paquebot_log::{Entry, Fed, Log};
use paquebot_model::{Applied, ApplyError, Chain, apply};
use paquebot_store::{IndexError, Location, Store, WriteTxn};
use paquebot_types::{BlobHash, Sequence, ShardId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::proposer::{ProposeError, Waiting};

/// Hears of every record once it is applied and can be read, before its proposer does.
pub type Watcher = Arc<dyn Fn(ShardId, Sequence, &Applied) + Send + Sync>;

/// Records applied in one transaction, at most.
const BATCH: usize = 256;
/// Between attempts to open a failed index again.
const RECOVERY_PAUSE: Duration = Duration::from_secs(1);

/// Why this node does not apply records any more. It serves what it has, and takes no changes.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("the index cannot be opened again")]
    Reopen(#[source] paquebot_store::OpenError),
    #[error(transparent)]
    Record(#[from] paquebot_model::RecordError),
    #[error("shard {shard}: record {found} came, and {expected} was next")]
    Gap { shard: ShardId, expected: Sequence, found: Sequence },
    #[error("shard {0}: the log names a body that this machine does not have")]
    NoBody(ShardId),
    #[error("shard {0}: {1}")]
    Log(ShardId, paquebot_log::LogError),
}

/// What the applying thread works with.
pub struct Applier {
    pub store: Arc<Store>,
    /// Weak: the log feeds this thread, which must end when nobody else has the log.
    pub log: Weak<dyn Log>,
    pub waiting: Arc<Waiting>,
    pub watcher: Watcher,
    pub applied: Vec<(ShardId, watch::Sender<Sequence>)>,
    pub failed: watch::Sender<Option<String>>,
    /// Dropped when the thread has let go of the store.
    pub ended: oneshot::Sender<()>,
}

impl Applier {
    /// Applies what is fed until the feed ends.
    pub fn run(self, feed: mpsc::Receiver<Fed>) {
        self.follow(feed);
        let Self { store, ended, .. } = self;
        drop(store);
        drop(ended);
    }

    fn follow(&self, mut feed: mpsc::Receiver<Fed>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        while let Some(first) = feed.blocking_recv() {
            let mut fed = vec![first];
            while fed.len() < BATCH {
                match feed.try_recv() {
                    Ok(next) => fed.push(next),
                    Err(_) => break,
                }
            }
            if let Err(error) = self.apply_all(fed) {
                tracing::error!(%error, "records cannot be applied: this node serves what it has and takes no changes");
                self.failed.send_replace(Some(error.to_string()));
                self.waiting.fail_all(&ProposeError::Unknown(error.to_string()));
                // What comes now is not applied; its proposers are told that the outcome is unknown.
                while feed.blocking_recv().is_some() {
                    self.waiting.fail_all(&ProposeError::Unknown(error.to_string()));
                }
                return;
            }
            if let (Ok(runtime), Some(log)) = (&runtime, self.log.upgrade()) {
                for (shard, applied) in &self.applied {
                    let upto = *applied.borrow();
                    if let Err(error) = runtime.block_on(log.trim(*shard, upto)) {
                        tracing::warn!(%shard, %error, "the log cannot be trimmed");
                    }
                }
            }
        }
    }

    fn apply_all(&self, fed: Vec<Fed>) -> Result<(), FollowError> {
        let mut entries = Vec::new();
        for fed in fed {
            match fed {
                Fed::Entries(more) => entries.extend(more),
                Fed::Failed(shard, error) => return Err(FollowError::Log(shard, error)),
            }
        }
        let applied = self.store.write(|txn| entries.iter().map(|entry| apply_one(txn, entry)).collect());
        match applied {
            Ok(applied) => self.tell(entries, applied),
            Err(FollowError::Index(error)) => {
                tracing::error!(%error, "the index failed; it is opened again as it was last made durable");
                self.recover(entries)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Opens the index as it was at the last checkpoint and applies what came since, and then these entries. While the disk is full that fails,
    /// and is tried again: what is in the log is never given up.
    fn recover(&self, entries: Vec<Entry>) -> Result<(), FollowError> {
        for attempt in 1.. {
            match self.try_to_recover(&entries) {
                Ok(applied) => {
                    tracing::info!(attempt, "the index is whole again");
                    let (entries, applied) = applied.into_iter().unzip();
                    self.tell(entries, applied);
                    break;
                }
                Err(FollowError::Index(error)) => {
                    tracing::error!(%error, attempt, "the index cannot be opened again yet")
                }
                Err(FollowError::Reopen(error)) => {
                    tracing::error!(%error, attempt, "the index cannot be opened again yet")
                }
                Err(error) => return Err(error),
            }
            std::thread::sleep(RECOVERY_PAUSE);
        }
        Ok(())
    }

    fn try_to_recover(&self, entries: &[Entry]) -> Result<Vec<(Entry, Option<Applied>)>, FollowError> {
        let told: Vec<(ShardId, Sequence)> =
            self.applied.iter().map(|(shard, applied)| (*shard, *applied.borrow())).collect();
        let (recovery, tail) = self.store.recover_index().map_err(FollowError::Reopen)?;
        let mut missing = paquebot_log::entries(tail)?;
        let last = |shard| {
            missing.iter().rev().find(|entry| entry.shard == shard).map_or(Sequence::ZERO, |entry| entry.sequence)
        };
        let later: Vec<Entry> = entries.iter().filter(|entry| entry.sequence > last(entry.shard)).cloned().collect();
        missing.extend(later);
        let mut done = Vec::new();
        for batch in missing.chunks(BATCH) {
            let applied: Vec<Option<Applied>> = recovery
                .write(|txn| batch.iter().map(|entry| apply_one(txn, entry)).collect::<Result<_, FollowError>>())?;
            let batch = batch.iter().cloned().zip(applied);
            // Sessions have heard of what was applied before the index failed.
            done.extend(
                batch.filter(|(entry, _)| told.iter().all(|told| entry.shard != told.0 || entry.sequence > told.1)),
            );
        }
        recovery.finish();
        Ok(done)
    }

    /// Lets readers and proposers know.
    fn tell(&self, entries: Vec<Entry>, applied: Vec<Option<Applied>>) {
        for (entry, applied) in entries.into_iter().zip(applied) {
            let Some(applied) = applied else { continue };
            (self.watcher)(entry.shard, entry.sequence, &applied);
            if let Some((_, sequence)) = self.applied.iter().find(|(shard, _)| *shard == entry.shard) {
                sequence.send_replace(entry.sequence);
            }
            self.waiting.resolve(entry.record.id, applied.outcomes);
        }
    }
}

/// Applies a record; `None` for one that this store had applied already.
fn apply_one(txn: &mut WriteTxn, entry: &Entry) -> Result<Option<Applied>, FollowError> {
    let Entry { shard, sequence, record, bodies, .. } = entry;
    let before = txn.applied(*shard)?;
    if *sequence <= before.sequence {
        return Ok(None);
    }
    if *sequence != before.sequence.next() {
        return Err(FollowError::Gap { shard: *shard, expected: before.sequence.next(), found: *sequence });
    }
    let applied = apply(&txn.rows(*shard), Chain(before.chain), *sequence, record)?;
    txn.change(*shard, &applied.changes)?;
    let places: HashMap<BlobHash, Location> = bodies.iter().copied().collect();
    for (account, blob, hash) in &applied.blobs_added {
        let place = places.get(hash).ok_or(FollowError::NoBody(*shard))?;
        txn.set_location(*shard, *account, *blob, *place)?;
    }
    for (account, blob) in &applied.blobs_removed {
        txn.remove_location(*shard, *account, *blob)?;
    }
    txn.set_applied(*shard, *sequence, applied.chain.0)?;
    Ok(Some(applied))
}
