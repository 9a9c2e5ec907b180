//! A log in memory, as one that is elsewhere: the store has none of its records.

use std::collections::HashMap;
use std::sync::Mutex;

use paquebot_log::{AppendError, Body, BoxFuture, Entry, Fed, Feed, Log, LogError};
use paquebot_model::Record;
use paquebot_types::{Sequence, ShardId};

#[derive(Default)]
pub struct MemoryLog {
    shards: Mutex<HashMap<ShardId, Shard>>,
}

#[derive(Default)]
struct Shard {
    entries: Vec<Entry>,
    trimmed: u64,
    feeds: Vec<Feed>,
    is_held: bool,
    held: Vec<Entry>,
}

impl MemoryLog {
    /// Tells a shard's followers that the log cannot go on.
    pub fn fail(&self, shard: ShardId, error: &LogError) {
        for feed in self.shards.lock().unwrap().entry(shard).or_default().feeds.drain(..) {
            feed.try_send(Fed::Failed(shard, error.clone())).unwrap();
        }
    }

    /// Feeds what is appended from now on only when [`Self::release`] is called.
    pub fn hold(&self, shard: ShardId) {
        self.shards.lock().unwrap().entry(shard).or_default().is_held = true;
    }

    pub fn release(&self, shard: ShardId) {
        let mut shards = self.shards.lock().unwrap();
        let found = shards.entry(shard).or_default();
        found.is_held = false;
        for entry in std::mem::take(&mut found.held) {
            found.feed(entry);
        }
    }

    /// How many follow a shard and still listen.
    pub fn followers(&self, shard: ShardId) -> usize {
        let mut shards = self.shards.lock().unwrap();
        let feeds = &mut shards.entry(shard).or_default().feeds;
        feeds.retain(|feed| !feed.is_closed());
        feeds.len()
    }
}

impl Shard {
    fn last(&self) -> Sequence {
        self.entries.last().map_or(Sequence::ZERO, |entry| entry.sequence)
    }

    fn feed(&mut self, entry: Entry) {
        self.feeds.retain(|feed| feed.try_send(Fed::Entries(vec![entry.clone()])).is_ok());
    }
}

impl Log for MemoryLog {
    fn append(&self, shard: ShardId, record: Record, _: Vec<Body>) -> BoxFuture<'_, Result<Sequence, AppendError>> {
        let mut shards = self.shards.lock().unwrap();
        let found = shards.entry(shard).or_default();
        let known = found.entries.iter().find(|entry| entry.record.id == record.id).map(|entry| entry.sequence);
        let sequence = known.unwrap_or_else(|| {
            let sequence = found.last().next();
            let entry = Entry { shard, sequence, record, bodies: Vec::new().into(), pins: Vec::new() };
            found.entries.push(entry.clone());
            match found.is_held {
                true => found.held.push(entry),
                false => found.feed(entry),
            }
            sequence
        });
        Box::pin(std::future::ready(Ok(sequence)))
    }

    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>> {
        let mut shards = self.shards.lock().unwrap();
        let found = shards.entry(shard).or_default();
        if after.0 < found.trimmed {
            return Box::pin(std::future::ready(Err(LogError::Trimmed(shard))));
        }
        let missed: Vec<Entry> = found.entries.iter().filter(|entry| entry.sequence > after).cloned().collect();
        feed.try_send(Fed::Entries(missed)).unwrap();
        found.feeds.push(feed);
        Box::pin(std::future::ready(Ok(())))
    }

    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>> {
        let last = self.shards.lock().unwrap().get(&shard).map_or(Sequence::ZERO, Shard::last);
        Box::pin(std::future::ready(Ok(last)))
    }

    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>> {
        self.shards.lock().unwrap().entry(shard).or_default().trimmed = upto.0;
        Box::pin(std::future::ready(Ok(())))
    }
}
