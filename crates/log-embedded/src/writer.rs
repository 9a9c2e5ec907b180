//! The thread that writes: all appends that wait become one group.

use std::collections::HashMap;
use std::sync::Arc;

use paquebot_log::{AppendError, Body, Entry, Fed};
use paquebot_model::Record;
use paquebot_store::{GroupItem, Store};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::Shard;

/// Octets of bodies and records in a group, at most, beyond those of its first append.
const GROUP_BYTES: usize = 16 << 20;
/// Appends in a group, at most.
const GROUP_APPENDS: usize = 256;

/// Records of a shard kept though the store may have applied them: asking it costs more than keeping a few.
const RETAINED: usize = 256;
/// Octets of records after which the store is asked however few they are: one that brings a thousand messages has half a megabyte.
const RETAINED_BYTES: usize = 256 << 10;

/// An append that waits.
pub struct Request {
    pub shard: ShardId,
    pub record: Record,
    pub bodies: Vec<Body>,
    pub reply: oneshot::Sender<Result<Sequence, AppendError>>,
}

pub struct Writer {
    pub store: Arc<Store>,
    pub shards: Arc<Mutex<HashMap<ShardId, Shard>>>,
}

impl Writer {
    /// Writes until nobody can ask any more.
    pub fn run(self, mut requests: mpsc::Receiver<Request>) {
        let mut left_over = None;
        loop {
            let Some(first) = left_over.take().or_else(|| requests.blocking_recv()) else { return };
            let mut group = vec![first];
            let mut bytes = 0;
            while group.len() < GROUP_APPENDS {
                let Ok(next) = requests.try_recv() else { break };
                bytes += next.bodies.iter().map(Body::unwritten_bytes).sum::<usize>();
                if bytes > GROUP_BYTES {
                    left_over = Some(next);
                    break;
                }
                group.push(next);
            }
            self.write(group);
        }
    }

    fn write(&self, group: Vec<Request>) {
        let sequences = self.next_sequences(&group);
        let encoded: Vec<Vec<u8>> = group.iter().map(|request| request.record.encode()).collect();
        let mut items = Vec::new();
        for request in &group {
            items.extend(request.bodies.iter().map(|body| match body {
                Body::Bytes { hash, bytes } => GroupItem::Body { hash: *hash, bytes },
                Body::Staged(blob) => GroupItem::Staged(blob),
            }));
        }
        for ((request, sequence), bytes) in group.iter().zip(&sequences).zip(&encoded) {
            items.push(GroupItem::Record { shard: request.shard, sequence: *sequence, bytes });
        }
        match self.store.append_group(&items) {
            Ok(appended) => {
                let bytes: Vec<usize> = encoded.iter().map(Vec::len).collect();
                self.publish(group, &sequences, &bytes, appended.bodies.into());
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be written");
                for request in group {
                    let _ = request.reply.send(Err(refusal(&error)));
                }
            }
        }
    }

    /// The sequence of each record. They count as given once the group is on disk.
    fn next_sequences(&self, group: &[Request]) -> Vec<Sequence> {
        let shards = self.shards.lock();
        let mut next: HashMap<ShardId, Sequence> = HashMap::new();
        let given = group.iter().map(|request| {
            let last = || shards.get(&request.shard).map_or(Sequence::ZERO, |shard| shard.last);
            let sequence = next.entry(request.shard).or_insert_with(last);
            *sequence = sequence.next();
            *sequence
        });
        given.collect()
    }

    /// Tells followers, then appenders.
    fn publish(
        &self,
        group: Vec<Request>,
        sequences: &[Sequence],
        bytes: &[usize],
        bodies: Arc<[(paquebot_types::BlobHash, paquebot_store::Location)]>,
    ) {
        let mut fed: HashMap<ShardId, (Vec<Entry>, usize)> = HashMap::new();
        let mut replies = Vec::new();
        for ((request, sequence), bytes) in group.into_iter().zip(sequences).zip(bytes) {
            let Request { shard, record, reply, .. } = request;
            let (entries, sum) = fed.entry(shard).or_default();
            *sum += bytes;
            entries.push(Entry { shard, sequence: *sequence, record, bodies: bodies.clone(), pins: Vec::new() });
            replies.push((reply, *sequence));
        }
        for (shard, (entries, bytes)) in fed {
            let feeds = {
                let mut shards = self.shards.lock();
                let found = shards.entry(shard).or_default();
                found.last = entries.last().map_or(found.last, |entry| entry.sequence);
                found.retained.extend(entries.iter().cloned());
                found.unasked_bytes = found.unasked_bytes.saturating_add(bytes);
                found.feeds.retain(|feed| !feed.is_closed());
                found.feeds.clone()
            };
            // Outside the lock: a follower that lags makes this wait, and it trims.
            for feed in &feeds {
                let _ = feed.blocking_send(Fed::Entries(entries.clone()));
            }
            self.trim(shard);
        }
        for (reply, sequence) in replies {
            let _ = reply.send(Ok(sequence));
        }
    }
}

impl Writer {
    /// Forgets what the store has applied, once there is much of it.
    fn trim(&self, shard: ShardId) {
        let is_due = |shard: &Shard| {
            shard.retained.len() > shard.retained_max.max(RETAINED) || shard.unasked_bytes > RETAINED_BYTES
        };
        if !self.shards.lock().get(&shard).is_some_and(is_due) {
            return;
        }
        // An index that cannot be read has applied nothing for now.
        let applied =
            self.store.read().and_then(|txn| txn.applied(shard)).map_or(Sequence::ZERO, |applied| applied.sequence);
        if let Some(shard) = self.shards.lock().get_mut(&shard) {
            while shard.retained.pop_front_if(|entry| entry.sequence <= applied).is_some() {}
            // Where the store lags, it is not asked each time.
            shard.retained_max = 2 * shard.retained.len();
            shard.unasked_bytes = 0;
        }
    }
}

fn refusal(error: &paquebot_store::AppendError) -> AppendError {
    use paquebot_store::AppendError as Store;
    match error {
        Store::Full(_) => AppendError::Full,
        Store::TooLarge { .. } | Store::Failed { .. } | Store::Poisoned => AppendError::Unavailable(error.to_string()),
        Store::Unknown { .. } => AppendError::Unknown(error.to_string()),
    }
}
