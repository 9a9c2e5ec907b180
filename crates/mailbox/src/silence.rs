//! How long a reader waits for a log that may not answer.

use std::collections::HashSet;
use std::time::Duration;

use paquebot_types::ShardId;
use parking_lot::Mutex;

/// How long a reader waits for the log to say what is the last record, and for that to be applied.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same, while the log has not answered the reader before: enough for one that answers again.
const SHORT_PATIENCE: Duration = Duration::from_millis(20);

/// The shards whose log did not answer when it was last asked: those who read them do not wait for it anew, each of them.
#[derive(Debug, Default)]
pub(crate) struct Silence(Mutex<HashSet<ShardId>>);

impl Silence {
    pub(crate) fn patience(&self, shard: ShardId) -> Duration {
        if self.0.lock().contains(&shard) { SHORT_PATIENCE } else { PATIENCE }
    }

    /// Notes whether the log answered; gives whether that is news.
    pub(crate) fn note(&self, shard: ShardId, answered: bool) -> bool {
        let mut silent = self.0.lock();
        if answered { silent.remove(&shard) } else { silent.insert(shard) }
    }
}
