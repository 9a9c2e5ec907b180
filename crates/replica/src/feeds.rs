//! The feeds of all hosted shards as one.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{SelectAll, Stream};
use futures_util::{FutureExt, StreamExt};
use paquebot_log::Fed;
use paquebot_types::ShardId;
use tokio::sync::mpsc;

/// A feed for each shard: one that is full holds up no other, and waiting for the next piece costs the same whatever their number.
#[derive(Default)]
pub(crate) struct Feeds(SelectAll<ShardFeed>);

struct ShardFeed {
    shard: ShardId,
    fed: mpsc::Receiver<Fed>,
}

impl Stream for ShardFeed {
    type Item = (ShardId, Fed);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let shard = self.shard;
        self.fed.poll_recv(context).map(|fed| fed.map(|fed| (shard, fed)))
    }
}

impl Feeds {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, shard: ShardId, fed: mpsc::Receiver<Fed>) {
        self.0.push(ShardFeed { shard, fed });
    }

    /// Drops the feed of a shard with what is in it, which tells the log to stop feeding it.
    pub(crate) fn remove(&mut self, shard: ShardId) {
        let feeds = std::mem::take(&mut self.0);
        self.0 = feeds.into_iter().filter(|feed| feed.shard != shard).collect();
    }

    /// The next piece of some shard; `None` when all feeds have ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(ShardId, Fed)> {
        self.0.next().await
    }

    /// The next piece if there is one already.
    pub(crate) fn try_next(&mut self) -> Option<(ShardId, Fed)> {
        self.0.next().now_or_never().flatten()
    }
}
