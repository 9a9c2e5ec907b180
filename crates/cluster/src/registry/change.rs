//! Being a node, and changing the placement.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use paquebot_peer::NodeName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::entries::{Alive, Member};
use super::{Registry, RegistryError};
use crate::placement::Table;

/// Attempts to change the placement while others do.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

impl Registry {
    /// Says what this node is, at its start. A node that is up elsewhere under the same name is an error; so is a member that was removed.
    pub async fn register(&self, node: &NodeName, member: &Member, lease: Duration) -> Result<(), RegistryError> {
        let view = self.view();
        if !view.members.contains_key(node) {
            return Err(RegistryError::Removed(node.clone()));
        }
        // At another address it may be another machine: if it keeps its lease, it is.
        let other = view.alive.get(node).filter(|alive| alive.address != member.address).cloned();
        if let Some(other) = other {
            let end = Instant::now() + lease * 2;
            while self.view().alive.get(node).is_some_and(|alive| alive.start == other.start) {
                if Instant::now() >= end {
                    return Err(RegistryError::TwoOfOneName { node: node.clone(), address: other.address });
                }
                sleep(PAUSE).await;
            }
        }
        self.put(&format!("member/{node}"), member, None).await
    }

    /// Keeps the node's lease until the task is ended, whatever happens to etcd meanwhile. The receiver tells whether it is held.
    pub fn stay_alive(
        &self,
        node: NodeName,
        alive: Alive,
        lease: Duration,
    ) -> (watch::Receiver<bool>, impl Future<Output = ()> + Send + use<>) {
        let (held, holding) = watch::channel(false);
        let registry = self.clone();
        let work = async move {
            loop {
                if let Err(error) = registry.hold(&node, &alive, lease, &held).await {
                    tracing::debug!(%error, "the lease of this node is not renewed now");
                }
                held.send_replace(false);
                sleep(PAUSE * 10).await;
            }
        };
        (holding, work)
    }

    async fn hold(
        &self,
        node: &NodeName,
        alive: &Alive,
        lease: Duration,
        held: &watch::Sender<bool>,
    ) -> Result<(), RegistryError> {
        let mut client = self.client();
        let seconds = i64::try_from(lease.as_secs()).unwrap_or(i64::MAX);
        let limit = lease / 2;
        let late = || RegistryError::Etcd(etcd_client::Error::LeaseKeepAliveError("no answer in time".into()));
        let granted = timeout(limit, client.lease_grant(seconds, None)).await.map_err(|_| late())??;
        timeout(limit, self.put(&format!("alive/{node}"), alive, Some(granted.id()))).await.map_err(|_| late())??;
        held.send_replace(true);
        let (mut keeper, mut answers) =
            timeout(limit, client.lease_keep_alive(granted.id())).await.map_err(|_| late())??;
        loop {
            sleep(lease / 4).await;
            keeper.keep_alive().await?;
            let answer = timeout(limit, answers.message()).await.map_err(|_| late())??;
            if answer.is_none_or(|answer| answer.ttl() == 0) {
                return Ok(());
            }
        }
    }

    /// Says that this node has stopped, so that nobody waits for its lease to end.
    pub async fn sign_off(&self, node: &NodeName) -> Result<(), RegistryError> {
        self.client().delete(self.key(&format!("alive/{node}")), None).await?;
        Ok(())
    }

    /// The placement, as a quorum has it.
    pub async fn table(&self) -> Result<Table, RegistryError> {
        let found = self.client().get(self.key("table"), None).await?;
        let kv = found.kvs().first().ok_or(RegistryError::NoTable)?;
        Ok(Table::decode(kv.value())?)
    }

    /// Changes the placement by compare-and-set; `change` may be called again for what somebody else has made of it. Gives whether there was something
    /// to change.
    pub async fn change_table(&self, mut change: impl FnMut(&Table) -> Table) -> Result<bool, RegistryError> {
        let key = self.key("table");
        let mut client = self.client();
        for _ in 0..ATTEMPTS {
            let found = client.get(key.as_str(), None).await?;
            let kv = found.kvs().first().ok_or(RegistryError::NoTable)?;
            let before = Table::decode(kv.value())?;
            let after = change(&before);
            if after == before {
                return Ok(false);
            }
            let same = Compare::mod_revision(key.as_str(), CompareOp::Equal, kv.mod_revision());
            let put = TxnOp::put(key.as_str(), after.encode(), None::<PutOptions>);
            if client.txn(Txn::new().when([same]).and_then([put])).await?.succeeded() {
                return Ok(true);
            }
            sleep(PAUSE).await;
        }
        Err(RegistryError::Contended)
    }

    /// Changes what is said of a member; nothing if there is none of this name.
    pub async fn change_member(
        &self,
        node: &NodeName,
        mut change: impl FnMut(&mut Member),
    ) -> Result<bool, RegistryError> {
        let key = self.key(&format!("member/{node}"));
        let mut client = self.client();
        for _ in 0..ATTEMPTS {
            let found = client.get(key.as_str(), None).await?;
            let Some(kv) = found.kvs().first() else { return Ok(false) };
            let mut member: Member =
                serde_json::from_slice(kv.value()).map_err(|_| RegistryError::Damaged(key.clone()))?;
            change(&mut member);
            let text = serde_json::to_vec(&member).map_err(|_| RegistryError::Damaged(key.clone()))?;
            let same = Compare::mod_revision(key.as_str(), CompareOp::Equal, kv.mod_revision());
            if client.txn(Txn::new().when([same]).and_then([TxnOp::put(key.as_str(), text, None)])).await?.succeeded() {
                return Ok(true);
            }
            sleep(PAUSE).await;
        }
        Err(RegistryError::Contended)
    }
}
