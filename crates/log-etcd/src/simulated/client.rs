//! One node's way to the simulated etcd.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use paquebot_log::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use super::{Gate, SimulatedEtcd};
use crate::failure::Failure;
use crate::kv::{Answer, Connection, Kv, Status, Txn, Watch, WatchEnded};

/// Pieces of a watch that wait, at most: few, so that readers are too slow now and then.
const QUEUE: usize = 8;

pub struct SimulatedClient {
    etcd: SimulatedEtcd,
    gate: Gate,
    reachable: Arc<AtomicBool>,
    /// Counts how often watches were given up.
    given_up: watch::Sender<u64>,
}

impl SimulatedClient {
    pub(super) fn new(etcd: SimulatedEtcd, gate: Gate) -> Self {
        let given_up = watch::Sender::new(0);
        Self { etcd, gate, reachable: Arc::new(AtomicBool::new(true)), given_up }
    }

    /// Whether anything gets through between this node and etcd.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
    }

    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Sends a request on its way; hears the answer, or not.
    fn send(&self, txn: Txn) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let (etcd, reachable) = (self.etcd.clone(), self.reachable.clone());
        let weather = etcd.weather();
        let (lost, deaf, waits) =
            (etcd.chance(weather.lost_requests), etcd.chance(weather.lost_answers), etcd.chance(50));
        let way = if etcd.chance(weather.stray) { etcd.seconds() } else { etcd.delay() };
        tokio::spawn(async move {
            let gets_through = || reachable.load(Ordering::Relaxed);
            let sent = gets_through();
            sleep(way).await;
            if lost || !sent {
                return;
            }
            if !etcd.has_quorum() {
                if !waits {
                    return;
                }
                etcd.wait(|| etcd.has_quorum()).await;
            }
            let answer = etcd.carry_out(&txn);
            sleep(etcd.delay()).await;
            if !deaf && gets_through() {
                let _ = reply.send(answer);
            }
        });
        answer
    }
}

impl Kv for SimulatedClient {
    fn endpoints(&self) -> Vec<String> {
        vec!["simulated".into(); 2]
    }

    fn txn(&self, _: usize, txn: Txn) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            (self.gate)("a request to etcd").await;
            let answer = self.send(txn).await;
            (self.gate)("an answer of etcd").await;
            match answer {
                Ok(answer) => Ok(answer),
                Err(_) if self.etcd.chance(50) => Err(Failure::Unknown("the connection broke".into())),
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn watch(&self, _: usize, prefix: String, from: i64) -> BoxFuture<'_, Result<Watch, Failure>> {
        Box::pin(async move {
            (self.gate)("a watch").await;
            sleep(self.etcd.delay()).await;
            if !self.reachable.load(Ordering::Relaxed) || !self.etcd.has_quorum() {
                return Err(Failure::NotDone("no leader".into()));
            }
            let (events, watch) = mpsc::channel(QUEUE);
            let show = Show { etcd: self.etcd.clone(), reachable: self.reachable.clone(), prefix, next: from, events };
            let mut given_up = self.given_up.subscribe();
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    _ = given_up.changed() => {}
                    () = show.run() => {}
                }
            });
            Ok(watch)
        })
    }

    fn status(&self, _: usize) -> BoxFuture<'_, Result<Status, Failure>> {
        Box::pin(async move {
            sleep(self.etcd.delay()).await;
            if !self.reachable.load(Ordering::Relaxed) {
                return Err(Failure::Unknown("nobody answers".into()));
            }
            let revision = self.etcd.revision();
            let version = "3.5.17".into();
            Ok(Status { version, is_leader: true, file_bytes: 1, used_bytes: 1, quota_bytes: None, revision })
        })
    }

    fn is_full(&self, _: usize) -> BoxFuture<'_, Result<bool, Failure>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn compact(&self, _: usize, revision: i64) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            (self.gate)("a compaction").await;
            self.etcd.shared.state.lock().compact(revision);
            Ok(())
        })
    }

    fn give_up(&self, _: usize, connection: Connection) {
        if connection == Connection::Watches {
            self.given_up.send_modify(|count| *count += 1);
        }
    }
}

/// A watch, as etcd serves it.
struct Show {
    etcd: SimulatedEtcd,
    reachable: Arc<AtomicBool>,
    prefix: String,
    next: i64,
    events: mpsc::Sender<Result<Vec<crate::kv::Event>, WatchEnded>>,
}

impl Show {
    async fn run(mut self) {
        loop {
            let next = self.next;
            tokio::select! {
                biased;
                () = self.events.closed() => return,
                () = self.etcd.wait(|| self.etcd.revision() >= next) => {}
            }
            let weather = self.etcd.weather();
            let late = if self.etcd.chance(weather.late_watches) { self.etcd.seconds() } else { Duration::ZERO };
            sleep(late + self.etcd.delay()).await;
            let through = self.reachable.load(Ordering::Relaxed) && self.etcd.has_quorum();
            let said = match () {
                () if !through || self.etcd.chance(weather.cut_watches) => {
                    Err(WatchEnded::Broken(Failure::Unknown("the watch was cut".into())))
                }
                () => {
                    let count = 1 + self.etcd.shared.random.lock().below(8) as usize;
                    match self.etcd.shared.state.lock().events(&self.prefix, self.next, count) {
                        None => Err(WatchEnded::Compacted),
                        Some((events, upto)) => {
                            self.next = upto + 1;
                            Ok(events)
                        }
                    }
                }
            };
            let ends = said.is_err();
            if self.events.try_send(said).is_err() || ends {
                return;
            }
        }
    }
}
