//! A store with bodies in it, and the service that sends its packs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use paquebot_s3::{Options, Progress, S3};
use paquebot_store::fs::RealFs;
use paquebot_store::{GroupItem, IndexError, Location, Store, Wanted};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

use crate::server::{Server, credentials};

pub struct Mail {
    pub store: Arc<Store>,
    pub bodies: Vec<Vec<u8>>,
    pub dir: tempfile::TempDir,
}

impl Mail {
    pub fn new(pack_bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("store"), pack_bytes);
        Self { store, bodies: Vec::new(), dir }
    }

    /// Appends so many bodies of so many bytes, each in a group of its own.
    pub fn add(&mut self, count: usize, len: usize) {
        for _ in 0..count {
            let number = self.bodies.len() as u64 + 1;
            let mut bytes = vec![0; len];
            blake3::Hasher::new().update(&number.to_be_bytes()).finalize_xof().fill(&mut bytes);
            let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
            let record = GroupItem::Record { shard: ShardId::FIRST, sequence: Sequence(number), bytes: b"r" };
            let staged;
            let body = if len > 1 << 20 {
                let mut body = self.store.stage().unwrap();
                body.write(&bytes).unwrap();
                staged = body.finish().unwrap();
                GroupItem::Staged(&staged)
            } else {
                GroupItem::Body { hash, bytes: &bytes }
            };
            let appended = self.store.append_group(&[body, record]).unwrap();
            self.change(|txn| {
                txn.set_location(ShardId::FIRST, account(), blob(number), appended.bodies[0].1)?;
                txn.set_applied(ShardId::FIRST, Sequence(number), [0; 32])
            });
            self.bodies.push(bytes);
        }
        self.store.checkpoint().unwrap();
    }

    pub fn change(&self, change: impl FnOnce(&mut paquebot_store::WriteTxn<'_>) -> Result<(), IndexError>) {
        self.store.write(change).unwrap();
    }

    pub fn location(&self, number: u64) -> Location {
        self.store.read().unwrap().location(ShardId::FIRST, account(), blob(number)).unwrap().unwrap()
    }

    pub fn wanted(&self, number: u64) -> Wanted {
        let hash = BlobHash(*blake3::hash(self.body(number)).as_bytes());
        Wanted { shard: ShardId::FIRST, account: account(), blob: blob(number), hash }
    }

    pub fn body(&self, number: u64) -> &[u8] {
        &self.bodies[number as usize - 1]
    }

    pub fn numbers(&self) -> std::ops::RangeInclusive<u64> {
        1..=self.bodies.len() as u64
    }

    /// The bodies whose packs are not here.
    pub fn evicted(&self) -> Vec<u64> {
        self.numbers().filter(|number| self.store.elsewhere(self.location(*number)).unwrap().is_some()).collect()
    }

    pub fn send(&self, server: &Server, options: Options) -> S3 {
        S3::start(self.store.clone(), &server.address("mail"), credentials(), options).unwrap()
    }

    /// Every body, wherever it is.
    pub async fn read_all(&self, s3: &S3) {
        for number in self.numbers() {
            let location = self.location(number);
            s3.bring(location).await.unwrap();
            assert_eq!(self.store.read_body_verified(location).unwrap(), self.body(number), "body {number}");
        }
    }
}

pub fn open(dir: &Path, pack_bytes: u64) -> Arc<Store> {
    let options = paquebot_store::Options {
        pack_bytes,
        reserve_step_bytes: 64 << 10,
        ballast_bytes: 0,
        index_headroom_bytes: 1 << 20,
        ..Default::default()
    };
    let (store, tail) = Store::open(Arc::new(RealFs), dir, options).unwrap();
    assert!(tail.groups.iter().all(|group| group.records.is_empty()), "all was applied before the last checkpoint");
    Arc::new(store)
}

pub fn account() -> AccountId {
    AccountId::new(1).unwrap()
}

pub fn blob(number: u64) -> BlobId {
    BlobId::new(number).unwrap()
}

/// Fast, and without a grace time.
pub fn options(cache_bytes: Option<u64>) -> Options {
    let fast = Duration::from_millis(50);
    Options { cache_bytes, interval: fast, pauses: (fast, fast), grace: Duration::ZERO }
}

/// Waits until the service says so.
pub async fn until(s3: &S3, what: &str, is_so: impl Fn(&Progress) -> bool) -> Progress {
    let began = Instant::now();
    loop {
        let progress = s3.progress();
        if is_so(&progress) {
            return progress;
        }
        assert!(began.elapsed() < Duration::from_secs(90), "{what}: {progress:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
