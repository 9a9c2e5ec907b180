//! What a replica may be told when it starts.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paquebot_model::{Applied, Chain, RECORD_VERSION, RecordId};
use paquebot_store::ReadTxn;
use paquebot_types::{Sequence, ShardId};
use tokio::sync::{mpsc, watch};

use crate::trouble::Trouble;

/// Hears of every record once it is applied and can be read, before its proposer does.
pub type Watcher = Arc<dyn Fn(ShardId, Sequence, &Applied) + Send + Sync>;

/// Gets the store as it is exactly after a record with [`paquebot_model::Op::Mark`] was applied. It is called where records are applied, so what takes
/// long it does elsewhere.
pub type OnMark = Arc<dyn Fn(ShardId, Sequence, Chain, ReadTxn) + Send + Sync>;

/// Gives a record its id, which no other has, and its time, in milliseconds since 1970.
pub type Stamps = Arc<dyn Fn() -> io::Result<(RecordId, u64)> + Send + Sync>;

/// Where records are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Applying {
    /// On a thread of its own: applying waits for the disk, and others must not wait for it.
    #[default]
    Thread,
    /// In a task of the runtime, which waits meanwhile: for simulations, where one thread does everything in an order that a seed decides.
    Task,
}

/// How a replica works. The default is that of one machine.
#[derive(Clone)]
pub struct Options {
    pub applying: Applying,
    /// By the system's random numbers and clock, unless a simulation decides.
    pub stamps: Stamps,
    /// Records are written for readers of this version of their format: the least that some member of the cluster reads.
    pub record_version: watch::Receiver<u8>,
    /// Hears why a shard is not followed any more; once for each time that it was hosted.
    pub troubles: Option<mpsc::UnboundedSender<Trouble>>,
    pub on_mark: Option<OnMark>,
    /// How long a record whose appending came to [`paquebot_log::AppendError::Unknown`] may yet show up in the log before its proposers hear that nobody knows.
    pub unknown_wait: Duration,
    /// How long changes that are on their way may take before a shard is let go of nevertheless, and their proposers hear that nobody knows.
    pub unhost_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            applying: Applying::default(),
            stamps: Arc::new(stamp),
            record_version: watch::channel(RECORD_VERSION).1,
            troubles: None,
            on_mark: None,
            unknown_wait: Duration::from_secs(2),
            unhost_wait: Duration::from_secs(5),
        }
    }
}

fn stamp() -> io::Result<(RecordId, u64)> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((RecordId(id), u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)))
}
