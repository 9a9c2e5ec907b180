//! What nodes say of themselves in etcd, and what all of them see.
//!
//! ```text
//! PREFIX/member/NODE            who is a node of the cluster: a node, until it leaves or is removed
//! PREFIX/alive/NODE             under a lease: it runs now
//! PREFIX/table                  the placement
//! PREFIX/durable/NODE           how far the node's index is on its disk, for each shard
//! PREFIX/mark/SHARD/SEQ/NODE    under a lease: what the node has of a shard at a marked place
//! ```

mod change;
mod entries;
mod noted;
mod view;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp};
use paquebot_peer::NodeName;
use parking_lot::RwLock;
use tokio::sync::watch;

pub use entries::{Alive, Durable, Etcd, Member, Report};
pub use noted::Unreached;
pub use view::{Seen, View};

use crate::placement::{Table, TableError};

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("etcd: {0}")]
    Etcd(#[from] etcd_client::Error),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the cluster has no placement in etcd: `paquebot cluster init` makes it")]
    NoTable,
    #[error("the key {0} in etcd cannot be read: it was made by a newer version, or by somebody else")]
    Damaged(String),
    #[error(
        "there is a node {node} in the cluster already, and it runs, at {address}: a cluster has no two nodes of one name; give this one another (`node` in [cluster])"
    )]
    TwoOfOneName { node: NodeName, address: String },
    #[error(
        "{0} is no node of this cluster any more: it was removed or replaced; `paquebot cluster join` makes this machine a new one"
    )]
    Removed(NodeName),
    #[error("somebody else changes the placement again and again; try again")]
    Contended,
}

/// The registry of one cluster, as one node uses it.
#[derive(Clone)]
pub struct Registry {
    /// Another once etcd is reached, where it was not at the start.
    client: Arc<RwLock<Client>>,
    prefix: Arc<str>,
    view: watch::Receiver<Arc<View>>,
}

impl Registry {
    /// Begins to follow the cluster's registry; done when it has been read once. The following ends with the last clone.
    pub async fn open(client: Client, prefix: &str) -> Result<Self, RegistryError> {
        let prefix = slashed(prefix);
        let (sender, view) = watch::channel(Arc::default());
        let (first, revision) = view::load(&mut client.clone(), &prefix).await?;
        sender.send_replace(Arc::new(first));
        tokio::spawn(view::follow(client.clone(), prefix.clone(), revision, sender));
        Ok(Self { client: Arc::new(RwLock::new(client)), prefix, view })
    }

    /// What was seen last. It may be old: without a quorum nothing new comes.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// What is there now, as a quorum has it: for what must not be decided by what was seen before.
    pub async fn read(&self) -> Result<View, RegistryError> {
        Ok(view::load(&mut self.client(), &self.prefix).await?.0)
    }

    /// A bell that rings when it changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    pub(crate) fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// Makes the placement of a new cluster, unless there is one.
    pub async fn make(client: &mut Client, prefix: &str, table: &Table) -> Result<(), RegistryError> {
        let key = format!("{}/table", prefix.trim_matches('/'));
        let absent = Compare::create_revision(key.as_str(), CompareOp::Equal, 0);
        client.txn(Txn::new().when([absent]).and_then([TxnOp::put(key, table.encode(), None)])).await?;
        Ok(())
    }

    /// A client of the registry's etcd.
    pub fn client(&self) -> Client {
        self.client.read().clone()
    }

    /// Says that a machine is a node from now on: at its joining. Another that had the name is it no longer.
    pub async fn admit(&self, node: &NodeName, member: &Member) -> Result<(), RegistryError> {
        self.put(&format!("member/{node}"), member, None).await
    }

    /// Says that a node is none any more, for good.
    pub async fn dismiss(&self, node: &NodeName) -> Result<(), RegistryError> {
        let keys = [format!("member/{node}"), format!("alive/{node}"), format!("durable/{node}")];
        let gone: Vec<TxnOp> = keys.iter().map(|key| TxnOp::delete(self.key(key), None)).collect();
        self.client().txn(Txn::new().and_then(gone)).await?;
        Ok(())
    }

    async fn put(&self, key: &str, value: &impl serde::Serialize, lease: Option<i64>) -> Result<(), RegistryError> {
        let text = serde_json::to_vec(value).map_err(|_| RegistryError::Damaged(key.into()))?;
        let options = lease.map(|lease| PutOptions::new().with_lease(lease));
        self.client().put(self.key(key), text, options).await?;
        Ok(())
    }

    /// Notes how far this node's index is on its disk.
    pub async fn set_durable(&self, node: &NodeName, durable: &Durable) -> Result<(), RegistryError> {
        self.put(&format!("durable/{node}"), durable, None).await
    }

    /// Reports what this node has of a shard at a marked place; forgotten after `keep`.
    pub async fn report(&self, node: &NodeName, report: &Report, keep: Duration) -> Result<(), RegistryError> {
        let seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let lease = self.client().lease_grant(seconds, None).await?;
        let key = format!("mark/{:05}/{}/{node}", report.shard.0, report.sequence.0);
        self.put(&key, report, Some(lease.id())).await
    }

    /// What all nodes have reported of a shard at one place.
    pub async fn reports(&self, of: &Report) -> Result<Vec<(NodeName, Report)>, RegistryError> {
        let prefix = self.key(&format!("mark/{:05}/{}/", of.shard.0, of.sequence.0));
        let found = self.client().get(prefix.as_str(), Some(GetOptions::new().with_prefix())).await?;
        let mut reports = Vec::new();
        for kv in found.kvs() {
            let name = String::from_utf8_lossy(kv.key()).into_owned();
            let node = name.strip_prefix(&prefix).and_then(|node| NodeName::new(node).ok());
            let report = serde_json::from_slice(kv.value()).ok();
            reports.push(node.zip(report).ok_or(RegistryError::Damaged(name))?);
        }
        Ok(reports)
    }
}

/// A prefix as it is configured: slashes around it don't count.
fn slashed(prefix: &str) -> Arc<str> {
    format!("{}/", prefix.trim_matches('/')).into()
}
