//! The service that a node runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use paquebot_store::{Location, Store};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::address::Address;
use crate::bucket::Bucket;
use crate::credentials::Credentials;
use crate::error::S3Error;
use crate::far::Far;
use crate::send;

/// Who reads a body waits so long for the bucket before others are asked.
const BODY_TIME: Duration = Duration::from_secs(12);

/// How packs are sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// What packs in the bucket may take on this machine's disk; without it all stay.
    pub cache_bytes: Option<u64>,
    /// Between looks for packs to send.
    pub interval: Duration,
    /// After a failure: at first and at most.
    pub pauses: (Duration, Duration),
    /// A pack in which nothing lives any more stays in the bucket for so long.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: None,
            interval: Duration::from_secs(10),
            pauses: (Duration::from_secs(1), Duration::from_secs(60)),
            grace: Duration::from_secs(3600),
        }
    }
}

/// What was done since the start, and how things are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Packs in the bucket, and their bytes.
    pub packs: u64,
    pub bytes: u64,
    /// Those of them that are on this machine's disk too.
    pub cached_packs: u64,
    pub cached_bytes: u64,
    /// Packs that are to be sent; there may be more.
    pub waiting: u64,
    /// Since the start.
    pub sent_bytes: u64,
    pub evicted_bytes: u64,
    pub read_bodies: u64,
    pub read_bytes: u64,
    pub failed_reads: u64,
    /// Why nothing is sent or evicted now.
    pub failure: Option<String>,
}

/// Packs in a bucket. A clone is the same; what runs in the background ends with the last.
#[derive(Debug, Clone)]
pub struct S3 {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub store: Arc<Store>,
    pub bucket: Bucket,
    pub options: Options,
    pub progress: Mutex<Progress>,
    read_bodies: AtomicU64,
    read_bytes: AtomicU64,
    failed_reads: AtomicU64,
}

impl S3 {
    /// Begins to send packs. Asks nobody before it returns: a bucket that cannot be used is in [`Progress::failure`], and in the log, soon after.
    /// Must be called in a runtime.
    pub fn start(
        store: Arc<Store>,
        address: &Address,
        credentials: Credentials,
        options: Options,
    ) -> Result<Self, S3Error> {
        let bucket = Bucket::new(address, &credentials, store.uuid())?;
        store.set_offsite(Arc::new(Far { bucket: bucket.clone(), runtime: Handle::current() }));
        let inner = Inner {
            store,
            bucket,
            options,
            progress: Mutex::default(),
            read_bodies: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
        };
        let s3 = Self { inner: Arc::new(inner) };
        tokio::spawn(send::run(Arc::downgrade(&s3.inner)));
        Ok(s3)
    }

    /// Whether a bucket can be used, for who has just configured it.
    pub async fn probe(address: &Address, credentials: &Credentials) -> Result<(), S3Error> {
        Bucket::new(address, credentials, [0; 16])?.probe().await
    }

    /// Reads a body of an evicted pack, proves it, and lends it to the store: whoever opens it next finds it. `false` if its pack is here.
    ///
    /// Nothing is written to the disk, so that who reads through all mail does not drive other packs away.
    pub async fn bring(&self, location: Location) -> Result<bool, S3Error> {
        let inner = &self.inner;
        let brought = timeout(BODY_TIME, inner.bring(location)).await.unwrap_or_else(|_| {
            Err(S3Error::Unreachable { endpoint: inner.bucket.endpoint().into(), why: "no answer in time".into() })
        });
        match &brought {
            Ok(true) => {
                inner.read_bodies.fetch_add(1, Ordering::Relaxed);
                inner.read_bytes.fetch_add(location.len, Ordering::Relaxed);
            }
            Ok(false) => {}
            Err(_) => {
                inner.failed_reads.fetch_add(1, Ordering::Relaxed);
            }
        }
        brought
    }

    /// How things were at the last look.
    pub fn progress(&self) -> Progress {
        let inner = &self.inner;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            read_bodies: read(&inner.read_bodies),
            read_bytes: read(&inner.read_bytes),
            failed_reads: read(&inner.failed_reads),
            ..inner.progress.lock().clone()
        }
    }
}

impl Inner {
    async fn bring(&self, location: Location) -> Result<bool, S3Error> {
        let sent = self.blocking(move |store| Ok(store.elsewhere(location)?)).await?;
        let Some(sent) = sent else { return Ok(false) };
        let entry = self.bucket.read(location.pack, &sent, location.entry()).await?;
        self.blocking(move |store| Ok(store.lend(location, entry)?)).await?;
        Ok(true)
    }

    /// Has the store do something that may wait for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, S3Error> + Send + 'static,
    ) -> Result<T, S3Error> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await.map_err(|_| S3Error::Stopping)?
    }
}
