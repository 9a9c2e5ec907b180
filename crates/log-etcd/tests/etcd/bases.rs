use paquebot_log::{Log, LogError, suite};
use paquebot_log_etcd::{EtcdLog, OpenError};
use paquebot_types::{Sequence, ShardId};

use crate::node::{CLUSTER, Node, SHARD, options};
use crate::servers::Servers;

#[tokio::test(flavor = "multi_thread")]
async fn numbering_goes_on_from_a_store_that_was_made_without_etcd() {
    let servers = Servers::start(1).await;
    let options = options(servers.endpoints());
    // More than one transaction holds, and some that have nothing yet.
    let bases: Vec<_> = (0..300).map(|shard| (ShardId(shard), Sequence(u64::from(shard) * 10))).collect();
    EtcdLog::make_cluster(options.clone(), &bases).await.unwrap();
    EtcdLog::make_cluster(options.clone(), &[]).await.expect("done twice it is done once");

    let node = Node::try_open(options).await.unwrap();
    assert_eq!(node.log.last(SHARD).await.unwrap(), Sequence(30));
    let refused = node.follow(Sequence(29)).await.err();
    assert!(matches!(refused, Some(LogError::Trimmed(SHARD))), "{refused:?}");
    let mut follower = node.follow(Sequence(30)).await.unwrap();
    assert_eq!(node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap(), Sequence(31));
    follower.upto(Sequence(31)).await;
    assert_eq!(node.log.append(ShardId(0), suite::numbered(2), Vec::new()).await.unwrap(), Sequence(1));
    assert_eq!(node.log.append(ShardId(299), suite::numbered(3), Vec::new()).await.unwrap(), Sequence(2991));
    node.log.trim(SHARD, Sequence(31)).await.unwrap();
    assert_eq!(node.log.append(SHARD, suite::numbered(4), Vec::new()).await.unwrap(), Sequence(32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_half_made_is_not_used_and_can_be_finished() {
    let servers = Servers::start(1).await;
    let options = options(servers.endpoints());
    let mut client = servers.client().await;
    client.put("paquebot/cluster", format!("paquebot 1 {CLUSTER} unfinished"), None).await.unwrap();
    let refused = Node::try_open(options.clone()).await.err();
    assert!(matches!(refused, Some(OpenError::Unfinished { .. })), "{refused:?}");
    EtcdLog::make_cluster(options.clone(), &[(SHARD, Sequence(7))]).await.unwrap();
    let node = Node::try_open(options).await.unwrap();
    assert_eq!(node.log.last(SHARD).await.unwrap(), Sequence(7));
}
