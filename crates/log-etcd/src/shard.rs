//! What this node knows of a shard's log, shared by the tracker, which learns it, and those who append and trim.

use std::collections::HashMap;

use paquebot_log::{Feed, LogError};
use paquebot_model::{RecordId, WINDOW};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::kept::{KEPT, Kept};
use crate::numbers::Numbers;

/// Somebody wants the records after `after`.
pub struct Follow {
    pub after: Sequence,
    pub feed: Feed,
    pub reply: oneshot::Sender<Result<(), LogError>>,
}

/// How far the tracker is.
#[derive(Debug, Clone)]
pub enum Seen {
    /// Everything up to this revision of etcd.
    Upto(i64),
    /// It ended, and goes no further.
    Failed(LogError),
}

pub struct Shard {
    pub id: ShardId,
    pub numbers: Mutex<Numbers>,
    pub seen: watch::Sender<Seen>,
    pub follows: mpsc::Sender<Follow>,
    /// Told when the watch lags behind what is known to be there.
    pub lags: Notify,
    /// Where the bodies lie of records that are on their way.
    expected: Mutex<HashMap<RecordId, Expected>>,
}

struct Expected {
    /// What the record's proposer had applied.
    after: Sequence,
    bodies: Kept,
}

impl Shard {
    pub fn new(id: ShardId, follows: mpsc::Sender<Follow>) -> Self {
        let (seen, _) = watch::channel(Seen::Upto(0));
        Self { id, numbers: Mutex::default(), seen, follows, lags: Notify::new(), expected: Mutex::default() }
    }

    /// Why the shard's log cannot be used any more.
    pub fn failure(&self) -> Option<LogError> {
        match &*self.seen.borrow() {
            Seen::Upto(_) => None,
            Seen::Failed(error) => Some(error.clone()),
        }
    }

    /// Waits until the tracker has seen this revision.
    pub async fn reach(&self, revision: i64) -> Result<(), LogError> {
        let mut seen = self.seen.subscribe();
        let reached = seen.wait_for(|seen| match seen {
            Seen::Upto(upto) => *upto >= revision,
            Seen::Failed(_) => true,
        });
        match reached.await.as_deref() {
            Ok(Seen::Upto(_)) => Ok(()),
            Ok(Seen::Failed(error)) => Err(error.clone()),
            Err(_) => Err(LogError::Unavailable("the server is stopping".into())),
        }
    }

    /// A record is about to be appended, and its bodies lie here.
    pub fn expect(&self, id: RecordId, after: Sequence, bodies: Kept) {
        self.expected.lock().insert(id, Expected { after, bodies });
    }

    /// The record has come, or never will.
    pub fn arrived(&self, id: RecordId) -> Option<Kept> {
        self.expected.lock().remove(&id).map(|expected| expected.bodies)
    }

    /// Gives up what could not be applied any more if it came: its outcome was never learned.
    pub fn expect_no_older(&self, end: Sequence) {
        let mut expected = self.expected.lock();
        if !expected.is_empty() {
            expected.retain(|_, expected| expected.after.0.saturating_add(WINDOW) >= end.0);
        }
    }

    /// Gives up what has been kept for too long.
    pub fn expire(&self) {
        self.expected.lock().retain(|_, expected| expected.bodies.since.elapsed() <= KEPT);
        self.numbers.lock().expire();
    }
}
