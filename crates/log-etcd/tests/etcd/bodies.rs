use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use paquebot_log::{AppendError, Body, BoxFuture, Keepers, Log, RecordBodies, suite};
use paquebot_log_etcd::EtcdLog;
use paquebot_model::{NewMessage, Op, Record};
use paquebot_types::{AccountId, BlobHash, Flags, InternalDate, MailboxId, Sequence, ShardId};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::node::{Node, SHARD, options};
use crate::servers::Servers;

/// Keeps bodies at another node of this process, once it is there.
#[derive(Default)]
struct Other {
    log: OnceCell<Arc<EtcdLog>>,
    asked: AtomicU64,
}

impl Keepers for Other {
    fn keep(&self, records: Vec<RecordBodies>) -> BoxFuture<'_, Vec<Result<(), AppendError>>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let count = records.len();
            let kept = match self.log.get() {
                Some(log) => log.receive(records).await,
                None => Err(AppendError::Unknown("nobody else is there".into())),
            };
            vec![kept; count]
        })
    }
}

fn body(text: &'static str) -> (BlobHash, Body) {
    let bytes = Bytes::from_static(text.as_bytes());
    let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
    (hash, Body::Bytes { hash, bytes })
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_at_another_node_before_their_record() {
    let servers = Servers::start(1).await;
    let keepers = Arc::new(Other::default());
    let here = Node::open_with(options(servers.endpoints()), keepers.clone()).await;
    let (there, third) =
        (Node::open(options(servers.endpoints())).await, Node::open(options(servers.endpoints())).await);
    let (hash, body) = body("Subject: a body\r\n\r\nHello\r\n");

    let refused = here.log.append(SHARD, suite::numbered(1), vec![body.clone()]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "nothing was sent: {refused:?}");
    assert_eq!(here.log.last(SHARD).await.unwrap(), Sequence::ZERO);
    here.log.append(SHARD, suite::numbered(2), Vec::new()).await.unwrap();
    assert_eq!(keepers.asked.load(Ordering::Relaxed), 1, "what brings no body asks nobody");

    assert!(keepers.log.set(there.log.clone()).is_ok());
    here.log.append(SHARD, suite::numbered(3), vec![body]).await.unwrap();
    for (node, has) in [(&here, true), (&there, true), (&third, false)] {
        let entries = node.follow(Sequence(1)).await.unwrap().next().await.unwrap();
        assert_eq!(entries[0].record, suite::numbered(3));
        let places = entries[0].bodies.iter();
        let found: Vec<BlobHash> = places
            .map(|(found, place)| {
                let bytes = node.store.read_body_verified(*place).unwrap();
                assert_eq!(*found, BlobHash(*blake3::hash(&bytes).as_bytes()));
                *found
            })
            .collect();
        assert_eq!(found, if has { vec![hash] } else { Vec::new() });
    }
}

/// A record that names this body.
fn naming(hash: BlobHash) -> Record {
    let message = NewMessage {
        body: hash,
        size: 1,
        thread: None,
        summary: Vec::new(),
        flags: Flags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate::new(0, 0),
    };
    let (account, mailbox) = (AccountId::new(1).unwrap(), MailboxId::new(2).unwrap());
    Record { ops: vec![Op::Append { account, mailbox, messages: vec![message] }], ..suite::numbered(1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_whose_record_has_not_come_survive_a_checkpoint_and_a_restart() {
    let servers = Servers::start(1).await;
    let (here, there) =
        (Node::open(options(servers.endpoints())).await, Node::open(options(servers.endpoints())).await);
    let (hash, body) = body("Subject: early\r\n\r\nHello\r\n");
    let record = naming(hash);
    let bodies = RecordBodies { shard: SHARD, record: record.id, after: Sequence::ZERO, bodies: vec![body] };
    there.log.receive(vec![bodies]).await.unwrap();
    there.store.checkpoint().unwrap();
    let there = there.restart(options(servers.endpoints())).await;

    here.log.append(SHARD, record, Vec::new()).await.unwrap();
    for pinned in [1, 0] {
        let entries = there.follow(Sequence::ZERO).await.unwrap().next().await.unwrap();
        let [(found, place)] = &*entries[0].bodies else { panic!("one body") };
        assert_eq!(*found, hash);
        there.store.read_body_verified(*place).unwrap();
        let pins = entries[0].pins.iter().filter(|pin| format!("{pin:?}") != "Pin(None)").count();
        assert_eq!(pins, pinned, "the first who follows has the pin");
    }
    there.store.checkpoint().unwrap();
    // Its record came, and nobody keeps it.
    let there = there.restart(options(servers.endpoints())).await;
    let entries = there.follow(Sequence::ZERO).await.unwrap().next().await.unwrap();
    assert!(entries[0].bodies.is_empty());
}

/// Says of each shard whether its bodies are kept, and remembers how many records it was asked for at a time.
#[derive(Default)]
struct Choosy {
    refuses: Option<ShardId>,
    rounds: Mutex<Vec<usize>>,
}

impl Keepers for Choosy {
    fn keep(&self, records: Vec<RecordBodies>) -> BoxFuture<'_, Vec<Result<(), AppendError>>> {
        self.rounds.lock().push(records.len());
        let answer = |record: &RecordBodies| match Some(record.shard) == self.refuses {
            true => Err(AppendError::Unavailable("nobody hosts it".into())),
            false => Ok(()),
        };
        Box::pin(std::future::ready(records.iter().map(answer).collect()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_shards_go_together_and_fail_alone() {
    let servers = Servers::start(1).await;
    let keepers = Arc::new(Choosy { refuses: Some(ShardId(5)), ..Choosy::default() });
    let node = Node::open_with(options(servers.endpoints()), keepers.clone()).await;
    let (_, body) = body("Subject: one of many\r\n\r\n");
    let appends = (1..=40).map(|number: u16| {
        let (log, body) = (node.log.clone(), body.clone());
        let shard = ShardId(number % 20 + 1);
        tokio::spawn(async move {
            let appended = log.append(shard, suite::numbered(number.into()), vec![body]).await;
            (shard, appended)
        })
    });
    for append in appends.collect::<Vec<_>>() {
        let (shard, appended) = append.await.unwrap();
        match shard == ShardId(5) {
            true => assert!(matches!(appended, Err(AppendError::Unavailable(_))), "{appended:?}"),
            false => assert!(appended.is_ok(), "{shard}: {appended:?}"),
        }
    }
    // Each shard's two records have two numbers, in whatever rounds they went.
    for shard in (1..=20).map(ShardId).filter(|shard| *shard != ShardId(5)) {
        assert_eq!(node.log.last(shard).await.unwrap(), Sequence(2), "{shard}");
    }
    assert_eq!(node.log.last(ShardId(5)).await.unwrap(), Sequence::ZERO);
    let rounds = keepers.rounds.lock();
    assert_eq!(rounds.iter().sum::<usize>(), 40);
    assert!(rounds.len() < 40, "none waited for another: {rounds:?}");
}
