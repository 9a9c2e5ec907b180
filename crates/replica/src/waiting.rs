//! Who waits for the outcomes of which record.

use std::collections::HashMap;

use paquebot_model::{Outcome, RecordId};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::proposer::ProposeError;

pub(crate) type Reply = oneshot::Sender<Result<Vec<Outcome>, ProposeError>>;

/// Those who proposed a record: the number of ops of each, in order.
pub(crate) type Waiters = Vec<(usize, Reply)>;

/// Who waits in one shard.
#[derive(Default)]
pub(crate) struct Waiting {
    inner: Mutex<Inner>,
    /// Rung when nobody waits any more.
    empty: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<RecordId, Waiters>,
    /// What is said to everybody who comes now.
    refusal: Option<ProposeError>,
}

impl Waiting {
    /// Has them wait for a record that is about to be appended. If the shard takes none, they hear so, and this is `false`.
    pub(crate) fn insert(&self, id: RecordId, waiters: Waiters) -> bool {
        let mut inner = self.inner.lock();
        match inner.refusal.clone() {
            Some(error) => {
                drop(inner);
                answer(waiters, &error);
                false
            }
            None => {
                inner.waiting.insert(id, waiters);
                true
            }
        }
    }

    /// What is said to everybody who proposes now.
    pub(crate) fn refusal(&self) -> Option<ProposeError> {
        self.inner.lock().refusal.clone()
    }

    /// Gives each waiter of a record the outcomes of its ops.
    pub(crate) fn resolve(&self, id: RecordId, outcomes: Vec<Outcome>) {
        let mut outcomes = outcomes.into_iter();
        for (count, reply) in self.take(id) {
            let own: Vec<Outcome> = outcomes.by_ref().take(count).collect();
            let result = match own.len() == count {
                true => Ok(own),
                false => Err(ProposeError::Unknown("the record was applied before".into())),
            };
            // A session that has ended does not wait for its answer.
            let _ = reply.send(result);
        }
    }

    pub(crate) fn fail(&self, id: RecordId, error: &ProposeError) {
        answer(self.take(id), error);
    }

    /// Refuses whoever comes from now on. Who waits already goes on waiting.
    pub(crate) fn refuse(&self, error: ProposeError) {
        self.inner.lock().refusal.get_or_insert(error);
    }

    /// The same, and those who wait are told that nobody knows: their records may be in the log, and this node will not apply them.
    pub(crate) fn close(&self, why: &str) {
        let mut inner = self.inner.lock();
        inner.refusal.get_or_insert_with(|| ProposeError::Unavailable(why.into()));
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        answer(waiting.into_values().flatten().collect(), &ProposeError::Unknown(why.into()));
        self.empty.notify_waiters();
    }

    /// Resolves when nobody waits.
    pub(crate) async fn idle(&self) {
        loop {
            let rung = self.empty.notified();
            if self.inner.lock().waiting.is_empty() {
                return;
            }
            rung.await;
        }
    }

    fn take(&self, id: RecordId) -> Waiters {
        let mut inner = self.inner.lock();
        let waiters = inner.waiting.remove(&id).unwrap_or_default();
        let is_last = inner.waiting.is_empty();
        drop(inner);
        if is_last {
            self.empty.notify_waiters();
        }
        waiters
    }
}

fn answer(waiters: Waiters, error: &ProposeError) {
    for (_, reply) in waiters {
        let _ = reply.send(Err(error.clone()));
    }
}
