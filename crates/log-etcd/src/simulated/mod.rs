//! An etcd in memory, for simulations: what it may do to its clients, it does, as a seed decides.
//!
//! Requests and answers are late, or lost; a request whose client has given up is carried out later; watches lag, are cut, or find what they were to
//! show compacted. Without a quorum nothing is carried out, and what waits for one may be when it is back. Time is tokio's: with a paused clock
//! and one thread the same seed gives the same run.

mod client;
mod random;
mod state;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use paquebot_log::{BoxFuture, Keepers};
use paquebot_store::{Store, Tail};
use paquebot_types::{Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::bodies::BodyWriter;
use crate::error::OpenError;
use crate::kv::{Answer, Txn};
use crate::link::Link;
use crate::options::Options;
use crate::{EtcdLog, open};

pub use client::SimulatedClient;
pub use random::Random;
use state::State;

/// Asked at every step that can be seen from outside the node. It resolves while the node lives, and never again once it is dead.
pub type Gate = Arc<dyn Fn(&'static str) -> BoxFuture<'static, ()> + Send + Sync>;

/// What may happen between a client and etcd, in percent of the requests.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The longest that a request or an answer is on its way.
    pub delay: Duration,
    pub lost_requests: u64,
    pub lost_answers: u64,
    /// So many are on their way for seconds, and then are carried out.
    pub stray: u64,
    pub cut_watches: u64,
    /// So many pieces of a watch are late for seconds.
    pub late_watches: u64,
}

/// A simulated etcd. A clone is the same one.
#[derive(Clone)]
pub struct SimulatedEtcd {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    random: Mutex<Random>,
    weather: Mutex<Weather>,
    quorum: AtomicBool,
    /// Rung when keys or the quorum have changed. It wakes in order, which `tokio::sync::watch` does not.
    changed: Notify,
    trace: Mutex<u64>,
    begun: Instant,
}

impl Weather {
    /// Nothing goes wrong.
    pub const FAIR: Self = Self {
        delay: Duration::from_millis(3),
        lost_requests: 0,
        lost_answers: 0,
        stray: 0,
        cut_watches: 0,
        late_watches: 0,
    };
}

impl SimulatedEtcd {
    pub fn new(seed: u64) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            random: Mutex::new(Random::new(seed)),
            weather: Mutex::new(Weather::FAIR),
            quorum: AtomicBool::new(true),
            changed: Notify::new(),
            trace: Mutex::default(),
            begun: Instant::now(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A way to it, of one life of a node.
    pub fn client(&self, gate: Gate) -> SimulatedClient {
        SimulatedClient::new(self.clone(), gate)
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.shared.weather.lock() = weather;
    }

    pub fn set_quorum(&self, is_there: bool) {
        self.shared.quorum.store(is_there, Ordering::Relaxed);
        self.shared.changed.notify_waiters();
    }

    /// Forgets all history up to now.
    pub fn compact(&self) {
        let mut state = self.shared.state.lock();
        let revision = state.revision();
        state.compact(revision);
    }

    /// A hash of everything that was carried out, and when, and of what was noted.
    pub fn trace(&self) -> u64 {
        *self.shared.trace.lock()
    }

    /// Has something else become part of the trace.
    pub fn note(&self, what: &str) {
        let mut hasher = DefaultHasher::new();
        (self.shared.begun.elapsed(), what).hash(&mut hasher);
        // Tasks that wait for the same thing go on in any order, and at the same instant.
        let mut trace = self.shared.trace.lock();
        *trace = trace.wrapping_add(hasher.finish());
    }

    fn weather(&self) -> Weather {
        *self.shared.weather.lock()
    }

    fn chance(&self, percent: u64) -> bool {
        self.shared.random.lock().chance(percent)
    }

    fn delay(&self) -> Duration {
        let longest = self.weather().delay;
        self.shared.random.lock().time(longest)
    }

    fn seconds(&self) -> Duration {
        self.shared.random.lock().time(Duration::from_secs(6))
    }

    fn has_quorum(&self) -> bool {
        self.shared.quorum.load(Ordering::Relaxed)
    }

    /// Waits until it is so.
    async fn wait(&self, until: impl Fn() -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            if until() {
                return;
            }
            changed.await;
        }
    }

    fn revision(&self) -> i64 {
        self.shared.state.lock().revision()
    }

    fn carry_out(&self, txn: &Txn) -> Answer {
        let answer = self.shared.state.lock().carry_out(txn);
        self.note(&format!("{txn:?}{answer:?}"));
        self.shared.changed.notify_waiters();
        answer
    }
}

impl EtcdLog {
    /// As [`EtcdLog::make_cluster`], in a simulated etcd.
    pub async fn make_simulated(
        options: Options,
        client: Arc<SimulatedClient>,
        bases: &[(ShardId, Sequence)],
    ) -> Result<(), OpenError> {
        open::make(&Link::new(options, client), bases).await
    }

    /// As [`EtcdLog::open`], with a simulated etcd. Bodies are written by a task.
    pub async fn open_simulated(
        options: Options,
        client: Arc<SimulatedClient>,
        store: Arc<Store>,
        tail: Tail,
        keepers: Arc<dyn Keepers>,
    ) -> Result<Self, OpenError> {
        let gate = client.gate();
        let link = Arc::new(Link::new(options, client));
        let health = open::know(&link).await?;
        Self::begin(link, health, |tasks| Ok(BodyWriter::start_task(store, gate, tasks)), tail, keepers)
    }
}
