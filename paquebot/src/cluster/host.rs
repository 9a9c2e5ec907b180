//! What this node does for its peers.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use paquebot_blobs as blobs;
use paquebot_cluster::admission::Door;
use paquebot_cluster::registry::Registry;
use paquebot_log::{AppendError, BoxFuture, RecordBodies};
use paquebot_log_etcd::EtcdLog;
use paquebot_peer::{BodyName, JoinRefusal, JoinRequest, NodeName, Offer, Refusal, Snapshot, Welcome};
use paquebot_session::Preface;
use paquebot_store::{BodyFile, Store};
use paquebot_types::ShardId;

use super::accounts;

/// What serves connections that are passed on, once that is there.
pub struct Served {
    pub sessions: Arc<paquebot_session::Shared>,
    pub delivery: Arc<paquebot_delivery::Shared>,
}

/// This node, for its peers.
pub struct Host {
    pub log: Arc<EtcdLog>,
    pub store: Arc<Store>,
    pub registry: Registry,
    pub door: Door,
    pub served: Arc<OnceLock<Served>>,
}

impl Host {
    /// A node that was removed still has its certificate.
    fn is_member(&self, node: &NodeName) -> bool {
        self.registry.view().members.contains_key(node)
    }

    fn refuse_stranger(&self, node: &NodeName) -> Result<(), Refusal> {
        match self.is_member(node) {
            true => Ok(()),
            false => Err(Refusal::Failed(format!("{node} is no node of this cluster any more"))),
        }
    }
}

impl paquebot_peer::Host for Host {
    fn receive<'a>(&'a self, from: &'a NodeName, records: Vec<RecordBodies>) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(async move {
            if !self.is_member(from) {
                return Err(AppendError::Unavailable(format!("{from} is no node of this cluster any more")));
            }
            self.log.receive(records).await
        })
    }

    fn body(&self, from: &NodeName, name: BodyName) -> Result<Option<BodyFile>, Refusal> {
        self.refuse_stranger(from)?;
        blobs::body(&self.store, name)
    }

    fn damaged(&self, name: BodyName, file: &BodyFile) {
        blobs::damaged(&self.store, name, file);
    }

    fn export(&self, from: &NodeName, shard: ShardId) -> Result<Box<dyn Snapshot>, Refusal> {
        self.refuse_stranger(from)?;
        blobs::export(&self.store, shard)
    }

    fn ask<'a>(&'a self, from: &'a NodeName, kind: &'a str, question: Bytes) -> BoxFuture<'a, Result<Bytes, Refusal>> {
        Box::pin(async move {
            self.refuse_stranger(from)?;
            match kind {
                "ping" => Ok(Bytes::new()),
                accounts::WANTED => accounts::answer_wanted(&self.store, &question),
                other => Err(Refusal::Failed(format!("{other} is a question that this version does not know"))),
            }
        })
    }

    fn join(&self, address: SocketAddr, request: JoinRequest) -> BoxFuture<'_, Result<Welcome, JoinRefusal>> {
        Box::pin(async move {
            let node = request.node.clone();
            let answer = self.door.admit(request).await;
            if let Err(refusal) = &answer {
                tracing::warn!(%address, %node, %refusal, "a machine was not let into the cluster");
            }
            answer
        })
    }

    fn session<'a>(&'a self, from: &'a NodeName, preface: Bytes, offer: Offer) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let (Some(served), true) = (self.served.get(), self.is_member(from)) else {
                return offer.refuse("this node does not serve connections now").await;
            };
            let preface = match Preface::decode(&preface) {
                Ok(preface) => preface,
                Err(error) => return offer.refuse(&error.to_string()).await,
            };
            if let Ok(stream) = offer.take().await {
                paquebot_session::serve_passed_on(Box::new(stream), preface, served.sessions.clone()).await;
            }
        })
    }

    fn lmtp<'a>(&'a self, from: &'a NodeName, preface: Bytes, offer: Offer) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let (Some(served), true) = (self.served.get(), self.is_member(from)) else {
                return offer.refuse("this node takes no deliveries now").await;
            };
            let client = std::str::from_utf8(&preface).ok().and_then(|address| address.parse().ok());
            let peer = client.map_or(paquebot_delivery::Peer::Local, paquebot_delivery::Peer::Network);
            if let Ok(stream) = offer.take().await {
                paquebot_delivery::serve_passed_on(stream, peer, served.delivery.clone()).await;
            }
        })
    }
}
