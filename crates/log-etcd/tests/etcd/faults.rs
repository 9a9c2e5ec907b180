use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use paquebot_log::{AppendError, Log, suite};
use paquebot_log_etcd::EtcdLog;
use paquebot_model::Record;
use paquebot_types::Sequence;
use tokio::task::JoinSet;

use crate::node::{Node, SHARD, check, options};
use crate::proxy::{Answers, Proxy};
use crate::servers::Servers;

const APPENDERS: u64 = 4;
const RECORDS: u64 = 40;

/// Appends from several tasks at two nodes, with something done to etcd when a third of the records is acknowledged.
async fn append_while(nodes: [&Node; 2], act: impl AsyncFnOnce()) -> Vec<(Sequence, Record)> {
    let count = Arc::new(AtomicUsize::new(0));
    let mut appenders = JoinSet::new();
    for (place, node) in nodes.iter().enumerate() {
        for task in 0..APPENDERS {
            let first = (place as u64 * APPENDERS + task) * 1000;
            appenders.spawn(append_all(node.log.clone(), first, count.clone()));
        }
    }
    let third = (2 * APPENDERS * RECORDS / 3) as usize;
    while count.load(Ordering::Relaxed) < third {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    act().await;
    appenders.join_all().await.into_iter().flatten().collect()
}

async fn append_all(log: Arc<EtcdLog>, first: u64, count: Arc<AtomicUsize>) -> Vec<(Sequence, Record)> {
    let mut acknowledged = Vec::new();
    for n in 0..RECORDS {
        let record = suite::numbered(first + n);
        match log.append(SHARD, record.clone(), Vec::new()).await {
            Ok(sequence) => {
                count.fetch_add(1, Ordering::Relaxed);
                acknowledged.push((sequence, record));
            }
            Err(AppendError::Unavailable(_) | AppendError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    acknowledged
}

async fn survives(servers: &mut Servers, fault: impl AsyncFnOnce(&mut Servers)) {
    let (one, other) = (Node::open(options(servers.endpoints())).await, Node::open(options(servers.endpoints())).await);
    let mut followers = [one.follow(Sequence::ZERO).await.unwrap(), other.follow(Sequence::ZERO).await.unwrap()];
    let acknowledged = append_while([&one, &other], async || fault(servers).await).await;
    assert!(acknowledged.len() as u64 > APPENDERS * RECORDS, "appending goes on: {}", acknowledged.len());
    let last = one.log.last(SHARD).await.unwrap();
    let mut seen = vec![followers[0].upto(last).await, followers[1].upto(last).await];
    seen.push(other.follow(Sequence::ZERO).await.unwrap().upto(last).await);
    check(&acknowledged, &seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_loses_nothing() {
    let mut servers = Servers::start(3).await;
    survives(&mut servers, async |servers| {
        let leader = servers.leader().await;
        servers.kill(leader);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_killed_at_once_lose_nothing() {
    let mut servers = Servers::start(3).await;
    survives(&mut servers, async |servers| {
        (0..3).for_each(|member| servers.kill(member));
        (0..3).for_each(|member| servers.start_again(member));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_leader_loses_nothing() {
    let mut servers = Servers::start(3).await;
    survives(&mut servers, async |servers| {
        let leader = servers.leader().await;
        servers.freeze(leader);
        tokio::time::sleep(Duration::from_secs(3)).await;
        servers.thaw(leader);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_found_out() {
    let servers = Servers::start(1).await;
    let proxy = Proxy::start(&servers.endpoints()[0], None).await;
    let node = Node::open(options(vec![proxy.endpoint.clone()])).await;
    let direct = Node::open(options(servers.endpoints())).await;
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    let mut follower = direct.follow(Sequence::ZERO).await.unwrap();

    proxy.set(Answers::Lost);
    let log = node.log.clone();
    let appending = tokio::spawn(async move { log.append(SHARD, suite::numbered(2), Vec::new()).await });
    // It is in the log, and the one who asked does not know.
    follower.upto(Sequence(2)).await;
    proxy.set(Answers::Pass);
    assert_eq!(appending.await.unwrap().unwrap(), Sequence(2));
    assert_eq!(direct.log.last(SHARD).await.unwrap(), Sequence(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_found_out_is_unknown() {
    let servers = Servers::start(1).await;
    let proxy = Proxy::start(&servers.endpoints()[0], None).await;
    let mut impatient = options(vec![proxy.endpoint.clone()]);
    (impatient.deadline, impatient.patience) = (Duration::from_secs(2), Duration::from_millis(500));
    let node = Node::open(impatient).await;
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    proxy.set(Answers::Lost);
    let outcome = node.log.append(SHARD, suite::numbered(2), Vec::new()).await;
    assert!(matches!(outcome, Err(AppendError::Unknown(_))), "{outcome:?}");
    // From now on it is known that etcd does not answer, and nothing is sent.
    let outcome = node.log.append(SHARD, suite::numbered(3), Vec::new()).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    proxy.set(Answers::Pass);
    assert_eq!(node.log.append(SHARD, suite::numbered(4), Vec::new()).await.unwrap(), Sequence(3));
    let seen = node.follow(Sequence::ZERO).await.unwrap().upto(Sequence(3)).await;
    assert_eq!(seen.iter().map(|(_, record)| record.time_ms).collect::<Vec<_>>(), [1, 2, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_changes_are_refused_and_go_on_by_themselves() {
    let mut servers = Servers::start(3).await;
    let mut impatient = options(servers.endpoints());
    (impatient.deadline, impatient.patience) = (Duration::from_secs(3), Duration::from_millis(500));
    let node = Node::open(impatient).await;
    let mut follower = node.follow(Sequence::ZERO).await.unwrap();
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    let lost = [servers.leader().await, (servers.leader().await + 1) % 3];
    lost.iter().for_each(|member| servers.kill(*member));
    // The first may be on its way when the quorum goes.
    let first = node.log.append(SHARD, suite::numbered(2), Vec::new()).await;
    assert!(matches!(first, Err(AppendError::Unknown(_) | AppendError::Unavailable(_))), "{first:?}");
    for number in 3..6 {
        let refused = node.log.append(SHARD, suite::numbered(number), Vec::new()).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    }
    assert!(node.log.last(SHARD).await.is_err());
    lost.iter().for_each(|member| servers.start_again(*member));
    servers.leader().await;
    let again = loop {
        match node.log.append(SHARD, suite::numbered(6), Vec::new()).await {
            Ok(sequence) => break sequence,
            Err(error) => assert!(matches!(error, AppendError::Unavailable(_)), "{error}"),
        }
    };
    let seen: Vec<u64> = follower.upto(again).await.iter().map(|(_, record)| record.time_ms).collect();
    assert!(seen == [1, 6] || seen == [1, 2, 6], "what was refused is not there: {seen:?}");
}
