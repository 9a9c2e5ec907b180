//! A node: a store, the engine, and what it has seen.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use paquebot_log::{Alone, Entry, Fed, Keepers, Log, LogError};
use paquebot_log_etcd::{ClusterId, EtcdLog, OpenError, Options};
use paquebot_model::Record;
use paquebot_store::fs::RealFs;
use paquebot_store::{Store, Tail};
use paquebot_types::{Sequence, ShardId};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub const CLUSTER: ClusterId = ClusterId([0x5a; 16]);
pub const SHARD: ShardId = ShardId(3);
/// Longer than anything that is waited for takes.
const LONG: Duration = Duration::from_secs(40);

pub struct Node {
    pub log: Arc<EtcdLog>,
    pub store: Arc<Store>,
    dir: tempfile::TempDir,
}

/// Options for a test: impatient.
pub fn options(endpoints: Vec<String>) -> Options {
    Options {
        attempt: Duration::from_millis(700),
        deadline: Duration::from_secs(12),
        patience: Duration::from_secs(2),
        look: Duration::from_millis(500),
        history: None,
        ..Options::new(endpoints, CLUSTER)
    }
}

impl Node {
    /// Makes the cluster, unless it is there.
    pub async fn open(options: Options) -> Self {
        EtcdLog::make_cluster(options.clone(), &[]).await.unwrap();
        Self::try_open(options).await.unwrap()
    }

    /// One whose bodies `keepers` keep.
    pub async fn open_with(options: Options, keepers: Arc<dyn Keepers>) -> Self {
        EtcdLog::make_cluster(options.clone(), &[]).await.unwrap();
        Self::begin(options, keepers).await.unwrap()
    }

    pub async fn try_open(options: Options) -> Result<Self, OpenError> {
        Self::begin(options, Arc::new(Alone)).await
    }

    async fn begin(options: Options, keepers: Arc<dyn Keepers>) -> Result<Self, OpenError> {
        let dir = tempfile::tempdir().unwrap();
        let (store, tail) = Store::open(Arc::new(RealFs), dir.path(), paquebot_store::Options::default()).unwrap();
        Self::begin_in(dir, store, tail, options, keepers).await
    }

    async fn begin_in(
        dir: tempfile::TempDir,
        store: Store,
        tail: Tail,
        options: Options,
        keepers: Arc<dyn Keepers>,
    ) -> Result<Self, OpenError> {
        let store = Arc::new(store);
        let log = Arc::new(EtcdLog::open(options, store.clone(), tail, keepers).await?);
        Ok(Self { log, store, dir })
    }

    /// Stops and starts: the index is where it was at its last checkpoint.
    pub async fn restart(self, options: Options) -> Self {
        let Self { log, store, dir } = self;
        drop((log, store));
        let until = tokio::time::Instant::now() + LONG;
        let (store, tail) = loop {
            match Store::open(Arc::new(RealFs), dir.path(), paquebot_store::Options::default()) {
                Ok(opened) => break opened,
                // The engine's thread has not let go of it.
                Err(paquebot_store::OpenError::Locked { .. }) if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        Self::begin_in(dir, store, tail, options, Arc::new(Alone)).await.unwrap()
    }

    pub async fn follow(&self, after: Sequence) -> Result<Follower, LogError> {
        let (feed, fed) = mpsc::channel(4096);
        self.log.follow(SHARD, after, feed).await?;
        Ok(Follower { fed })
    }
}

pub struct Follower {
    fed: mpsc::Receiver<Fed>,
}

impl Follower {
    pub async fn next(&mut self) -> Result<Vec<Entry>, LogError> {
        match timeout(LONG, self.fed.recv()).await.expect("something comes").expect("the feed goes on") {
            Fed::Entries(entries) => Ok(entries),
            Fed::Failed(_, error) => Err(error),
        }
    }

    /// The records up to `last`, each once and in order, and counted without gaps.
    pub async fn upto(&mut self, last: Sequence) -> Vec<(Sequence, Record)> {
        let mut seen: Vec<(Sequence, Record)> = Vec::new();
        while seen.last().map_or(Sequence::ZERO, |(sequence, _)| *sequence) < last {
            for entry in self.next().await.unwrap() {
                if let Some((before, _)) = seen.last() {
                    assert_eq!(entry.sequence, before.next(), "no gap");
                }
                seen.push((entry.sequence, entry.record));
            }
        }
        seen
    }
}

/// Compares what each follower saw with what was acknowledged.
pub fn check(acknowledged: &[(Sequence, Record)], followers: &[Vec<(Sequence, Record)>]) {
    let first = &followers[0];
    for other in &followers[1..] {
        assert!(first == other, "all followers see the same order");
    }
    let ids: HashSet<_> = first.iter().map(|(_, record)| record.id).collect();
    assert_eq!(ids.len(), first.len(), "no record is there twice");
    let by_sequence: BTreeMap<_, _> = first.iter().cloned().collect();
    for (sequence, record) in acknowledged {
        assert_eq!(by_sequence.get(sequence), Some(record), "{sequence} was acknowledged");
    }
}

impl Follower {
    /// Whether the feed ends.
    pub async fn ended(&mut self) -> bool {
        timeout(LONG, self.fed.recv()).await.expect("the feed ends").is_none()
    }
}
