//! What runs in the background: packs go to the bucket, from this disk, and from the bucket.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use paquebot_store::PackId;
use tokio::time::sleep;

use crate::error::S3Error;
use crate::service::Inner;

/// Packs that are looked up at a time, and of them sent at a time: many are single bodies of a few hundred KiB.
const BATCH: usize = 256;
const AT_ONCE: usize = 3;

/// Since when packs in the bucket are known to hold nothing that lives.
type Dead = HashMap<PackId, Instant>;

pub(crate) async fn run(service: Weak<Inner>) {
    let (mut dead, mut pause) = (Dead::new(), None);
    loop {
        let Some(inner) = service.upgrade() else { return };
        let (first, longest) = inner.options.pauses;
        let wait = match inner.round(&mut dead).await {
            Ok(is_all) => {
                inner.well();
                pause = None;
                if !is_all {
                    continue;
                }
                inner.options.interval
            }
            Err(S3Error::Stopping) => return,
            Err(error) => {
                inner.failed(&error);
                let wait = pause.map_or(first, |pause: std::time::Duration| (pause * 2).min(longest));
                pause = Some(wait);
                wait
            }
        };
        drop(inner);
        sleep(wait).await;
    }
}

impl Inner {
    /// Sends some packs, then evicts what is too much. Says whether all were sent.
    async fn round(&self, dead: &mut Dead) -> Result<bool, S3Error> {
        let is_first = self.progress.lock().failure.is_some() || self.progress.lock().packs == 0;
        if is_first {
            self.bucket.probe().await?;
        }
        let packs = self.blocking(|store| Ok(store.packs_to_send(BATCH)?)).await?;
        let is_all = packs.len() < BATCH;
        self.progress.lock().waiting = packs.len() as u64;
        let sent = stream::iter(packs).map(|pack| self.send(pack)).buffer_unordered(AT_ONCE).try_collect::<()>().await;
        self.look().await?;
        sent?;
        self.evict().await?;
        self.bury(dead).await?;
        self.look().await?;
        Ok(is_all)
    }

    async fn send(&self, pack: PackId) -> Result<(), S3Error> {
        let file = self.blocking(move |store| Ok(store.sealed_pack(pack)?)).await?;
        if let Some(file) = file {
            let sent = self.bucket.send(pack, file).await?;
            self.blocking(move |store| Ok(store.set_sent(pack, Some(sent))?)).await?;
            self.progress.lock().sent_bytes += sent.bytes;
        }
        let mut progress = self.progress.lock();
        progress.waiting = progress.waiting.saturating_sub(1);
        Ok(())
    }

    /// Removes from the disk what exceeds the cache, least recently read first; only what the bucket shows just then.
    async fn evict(&self) -> Result<(), S3Error> {
        let Some(limit) = self.options.cache_bytes else { return Ok(()) };
        let cached = self.blocking(|store| Ok(store.cached()?)).await?;
        let mut left: u64 = cached.iter().map(|cached| cached.sent.bytes).sum();
        let mut gone = Vec::new();
        for cached in cached {
            if left <= limit {
                break;
            }
            let pack = cached.pack;
            if self.bucket.len(pack, &cached.sent).await? == Some(cached.sent.bytes) {
                gone.push(pack);
                left = left.saturating_sub(cached.sent.bytes);
            } else {
                tracing::warn!(%pack, "a pack is no longer in the bucket as it was sent: it is sent again");
                self.blocking(move |store| Ok(store.set_sent(pack, None)?)).await?;
            }
        }
        if !gone.is_empty() {
            let bytes = self.blocking(move |store| Ok(store.evict(&gone)?)).await?;
            self.progress.lock().evicted_bytes += bytes;
        }
        Ok(())
    }

    /// Deletes the objects of packs in which nothing has lived for a while.
    async fn bury(&self, dead: &mut Dead) -> Result<(), S3Error> {
        let found = self.blocking(|store| Ok(store.dead_elsewhere()?)).await?;
        dead.retain(|pack, _| found.iter().any(|(found, _)| found == pack));
        for (pack, sent) in found {
            if dead.entry(pack).or_insert_with(Instant::now).elapsed() >= self.options.grace {
                self.bucket.delete(pack, &sent).await?;
                self.blocking(move |store| Ok(store.set_sent(pack, None)?)).await?;
                dead.remove(&pack);
            }
        }
        Ok(())
    }

    /// Counts what is where.
    async fn look(&self) -> Result<(), S3Error> {
        let ((packs, bytes), cached) = self.blocking(|store| Ok((store.sent_total()?, store.cached()?))).await?;
        let mut progress = self.progress.lock();
        (progress.packs, progress.bytes) = (packs, bytes);
        progress.cached_packs = cached.len() as u64;
        progress.cached_bytes = cached.iter().map(|cached| cached.sent.bytes).sum();
        Ok(())
    }

    fn well(&self) {
        if self.progress.lock().failure.take().is_some() {
            tracing::info!("packs are sent again");
        }
    }

    fn failed(&self, error: &S3Error) {
        let text = error.to_string();
        let mut progress = self.progress.lock();
        // Once for each cause: it is tried again and again.
        if progress.failure.as_ref() != Some(&text) {
            tracing::warn!(%error, "packs cannot be sent now; they wait, and none is evicted");
        }
        progress.failure = Some(text);
    }
}
