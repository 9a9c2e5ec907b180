//! Commands for a node that runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use paquebot_admin::{Answer, Cluster, ClusterCommand, ClusterRequest};
use paquebot_cluster::Node;
use paquebot_cluster::admission::make_token;
use paquebot_cluster::registry::Seen;
use paquebot_peer::{Authority, NodeName};
use paquebot_types::ShardId;
use tokio::time::sleep;

use super::{accounts, status};

/// Between looks whether a node that leaves has handed everything over.
const LOOK: Duration = Duration::from_millis(500);

/// Carries out what operators ask of this node.
pub struct Commands {
    pub node: Arc<Node>,
    pub data: PathBuf,
}

impl Cluster for Commands {
    fn command(&self, request: ClusterRequest) -> ClusterCommand<'_> {
        Box::pin(async move {
            match request {
                ClusterRequest::Status => {
                    let status = status::status(&self.node, &self.data).await?;
                    Ok(Answer::ClusterStatus(Box::new(status)))
                }
                ClusterRequest::Token { seconds } => self.token(Duration::from_secs(seconds)).await,
                ClusterRequest::Leave => self.leave().await,
                ClusterRequest::Remove { node } => self.remove(&node).await,
                ClusterRequest::MoveShard { shard, nodes } => self.move_shard(ShardId(shard), &nodes).await,
                ClusterRequest::MoveAccount { user, shard } => self.move_account(&user, ShardId(shard)).await,
            }
        })
    }
}

impl Commands {
    async fn token(&self, good_for: Duration) -> Result<Answer, String> {
        let (cluster, keys) = {
            let identity = self.node.identity.lock();
            (identity.cluster(), identity.keys().map_err(|error| error.to_string())?)
        };
        let authority = Authority::from_pem(keys.authority.as_bytes()).map_err(|error| error.to_string())?;
        let registry = &self.node.registry;
        let view = registry.view();
        // This node is asked first: it is up.
        let own = &self.node.settings.address;
        let mut peers = vec![own.clone()];
        peers.extend(view.members.values().map(|member| member.address.clone()).filter(|other| other != own));
        peers.truncate(5);
        let token = make_token(registry, cluster, authority.fingerprint(), peers, good_for).await;
        Ok(Answer::Token { token: token.map_err(|error| error.to_string())?.encode() })
    }

    /// Hands everything over, and is no node any more.
    async fn leave(&self) -> Result<Answer, String> {
        let (node, registry) = (&self.node.settings.node, &self.node.registry);
        if registry.view().members.len() == 1 {
            return Err("this is the cluster's only node".into());
        }
        let failed = |error: paquebot_cluster::registry::RegistryError| error.to_string();
        registry.change_member(node, |member| member.leaving = true).await.map_err(failed)?;
        while !registry.table().await.map_err(failed)?.is_free_of(node) {
            sleep(LOOK).await;
        }
        self.forget(node).await?;
        tracing::warn!("this node has left the cluster: its server can be stopped, and its data directory removed");
        Ok(Answer::Done)
    }

    /// Takes out a node whose machine is gone.
    async fn remove(&self, name: &str) -> Result<Answer, String> {
        let node = NodeName::new(name).map_err(|error| error.to_string())?;
        let registry = &self.node.registry;
        let view = registry.view();
        if !view.members.contains_key(&node) {
            return Err(format!("there is no node {node}; `paquebot cluster status` names all"));
        }
        if view.seen(&node) == Seen::Up {
            return Err(format!("node {node} runs: have it leave by `paquebot cluster leave` on its machine"));
        }
        let table = registry.table().await.map_err(|error| error.to_string())?;
        let only = table.of(&node).filter(|(shard, _)| table.hosts(*shard).all(|host| *host == node)).count();
        if only > 0 {
            return Err(format!(
                "node {node} has the only copy of {only} shards: bring its machine or its data directory back"
            ));
        }
        self.forget(&node).await?;
        Ok(Answer::Done)
    }

    async fn forget(&self, node: &NodeName) -> Result<(), String> {
        let registry = &self.node.registry;
        // Whether that node runs a member counts, not whether this one does.
        if registry.view().members.get(node).is_some_and(|member| member.etcd.is_some()) {
            let removed = paquebot_etcd::members::remove(&mut registry.client(), node.as_str(), None).await;
            removed.map_err(|error| format!("its member of etcd cannot be removed: {error}"))?;
        }
        registry.dismiss(node).await.map_err(|error| error.to_string())?;
        self.node.peers.forget(node);
        Ok(())
    }

    async fn move_shard(&self, shard: ShardId, nodes: &[String]) -> Result<Answer, String> {
        let registry = &self.node.registry;
        let view = registry.view();
        let mut named = Vec::new();
        for name in nodes {
            let node = NodeName::new(name).map_err(|error| error.to_string())?;
            if !view.members.contains_key(&node) {
                return Err(format!("there is no node {node}; `paquebot cluster status` names all"));
            }
            named.push(node);
        }
        let table = registry.table().await.map_err(|error| error.to_string())?;
        if shard == ShardId::SYSTEM || !table.shards.contains_key(&shard) {
            return Err(format!(
                "there is no shard {shard} that could be moved: they have numbers from 1 to {}",
                table.shards.len() - 1
            ));
        }
        if view.members.len() <= paquebot_cluster::placement::ALL_HOST_ALL {
            return Err("with three nodes or fewer every node hosts every shard".into());
        }
        let changed = registry.change_table(|table| {
            let mut table = table.clone();
            if let Some(place) = table.shards.get_mut(&shard) {
                place.by_hand.clone_from(&named);
            }
            table
        });
        changed.await.map_err(|error| error.to_string())?;
        Ok(Answer::Done)
    }

    async fn move_account(&self, user: &str, shard: ShardId) -> Result<Answer, String> {
        let table = self.node.registry.view().table.clone();
        if shard == ShardId::SYSTEM || !table.is_some_and(|table| table.shards.contains_key(&shard)) {
            return Err(format!("there is no shard {shard} for accounts"));
        }
        accounts::move_to(&self.node, user, shard).await?;
        Ok(Answer::Done)
    }
}
