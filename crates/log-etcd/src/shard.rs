//! What this node knows of a shard's log, shared by the tracker, which learns it, and those who append and trim.

use std::collections::HashMap;

use paquebot_log::{Feed, LogError};
use paquebot_model::{RecordId, WINDOW};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

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
    seen: Mutex<Seen>,
    /// Rung when `seen` has changed. It wakes in order, which `tokio::sync::watch` does not: so a simulated run can be repeated.
    saw: Notify,
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
        Self {
            id,
            numbers: Mutex::default(),
            seen: Mutex::new(Seen::Upto(0)),
            saw: Notify::new(),
            follows,
            lags: Notify::new(),
            expected: Mutex::default(),
        }
    }

    /// Why the shard's log cannot be used any more.
    pub fn failure(&self) -> Option<LogError> {
        match &*self.seen.lock() {
            Seen::Upto(_) => None,
            Seen::Failed(error) => Some(error.clone()),
        }
    }

    /// Waits until the tracker has seen this revision.
    pub async fn reach(&self, revision: i64) -> Result<(), LogError> {
        loop {
            let saw = self.saw.notified();
            match &*self.seen.lock() {
                Seen::Upto(upto) if *upto >= revision => return Ok(()),
                Seen::Failed(error) => return Err(error.clone()),
                Seen::Upto(_) => {}
            }
            saw.await;
        }
    }

    /// How far the tracker is now.
    pub fn see(&self, seen: Seen) {
        *self.seen.lock() = seen;
        self.saw.notify_waiters();
    }

    /// Whether the tracker has not seen anything yet.
    pub fn is_new(&self) -> bool {
        matches!(&*self.seen.lock(), Seen::Upto(0))
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
