//! Follows one shard: what etcd holds first, then a watch from there on, for as long as the log is open.

use std::sync::Arc;
use std::time::Duration;

use paquebot_log::{Entry, Fed, Feed, LogError};
use paquebot_model::Record;
use paquebot_types::{Sequence, ShardId};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::change::{Change, changes};
use crate::failure::Failure;
use crate::kept::{Found, Kept};
use crate::kv::{Event, Watch, WatchEnded};
use crate::link::Link;
use crate::numbers::{Discord, Retained};
use crate::read::{self, PAGE};
use crate::shard::{Follow, Seen, Shard};

/// Between attempts.
const PAUSE: Duration = Duration::from_millis(100);

pub struct Tracker {
    pub link: Arc<Link>,
    pub shard: Arc<Shard>,
    pub follows: mpsc::Receiver<Follow>,
    pub feeds: Vec<Feed>,
    /// Followers that have more than this tracker has seen yet.
    pub early: Vec<Follow>,
    /// Where bodies lie that were written before the process started.
    pub found: Arc<Found>,
}

/// Why a watch, or a load, ended.
enum Ended {
    /// Begin again where it ended.
    Broken(Failure),
    /// Begin with what etcd holds.
    Compacted,
    /// Nobody has the log any more.
    Closed,
    /// The shard's log cannot be used any more.
    Failed(LogError),
}

impl Tracker {
    pub async fn run(mut self) {
        self.link.until_known().await;
        // Events up to this revision have been seen.
        let mut upto = None;
        loop {
            let ended = match &mut upto {
                None => self.load().await.map(|revision| upto = Some(revision)),
                Some(upto) => self.watch(upto).await,
            };
            match ended {
                Ok(()) => {}
                Err(Ended::Broken(failure)) => {
                    tracing::debug!(shard = %self.shard.id, %failure, "the log is followed at another member");
                    sleep(PAUSE).await;
                }
                Err(Ended::Compacted) => upto = None,
                Err(Ended::Closed) => return,
                Err(Ended::Failed(error)) => {
                    tracing::error!(shard = %self.shard.id, %error, "the log cannot be followed");
                    return self.fail(error).await;
                }
            }
        }
    }

    /// Takes what etcd holds now; gives its revision.
    async fn load(&mut self) -> Result<i64, Ended> {
        let holding = match read::holding(&self.link, self.shard.id).await {
            Ok(holding) => holding,
            Err(LogError::Unavailable(said)) => return Err(Ended::Broken(Failure::Unknown(said))),
            Err(error) => return Err(Ended::Failed(error)),
        };
        let first = self.shard.is_new();
        let (missed, new) = {
            let mut numbers = self.shard.numbers.lock();
            let before = numbers.end();
            let missed = match numbers.reload(holding.base, holding.records.clone()) {
                Ok(_) => false,
                Err(Discord::Missed) => {
                    numbers.replace(holding.base, holding.records);
                    !first
                }
                Err(discord) => return Err(Ended::Failed(LogError::Lost(discord.to_string()))),
            };
            let mut new = numbers.after(before.max(Sequence(holding.base.count))).unwrap_or_default();
            for (sequence, record) in &mut new {
                record.bodies = self.shard.arrived(record.id);
                if let Some(bodies) = &record.bodies {
                    numbers.set_bodies(*sequence, bodies.clone());
                }
            }
            (missed, new)
        };
        if missed {
            self.tell_failure(&LogError::Trimmed(self.shard.id)).await;
        } else if !self.feeds.is_empty() {
            let feeds = std::mem::take(&mut self.feeds);
            let fed = self.feed_page_by_page(&new, &feeds).await;
            self.feeds = feeds;
            if let Err(error) = fed {
                self.tell_failure(&error).await;
            }
        }
        self.saw(holding.revision);
        self.begin_early().await;
        Ok(holding.revision)
    }

    /// Watches from after `upto`, which it moves forward.
    async fn watch(&mut self, upto: &mut i64) -> Result<(), Ended> {
        let prefix = self.link.keys.shard(self.shard.id);
        let (watch, member) = self.link.watch(prefix, *upto + 1).await.map_err(Ended::Broken)?;
        match self.receive(watch, upto).await {
            Err(Ended::Broken(failure)) => Err(Ended::Broken(self.link.watch_failed(member, failure))),
            ended => ended,
        }
    }

    /// Until the watch ends, which it does without a word when this was too slow for it.
    async fn receive(&mut self, mut watch: Watch, upto: &mut i64) -> Result<(), Ended> {
        loop {
            // Biased, so that what happens follows from what came.
            tokio::select! {
                biased;
                follow = self.follows.recv() => match follow {
                    Some(follow) => self.begin(follow).await,
                    None => return Err(Ended::Closed),
                },
                events = watch.recv() => match events {
                    Some(Ok(events)) => self.take(&events, upto).await?,
                    Some(Err(WatchEnded::Broken(failure))) => return Err(Ended::Broken(failure)),
                    Some(Err(WatchEnded::Compacted)) => return Err(Ended::Compacted),
                    None => return Ok(()),
                },
                () = self.shard.lags.notified() => {
                    return Err(Ended::Broken(Failure::Unknown("the watch lags".into())));
                }
            }
        }
    }

    async fn take(&mut self, events: &[Event], upto: &mut i64) -> Result<(), Ended> {
        let changes = changes(&self.link.keys, self.shard.id, events).map_err(Ended::Failed)?;
        let mut entries = Vec::new();
        for change in changes {
            let revision = change.revision;
            if revision <= *upto {
                continue;
            }
            entries.extend(self.apply(change).map_err(|discord| Ended::Failed(LogError::Lost(discord.to_string())))?);
            *upto = revision;
        }
        if *upto > 0 {
            self.saw(*upto);
        }
        let end = self.shard.numbers.lock().end();
        self.shard.expect_no_older(end);
        if !entries.is_empty() {
            feed_all(&self.feeds, entries).await;
        }
        self.feeds.retain(|feed| !feed.is_closed());
        self.begin_early().await;
        Ok(())
    }

    fn apply(&self, change: Change) -> Result<Option<Entry>, Discord> {
        let mut numbers = self.shard.numbers.lock();
        if !change.removed.is_empty() || change.base.is_some() {
            numbers.removed(&change.removed, change.base)?;
        }
        let Some(record) = change.record else { return Ok(None) };
        let (revision, id) = (change.revision, record.id);
        let bodies = self.shard.arrived(id);
        if self.feeds.is_empty() {
            numbers.push(Retained { revision, id, bodies });
            return Ok(None);
        }
        // The pins go to those who follow.
        let sequence = numbers.push(Retained { revision, id, bodies: bodies.as_ref().map(Kept::unpinned) });
        Ok(Some(self.entry(sequence, record, bodies)))
    }

    fn entry(&self, sequence: Sequence, record: Record, bodies: Option<Kept>) -> Entry {
        // They may have been written in an earlier life.
        let Kept { places, pins, .. } = bodies.unwrap_or_else(|| self.found.take(&record));
        Entry { shard: self.shard.id, sequence, record, bodies: places, pins }
    }

    /// Followers whose start this tracker had not reached.
    async fn begin_early(&mut self) {
        for follow in std::mem::take(&mut self.early) {
            self.begin(follow).await;
        }
    }

    /// Feeds a follower what came before it, and from then on what comes.
    async fn begin(&mut self, follow: Follow) {
        let shard = self.shard.id;
        let (missed, end) = {
            let numbers = self.shard.numbers.lock();
            (numbers.after(follow.after), numbers.end())
        };
        let missed = match missed {
            None => return refuse(self.shard.id, follow, LogError::Trimmed(shard)).await,
            Some(_) if follow.after > end => match read::last(&self.link, shard).await {
                // The watch will bring it.
                Ok(last) if last >= follow.after => return self.early.push(follow),
                Ok(last) => {
                    let lost =
                        format!("the log of shard {shard} ends at {last}, and this node has applied {}", follow.after);
                    return refuse(self.shard.id, follow, LogError::Lost(lost)).await;
                }
                Err(error) => return refuse(self.shard.id, follow, error).await,
            },
            Some(missed) => missed,
        };
        let Follow { feed, reply, .. } = follow;
        let _ = reply.send(Ok(()));
        match self.feed_page_by_page(&missed, std::slice::from_ref(&feed)).await {
            Ok(()) => self.feeds.push(feed),
            Err(error) => {
                let _ = feed.send(Fed::Failed(shard, error)).await;
            }
        }
    }

    /// Reads these records and feeds them.
    async fn feed_page_by_page(&self, records: &[(Sequence, Retained)], feeds: &[Feed]) -> Result<(), LogError> {
        for page in records.chunks(PAGE) {
            let ids: Vec<_> = page.iter().map(|(_, record)| record.id).collect();
            let read = loop {
                match read::records(&self.link, self.shard.id, &ids).await {
                    // The follower has been told that it will be fed: it waits for etcd.
                    Err(LogError::Unavailable(_)) if feeds.iter().any(|feed| !feed.is_closed()) => sleep(PAUSE).await,
                    read => break read?,
                }
            };
            let entries = page.iter().zip(read);
            let entries = entries.map(|((sequence, kept), record)| self.entry(*sequence, record, kept.bodies.clone()));
            feed_all(feeds, entries.collect()).await;
            self.shard.numbers.lock().unpin(page);
        }
        Ok(())
    }

    fn saw(&self, revision: i64) {
        // 0 is before the first load, and etcd's first revision is 1.
        self.shard.see(Seen::Upto(revision.max(1)));
    }

    async fn tell_failure(&mut self, error: &LogError) {
        for feed in self.feeds.drain(..) {
            let _ = feed.send(Fed::Failed(self.shard.id, error.clone())).await;
        }
    }

    async fn fail(mut self, error: LogError) {
        self.shard.see(Seen::Failed(error.clone()));
        self.tell_failure(&error).await;
        for follow in std::mem::take(&mut self.early) {
            refuse(self.shard.id, follow, error.clone()).await;
        }
        while let Some(follow) = self.follows.recv().await {
            refuse(self.shard.id, follow, error.clone()).await;
        }
    }
}

async fn feed_all(feeds: &[Feed], entries: Vec<Entry>) {
    for feed in feeds {
        let _ = feed.send(Fed::Entries(entries.clone())).await;
    }
}

/// Tells the one who asked, or, where it waits no longer, its feed.
async fn refuse(shard: ShardId, follow: Follow, error: LogError) {
    if let Err(Err(error)) = follow.reply.send(Err(error)) {
        let _ = follow.feed.send(Fed::Failed(shard, error)).await;
    }
}
