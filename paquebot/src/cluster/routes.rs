//! The ways to the nodes that host an account.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use paquebot_blobs::{Holder, Holders as _};
use paquebot_cluster::{Node, RegisteredHolders};
use paquebot_delivery::{Elsewhere, Reaching};
use paquebot_session::{Preface, Route, Router, Routing};
use paquebot_types::ShardId;

/// Knows where accounts are served, and reaches the nodes.
pub struct Routes {
    node: Arc<Node>,
    holders: RegisteredHolders,
}

impl Routes {
    pub fn new(node: Arc<Node>) -> Self {
        let holders = RegisteredHolders::new(node.registry.clone(), node.settings.node.clone());
        Self { node, holders }
    }

    /// The shard of a login; `None` if there is no such login here.
    fn shard(&self, login: &str) -> Option<ShardId> {
        self.node.service.login(login).ok().flatten().map(|login| login.shard)
    }

    fn is_hosted(&self, shard: ShardId) -> bool {
        self.node.service.applied(shard).is_some() && self.node.service.failure_of(shard).is_none()
    }

    /// The hosts of a shard, in an order that is the same on every node: an account's sessions meet on one.
    fn hosts(&self, shard: ShardId) -> Vec<Holder> {
        self.holders.of(shard)
    }
}

impl Router for Routes {
    fn route<'a>(&'a self, preface: &'a Preface) -> Routing<'a> {
        Box::pin(async move {
            // Who has no login yet gets his account here, if his password is elsewhere.
            let Some(shard) = self.shard(&preface.login) else { return Route::Here };
            if self.is_hosted(shard) {
                return Route::Here;
            }
            let encoded = preface.encode();
            let mut last = format!("no node hosts shard {shard}");
            for holder in self.hosts(shard) {
                match self.node.peers.to(&holder.node, &holder.address).session(&encoded).await {
                    Ok(stream) => return Route::There(Box::new(stream)),
                    Err(error) => last = error.to_string(),
                }
            }
            Route::Nowhere(last)
        })
    }

    fn is_here(&self, login: &str) -> bool {
        self.shard(login).is_none_or(|shard| self.is_hosted(shard))
    }
}

/// The same for delivery.
pub struct Ways(pub Arc<Routes>);

impl Elsewhere for Ways {
    fn reach(&self, shard: ShardId, attempt: usize, client: Option<SocketAddr>) -> Reaching<'_> {
        Box::pin(async move {
            let hosts = self.0.hosts(shard);
            let Some(holder) = hosts.get(attempt) else { return Ok(None) };
            let preface = client.map_or_else(String::new, |client| client.to_string());
            let peer = self.0.node.peers.to(&holder.node, &holder.address);
            let stream = peer.lmtp(preface.as_bytes()).await.map_err(|error| io::Error::other(error.to_string()))?;
            Ok(Some(Box::new(stream) as Box<dyn paquebot_delivery::Stream>))
        })
    }
}
