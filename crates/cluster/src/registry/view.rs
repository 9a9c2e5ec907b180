//! Following the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, EventType, GetOptions, KeyValue, WatchOptions};
use paquebot_peer::NodeName;
use paquebot_types::ShardId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::RegistryError;
use super::entries::{Alive, Durable, Member};
use crate::placement::{Standing, Table};

/// Before the registry is read anew when following it has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// A watch that says nothing for so long is begun anew: a member of etcd that is cut off says nothing either.
const SILENCE: Duration = Duration::from_secs(15);

/// The registry as it was seen at some moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub members: BTreeMap<NodeName, Member>,
    pub alive: BTreeMap<NodeName, Alive>,
    pub durable: BTreeMap<NodeName, Durable>,
    pub table: Option<Table>,
    /// The table's revision in etcd, for changing it.
    pub table_revision: i64,
}

/// Where a node is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Up,
    Down,
}

impl View {
    pub fn seen(&self, node: &NodeName) -> Seen {
        if self.alive.contains_key(node) { Seen::Up } else { Seen::Down }
    }

    /// The address of a node that is a member.
    pub fn address(&self, node: &NodeName) -> Option<&str> {
        self.members.get(node).map(|member| member.address.as_str())
    }

    /// The nodes that host a shard up to date, those that are up first.
    pub fn hosts(&self, shard: ShardId) -> Vec<&NodeName> {
        let Some(table) = &self.table else { return Vec::new() };
        let mut hosts: Vec<&NodeName> = table.hosts(shard).collect();
        hosts.sort_by_key(|node| self.seen(node) == Seen::Down);
        hosts
    }

    /// What a node has to do with a shard.
    pub fn standing(&self, node: &NodeName, shard: ShardId) -> Option<Standing> {
        self.table.as_ref()?.shards.get(&shard)?.hosts.get(node).copied()
    }

    /// The newest format of records that every member reads; `otherwise` when there is none.
    pub fn record_version(&self, otherwise: u8) -> u8 {
        self.members.values().map(|member| member.reads).min().unwrap_or(otherwise)
    }

    /// The addresses of the members of etcd that nodes run.
    pub fn etcd(&self) -> BTreeSet<&str> {
        self.members.values().filter_map(|member| Some(member.etcd.as_ref()?.client.as_str())).collect()
    }

    fn put(&mut self, prefix: &str, kv: &KeyValue) -> Result<(), RegistryError> {
        let key = String::from_utf8_lossy(kv.key()).into_owned();
        let damaged = || RegistryError::Damaged(key.clone());
        match name(prefix, &key) {
            Named::Table => {
                self.table = Some(Table::decode(kv.value())?);
                self.table_revision = kv.mod_revision();
            }
            Named::Member(node) => {
                self.members.insert(node, serde_json::from_slice(kv.value()).map_err(|_| damaged())?);
            }
            Named::Alive(node) => {
                self.alive.insert(node, serde_json::from_slice(kv.value()).map_err(|_| damaged())?);
            }
            Named::Durable(node) => {
                self.durable.insert(node, serde_json::from_slice(kv.value()).map_err(|_| damaged())?);
            }
            Named::Other => {}
        }
        Ok(())
    }

    fn remove(&mut self, prefix: &str, key: &[u8]) {
        match name(prefix, &String::from_utf8_lossy(key)) {
            Named::Member(node) => _ = self.members.remove(&node),
            Named::Alive(node) => _ = self.alive.remove(&node),
            Named::Durable(node) => _ = self.durable.remove(&node),
            // A cluster without a placement is none: what was known stays.
            Named::Table | Named::Other => {}
        }
    }
}

enum Named {
    Table,
    Member(NodeName),
    Alive(NodeName),
    Durable(NodeName),
    Other,
}

fn name(prefix: &str, key: &str) -> Named {
    let Some(rest) = key.strip_prefix(prefix) else { return Named::Other };
    if rest == "table" {
        return Named::Table;
    }
    let Some((kind, node)) = rest.split_once('/') else { return Named::Other };
    let Ok(node) = NodeName::new(node) else { return Named::Other };
    match kind {
        "member" => Named::Member(node),
        "alive" => Named::Alive(node),
        "durable" => Named::Durable(node),
        _ => Named::Other,
    }
}

/// What of the prefix is followed: the log is not.
const FOLLOWED: [&str; 4] = ["table", "member/", "alive/", "durable/"];

/// Reads all of it as of one revision, which is given too.
pub(super) async fn load(client: &mut Client, prefix: &str) -> Result<(View, i64), RegistryError> {
    let mut view = View::default();
    let mut revision = 0;
    for part in FOLLOWED {
        let mut options = GetOptions::new().with_prefix();
        if revision > 0 {
            options = options.with_revision(revision);
        }
        let found = client.get(format!("{prefix}{part}"), Some(options)).await?;
        if revision == 0 {
            revision = found.header().map_or(0, |header| header.revision());
        }
        for kv in found.kvs() {
            view.put(prefix, kv)?;
        }
    }
    match view.table {
        Some(_) => Ok((view, revision)),
        None => Err(RegistryError::NoTable),
    }
}

/// Keeps the view true until nobody looks at it any more.
pub(super) async fn follow(mut client: Client, prefix: Arc<str>, mut revision: i64, view: watch::Sender<Arc<View>>) {
    let mut warned: Option<Instant> = None;
    while !view.is_closed() {
        let result = tokio::select! {
            result = watch_from(&mut client, &prefix, revision, &view) => result,
            () = view.closed() => return,
        };
        if let Err(error) = result
            && warned.is_none_or(|at| at.elapsed() > Duration::from_secs(60))
        {
            warned = Some(Instant::now());
            tracing::warn!(%error, "the cluster's registry is not seen now");
        }
        sleep(PAUSE).await;
        // Whatever was missed is in what is read now.
        if let Ok(Ok((found, at))) = timeout(SILENCE, load(&mut client, &prefix)).await {
            revision = at;
            view.send_replace(Arc::new(found));
            warned = None;
        }
    }
}

async fn watch_from(
    client: &mut Client,
    prefix: &str,
    revision: i64,
    view: &watch::Sender<Arc<View>>,
) -> Result<(), RegistryError> {
    let mut streams = Vec::new();
    for part in FOLLOWED {
        let options = WatchOptions::new().with_prefix().with_start_revision(revision + 1).with_progress_notify();
        streams.push(client.watch(format!("{prefix}{part}"), Some(options)).await?);
    }
    let mut merged = futures_util::stream::select_all(streams);
    loop {
        use futures_util::StreamExt as _;
        let Ok(next) = timeout(SILENCE, merged.next()).await else {
            // Nothing has happened, or nothing comes through: reading tells.
            return Ok(());
        };
        let Some(response) = next.transpose()? else { return Ok(()) };
        if response.canceled() {
            return Ok(());
        }
        if response.events().is_empty() {
            continue;
        }
        let mut changed = View::clone(&view.borrow());
        for event in response.events() {
            let Some(kv) = event.kv() else { continue };
            match event.event_type() {
                EventType::Put => changed.put(prefix, kv)?,
                EventType::Delete => changed.remove(prefix, kv.key()),
            }
        }
        view.send_replace(Arc::new(changed));
    }
}
