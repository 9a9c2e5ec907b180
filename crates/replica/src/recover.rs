//! A failed index: it is opened again as it was at its last checkpoint, and what came since is applied again before anybody reads it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use paquebot_log::{Entry, Fed, Log, LogError};
use paquebot_store::{IndexError, Location, OpenError, Recovery, WriteTxn};
use paquebot_types::{BlobHash, Sequence, ShardId};
use tokio::sync::mpsc;

use crate::FEED;
use crate::applier::{Applier, Hosted};
use crate::apply::{BatchError, Done, Unreadable, apply_batch, batch_len};
use crate::trouble::FollowError;

/// Between attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the index is not whole yet.
enum NotYet {
    /// It is tried again: a disk becomes empty, a quorum comes back.
    Again(String),
    /// It cannot become whole.
    Never(FollowError),
    /// The replica is gone.
    Over,
}

impl From<OpenError> for NotYet {
    fn from(error: OpenError) -> Self {
        Self::Again(FollowError::Reopen(error).text())
    }
}

impl From<IndexError> for NotYet {
    fn from(error: IndexError) -> Self {
        Self::Again(FollowError::Index(error).text())
    }
}

impl From<BatchError> for NotYet {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Index(error) => error.into(),
            BatchError::Rows(error) => Self::Again(error.to_string()),
        }
    }
}

/// What a shard's log has beyond the checkpoint, and its feed from there on.
struct CaughtUp {
    shard: ShardId,
    feed: mpsc::Receiver<Fed>,
    entries: Vec<Entry>,
}

impl Applier {
    /// Makes the index whole, with everything that was applied, and `entries`. While the disk is full that fails, and is tried again: what is in
    /// the log is never given up. Nobody reads the index before it shows all that was shown before.
    pub(crate) async fn recover(&mut self, entries: &[Entry]) {
        for attempt in 1.. {
            let recovered = match self.records_in_store {
                true => self.recover_from_store(entries),
                false => self.recover_from_log().await,
            };
            match recovered {
                Ok(()) => return tracing::info!(attempt, "the index is whole again"),
                Err(NotYet::Over) => return,
                Err(NotYet::Never(error)) => {
                    let shards: Vec<ShardId> = self.hosted.keys().copied().collect();
                    return shards.into_iter().for_each(|shard| self.fail(shard, &error));
                }
                Err(NotYet::Again(error)) => tracing::error!(error, attempt, "the index cannot be opened again yet"),
            }
            if self.unless_over(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// The store's tail has every record since the checkpoint.
    fn recover_from_store(&mut self, entries: &[Entry]) -> Result<(), NotYet> {
        let store = self.store.clone();
        let (recovery, tail) = store.recover_index()?;
        let mut missing = paquebot_log::entries(tail).map_err(|error| NotYet::Never(error.into()))?;
        let last: HashMap<ShardId, Sequence> = missing.iter().map(|entry| (entry.shard, entry.sequence)).collect();
        let is_later = |entry: &&Entry| last.get(&entry.shard).is_none_or(|last| entry.sequence > *last);
        let later: Vec<Entry> = entries.iter().filter(is_later).cloned().collect();
        missing.extend(later);
        self.catch_up(recovery, missing, &HashMap::new())
    }

    /// The log is followed again, from the checkpoint on.
    async fn recover_from_log(&mut self) -> Result<(), NotYet> {
        let store = self.store.clone();
        let followed: Vec<(ShardId, Sequence)> =
            self.followed().map(|(shard, hosted)| (shard, *hosted.told.borrow())).collect();
        // Opened only to see how far it is: the store takes bodies while the log is waited for.
        let left = {
            let (recovery, _) = store.recover_index()?;
            let left =
                |txn: &mut WriteTxn<'_>| followed.iter().map(|(shard, _)| Ok(txn.applied(*shard)?.sequence)).collect();
            recovery.write(left).map_err(|error: IndexError| NotYet::from(error))?
        };
        let Some(log) = self.log.upgrade() else { return Err(NotYet::Over) };
        for (shard, _) in &followed {
            self.feeds.remove(*shard);
        }
        let following = followed
            .iter()
            .zip::<Vec<Sequence>>(left)
            .map(|((shard, told), left)| follow_again(&*log, *shard, left, *told));
        let caught_up = self.unless_over(join_all(following)).await.ok_or(NotYet::Over)?;
        drop(log);
        let (mut missing, mut feeds) = (Vec::new(), Vec::new());
        for ((shard, _), caught_up) in followed.into_iter().zip(caught_up) {
            match caught_up {
                Ok(caught_up) => {
                    missing.extend(caught_up.entries);
                    feeds.push((caught_up.shard, caught_up.feed));
                }
                Err(LogError::Unavailable(why)) => return Err(NotYet::Again(why)),
                Err(error) => self.fail(shard, &FollowError::Log(shard, error)),
            }
        }
        let (recovery, tail) = store.recover_index()?;
        // The log gives a record's bodies once; where they lie is in the tail too. It is kept until they are named, since it pins them.
        let found = tail.groups.iter().flat_map(|group| group.bodies.iter().copied()).collect();
        self.catch_up(recovery, missing, &found)?;
        drop(tail);
        for (shard, feed) in feeds {
            if self.hosted.get(&shard).is_some_and(Hosted::is_followed) {
                self.feeds.add(shard, feed);
            }
        }
        Ok(())
    }

    /// Applies what the index misses, puts it into service, and tells of what nobody had been told of yet.
    fn catch_up(
        &mut self,
        recovery: Recovery<'_>,
        mut missing: Vec<Entry>,
        found: &HashMap<BlobHash, Location>,
    ) -> Result<(), NotYet> {
        missing.retain(|entry| self.hosted.get(&entry.shard).is_some_and(Hosted::is_followed));
        let mut results: Vec<Done> = Vec::with_capacity(missing.len());
        let mut rest = missing.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_len(rest));
            let done = recovery.write(|txn| apply_batch(txn, batch, found, Unreadable::IsTheShards))?;
            // Of what sessions have heard of before nothing is told again.
            results.extend(batch.iter().zip(done).map(|(entry, done)| match done {
                Done::Applied(_) if entry.sequence <= self.told(entry.shard) => Done::Passed,
                done => done,
            }));
            rest = later;
        }
        let behind = recovery.write(|txn| {
            let mut behind = Vec::new();
            for (shard, hosted) in &self.hosted {
                let (told, left) = (*hosted.told.borrow(), txn.applied(*shard)?.sequence);
                if left < told {
                    behind.push(FollowError::Behind { shard: *shard, told, left });
                }
            }
            Ok::<_, IndexError>(behind)
        })?;
        for error in &behind {
            let FollowError::Behind { shard, .. } = error else { continue };
            // Before anybody sees it as it was: who has a mailbox of it open is sent away.
            if let Some(hosted) = self.hosted.get(shard) {
                hosted.gone.send_replace(true);
            }
            self.fail(*shard, error);
        }
        recovery.finish();
        self.tell(missing.iter().zip(results));
        Ok(())
    }

    fn followed(&self) -> impl Iterator<Item = (ShardId, &Hosted)> {
        self.hosted.iter().filter(|(_, hosted)| hosted.is_followed()).map(|(shard, hosted)| (*shard, hosted))
    }

    fn told(&self, shard: ShardId) -> Sequence {
        self.hosted.get(&shard).map_or(Sequence::ZERO, |hosted| *hosted.told.borrow())
    }

    /// Waits for something, unless the replica is dropped meanwhile. What it commands is put off.
    async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let commands = &mut self.commands;
        if commands.are_over {
            return None;
        }
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                command = commands.receiver.recv() => match command {
                    Some(command) => commands.put_off.push(command),
                    None => {
                        commands.are_over = true;
                        return None;
                    }
                },
            }
        }
    }
}

/// Follows a shard from where the index was left, up to what had been told. A log that does not answer is waited for.
async fn follow_again(log: &dyn Log, shard: ShardId, left: Sequence, told: Sequence) -> Result<CaughtUp, LogError> {
    let (sender, mut feed) = mpsc::channel(FEED);
    log.follow(shard, left, sender).await?;
    let mut entries: Vec<Entry> = Vec::new();
    while entries.last().map_or(left, |entry| entry.sequence) < told {
        match feed.recv().await {
            Some(Fed::Entries(more)) => entries.extend(more),
            Some(Fed::Failed(_, error)) => return Err(error),
            None => return Err(LogError::Unavailable("the log has ended".into())),
        }
    }
    Ok(CaughtUp { shard, feed, entries })
}
