//! What nodes send each other: bodies before their record, and bodies that are missed. Messages are late, lost and doubled; nodes are cut off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use paquebot_log::{AppendError, BoxFuture, Keepers, RecordBodies};
use paquebot_log_etcd::simulated::Random;
use paquebot_store::Wanted;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::NODES;
use crate::life::Life;
use crate::node::Running;

/// How long a node waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What may happen to a message, in percent.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub delay: Duration,
    pub lost: u64,
    pub doubled: u64,
}

impl Weather {
    pub const FAIR: Self = Self { delay: Duration::from_millis(2), lost: 0, doubled: 0 };
}

pub struct Network {
    random: Mutex<Random>,
    weather: Mutex<Weather>,
    /// The nodes that run now.
    running: Mutex<[Option<Arc<Running>>; NODES]>,
    /// Nodes that no other reaches.
    cut_off: Mutex<[bool; NODES]>,
}

impl Network {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            random: Mutex::new(Random::new(seed)),
            weather: Mutex::new(Weather::FAIR),
            running: Mutex::default(),
            cut_off: Mutex::default(),
        })
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock() = weather;
    }

    pub fn cut_off(&self, node: usize, is_cut_off: bool) {
        self.cut_off.lock()[node] = is_cut_off;
    }

    pub fn set_running(&self, node: usize, running: Option<Arc<Running>>) {
        self.running.lock()[node] = running;
    }

    pub fn running(&self, node: usize) -> Option<Arc<Running>> {
        self.running.lock()[node].clone()
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        let cut_off = self.cut_off.lock();
        !cut_off[from] && !cut_off[to]
    }

    /// One message's way: how long it takes, or `None` if it does not come.
    fn way(&self, from: usize, to: usize) -> Option<Duration> {
        let (weather, mut random) = (*self.weather.lock(), self.random.lock());
        let (lost, late) = (random.chance(weather.lost), random.time(weather.delay));
        (!lost && self.reaches(from, to)).then_some(late)
    }

    /// Asks a node for something, which it does once, twice or never.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        from: usize,
        to: usize,
        serve: impl Fn(Arc<Running>) -> BoxFuture<'static, T> + Send + Sync + 'static,
    ) -> Option<T> {
        let serve = Arc::new(serve);
        let (reply, answer) = oneshot::channel();
        let mut reply = Some(reply);
        let twice = {
            let percent = self.weather.lock().doubled;
            self.random.lock().chance(percent)
        };
        for _ in 0..=usize::from(twice) {
            let (network, serve, reply) = (self.clone(), serve.clone(), reply.take());
            tokio::spawn(async move {
                let Some(there) = network.way(from, to) else { return };
                sleep(there).await;
                let Some(running) = network.running(to) else { return };
                let life = running.life.clone();
                life.step("a request of a peer").await;
                let done = serve(running).await;
                life.step("an answer to a peer").await;
                let Some(back) = network.way(to, from) else { return };
                sleep(back).await;
                if let Some(reply) = reply {
                    let _ = reply.send(done);
                }
            });
        }
        timeout(PATIENCE, answer).await.ok()?.ok()
    }

    /// The other nodes, in some order.
    fn others(&self, node: usize) -> Vec<usize> {
        let mut others: Vec<usize> = (0..NODES).filter(|other| *other != node).collect();
        if self.random.lock().chance(50) {
            others.reverse();
        }
        others
    }

    /// A body that some other node has.
    pub async fn fetch(self: &Arc<Self>, node: usize, wanted: Wanted) -> Option<Bytes> {
        for other in self.others(node) {
            let fetched = self.ask(node, other, move |running| Box::pin(async move { running.body(&wanted) })).await;
            if let Some(Some(bytes)) = fetched {
                return Some(bytes);
            }
        }
        None
    }
}

/// The way of one node's bodies to the others.
pub struct Peers {
    pub node: usize,
    pub network: Arc<Network>,
    pub life: Arc<Life>,
}

impl Keepers for Peers {
    fn keep(&self, records: Vec<RecordBodies>) -> BoxFuture<'_, Vec<Result<(), AppendError>>> {
        Box::pin(async move {
            for other in self.network.others(self.node) {
                self.life.step("bodies for a peer").await;
                let copies = records.clone();
                let kept = self.network.ask(self.node, other, move |running| {
                    let copies = copies.clone();
                    Box::pin(async move { running.log.receive(copies).await })
                });
                let kept = kept.await;
                self.life.step("an answer of a peer").await;
                if let Some(Ok(())) = kept {
                    return records.iter().map(|_| Ok(())).collect();
                }
            }
            let none = || Err(AppendError::Unavailable("no other node has the bodies".into()));
            records.iter().map(|_| none()).collect()
        })
    }
}
