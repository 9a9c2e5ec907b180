//! One transaction: a batch of records of many shards.

use std::collections::{HashMap, HashSet};

use paquebot_log::Entry;
use paquebot_model::{Applied, ApplyError, Chain, Op, RowsError, apply};
use paquebot_store::{IndexError, Location, WriteTxn};
use paquebot_types::{BlobHash, ShardId};

use crate::trouble::FollowError;

/// Records applied in one transaction, at most.
const BATCH: usize = 1024;
/// Comparisons of hashes that cost less than a table of them.
const COMPARED: usize = 512;

/// What became of a record.
pub(crate) enum Done {
    Applied(Applied),
    /// This store had applied it already, or its shard failed before it.
    Passed,
    /// Nothing of it was written, and its shard must not go on.
    Failed(FollowError),
}

/// The whole batch comes to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Rows(RowsError),
}

/// What a row that cannot be read means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The index may be well when it is opened again.
    IsTheIndexs,
    /// It was just opened: the row is lost, and its shard with it.
    IsTheShards,
}

/// How many of these records the next batch has. One with a mark ends it: whoever hashes the shard sees it exactly as it is then.
pub(crate) fn batch_len(entries: &[Entry]) -> usize {
    let marked = entries.iter().take(BATCH).position(has_mark);
    marked.map_or(entries.len().min(BATCH), |at| at + 1)
}

pub(crate) fn has_mark(entry: &Entry) -> bool {
    entry.record.ops.iter().any(|op| matches!(op, Op::Mark))
}

/// Applies records; one shard's failure leaves the others' as they are. Bodies are where the entries say, or else `found`.
pub(crate) fn apply_batch(
    txn: &mut WriteTxn,
    entries: &[Entry],
    found: &HashMap<BlobHash, Location>,
    unreadable: Unreadable,
) -> Result<Vec<Done>, BatchError> {
    let mut failed: HashSet<ShardId> = HashSet::new();
    let mut done = Vec::with_capacity(entries.len());
    for entry in entries {
        done.push(match failed.contains(&entry.shard) {
            true => Done::Passed,
            false => match apply_one(txn, entry, found) {
                Ok(done) => done,
                Err(FollowError::Index(error)) => return Err(error.into()),
                Err(FollowError::Apply(ApplyError::Rows(error))) if unreadable == Unreadable::IsTheIndexs => {
                    return Err(BatchError::Rows(error));
                }
                Err(error) => {
                    failed.insert(entry.shard);
                    Done::Failed(error)
                }
            },
        });
    }
    Ok(done)
}

/// Applies a record. An error other than the index's comes before anything of it was written.
fn apply_one(txn: &mut WriteTxn, entry: &Entry, found: &HashMap<BlobHash, Location>) -> Result<Done, FollowError> {
    let Entry { shard, sequence, record, bodies, .. } = entry;
    let before = txn.applied(*shard)?;
    if *sequence <= before.sequence {
        return Ok(Done::Passed);
    }
    if *sequence != before.sequence.next() {
        return Err(FollowError::Gap { shard: *shard, expected: before.sequence.next(), found: *sequence });
    }
    let applied = apply(&txn.rows(*shard), Chain(before.chain), *sequence, record)?;
    txn.change(*shard, &applied.changes)?;
    let places = Places::of(bodies, applied.blobs_added.len());
    for (account, blob, hash) in &applied.blobs_added {
        match places.find(hash).or_else(|| found.get(hash).copied()) {
            Some(place) => txn.set_location(*shard, *account, *blob, place)?,
            // Some other node has it: it is fetched behind, or when somebody reads it.
            None => txn.want(*shard, *account, *blob, *hash)?,
        }
    }
    for (account, blob) in &applied.blobs_removed {
        txn.remove_location(*shard, *account, *blob)?;
    }
    txn.set_applied(*shard, *sequence, applied.chain.0)?;
    Ok(Done::Applied(applied))
}

/// Where bodies lie. A group's list comes with each of its records, which look for few of them or for many.
enum Places<'a> {
    Few(&'a [(BlobHash, Location)]),
    Many(HashMap<BlobHash, Location>),
}

impl<'a> Places<'a> {
    fn of(bodies: &'a [(BlobHash, Location)], looked_for: usize) -> Self {
        match bodies.len().saturating_mul(looked_for) <= COMPARED {
            true => Self::Few(bodies),
            false => Self::Many(bodies.iter().copied().collect()),
        }
    }

    fn find(&self, hash: &BlobHash) -> Option<Location> {
        match self {
            Self::Few(bodies) => bodies.iter().find(|(of, _)| of == hash).map(|(_, place)| *place),
            Self::Many(bodies) => bodies.get(hash).copied(),
        }
    }
}
