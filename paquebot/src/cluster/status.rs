//! How the cluster is, as this node sees it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use paquebot_admin::{ClusterNode, ClusterShard, ClusterStatus, EtcdMember, S3Status};
use paquebot_cluster::Node;
use paquebot_cluster::placement::{Place, Standing};
use paquebot_cluster::registry::{Member, Seen, View};
use paquebot_log::Log as _;
use paquebot_log_etcd::EtcdLog;
use paquebot_peer::NodeName;
use paquebot_types::{Sequence, ShardId};
use tokio::time::{Instant, timeout_at};

/// Shards whose last record is asked for at a time, and for how long in all.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(3);

/// Everything that is known. It may block.
pub async fn status(node: &Node, data: &Path) -> Result<ClusterStatus, String> {
    let view = node.registry.view();
    let progress = node.healer.progress().map_err(|error| error.to_string())?;
    let health = node.log.health();
    let etcd = health.members.iter().map(|member| match &member.state {
        Ok(state) => EtcdMember {
            endpoint: member.endpoint.clone(),
            failure: None,
            leads: state.is_leader,
            version: state.version.clone(),
            file_bytes: state.file_bytes,
            used_bytes: state.used_bytes,
            quota_bytes: state.quota_bytes,
        },
        Err(failure) => EtcdMember {
            endpoint: member.endpoint.clone(),
            failure: Some(failure.clone()),
            leads: false,
            version: String::new(),
            file_bytes: 0,
            used_bytes: 0,
            quota_bytes: 0,
        },
    });
    let (cluster, etcd) = (node.identity.lock().cluster().to_string(), etcd.collect());
    let directory = data.to_owned();
    let store_bytes = tokio::task::spawn_blocking(move || bytes_below(&directory)).await.unwrap_or(0);
    Ok(ClusterStatus {
        cluster,
        node: node.settings.node.to_string(),
        nodes: nodes(node, &view),
        etcd,
        refusal: health.refusal,
        shards: shards(node, &view).await,
        store_bytes,
        bodies_wanted: progress.wanted,
        bodies_fetched: progress.fetched,
        s3: node.s3.as_ref().map(s3),
    })
}

fn s3(s3: &paquebot_s3::S3) -> S3Status {
    let paquebot_s3::Progress { packs, bytes, cached_bytes, waiting, failure, .. } = s3.progress();
    S3Status { packs, bytes, cached_bytes, waiting, failure }
}

fn nodes(asked: &Node, view: &View) -> Vec<ClusterNode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = |node: &NodeName, joining: bool| -> u32 {
        let own = view.table.iter().flat_map(|table| table.of(node));
        u32::try_from(own.filter(|(_, standing)| (*standing == Standing::Joining) == joining).count())
            .unwrap_or(u32::MAX)
    };
    let told = |(node, member): (&NodeName, &Member)| ClusterNode {
        name: node.to_string(),
        address: member.address.clone(),
        up: view.seen(node) == Seen::Up,
        leaving: member.leaving,
        software: member.software.clone(),
        behind: behind(asked, view, node),
        shards: count(node, false),
        joining: count(node, true),
        silent_seconds: view
            .durable
            .get(node)
            .map(|durable| now.saturating_sub(Duration::from_millis(durable.at_ms)).as_secs()),
    };
    view.members.iter().map(told).collect()
}

/// Of the shards that both nodes host.
fn behind(asked: &Node, view: &View, node: &NodeName) -> u64 {
    let Some(table) = &view.table else { return 0 };
    let durable = view.durable.get(node);
    let of = |(shard, _): (ShardId, Standing)| {
        let applied = asked.service.applied(shard)?;
        let there = durable.and_then(|durable| durable.shards.get(&shard)).copied().unwrap_or_default();
        Some(applied.0.saturating_sub(there.0))
    };
    table.of(node).filter_map(of).sum()
}

async fn shards(node: &Node, view: &View) -> Vec<ClusterShard> {
    let Some(table) = &view.table else { return Vec::new() };
    // What etcd does not tell in time stays untold.
    let asked: Vec<_> = node.service.hosted().into_iter().map(|shard| end(node.log.clone(), shard)).collect();
    let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
    let mut ends = HashMap::new();
    let until = Instant::now() + PATIENCE;
    while let Ok(Some((shard, end))) = timeout_at(until, asked.next()).await {
        ends.insert(shard, end);
    }
    let txn = node.service.store().read().ok();
    let chain = |shard: ShardId| {
        let applied = txn.as_ref()?.applied(shard).ok()?;
        Some(applied.chain[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    };
    let told = |(shard, place): (&ShardId, &Place)| {
        let names = |joining: bool| {
            let hosts = place.hosts.iter().filter(|(_, standing)| (**standing == Standing::Joining) == joining);
            hosts.map(|(node, _)| node.to_string()).collect()
        };
        let applied = node.service.applied(*shard);
        let end = ends.get(shard).copied().flatten();
        ClusterShard {
            shard: shard.0,
            hosts: names(false),
            joining: names(true),
            applied: applied.map(|applied| applied.0),
            lag: applied.zip(end).map(|(applied, end)| end.0.saturating_sub(applied.0)),
            chain: applied.and_then(|_| chain(*shard)),
            failure: node.service.failure_of(*shard).map(|why| why.to_string()),
        }
    };
    table.shards.iter().map(told).collect()
}

async fn end(log: Arc<EtcdLog>, shard: ShardId) -> (ShardId, Option<Sequence>) {
    (shard, log.last(shard).await.ok())
}

fn bytes_below(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// For monitors: what can be told at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers {
    pub nodes: u64,
    pub nodes_up: u64,
    pub shards_hosted: u64,
    pub shards_joining: u64,
    pub shards_failed: u64,
    pub bodies_wanted: u64,
    pub bodies_fetched: u64,
    pub etcd_members: u64,
    pub etcd_members_up: u64,
    pub etcd_file_bytes: u64,
    pub etcd_quota_bytes: u64,
    /// Packs in S3, octets of them that are here too, and packs that are to be sent.
    pub s3: Option<(u64, u64, u64)>,
}

pub fn numbers(node: &Node) -> Numbers {
    let (view, health) = (node.registry.view(), node.log.health());
    let progress = node.healer.progress().unwrap_or_default();
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let own = || view.table.iter().flat_map(|table| table.of(&node.settings.node));
    let joining = own().filter(|(_, standing)| *standing == Standing::Joining).count();
    let up: Vec<_> = health.members.iter().filter_map(|member| member.state.as_ref().ok()).collect();
    Numbers {
        nodes: count(view.members.len()),
        nodes_up: count(view.members.keys().filter(|node| view.seen(node) == Seen::Up).count()),
        shards_hosted: count(node.service.hosted().len()),
        shards_joining: count(joining),
        shards_failed: count(
            node.service.hosted().into_iter().filter(|shard| node.service.failure_of(*shard).is_some()).count(),
        ),
        bodies_wanted: progress.wanted,
        bodies_fetched: progress.fetched,
        etcd_members: count(health.members.len()),
        etcd_members_up: count(up.len()),
        etcd_file_bytes: up.iter().map(|state| state.file_bytes).max().unwrap_or(0),
        etcd_quota_bytes: up.iter().map(|state| state.quota_bytes).min().unwrap_or(0),
        s3: node.s3.as_ref().map(|s3| s3.progress()).map(|s3| (s3.packs, s3.cached_bytes, s3.waiting)),
    }
}
