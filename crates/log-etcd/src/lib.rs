//! The log on many machines: etcd.
//!
//! A record is one key, named by the record's id and made only if it does not exist: a retry is one record, and no head is fought over. etcd's
//! revision is the order. A record's **sequence** is its place in that order, counted: records that were trimmed are counted in the same
//! transaction that removes them, so all nodes count to the same numbers, without gaps.
//!
//! Bodies do not pass through etcd: before their record is appended they are on this machine's disk and, by way of [`Keepers`], on another's. What
//! another node sends comes in by [`EtcdLog::receive`]. The crate knows neither who hosts a shard nor how bodies travel.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use paquebot_log::{Alone, Log, suite};
//! # use paquebot_log_etcd::{ClusterId, EtcdLog, Options};
//! # use paquebot_store::{Store, fs::RealFs};
//! # use paquebot_types::{Sequence, ShardId};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(vec!["http://127.0.0.1:2379".into()], ClusterId([7; 16]));
//! EtcdLog::make_cluster(options.clone(), &[]).await?; // once
//! let (store, tail) = Store::open(Arc::new(RealFs), "paquebot-data".as_ref(), Default::default())?;
//! let log = EtcdLog::open(options, Arc::new(store), tail, Arc::new(Alone)).await?;
//! let sequence = log.append(ShardId::FIRST, suite::numbered(1), Vec::new()).await?;
//! assert_eq!(sequence, Sequence(1));
//! # Ok(())
//! # }
//! ```

mod bodies;
mod change;
mod client;
mod commit;
mod error;
mod failure;
mod health;
mod kept;
mod keys;
mod kv;
mod link;
mod numbers;
mod open;
mod options;
mod read;
mod rounds;
mod shard;
#[cfg(feature = "simulation")]
pub mod simulated;
mod tracker;
mod trim;
mod version;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use paquebot_log::{AppendError, Body, BoxFuture, Feed, Keepers, Log, LogError, RecordBodies};
use paquebot_model::Record;
use paquebot_store::{Store, Tail};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use client::connect;
pub use commit::RECORD_BYTES_MAX;
pub use error::OpenError;
pub use failure::Failure;
pub use health::{Health, Member, MemberState};
pub use keys::ClusterId;
pub use options::{Login, Options, Tls};

use bodies::BodyWriter;
use client::Members;
use kept::Found;
use link::Link;
use rounds::Rounds;
use shard::{Follow, Shard};
use tracker::Tracker;

/// Followers of a shard that wait to be begun, at most.
const FOLLOWS: usize = 16;

/// How often what is kept for records is looked through.
const EXPIRY: Duration = Duration::from_secs(60);

/// A watch that has not shown a record so long after etcd had it is begun anew.
const LAG: Duration = Duration::from_secs(1);

/// Why nothing is changed before etcd is known.
const UNREACHED: &str = "etcd has not been reached since this server started";

/// The etcd engine. It works on the runtime that opened it, whoever asks; its tasks end with it.
pub struct EtcdLog {
    runtime: Handle,
    /// `None` for a simulated etcd.
    members: Option<Arc<Members>>,
    asked: Asked,
    shards: Arc<Shards>,
    found: Arc<Found>,
    tasks: Mutex<JoinSet<()>>,
}

/// What a request needs, wherever it runs.
#[derive(Clone)]
struct Asked {
    link: Arc<Link>,
    health: watch::Receiver<Health>,
    bodies: Arc<BodyWriter>,
    rounds: mpsc::Sender<rounds::Request>,
    commits: mpsc::Sender<Vec<commit::Request>>,
}

type Shards = Mutex<HashMap<ShardId, Arc<Shard>>>;

/// Gives up bodies whose records do not come, now and then.
async fn expire(shards: Arc<Shards>, found: Arc<Found>) {
    loop {
        sleep(EXPIRY).await;
        found.expire();
        let shards: Vec<_> = shards.lock().values().cloned().collect();
        shards.iter().for_each(|shard| shard.expire());
    }
}

impl EtcdLog {
    /// Takes the prefix of an etcd for a new cluster. For a prefix that is this cluster's already it does nothing; an attempt that was interrupted
    /// goes on.
    ///
    /// The shards in `bases` go on where a store that was made without etcd has ended: the next record of each is the one after its sequence.
    pub async fn make_cluster(options: Options, bases: &[(ShardId, Sequence)]) -> Result<(), OpenError> {
        let kv = Arc::new(Members::new(&options));
        let link = Link::new(options, kv);
        open::reach(&link).await?;
        open::make(&link, bases).await
    }

    /// Goes to work with an etcd that has this cluster's keys; `tail` is what opening the store gave, and `keepers` are the way to the other nodes.
    pub async fn open(
        options: Options,
        store: Arc<Store>,
        tail: Tail,
        keepers: Arc<dyn Keepers>,
    ) -> Result<Self, OpenError> {
        let members = Arc::new(Members::new(&options));
        let link = Arc::new(Link::new(options, members.clone()));
        let health = open::know(&link).await?;
        let mut log = Self::begin(link, health, |_| BodyWriter::start(store), tail, keepers)?;
        log.members = Some(members);
        Ok(log)
    }

    /// As [`EtcdLog::open`], without having reached etcd: followers wait, and changes are refused, until [`EtcdLog::go_on`].
    pub fn open_unreached(
        options: Options,
        store: Arc<Store>,
        tail: Tail,
        keepers: Arc<dyn Keepers>,
    ) -> Result<Self, OpenError> {
        let members = Arc::new(Members::new(&options));
        let link = Arc::new(Link::unknown(options, members.clone()));
        let mut log = Self::begin(link, Health::default(), |_| BodyWriter::start(store), tail, keepers)?;
        log.members = Some(members);
        Ok(log)
    }

    /// Whether there is an etcd that can be used, and its keys are this cluster's.
    pub async fn verify(&self) -> Result<(), OpenError> {
        open::know(&self.asked.link).await.map(drop)
    }

    /// Goes to work with an etcd that was verified.
    pub fn go_on(&self) {
        self.asked.link.set_known();
    }

    /// Goes on with the members of etcd at these addresses: some have come or gone.
    pub fn set_endpoints(&self, endpoints: &[String]) {
        if let Some(members) = &self.members {
            members.set_endpoints(endpoints);
        }
    }

    fn begin(
        link: Arc<Link>,
        health: Health,
        bodies: impl FnOnce(&mut JoinSet<()>) -> Result<BodyWriter, OpenError>,
        tail: Tail,
        keepers: Arc<dyn Keepers>,
    ) -> Result<Self, OpenError> {
        let (health_sender, health) = watch::channel(health);
        let (commits, requests) = commit::queue();
        let mut tasks = JoinSet::new();
        tasks.spawn(commit::run(link.clone(), requests));
        tasks.spawn(health::run(link.clone(), health_sender));
        let bodies = Arc::new(bodies(&mut tasks)?);
        let (rounds, requests) = rounds::queue();
        tasks.spawn(Rounds { writer: bodies.clone(), keepers, link: link.clone() }.run(requests));
        let (shards, found) = (Arc::<Shards>::default(), Arc::new(Found::new(tail)));
        tasks.spawn(expire(shards.clone(), found.clone()));
        Ok(Self {
            runtime: Handle::current(),
            members: None,
            asked: Asked { link, health, bodies, rounds, commits },
            shards,
            found,
            tasks: Mutex::new(tasks),
        })
    }

    /// Keeps bodies of records that another node is about to append: when this is done they are on this machine's disk, and the records will find
    /// them when they come. The caller has verified their hashes. An error leaves nothing that a record names.
    pub async fn receive(&self, records: Vec<RecordBodies>) -> Result<(), AppendError> {
        let writer = self.asked.bodies.clone();
        let (mut expecting, mut bodies) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
        for record in records {
            expecting.push((self.shard(record.shard), record.record, record.after));
            bodies.push(record.bodies);
        }
        let work = async move {
            let kept = writer.write(bodies).await?;
            for ((shard, record, after), kept) in expecting.into_iter().zip(kept) {
                // Another node was faster, and the record is here already: its bodies are fetched, if they are not here.
                if !shard.numbers.lock().has_lately(record) {
                    shard.expect(record, after, kept);
                }
            }
            Ok(())
        };
        self.here(work, AppendError::Unavailable("the server is stopping".into())).await
    }

    /// What was last seen of etcd: versions, sizes, and whether changes are taken.
    pub fn health(&self) -> Health {
        let mut health = self.asked.health.borrow().clone();
        if !self.asked.link.is_known() {
            health.refusal = Some(UNREACHED.into());
        }
        health
    }

    /// The shard, which is followed from now on.
    fn shard(&self, id: ShardId) -> Arc<Shard> {
        let mut shards = self.shards.lock();
        if let Some(shard) = shards.get(&id) {
            return shard.clone();
        }
        let (sender, follows) = mpsc::channel(FOLLOWS);
        let shard = Arc::new(Shard::new(id, sender));
        shards.insert(id, shard.clone());
        let tracker = Tracker {
            link: self.asked.link.clone(),
            shard: shard.clone(),
            follows,
            feeds: Vec::new(),
            early: Vec::new(),
            found: self.found.clone(),
        };
        self.tasks.lock().spawn_on(tracker.run(), &self.runtime);
        shard
    }

    /// Runs on the engine's own runtime: the caller's may have neither sockets nor a clock.
    async fn here<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
        stopped: E,
    ) -> Result<T, E> {
        self.runtime.spawn(work).await.unwrap_or(Err(stopped))
    }
}

impl Log for EtcdLog {
    /// A record has at most [`RECORD_BYTES_MAX`] bytes.
    fn append(
        &self,
        shard: ShardId,
        record: Record,
        bodies: Vec<Body>,
    ) -> BoxFuture<'_, Result<Sequence, AppendError>> {
        let work = self.asked.clone().append(self.shard(shard), record, bodies);
        Box::pin(self.here(work, AppendError::Unknown("the server is stopping".into())))
    }

    /// While etcd does not answer, the feed waits for it, and what there is to refuse is said in the feed.
    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>> {
        let shard = self.shard(shard);
        // Of an etcd that has not been reached yet nothing is expected at once.
        let patience = if self.asked.link.is_known() { self.asked.link.options.patience } else { Duration::ZERO };
        let work = async move {
            let (reply, begun) = oneshot::channel();
            let stopping = || LogError::Unavailable("the server is stopping".into());
            shard.follows.send(Follow { after, feed, reply }).await.map_err(|_| stopping())?;
            match timeout(patience, begun).await {
                Ok(begun) => begun.unwrap_or_else(|_| Err(stopping())),
                Err(_) => Ok(()),
            }
        };
        Box::pin(self.here(work, LogError::Unavailable("the server is stopping".into())))
    }

    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>> {
        let link = self.asked.link.clone();
        let work = async move {
            match link.is_known() {
                true => read::last(&link, shard).await,
                false => Err(LogError::Unavailable(UNREACHED.into())),
            }
        };
        Box::pin(self.here(work, LogError::Unavailable("the server is stopping".into())))
    }

    /// When this is done the records are gone. History is compacted by and by.
    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>> {
        let (shard, link) = (self.shard(shard), self.asked.link.clone());
        let work = async move { trim::trim(&link, &shard, upto).await };
        Box::pin(self.here(work, LogError::Unavailable("the server is stopping".into())))
    }
}

impl Asked {
    async fn append(self, shard: Arc<Shard>, record: Record, bodies: Vec<Body>) -> Result<Sequence, AppendError> {
        if !self.link.is_known() {
            return Err(AppendError::Unavailable(UNREACHED.into()));
        }
        if let Some(why) = self.health.borrow().refusal.clone() {
            return Err(AppendError::Unavailable(why));
        }
        if let Some(failure) = shard.failure() {
            return Err(AppendError::Unavailable(failure.to_string()));
        }
        let (id, after) = (record.id, record.after);
        let value = record.encode();
        if value.len() > RECORD_BYTES_MAX {
            let much =
                format!("the change takes {} bytes in the log, and {RECORD_BYTES_MAX} are the most", value.len());
            return Err(AppendError::Unavailable(much));
        }
        let (reply, made) = oneshot::channel();
        let record = commit::Request { shard: shard.id, key: self.link.keys.record(shard.id, id), value, reply };
        let is_sent = match bodies.is_empty() {
            true => self.commits.send(vec![record]).await.is_ok(),
            false => {
                let bodies = RecordBodies { shard: shard.id, record: id, after, bodies };
                self.rounds.send(rounds::Request { shard: shard.clone(), bodies, record }).await.is_ok()
            }
        };
        let made = match is_sent {
            true => made.await.unwrap_or_else(|_| Err(AppendError::Unknown("the server is stopping".into()))),
            false => Err(AppendError::Unavailable("the server is stopping".into())),
        };
        match made {
            Ok(revision) => self.number(&shard, revision).await,
            Err(error) => {
                if !matches!(error, AppendError::Unknown(_)) {
                    shard.arrived(id);
                }
                Err(error)
            }
        }
    }

    /// The sequence of a record that is durable. Counting it takes the records before it.
    async fn number(&self, shard: &Shard, revision: i64) -> Result<Sequence, AppendError> {
        let unknown =
            |why: String| AppendError::Unknown(format!("the change is durable, and its outcome not known: {why}"));
        let reached = match timeout(LAG, shard.reach(revision)).await {
            Ok(reached) => Ok(reached),
            Err(_) => {
                shard.lags.notify_one();
                timeout(self.link.options.deadline, shard.reach(revision)).await
            }
        };
        reached.map_err(|_| unknown("the log is not seen".into()))?.map_err(|error| unknown(error.to_string()))?;
        let sequence = shard.numbers.lock().at_revision(revision);
        sequence.ok_or_else(|| unknown("it has been trimmed".into()))
    }
}
