//! Clients: each asks one thing after another, at whichever node lives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use paquebot_log::Body;
use paquebot_log_etcd::simulated::Random;
use paquebot_model::{FlagAction, FlagChange, NewMessage, Op, Outcome};
use paquebot_replica::ProposeError;
use paquebot_types::{BlobHash, Flags, InternalDate, MailboxId, ShardId, Uid, UidRange, UidSet};
use tokio::time::{Instant, sleep};

use crate::SHARDS;
use crate::cluster::Cluster;
use crate::history::{End, Place};
use crate::node::Running;
use crate::view::{ACCOUNT, View};

/// Asks until the time is over.
pub async fn client(cluster: Arc<Cluster>, number: usize, seed: u64, until: Instant) {
    let mut client = Client { cluster, number, random: Random::new(seed), sent: 0 };
    while Instant::now() < until {
        sleep(client.random.time(Duration::from_millis(400))).await;
        let node = client.random.below(crate::NODES as u64) as usize;
        let Some(running) = client.cluster.network.running(node) else { continue };
        let shard = SHARDS[client.random.below(SHARDS.len() as u64) as usize];
        client.ask(node, &running, shard).await;
    }
}

struct Client {
    cluster: Arc<Cluster>,
    number: usize,
    random: Random,
    sent: u64,
}

impl Client {
    async fn ask(&mut self, node: usize, running: &Arc<Running>, shard: ShardId) {
        let Ok(txn) = running.store.read() else { return };
        let view = View::of(&txn, shard);
        drop(txn);
        let places: Vec<MailboxId> = view.mailboxes.keys().copied().collect();
        if places.is_empty() {
            return;
        }
        let place = (shard, places[self.random.below(places.len() as u64) as usize]);
        let shown = &view.mailboxes[&place.1].messages;
        let chosen = shown.iter().nth(self.random.below(shown.len().max(1) as u64) as usize);
        match (self.random.below(10), chosen) {
            (0..5, _) | (_, None) => self.append(running, place).await,
            (5, Some((uid, _))) => self.flag(running, place, *uid).await,
            (6, Some((uid, _))) => self.expunge(running, place, *uid).await,
            (7, Some((uid, (hash, _)))) => {
                let to = (shard, places[self.random.below(places.len() as u64) as usize]);
                if to != place {
                    self.change_place(running, (place, *uid), to, *hash).await;
                }
            }
            _ => self.cluster.look(node, running, shard).await,
        }
    }

    async fn append(&mut self, running: &Running, place: Place) {
        self.sent += 1;
        let text = format!("Subject: {} of client {}\r\n\r\n{}\r\n", self.sent, self.number, "x".repeat(100));
        let bytes = Bytes::from(text);
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        let message = NewMessage {
            body: hash,
            size: bytes.len() as u32,
            thread: None,
            summary: Vec::new(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: InternalDate::new(0, 0),
        };
        let op = Op::Append { account: ACCOUNT, mailbox: place.1, messages: vec![message] };
        let end = propose(running, place.0, vec![op], vec![Body::Bytes { hash, bytes }]).await;
        let end = end.map(|outcomes| match outcomes.as_slice() {
            [Outcome::Appended { uids, .. }] => End::Ok(uids.iter().next().unwrap().get()),
            _ => End::Fail,
        });
        self.cluster.history.lock().appended(place, hash, end.unwrap_or_else(not_done));
    }

    async fn flag(&mut self, running: &Running, place: Place, uid: u32) {
        let end = propose(running, place.0, vec![store(place.1, uid, Flags::FLAGGED)], Vec::new()).await;
        let end = end.map(|outcomes| match outcomes.as_slice() {
            [Outcome::Stored { .. }] => End::Ok(()),
            _ => End::Fail,
        });
        self.cluster.history.lock().flagged(place, uid, end.unwrap_or_else(not_done));
    }

    async fn expunge(&mut self, running: &Running, place: Place, uid: u32) {
        self.cluster.history.lock().leaves(place, uid);
        let expunge = Op::Expunge { account: ACCOUNT, mailbox: place.1, uids: only(uid) };
        let ops = vec![store(place.1, uid, Flags::DELETED), expunge];
        let end = propose(running, place.0, ops, Vec::new()).await;
        let end = end.map(|outcomes| match outcomes.as_slice() {
            [_, Outcome::Expunged { .. }] => End::Ok(()),
            _ => End::Fail,
        });
        self.cluster.history.lock().expunged(place, uid, end.unwrap_or_else(not_done));
    }

    async fn change_place(&mut self, running: &Running, from: (Place, u32), to: Place, hash: BlobHash) {
        self.cluster.history.lock().leaves(from.0, from.1);
        let op = Op::Move { account: ACCOUNT, from: from.0.1, uids: only(from.1), to: to.1 };
        let end = propose(running, to.0, vec![op], Vec::new()).await;
        let end = end.map(|outcomes| match outcomes.as_slice() {
            [Outcome::Copied { destination, .. }] => End::Ok(destination.iter().next().map(Uid::get)),
            _ => End::Fail,
        });
        self.cluster.history.lock().moved(from, to, hash, end.unwrap_or_else(not_done));
    }
}

fn not_done<T>(error: ProposeError) -> End<T> {
    match error {
        ProposeError::Full | ProposeError::Unavailable(_) => End::Fail,
        ProposeError::Unknown(_) => End::Unknown,
    }
}

/// Proposes as a session does. One whose node dies learns nothing.
pub async fn propose(
    running: &Running,
    shard: ShardId,
    ops: Vec<Op>,
    bodies: Vec<Body>,
) -> Result<Vec<Outcome>, ProposeError> {
    let proposed = async {
        running.life.step("a client's request").await;
        let outcomes = running.replica.propose(shard, ops, bodies).await;
        running.life.step("an answer to a client").await;
        outcomes
    };
    tokio::select! {
        biased;
        () = running.life.death() => Err(ProposeError::Unknown("the connection is lost".into())),
        outcomes = proposed => outcomes,
    }
}

fn only(uid: u32) -> UidSet {
    let uid = Uid::new(uid).unwrap();
    UidSet::from_ranges(vec![UidRange::new(uid, uid)])
}

fn store(mailbox: MailboxId, uid: u32, flags: Flags) -> Op {
    let change = FlagChange { action: FlagAction::Add, flags, keywords: Vec::new() };
    Op::Store { account: ACCOUNT, mailbox, uids: only(uid), change, unchanged_since: None }
}
