//! Rounds: the bodies of many records, of whatever shards, are written here and sent to other nodes together, and their records appended together.
//!
//! A round costs this disk, the other nodes' and etcd's about the same for one record as for fifty. While one is under way the next gathers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use paquebot_log::{AppendError, Body, Keepers, RecordBodies};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::bodies::BodyWriter;
use crate::commit;
use crate::link::Link;
use crate::shard::Shard;

/// After a round of several the next begins a part of that one's time later: those whom it answered have their next message by then, and half as many rounds,
/// each twice as large, take half the work. Who is alone waits once at most, after others were there.
const LINGER_PART: u32 = 4;
const LINGER_MAX: Duration = Duration::from_millis(3);
/// Records in a round, at most: they are one transaction of etcd.
const ROUND_RECORDS: usize = 127;
/// A round that takes longer is not waited for, and so many may be under way then.
const PATIENCE: Duration = Duration::from_millis(100);
const UNDER_WAY: usize = 16;
/// Octets of bodies in a round, at most; a record that has more, or one whose body was streamed to the disk, has a round of its own, for which no other waits.
const ROUND_BYTES: usize = 1 << 20;
/// Records that wait, at most; more wait where they come from.
const QUEUE: usize = 1024;

/// A record with bodies, which waits for its round.
pub struct Request {
    pub shard: Arc<Shard>,
    pub bodies: RecordBodies,
    /// What is sent to etcd once the bodies are kept.
    pub record: commit::Request,
}

impl Request {
    fn bytes(&self) -> usize {
        self.bodies.bodies.iter().map(Body::unwritten_bytes).sum()
    }

    fn is_large(&self) -> bool {
        self.bytes() > ROUND_BYTES || self.bodies.bodies.iter().any(|body| matches!(body, Body::Staged(_)))
    }
}

/// What a round needs.
pub struct Rounds {
    pub writer: Arc<BodyWriter>,
    pub keepers: Arc<dyn Keepers>,
    pub link: Arc<Link>,
}

/// A queue for [`Rounds::run`].
pub fn queue() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(QUEUE)
}

impl Rounds {
    /// Makes rounds until nobody can ask any more: one after the other while each is prompt, and those of large bodies beside them.
    pub async fn run(self, mut requests: mpsc::Receiver<Request>) {
        let (this, permits) = (Arc::new(self), Arc::new(Semaphore::new(UNDER_WAY)));
        let (mut rounds, mut left_over) = (JoinSet::new(), None);
        let mut linger = Duration::ZERO;
        loop {
            let first = match left_over.take() {
                Some(request) => request,
                None => match requests.recv().await {
                    Some(request) => request,
                    None => break,
                },
            };
            while rounds.try_join_next().is_some() {}
            if first.is_large() {
                let this = this.clone();
                rounds.spawn(async move { this.round(vec![first]).await });
                continue;
            }
            if !linger.is_zero() {
                sleep(linger).await;
            }
            let (mut bytes, mut round) = (first.bytes(), vec![first]);
            while round.len() < ROUND_RECORDS
                && let Ok(next) = requests.try_recv()
            {
                bytes += next.bytes();
                if bytes > ROUND_BYTES || next.is_large() {
                    left_over = Some(next);
                    break;
                }
                round.push(next);
            }
            let (began, is_one) = (Instant::now(), round.len() == 1);
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            let (this, (end, ended)) = (this.clone(), oneshot::channel::<()>());
            rounds.spawn(async move {
                this.round(round).await;
                drop((permit, end));
            });
            // One that hangs, because a node or etcd does not answer, holds up the others' for no longer than this.
            let _ = timeout(PATIENCE, ended).await;
            linger = if is_one { Duration::ZERO } else { (began.elapsed() / LINGER_PART).min(LINGER_MAX) };
        }
        while rounds.join_next().await.is_some() {}
    }

    /// Writes bodies here and at other nodes, at the same time, and has the records of those that are kept appended. Of the others nothing was sent to etcd: no
    /// record names them.
    async fn round(&self, round: Vec<Request>) {
        let written = self.writer.write(round.iter().map(|request| request.bodies.bodies.clone()).collect());
        let kept = self.keepers.keep(round.iter().map(|request| request.bodies.clone()).collect());
        let (written, kept) = tokio::join!(written, kept);
        let places = match written {
            Ok(places) => places,
            Err(error) => return round.into_iter().for_each(|request| request.record.refuse(&error)),
        };
        let mut records = VecDeque::with_capacity(round.len());
        for ((request, places), kept) in round.into_iter().zip(places).zip(kept) {
            match kept {
                Ok(()) => {
                    request.shard.expect(request.bodies.record, request.bodies.after, places);
                    records.push_back(request.record);
                }
                Err(AppendError::Unknown(why)) => request.record.refuse(&AppendError::Unavailable(why)),
                Err(error) => request.record.refuse(&error),
            }
        }
        commit::commit_all(&self.link, records).await;
    }
}
