use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use paquebot_log::{Body, Log, LogError, suite};
use paquebot_types::{BlobHash, Sequence};

use crate::node::{Node, SHARD, options};
use crate::servers::Servers;

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_with_one_member() {
    let servers = Servers::start(1).await;
    suite::run(Node::open(options(servers.endpoints())).await.log.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_with_three_members() {
    let servers = Servers::start(3).await;
    suite::run(Node::open(options(servers.endpoints())).await.log.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_behind_faults_and_has_each_record_once() {
    let servers = Servers::start(1).await;
    for seed in 1..=4 {
        let mut options = options(servers.endpoints());
        options.prefix = format!("seed-{seed}");
        let seen = suite::run_with_faults(Node::open(options).await.log.clone(), seed).await;
        let ids: HashSet<_> = seen.iter().map(|(_, record)| record.id).collect();
        assert_eq!(ids.len(), seen.len(), "seed {seed}");
        let counted: Vec<_> = (1..=seen.len() as u64).map(Sequence).collect();
        assert_eq!(seen.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), counted, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_one_record_on_any_node() {
    let servers = Servers::start(1).await;
    let (one, other) = (Node::open(options(servers.endpoints())).await, Node::open(options(servers.endpoints())).await);
    let record = suite::numbered(1);
    let first = one.log.append(SHARD, record.clone(), Vec::new()).await.unwrap();
    let between = one.log.append(SHARD, suite::numbered(2), Vec::new()).await.unwrap();
    let again = other.log.append(SHARD, record.clone(), Vec::new()).await.unwrap();
    assert_eq!((first, between, again), (Sequence(1), Sequence(2), Sequence(1)));
    let both = tokio::join!(
        one.log.append(SHARD, suite::numbered(3), Vec::new()),
        other.log.append(SHARD, suite::numbered(3), Vec::new())
    );
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (Sequence(3), Sequence(3)));
    assert_eq!(other.log.last(SHARD).await.unwrap(), Sequence(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_on_this_machine_when_their_record_comes_and_not_on_others() {
    let servers = Servers::start(1).await;
    let (here, there) =
        (Node::open(options(servers.endpoints())).await, Node::open(options(servers.endpoints())).await);
    let mut early = here.follow(Sequence::ZERO).await.unwrap();
    let bytes = Bytes::from_static(b"Subject: a body\r\n\r\nHello\r\n");
    let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
    let body = Body::Bytes { hash, bytes: bytes.clone() };
    here.log.append(SHARD, suite::numbered(1), vec![body]).await.unwrap();
    let mut late = here.follow(Sequence::ZERO).await.unwrap();
    for follower in [&mut early, &mut late] {
        let entries = follower.next().await.unwrap();
        let [(found, location)] = &*entries[0].bodies else { panic!("one body") };
        assert_eq!((*found, here.store.read_body_verified(*location).unwrap()), (hash, bytes.clone()));
    }
    let elsewhere = there.follow(Sequence::ZERO).await.unwrap().next().await.unwrap();
    assert!(elsewhere[0].bodies.is_empty());
}

/// The thread that applies records has a runtime of its own, with neither sockets nor a clock.
#[tokio::test(flavor = "multi_thread")]
async fn any_thread_may_ask() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    let log = node.log.clone();
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            log.append(SHARD, suite::numbered(2), Vec::new()).await.unwrap();
            log.trim(SHARD, Sequence(1)).await.unwrap();
            log.last(SHARD).await.unwrap()
        })
    });
    assert_eq!(tokio::task::spawn_blocking(|| asked.join().unwrap()).await.unwrap(), Sequence(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_ends_before_what_was_applied_is_not_followed() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    let refused = node.follow(Sequence(2)).await.err();
    assert!(matches!(refused, Some(LogError::Lost(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_drops_its_tasks() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    let mut follower = node.follow(Sequence::ZERO).await.unwrap();
    let log: Arc<dyn Log> = node.log.clone();
    log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    follower.upto(Sequence(1)).await;
    drop((log, node));
    assert!(follower.ended().await);
}
