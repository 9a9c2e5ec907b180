//! Shards come, go and fail while others are at work.
#![allow(clippy::unwrap_used)]

mod memory;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use memory::MemoryLog;
use paquebot_log::faulty::FaultyLog;
use paquebot_log::{Log, LogError};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_model::{Chain, Op, Outcome};
use paquebot_replica::{Applying, Options, ProposeError, Replica, Trouble, TroubleKind};
use paquebot_store::Store;
use paquebot_store::fs::RealFs;
use paquebot_types::{Sequence, ShardId};
use tokio::sync::mpsc;

const ONE: ShardId = ShardId(1);
const OTHER: ShardId = ShardId(2);

fn store(dir: &std::path::Path) -> Arc<Store> {
    let (store, _) = Store::open(Arc::new(RealFs), dir, paquebot_store::Options::default()).unwrap();
    Arc::new(store)
}

async fn start(store: &Arc<Store>, log: Arc<dyn Log>, options: Options) -> Arc<Replica> {
    let watcher = Arc::new(|_, _, _: &paquebot_model::Applied| {});
    Arc::new(Replica::start(store.clone(), log, "test", &[ONE, OTHER], watcher, options).await.unwrap())
}

fn login(name: &str) -> Vec<Op> {
    vec![Op::AddLogin { name: name.into(), shard: ONE, credentials: None }]
}

async fn change(replica: &Replica, shard: ShardId, name: &str) -> Result<Vec<Outcome>, ProposeError> {
    let proposed = replica.propose(shard, login(name), Vec::new());
    tokio::time::timeout(Duration::from_secs(60), proposed).await.expect("every proposal is answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_goes_and_comes_back_and_nothing_is_missing() {
    for applying in [Applying::Thread, Applying::Task] {
        let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
        let replica = start(&store(dir.path()), log.clone(), Options { applying, ..Options::default() }).await;
        change(&replica, ONE, "anna").await.unwrap();
        let mut hosting = replica.hosting(ONE).unwrap();
        replica.unhost(ONE).await.unwrap();
        hosting.over().await;
        assert!(hosting.is_over() && replica.hosting(ONE).is_none());
        assert_eq!((replica.hosted(), log.followers(ONE)), (vec![OTHER], 0));
        let refused = change(&replica, ONE, "bert").await;
        assert!(matches!(refused, Err(ProposeError::Unavailable(_))), "{refused:?}");
        change(&replica, OTHER, "bert").await.unwrap();
        // Another node appends meanwhile.
        log.append(ONE, paquebot_log::suite::numbered(7), Vec::new()).await.unwrap();
        replica.host(ONE).await.unwrap();
        assert_eq!(replica.applied(ONE), Some(Sequence(2)));
        assert!(!replica.hosting(ONE).unwrap().is_over());
        change(&replica, ONE, "carl").await.unwrap();
        assert_eq!(replica.applied(ONE), Some(Sequence(3)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_when_a_shard_goes_comes_to_its_outcome() {
    let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    let replica = start(&store(dir.path()), log.clone(), Options::default()).await;
    log.hold(ONE);
    let proposer = replica.clone();
    let proposed = tokio::spawn(async move { change(&proposer, ONE, "anna").await });
    while log.last(ONE).await.unwrap() == Sequence::ZERO {
        tokio::task::yield_now().await;
    }
    let leaver = replica.clone();
    let leaving = tokio::spawn(async move { leaver.unhost(ONE).await });
    while replica.hosting(ONE).is_some() {
        tokio::task::yield_now().await;
    }
    log.release(ONE);
    assert!(matches!(proposed.await.unwrap().unwrap().as_slice(), [Outcome::Login { .. }]));
    leaving.await.unwrap().unwrap();

    // And where it takes too long nobody is told that it failed.
    let hasty = Options { unhost_wait: Duration::ZERO, ..Options::default() };
    let dir = tempfile::tempdir().unwrap();
    let replica = start(&store(dir.path()), log.clone(), hasty).await;
    log.hold(OTHER);
    let proposer = replica.clone();
    let proposed = tokio::spawn(async move { change(&proposer, OTHER, "bert").await });
    while log.last(OTHER).await.unwrap() == Sequence::ZERO {
        tokio::task::yield_now().await;
    }
    replica.unhost(OTHER).await.unwrap();
    assert!(matches!(proposed.await.unwrap(), Err(ProposeError::Unknown(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_fails_is_told_and_leaves_the_others_at_work() {
    let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    let (troubles, mut told) = mpsc::unbounded_channel();
    let replica =
        start(&store(dir.path()), log.clone(), Options { troubles: Some(troubles), ..Options::default() }).await;
    log.hold(ONE);
    let proposer = replica.clone();
    let proposed = tokio::spawn(async move { change(&proposer, ONE, "anna").await });
    while log.last(ONE).await.unwrap() == Sequence::ZERO {
        tokio::task::yield_now().await;
    }
    log.fail(ONE, &LogError::Newer(9));
    let Trouble { shard, kind, .. } = told.recv().await.unwrap();
    assert_eq!((shard, kind), (ONE, TroubleKind::Newer(9)));
    assert!(matches!(proposed.await.unwrap(), Err(ProposeError::Unknown(_))), "it may be in the log");
    assert!(matches!(change(&replica, ONE, "bert").await, Err(ProposeError::Unavailable(_))), "it is not sent");
    assert!(replica.failure_of(ONE).is_some() && replica.failure_of(OTHER).is_none());
    assert!(replica.reach_last(ONE).await.is_err());
    change(&replica, OTHER, "carl").await.unwrap();

    // Taken out and hosted anew it goes on from where it was.
    replica.unhost(ONE).await.unwrap();
    replica.host(ONE).await.unwrap();
    assert_eq!((replica.failure(), replica.applied(ONE)), (None, Some(Sequence(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_starts_without_a_shard_whose_log_was_trimmed() {
    let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    log.trim(ONE, Sequence(5)).await.unwrap();
    let (troubles, mut told) = mpsc::unbounded_channel();
    let replica = start(&store(dir.path()), log, Options { troubles: Some(troubles), ..Options::default() }).await;
    assert_eq!(told.recv().await.unwrap().kind, TroubleKind::Trimmed);
    assert!(replica.failure_of(ONE).is_some());
    change(&replica, OTHER, "anna").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_is_shown_exactly_as_the_shard_is_then() {
    let (dir, log) = (tempfile::tempdir().unwrap(), Arc::new(MemoryLog::default()));
    for number in 1..=3 {
        log.append(ONE, paquebot_log::suite::numbered(number), Vec::new()).await.unwrap();
    }
    let mut mark = paquebot_log::suite::numbered(4);
    mark.ops = vec![Op::Mark];
    log.append(ONE, mark, Vec::new()).await.unwrap();
    log.append(ONE, paquebot_log::suite::numbered(5), Vec::new()).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = seen.clone();
    let on_mark = Arc::new(move |shard, sequence, chain: Chain, txn: paquebot_store::ReadTxn| {
        let applied = txn.applied(shard).unwrap();
        assert_eq!((applied.sequence, applied.chain), (sequence, chain.0));
        seeing.lock().unwrap().push((shard, sequence));
    });
    let replica = start(&store(dir.path()), log, Options { on_mark: Some(on_mark), ..Options::default() }).await;
    assert_eq!(replica.applied(ONE), Some(Sequence(5)));
    assert_eq!(*seen.lock().unwrap(), [(ONE, Sequence(4))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_faults_every_proposal_is_answered_and_what_was_said_is_true() {
    for seed in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        let (store, tail) = Store::open(Arc::new(RealFs), dir.path(), paquebot_store::Options::default()).unwrap();
        let store = Arc::new(store);
        let inner: Arc<dyn Log> = match seed % 2 {
            0 => Arc::new(EmbeddedLog::open(store.clone(), tail).unwrap()),
            _ => Arc::new(MemoryLog::default()),
        };
        let replica = start(&store, Arc::new(FaultyLog::new(inner.clone(), seed)), Options::default()).await;
        let proposers: Vec<_> = (0..40)
            .map(|number| {
                let (replica, shard) = (replica.clone(), if number % 2 == 0 { ONE } else { OTHER });
                tokio::spawn(async move { (number, shard, change(&replica, shard, &format!("user{number}")).await) })
            })
            .collect();
        replica.unhost(OTHER).await.unwrap();
        replica.host(OTHER).await.unwrap();
        let mut said = Vec::new();
        for proposer in proposers {
            said.push(proposer.await.unwrap());
        }
        for shard in [ONE, OTHER] {
            replica.reach_last(shard).await.unwrap();
        }
        let txn = store.read().unwrap();
        for (number, shard, said) in said {
            let key = paquebot_model::key::login(&format!("user{number}"));
            let is_there = paquebot_model::Rows::get(&txn.rows(shard), &key).unwrap().is_some();
            match said {
                Ok(_) => assert!(is_there, "seed {seed}: user{number} was acknowledged"),
                Err(ProposeError::Unknown(_)) => {}
                Err(error) => assert!(!is_there, "seed {seed}: user{number} was refused: {error}"),
            }
        }
    }
}
