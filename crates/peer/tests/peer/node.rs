//! A cluster's authority, and nodes of it that remember what they were sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use paquebot_log::{AppendError, Body, BoxFuture, RecordBodies};
use paquebot_model::RecordId;
use paquebot_peer::{
    Authority, BodyName, Host, Identity, JoinRefusal, JoinRequest, NodeName, Offer, Peer, PeerServer, Peers, Refusal,
    Snapshot, SnapshotHeader, Tls, Welcome,
};
use paquebot_store::fs::RealFs;
use paquebot_store::{BodyFile, GroupItem, Location, Store};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A cluster's authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Ca {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    pub fn authority(&self) -> Authority {
        Authority::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// A certificate for a name that ends some days from now, and its key.
    pub fn sign(&self, name: &str, days: i64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.not_before = OffsetDateTime::now_utc() - Duration::days(10);
        parameters.not_after = OffsetDateTime::now_utc() + Duration::days(days);
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    pub fn tls(&self, node: &str, days: i64) -> Arc<Tls> {
        let (certificate, key) = self.sign(&name(node).certificate_name(), days);
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        Tls::new(identity, &self.authority()).unwrap()
    }
}

pub fn name(node: &str) -> NodeName {
    NodeName::new(node).unwrap()
}

/// A node that serves.
pub struct Node {
    pub name: NodeName,
    pub address: SocketAddr,
    pub store: Arc<Store>,
    pub host: Arc<Remembering>,
    pub peers: Peers,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Node {
    pub async fn start(ca: &Ca, node: &str) -> Self {
        Self::with(ca.tls(node, 10), node).await
    }

    pub async fn with(tls: Arc<Tls>, node: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(Arc::new(RealFs), &dir.path().join("store"), Default::default()).unwrap();
        let store = Arc::new(store);
        let host = Arc::new(Remembering::new(store.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = PeerServer::new(tls.clone(), store.clone(), host.clone());
        let task = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        let peers = Peers::new(tls, store.clone());
        Self { name: name(node), address, store, host, peers, stop: Some(stop), task, _dir: dir }
    }

    /// The other node, as this one sees it.
    pub fn to(&self, other: &Self) -> Peer {
        self.peers.to(&other.name, &other.address.to_string())
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A host that remembers.
pub struct Remembering {
    store: Arc<Store>,
    pub pushed: Mutex<Vec<(NodeName, RecordBodies)>>,
    pub bodies: Mutex<HashMap<BodyName, Location>>,
    pub damaged: Mutex<Vec<BodyName>>,
    /// What a copy of a shard has, and after how many chunks it fails.
    pub chunks: Mutex<(Vec<Bytes>, Option<usize>)>,
    pub copies: Arc<AtomicUsize>,
    pub refusal: Mutex<Option<AppendError>>,
}

impl Remembering {
    fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            pushed: Mutex::default(),
            bodies: Mutex::default(),
            damaged: Mutex::default(),
            chunks: Mutex::default(),
            copies: Arc::default(),
            refusal: Mutex::default(),
        }
    }

    /// Has the body from now on.
    pub fn add(&self, blob: u64, bytes: &[u8]) -> (BodyName, BlobHash) {
        let hash = hash(bytes);
        let appended = self.store.append_group(&[GroupItem::Body { hash, bytes }]).unwrap();
        self.bodies.lock().insert(body_name(blob), appended.bodies[0].1);
        (body_name(blob), hash)
    }
}

pub const HEADER: SnapshotHeader = SnapshotHeader { applied: Sequence(77), chain: [1; 32], state_hash: [2; 32] };

pub fn body_name(blob: u64) -> BodyName {
    BodyName { shard: ShardId(3), account: AccountId::new(5).unwrap(), blob: BlobId::new(blob).unwrap() }
}

pub fn hash(bytes: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(bytes).as_bytes())
}

pub fn body(bytes: Vec<u8>) -> Body {
    Body::Bytes { hash: hash(&bytes), bytes: bytes.into() }
}

pub fn push(number: u8, bodies: Vec<Body>) -> Vec<RecordBodies> {
    vec![RecordBodies { shard: ShardId(3), record: RecordId([number; 16]), after: Sequence(9), bodies }]
}

/// Octets that do not repeat.
pub fn octets(len: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut out);
    out
}

struct Copy {
    at: usize,
    chunks: Vec<Bytes>,
    fails: Option<usize>,
    copies: Arc<AtomicUsize>,
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.copies.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Snapshot for Copy {
    fn header(&self) -> SnapshotHeader {
        HEADER
    }

    fn next(&mut self) -> Result<Option<Bytes>, String> {
        if self.fails == Some(self.at) {
            return Err("the disk is broken".into());
        }
        let next = self.chunks.get(self.at).cloned();
        self.at += 1;
        Ok(next)
    }
}

impl Host for Remembering {
    fn receive<'a>(&'a self, from: &'a NodeName, records: Vec<RecordBodies>) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(async move {
            if let Some(refusal) = self.refusal.lock().clone() {
                return Err(refusal);
            }
            self.pushed.lock().extend(records.into_iter().map(|record| (from.clone(), record)));
            Ok(())
        })
    }

    fn body(&self, _: &NodeName, name: BodyName) -> Result<Option<BodyFile>, Refusal> {
        let location = self.bodies.lock().get(&name).copied();
        location.map(|at| self.store.body_file(at)).transpose().map_err(|error| Refusal::Failed(error.to_string()))
    }

    fn damaged(&self, name: BodyName, _: &BodyFile) {
        self.damaged.lock().push(name);
    }

    fn export(&self, _: &NodeName, shard: ShardId) -> Result<Box<dyn Snapshot>, Refusal> {
        if shard != ShardId(3) {
            return Err(Refusal::NotHere(format!("shard {shard} is not hosted here")));
        }
        let now = self.copies.fetch_add(1, Ordering::SeqCst);
        assert_eq!(now, 0, "one copy at a time for a node");
        let (chunks, fails) = self.chunks.lock().clone();
        Ok(Box::new(Copy { at: 0, chunks, fails, copies: self.copies.clone() }))
    }

    fn ask<'a>(&'a self, from: &'a NodeName, kind: &'a str, question: Bytes) -> BoxFuture<'a, Result<Bytes, Refusal>> {
        Box::pin(async move {
            match kind {
                "echo" => Ok(question),
                "who" => Ok(from.to_string().into_bytes().into()),
                "never" => std::future::pending().await,
                _ => Err(Refusal::NotHere(format!("nobody here knows {kind}"))),
            }
        })
    }

    fn join(&self, _: SocketAddr, request: JoinRequest) -> BoxFuture<'_, Result<Welcome, JoinRefusal>> {
        Box::pin(async move {
            match &request.token[..] {
                b"right" => {
                    Ok(Welcome { certificate: request.node.to_string(), authority: "a".into(), more: request.more })
                }
                _ => Err(JoinRefusal::WrongToken),
            }
        })
    }

    fn session<'a>(&'a self, from: &'a NodeName, preface: Bytes, offer: Offer) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if preface == "nobody" {
                return offer.refuse("nobody is not here").await;
            }
            let mut stream = offer.take().await.unwrap();
            stream.write_all(format!("{from} {}\r\n", String::from_utf8_lossy(&preface)).as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let mut buffer = [0; 1024];
            while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..len]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            stream.shutdown().await.unwrap();
        })
    }

    fn lmtp<'a>(&'a self, _: &'a NodeName, _: Bytes, offer: Offer) -> BoxFuture<'a, ()> {
        drop(offer);
        Box::pin(async {})
    }
}
