//! A log that goes wrong, as networks and machines do: for tests of what stands above it, and of engines by [`suite::run_with_faults`].
//!
//! [`suite::run_with_faults`]: crate::suite::run_with_faults

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paquebot_model::{Record, RecordId};
use paquebot_types::{Sequence, ShardId};
use tokio::sync::mpsc;

use crate::{AppendError, Body, BoxFuture, Feed, Log, LogError};

/// The longest delay.
const DELAY_MAX: Duration = Duration::from_millis(5);
/// Of this many attempts of an append, one is refused, of another the answer is lost, and another is sent twice.
const ONE_IN: u64 = 6;

/// Delays, loses answers, sends twice and refuses. What befalls an attempt follows from the seed, the record's id and the attempt's number.
pub struct FaultyLog {
    inner: Arc<dyn Log>,
    seed: u64,
    attempts: Mutex<HashMap<RecordId, u64>>,
}

impl FaultyLog {
    pub fn new(inner: Arc<dyn Log>, seed: u64) -> Self {
        Self { inner, seed, attempts: Mutex::default() }
    }

    fn chance(&self, of: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, of).hash(&mut hasher);
        hasher.finish()
    }

    fn attempt(&self, id: RecordId) -> u64 {
        let mut attempts = self.attempts.lock().expect("nobody panics with the lock");
        let attempt = attempts.entry(id).or_default();
        *attempt += 1;
        *attempt
    }
}

fn delay(chance: u64) -> Duration {
    DELAY_MAX.mul_f64((chance >> 32) as f64 / f64::from(u32::MAX))
}

impl Log for FaultyLog {
    fn append(
        &self,
        shard: ShardId,
        record: Record,
        bodies: Vec<Body>,
    ) -> BoxFuture<'_, Result<Sequence, AppendError>> {
        Box::pin(async move {
            let chance = self.chance((record.id.0, self.attempt(record.id)));
            tokio::time::sleep(delay(chance)).await;
            match chance % ONE_IN {
                0 => Err(AppendError::Unavailable("a fault: it was not sent".into())),
                1 => {
                    self.inner.append(shard, record, bodies).await?;
                    Err(AppendError::Unknown("a fault: the answer was lost".into()))
                }
                2 => {
                    self.inner.append(shard, record.clone(), bodies).await?;
                    self.inner.append(shard, record, Vec::new()).await
                }
                _ => self.inner.append(shard, record, bodies).await,
            }
        })
    }

    /// Each piece comes late.
    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let (late, mut entries) = mpsc::channel(1024);
            self.inner.follow(shard, after, late).await?;
            let mut chance = self.chance((shard, after));
            tokio::spawn(async move {
                while let Some(fed) = entries.recv().await {
                    chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    tokio::time::sleep(delay(chance)).await;
                    if feed.send(fed).await.is_err() {
                        return;
                    }
                }
            });
            Ok(())
        })
    }

    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>> {
        self.inner.last(shard)
    }

    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.trim(shard, upto)
    }

    fn records_in_store(&self) -> bool {
        self.inner.records_in_store()
    }
}
