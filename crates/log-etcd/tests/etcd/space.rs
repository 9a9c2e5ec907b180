use std::time::Duration;

use paquebot_log::{AppendError, Log, LogError, suite};
use paquebot_model::Op;
use paquebot_types::{Sequence, ShardId};

use crate::node::{Node, SHARD, options};
use crate::proxy::{Answers, Proxy};
use crate::servers::Servers;

async fn append(node: &Node, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        node.log.append(SHARD, suite::numbered(number), Vec::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_trimmed_is_gone_and_the_numbers_stay() {
    let servers = Servers::start(1).await;
    let mut client = servers.client().await;
    client.put("somebody/else", "1", None).await.unwrap();
    let (one, other) = (Node::open(options(servers.endpoints())).await, Node::open(options(servers.endpoints())).await);
    append(&one, 1..=300).await;
    let mut early = other.follow(Sequence(250)).await.unwrap();
    // Both at once: each record is forgotten and counted once.
    let trimmed = tokio::join!(one.log.trim(SHARD, Sequence(290)), other.log.trim(SHARD, Sequence(200)));
    trimmed.0.and(trimmed.1).unwrap();
    assert_eq!(one.log.last(SHARD).await.unwrap(), Sequence(300));
    append(&other, 301..=302).await;
    early.upto(Sequence(302)).await;

    let fresh = Node::open(options(servers.endpoints())).await;
    for node in [&one, &other, &fresh] {
        let gone = node.follow(Sequence(289)).await.err();
        assert!(matches!(gone, Some(LogError::Trimmed(SHARD))), "{gone:?}");
        let kept = node.follow(Sequence(290)).await.unwrap().upto(Sequence(302)).await;
        let numbers: Vec<_> = kept.iter().map(|(sequence, record)| (sequence.0, record.time_ms)).collect();
        assert_eq!(numbers, (291..=302).map(|number| (number, number)).collect::<Vec<_>>());
    }
    // Past the end is up to the end, and an empty log goes on counting.
    fresh.log.trim(SHARD, Sequence(1000)).await.unwrap();
    assert_eq!(fresh.log.last(SHARD).await.unwrap(), Sequence(302));
    append(&one, 303..=303).await;
    let kept = fresh.follow(Sequence(302)).await.unwrap().upto(Sequence(303)).await;
    assert_eq!(kept[0].1.time_ms, 303);
    let others = client.get("somebody/", Some(etcd_client::GetOptions::new().with_prefix())).await.unwrap();
    assert_eq!(others.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_away_goes_on_or_hears_that_it_was_trimmed() {
    let servers = Servers::start(1).await;
    let mut tidy = options(servers.endpoints());
    (tidy.look, tidy.history) = (Duration::from_millis(50), Some(Duration::from_millis(100)));
    let here = Node::open(tidy).await;
    let proxy = Proxy::start(&servers.endpoints()[0], None).await;
    let away = Node::open(options(vec![proxy.endpoint.clone()])).await;
    append(&here, 1..=10).await;
    let mut follower = away.follow(Sequence::ZERO).await.unwrap();
    follower.upto(Sequence(10)).await;

    // What it has not seen is kept, but the history of it is not.
    proxy.set(Answers::Cut);
    append(&here, 11..=20).await;
    here.log.trim(SHARD, Sequence(10)).await.unwrap();
    await_compaction(&servers).await;
    proxy.set(Answers::Pass);
    let seen = follower.upto(Sequence(20)).await;
    assert_eq!((seen[0].0, seen.len()), (Sequence(11), 10));

    // What it has not seen is gone.
    proxy.set(Answers::Cut);
    append(&here, 21..=30).await;
    here.log.trim(SHARD, Sequence(25)).await.unwrap();
    await_compaction(&servers).await;
    proxy.set(Answers::Pass);
    let told = follower.next().await.err();
    assert!(matches!(told, Some(LogError::Trimmed(SHARD))), "{told:?}");
    // It comes back with a snapshot from a peer.
    away.follow(Sequence(25)).await.unwrap().upto(Sequence(30)).await;
}

/// Waits until the history up to now is gone.
async fn await_compaction(servers: &Servers) {
    let mut client = servers.client().await;
    let now = client.get("x", None).await.unwrap().header().unwrap().revision();
    let mut number = 0;
    loop {
        let then = etcd_client::GetOptions::new().with_revision(now);
        match client.get("x", Some(then)).await {
            Ok(_) => {
                number += 1;
                client.put("time", format!("passes {number}"), None).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return assert!(error.to_string().contains("compacted"), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_refused_before_the_quota_and_trimming_is_not() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    append(&node, 1..=3).await;
    let member = node.log.health().members.remove(0).state.unwrap();
    assert!(member.is_leader && member.file_bytes > 0 && member.used_bytes <= member.file_bytes, "{member:?}");

    let mut small = options(servers.endpoints());
    small.quota_bytes = member.file_bytes;
    let node = Node::open(small).await;
    let refused = node.log.append(SHARD, suite::numbered(4), Vec::new()).await;
    assert!(matches!(&refused, Err(AppendError::Unavailable(why)) if why.contains("quota")), "{refused:?}");
    node.log.trim(SHARD, Sequence(2)).await.unwrap();
    assert_eq!(node.log.last(SHARD).await.unwrap(), Sequence(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_without_space_takes_no_changes_and_says_so() {
    let servers = Servers::start_with(1, &["--quota-backend-bytes=1000000"]).await;
    let node = Node::open(options(servers.endpoints())).await;
    let mut number = 0;
    let why = loop {
        number += 1;
        let mut record = suite::numbered(number);
        record.ops = vec![Op::RemoveLogin { name: "x".repeat(100_000) }];
        match node.log.append(SHARD, record, Vec::new()).await {
            Ok(_) => assert!(number < 50, "the quota is reached"),
            Err(AppendError::Unavailable(why)) => break why,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(why.contains("space"), "{why}");
    assert_eq!(node.log.last(SHARD).await.unwrap(), Sequence(number - 1));
    while node.log.health().refusal.is_none() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused_and_the_largest_is_not() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    let record = |bytes| {
        let mut record = suite::numbered(bytes as u64);
        record.ops = vec![Op::RemoveLogin { name: "x".repeat(bytes) }];
        record
    };
    let largest = record(paquebot_log_etcd::RECORD_BYTES_MAX - 100);
    node.log.append(SHARD, largest.clone(), Vec::new()).await.unwrap();
    let refused = node.log.append(SHARD, record(paquebot_log_etcd::RECORD_BYTES_MAX), Vec::new()).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    // Two at once are two transactions, though one page is read.
    let other = ShardId(SHARD.0 + 1);
    tokio::join!(
        async { node.log.append(SHARD, record(paquebot_log_etcd::RECORD_BYTES_MAX - 101), Vec::new()).await.unwrap() },
        async { node.log.append(other, largest.clone(), Vec::new()).await.unwrap() },
    );
    let fresh = Node::open(options(servers.endpoints())).await;
    assert_eq!(fresh.follow(Sequence::ZERO).await.unwrap().upto(Sequence(2)).await[0].1, largest);
}
