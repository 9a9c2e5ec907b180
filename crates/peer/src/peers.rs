//! The other nodes, and what this one asks of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use paquebot_log::{Body, RecordBodies};
use paquebot_store::Store;
use paquebot_types::{BlobHash, ShardId};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::ASK_BYTES_MAX;
use crate::error::PeerError;
use crate::fetch::fetch;
use crate::host::BodyName;
use crate::link::{Lane, Link, Place};
use crate::name::NodeName;
use crate::octets::{Octets, Outgoing, whole};
use crate::passed_on::{PeerStream, offer};
use crate::push;
use crate::snapshot::SnapshotReader;
use crate::tls::{Protocol, Tls};
use crate::wire::{Call, WHY_BYTES_MAX, is_kind, refusal_of};

/// For the answer to a question, and for the head of one that is longer.
const ANSWER: Duration = Duration::from_secs(5);
/// For a peer to take a passed-on connection: it may have to reach the log's end first.
const TAKE: Duration = Duration::from_secs(10);
/// Silence within an answer.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// This node's connections to the others: two for each that is spoken to, one for what must be prompt and one for what is much.
pub struct Peers {
    tls: Arc<Tls>,
    store: Arc<Store>,
    runtime: Handle,
    peers: Mutex<HashMap<NodeName, Peer>>,
}

/// Another node. Every call has a limit in time, and none is made twice by itself but the reading of a body.
#[derive(Clone)]
pub struct Peer {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub place: Arc<Place>,
    pub store: Arc<Store>,
    prompt: Link,
    bulk: Link,
}

impl Peers {
    /// Connections live on the runtime that this is called in, whoever asks. Bodies are read from the store, and large ones are staged in it.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(tls: Arc<Tls>, store: Arc<Store>) -> Self {
        Self { tls, store, runtime: Handle::current(), peers: Mutex::default() }
    }

    /// The node, at the address (`host:port`) where it is now. Nothing is connected yet.
    pub fn to(&self, node: &NodeName, address: &str) -> Peer {
        let mut peers = self.peers.lock();
        if let Some(peer) = peers.get(node).filter(|peer| peer.inner.place.address == address) {
            return peer.clone();
        }
        let (tls, runtime) = (self.tls.clone(), self.runtime.clone());
        let place = Arc::new(Place { node: node.clone(), address: address.into(), tls, runtime });
        let (prompt, bulk) = (Link::new(place.clone(), Lane::Prompt), Link::new(place.clone(), Lane::Bulk));
        let peer = Peer { inner: Arc::new(Inner { place, store: self.store.clone(), prompt, bulk }) };
        peers.insert(node.clone(), peer.clone());
        peer
    }

    /// Closes the connections to a node that is no more.
    pub fn forget(&self, node: &NodeName) {
        self.peers.lock().remove(node);
    }
}

impl Peer {
    pub fn node(&self) -> &NodeName {
        &self.inner.place.node
    }

    /// Sends the bodies of records; done when the peer has all on its disk.
    pub async fn push(&self, records: Vec<RecordBodies>) -> Result<(), PeerError> {
        push::push(&self.inner, records).await
    }

    /// Reads a body from the peer and proves it by its hash. A large one is staged; one whose transfer breaks off is resumed.
    pub async fn fetch_body(&self, name: BodyName, hash: BlobHash) -> Result<Body, PeerError> {
        fetch(&self.inner, name, hash).await
    }

    /// Begins to read a copy of a shard's rows.
    pub async fn snapshot(&self, shard: ShardId) -> Result<SnapshotReader, PeerError> {
        SnapshotReader::begin(self, shard).await
    }

    /// Asks a question of some kind (letters, digits and hyphens). Question and answer have at most [`ASK_BYTES_MAX`].
    pub async fn ask(&self, kind: &str, question: Bytes) -> Result<Bytes, PeerError> {
        if !is_kind(kind) || question.len() > ASK_BYTES_MAX {
            return Err(PeerError::Here(format!(
                "the question {kind:?} cannot be asked: its kind or its length does not fit"
            )));
        }
        let request = request(Method::POST, &Call::Ask(kind), whole(question))?;
        let answer = self.inner.call(Lane::Prompt, request, ANSWER).await?;
        let mut octets = Octets::new(answer.into_body(), ANSWER);
        octets.all(ASK_BYTES_MAX).await.map_err(|error| self.inner.place.broken(error.to_string()))
    }

    /// Passes an IMAP connection on; done when the peer has taken it. The preface has at most [`PREFACE_BYTES_MAX`].
    ///
    /// [`PREFACE_BYTES_MAX`]: crate::PREFACE_BYTES_MAX
    pub async fn session(&self, preface: &[u8]) -> Result<PeerStream, PeerError> {
        self.pass_on(Protocol::Session, preface).await
    }

    /// The same for an LMTP connection.
    pub async fn lmtp(&self, preface: &[u8]) -> Result<PeerStream, PeerError> {
        self.pass_on(Protocol::Lmtp, preface).await
    }

    async fn pass_on(&self, protocol: Protocol, preface: &[u8]) -> Result<PeerStream, PeerError> {
        let (place, preface) = (self.inner.place.clone(), preface.to_vec());
        let work = async move {
            let stream = place.open(protocol).await?;
            match timeout(TAKE, offer(stream, &preface)).await {
                Ok(taken) => taken.map_err(|error| place.not_passed(error)),
                Err(_) => Err(place.broken(format!("no answer for {} s", TAKE.as_secs()))),
            }
        };
        self.inner.place.here(work).await
    }
}

impl Inner {
    /// Makes a call; gives the answer if it is one, and the peer's refusal as an error.
    pub(crate) async fn call(
        &self,
        lane: Lane,
        request: Request<Outgoing>,
        patience: Duration,
    ) -> Result<Response<Incoming>, PeerError> {
        let link = match lane {
            Lane::Prompt => &self.prompt,
            Lane::Bulk => &self.bulk,
        };
        let response = link.call(request, patience).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let node = self.place.node.clone();
        if status == StatusCode::INSUFFICIENT_STORAGE {
            return Err(PeerError::Full { node });
        }
        let mut octets = Octets::new(response.into_body(), ANSWER);
        let why = octets.all(WHY_BYTES_MAX).await.unwrap_or_default();
        let why = String::from_utf8_lossy(&why).trim_end().to_owned();
        Err(PeerError::Refused { node, refusal: refusal_of(status, why) })
    }
}

pub(crate) fn request(method: Method, call: &Call<'_>, body: Outgoing) -> Result<Request<Outgoing>, PeerError> {
    let request = Request::builder().method(method).uri(format!("https://peer{}", call.path())).body(body);
    request.map_err(|error| PeerError::Here(error.to_string()))
}

/// Asks for what follows a byte.
pub(crate) fn resume(request: &mut Request<Outgoing>, from: u64) {
    if let Ok(range) = HeaderValue::try_from(format!("bytes={from}-")) {
        request.headers_mut().insert(RANGE, range);
    }
}
