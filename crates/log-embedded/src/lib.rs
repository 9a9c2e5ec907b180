//! The log on one machine: the store's packs.
//!
//! Appending is one write of records and their bodies to the open pack and one sync, for all who ask at the same time. A record is
//! durable when that returns. What has been applied durably is forgotten with the store's checkpoints.

mod writer;

use std::collections::HashMap;
use std::sync::Arc;

use paquebot_log::{AppendError, Body, BoxFuture, Entry, Fed, Feed, Log, LogError, entries};
use paquebot_model::Record;
use paquebot_store::{Store, Tail};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use writer::{Request, Writer};

/// Appends that wait for the one that is being written, at most.
const QUEUE: usize = 1024;

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the log holds a record that cannot be read")]
    Record(#[from] paquebot_model::RecordError),
    #[error("cannot read the index")]
    Index(#[from] paquebot_store::IndexError),
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] std::io::Error),
}

/// The embedded engine.
pub struct EmbeddedLog {
    requests: mpsc::Sender<Request>,
    shards: Arc<Mutex<HashMap<ShardId, Shard>>>,
}

/// What the engine keeps of a shard.
#[derive(Default)]
struct Shard {
    last: Sequence,
    /// Records that have not been trimmed: at least those that the store has not applied, for whoever follows anew.
    retained: std::collections::VecDeque<Entry>,
    /// How many of them there may be before those that the store has applied go.
    retained_max: usize,
    /// Octets of the records that came since the store was asked.
    unasked_bytes: usize,
    feeds: Vec<Feed>,
}

impl EmbeddedLog {
    /// Goes on where the store is; `tail` is what opening the store gave.
    pub fn open(store: Arc<Store>, tail: Tail) -> Result<Self, OpenError> {
        let mut shards: HashMap<ShardId, Shard> = HashMap::new();
        for (shard, last) in store.read()?.shards()? {
            shards.entry(shard).or_default().last = last;
        }
        for entry in entries(tail)? {
            let shard = shards.entry(entry.shard).or_default();
            shard.last = shard.last.max(entry.sequence);
            shard.retained.push_back(entry);
        }
        let shards = Arc::new(Mutex::new(shards));
        let (requests, receiver) = mpsc::channel(QUEUE);
        let writer = Writer { store, shards: shards.clone() };
        let thread = std::thread::Builder::new().name("log".into());
        thread.spawn(move || writer.run(receiver)).map_err(OpenError::Thread)?;
        Ok(Self { requests, shards })
    }
}

impl Log for EmbeddedLog {
    fn append(
        &self,
        shard: ShardId,
        record: Record,
        bodies: Vec<Body>,
    ) -> BoxFuture<'_, Result<Sequence, AppendError>> {
        Box::pin(async move {
            let (reply, sequence) = oneshot::channel();
            let request = Request { shard, record, bodies, reply };
            let stopped = |_| AppendError::Unavailable("the server is stopping".into());
            self.requests.send(request).await.map_err(stopped)?;
            sequence.await.unwrap_or_else(|_| Err(AppendError::Unknown("the server is stopping".into())))
        })
    }

    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let mut shards = self.shards.lock();
            let found = shards.entry(shard).or_default();
            let first = found.retained.front().map_or(found.last.next(), |entry| entry.sequence);
            if after.next() < first {
                return Err(LogError::Trimmed(shard));
            }
            let missed: Vec<Entry> = found.retained.iter().filter(|entry| entry.sequence > after).cloned().collect();
            if !missed.is_empty() {
                // In one piece and before any later record; a feed that has no room for its first piece has no receiver that reads.
                let full = |_| LogError::Unavailable("the feed takes no records".into());
                feed.try_send(Fed::Entries(missed)).map_err(full)?;
            }
            found.feeds.push(feed);
            Ok(())
        })
    }

    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>> {
        let last = self.shards.lock().get(&shard).map_or(Sequence::ZERO, |shard| shard.last);
        Box::pin(std::future::ready(Ok(last)))
    }

    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>> {
        if let Some(shard) = self.shards.lock().get_mut(&shard) {
            while shard.retained.pop_front_if(|entry| entry.sequence <= upto).is_some() {}
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn records_in_store(&self) -> bool {
        true
    }
}
