//! Fetching bodies that this machine lacks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use paquebot_log::Body;
use paquebot_mailbox::{BodySource, FetchError, Fetching};
use paquebot_model::{AccountMove, Row as _, Rows as _, key};
use paquebot_peer::{BodyName, PeerError, Peers};
use paquebot_store::{Fetched, IndexError, Location, Store, Wanted};
use paquebot_types::{BlobHash, ShardId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::holders::Holders;

/// Bodies that are fetched in the background at a time.
const AT_ONCE: usize = 16;
/// Bodies that are looked up at a time.
const BATCH: usize = 512;
/// Bodies and octets that are written as one group, at most; one body may be larger.
const GROUP: usize = 64;
const GROUP_BYTES: u64 = 4 << 20;
/// A larger body is copied by way of a file.
const IN_MEMORY: u64 = 256 << 10;
/// Between looks for wanted bodies when there were none.
const IDLE: Duration = Duration::from_millis(200);
/// After a round in which some could not be had: at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Brings wanted bodies to this machine. Several who want one body share its transfer.
#[derive(Clone)]
pub struct Healer {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    peers: Arc<Peers>,
    holders: Arc<dyn Holders>,
    under_way: Mutex<HashMap<Wanted, Outcome>>,
    arrived: mpsc::Sender<Arrived>,
    fetched: AtomicU64,
    fetched_bytes: AtomicU64,
}

type Outcome = watch::Receiver<Option<Result<(), FetchError>>>;

struct Arrived {
    wanted: Wanted,
    body: Body,
    placed: oneshot::Sender<Result<(), FetchError>>,
}

/// What was done since the start, and what there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub fetched: u64,
    pub fetched_bytes: u64,
    pub wanted: u64,
}

impl Healer {
    /// Its tasks end with its last clone.
    pub fn start(store: Arc<Store>, peers: Arc<Peers>, holders: Arc<dyn Holders>) -> Self {
        let (arrived, bodies) = mpsc::channel(2 * GROUP);
        tokio::spawn(place(store.clone(), bodies));
        let inner = Inner {
            store,
            peers,
            holders,
            under_way: Mutex::default(),
            arrived,
            fetched: AtomicU64::new(0),
            fetched_bytes: AtomicU64::new(0),
        };
        let healer = Self { inner: Arc::new(inner) };
        tokio::spawn(heal(Arc::downgrade(&healer.inner)));
        healer
    }

    pub fn progress(&self) -> Result<Progress, IndexError> {
        let inner = &self.inner;
        Ok(Progress {
            fetched: inner.fetched.load(Ordering::Relaxed),
            fetched_bytes: inner.fetched_bytes.load(Ordering::Relaxed),
            wanted: inner.store.read()?.wanted_count()?,
        })
    }
}

impl BodySource for Healer {
    fn fetch(&self, wanted: Wanted) -> Fetching<'_> {
        let mut outcome = Inner::begin(&self.inner, wanted);
        Box::pin(async move {
            match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
                Err(_) => Err(FetchError("the server is stopping".into())),
            }
        })
    }
}

impl Inner {
    /// Begins to fetch a body, unless that is under way.
    fn begin(this: &Arc<Self>, wanted: Wanted) -> Outcome {
        let mut under_way = this.under_way.lock();
        if let Some(outcome) = under_way.get(&wanted) {
            return outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        under_way.insert(wanted, outcome.clone());
        let inner = this.clone();
        // A task of its own: whoever asked first may go while others wait.
        tokio::spawn(async move {
            let result = inner.fetch(wanted).await;
            inner.under_way.lock().remove(&wanted);
            sender.send_replace(Some(result));
        });
        outcome
    }

    async fn fetch(&self, wanted: Wanted) -> Result<(), FetchError> {
        let name = BodyName { shard: wanted.shard, account: wanted.account, blob: wanted.blob };
        let mut names = vec![name];
        let store = self.store.clone();
        let elsewhere = tokio::task::spawn_blocking(move || moved_from(&store, wanted)).await;
        if let Ok(Some((source, body))) = elsewhere {
            if let Some(body) = body {
                return self.keep(wanted, body).await;
            }
            names.push(BodyName { shard: source, ..name });
        }
        let mut last = None;
        for name in names {
            for holder in self.holders.of(name.shard) {
                match self.peers.to(&holder.node, &holder.address).fetch_body(name, wanted.hash).await {
                    Ok(body) => return self.keep(wanted, body).await,
                    Err(error @ PeerError::Here(_)) => return Err(FetchError(error.to_string())),
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(FetchError(last.map_or_else(|| "no other node that may have it is up".into(), |error| error.to_string())))
    }

    async fn keep(&self, wanted: Wanted, body: Body) -> Result<(), FetchError> {
        let stopping = || FetchError("the server is stopping".into());
        let bytes = bytes(&body);
        let (placed, kept) = oneshot::channel();
        self.arrived.send(Arrived { wanted, body, placed }).await.map_err(|_| stopping())?;
        kept.await.map_err(|_| stopping())??;
        self.fetched.fetch_add(1, Ordering::Relaxed);
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// The shard that the body's account has been moved from, if it has, and the body if it is on this machine there: bodies keep their numbers.
fn moved_from(store: &Store, wanted: Wanted) -> Option<(ShardId, Option<Body>)> {
    let txn = store.read().ok()?;
    let row = txn.rows(wanted.shard).get(&key::account_move(wanted.account)).ok()??;
    let source = AccountMove::decode(&row)?.bodies_from()?;
    let location = txn.location(source, wanted.account, wanted.blob).ok().flatten();
    Some((source, location.and_then(|location| copy(store, location, wanted.hash))))
}

fn copy(store: &Store, location: Location, hash: BlobHash) -> Option<Body> {
    let file = store.body_file(location).ok().filter(|file| file.hash() == hash)?;
    if file.len() <= IN_MEMORY {
        return Some(Body::Bytes { hash, bytes: file.read_verified().ok()? });
    }
    let (mut staged, mut buffer) = (store.stage().ok()?, vec![0; IN_MEMORY as usize]);
    while staged.len() < file.len() {
        let count = file.read_at(staged.len(), &mut buffer).ok().filter(|count| *count > 0)?;
        staged.write(buffer.get(..count)?).ok()?;
    }
    let staged = staged.finish().ok().filter(|staged| staged.hash() == hash)?;
    Some(Body::Staged(Arc::new(staged)))
}

fn bytes(body: &Body) -> u64 {
    match body {
        Body::Bytes { bytes, .. } => bytes.len() as u64,
        Body::Staged(blob) => blob.len(),
    }
}

/// Writes what arrives, many at a time: they share a flush.
async fn place(store: Arc<Store>, mut bodies: mpsc::Receiver<Arrived>) {
    while let Some(first) = bodies.recv().await {
        let mut total = bytes(&first.body);
        let mut group = vec![first];
        while group.len() < GROUP && total < GROUP_BYTES {
            let Ok(next) = bodies.try_recv() else { break };
            total += bytes(&next.body);
            group.push(next);
        }
        let store = store.clone();
        let written = tokio::task::spawn_blocking(move || {
            let fetched: Vec<(Wanted, Fetched<'_>)> = group
                .iter()
                .map(|arrived| match &arrived.body {
                    Body::Bytes { bytes, .. } => (arrived.wanted, Fetched::Bytes(bytes)),
                    Body::Staged(blob) => (arrived.wanted, Fetched::Staged(blob)),
                })
                .collect();
            let result = store.place(&fetched).map(drop).map_err(|error| FetchError(error.to_string()));
            if let Err(error) = &result {
                tracing::error!(%error, "bodies that were fetched cannot be kept");
            }
            for arrived in group {
                // Whoever does not wait any more finds it in the store.
                let _ = arrived.placed.send(result.clone());
            }
        });
        if written.await.is_err() {
            return;
        }
    }
}

/// Goes through what is wanted, again and again.
async fn heal(inner: std::sync::Weak<Inner>) {
    let (mut after, mut missing, mut pause) = (None, 0u64, PAUSES.0);
    loop {
        let Some(here) = inner.upgrade() else { return };
        let store = here.store.clone();
        let look = tokio::task::spawn_blocking(move || store.read()?.wanted(after.as_ref(), BATCH)).await;
        let batch = match look {
            Ok(Ok(batch)) => batch,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the bodies that are wanted cannot be looked up now");
                drop(here);
                sleep(PAUSES.1).await;
                continue;
            }
            Err(_) => return,
        };
        if batch.is_empty() {
            drop(here);
            if missing == 0 {
                pause = PAUSES.0;
                sleep(IDLE).await;
            } else {
                tracing::warn!(missing, "bodies cannot be fetched from any other node now; they are tried again");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            (after, missing) = (None, 0);
            continue;
        }
        after = batch.last().copied();
        let fetched = stream::iter(batch).map(|wanted| {
            let mut outcome = Inner::begin(&here, wanted);
            async move { matches!(outcome.wait_for(Option::is_some).await.as_deref(), Ok(Some(Ok(())))) }
        });
        let fetched = fetched.buffer_unordered(AT_ONCE);
        missing += fetched.filter(|fetched| std::future::ready(!fetched)).count().await as u64;
    }
}
