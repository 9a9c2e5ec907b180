use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use paquebot_cluster::admission::{Admitted, Door};
use paquebot_cluster::etcd_care;
use paquebot_cluster::identity::{Identity, Keys, NodeFile, random};
use paquebot_cluster::placement::Table;
use paquebot_cluster::registry::{Etcd, Member, Registry};
use paquebot_etcd::{Addresses, Beginning, Managed, Settings};
use paquebot_log::{AppendError, BoxFuture, RecordBodies};
use paquebot_log_etcd::{ClusterId, Options, connect};
use paquebot_peer::{
    Authority, BodyName, Fingerprint, Host, JoinRefusal, JoinRequest, NodeName, Offer, PeerServer, Refusal, Snapshot,
    Tls, Welcome,
};
use paquebot_store::fs::RealFs;
use paquebot_store::{BodyFile, Store};
use paquebot_types::ShardId;
use tempfile::TempDir;
use tokio::task::JoinSet;

const WAIT: Duration = Duration::from_secs(40);

/// A machine's directory, and its ports.
pub struct Machine {
    pub data: TempDir,
    pub address: String,
    etcd: (Addresses, Addresses),
}

/// A node with its member of etcd.
pub struct Node {
    pub machine: Machine,
    pub identity: Identity,
    pub registry: Registry,
    pub etcd: Option<Managed>,
    _tasks: JoinSet<()>,
}

impl Machine {
    pub fn new() -> Self {
        let ports: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |port: usize| ports[port].local_addr().unwrap().to_string();
        let both = |port: usize| Addresses { listen: address(port), reached: address(port) };
        Self { data: tempfile::tempdir().unwrap(), address: address(0), etcd: (both(1), both(2)) }
    }

    pub fn etcd_urls(&self) -> (String, String) {
        (format!("https://{}", self.etcd.0.reached), format!("https://{}", self.etcd.1.reached))
    }

    /// Makes a cluster of it.
    pub async fn found(self, name: &str) -> Node {
        let (cluster, node) = (ClusterId(random()), NodeName::new(name).unwrap());
        let (keys, until) = Keys::first(cluster, &node, "127.0.0.1").unwrap();
        let mut file = NodeFile::new(cluster, node.clone());
        file.certificate_until = until;
        let (client, peer) = self.etcd_urls();
        file.etcd = vec![client.clone()];
        let identity = Identity::make(self.data.path(), file, &keys).unwrap();
        let etcd = self.start_etcd(&identity, Some(Beginning::New { token: cluster.to_string() }));
        let options = etcd_options(&identity);
        let table = Table::first(&node, 4, 3);
        until_ok(async || {
            let mut client = connect(&options).await.map_err(|error| error.to_string())?;
            Registry::make(&mut client, "paquebot", &table).await.map_err(|error| error.to_string())
        })
        .await;
        let registry = open(&identity).await;
        let member = Member {
            address: self.address.clone(),
            store: identity.file.store.clone(),
            reads: 2,
            software: "test".into(),
            leaving: false,
            etcd: Some(Etcd { client, peer }),
        };
        registry.admit(&node, &member).await.unwrap();
        self.serve(identity, registry, Some(etcd)).await
    }

    /// Runs it as the node that it has become.
    pub async fn become_node(self, admitted: Admitted) -> Node {
        let Admitted { identity, etcd } = admitted;
        let etcd = etcd.map(|beginning| self.start_etcd(&identity, Some(beginning)));
        let registry = open(&identity).await;
        self.serve(identity, registry, etcd).await
    }

    fn start_etcd(&self, identity: &Identity, beginning: Option<Beginning>) -> Managed {
        let settings = Settings {
            program: "etcd".into(),
            directory: self.data.path().join("etcd"),
            name: identity.file.node.to_string(),
            client: self.etcd.0.clone(),
            peer: self.etcd.1.clone(),
            authority: identity.path("authority.crt"),
            certificate: identity.path("node.crt"),
            key: identity.path("node.key"),
            quota_bytes: 1 << 30,
        };
        beginning.iter().for_each(|beginning| settings.begin(beginning).unwrap());
        Managed::start(settings).unwrap()
    }

    async fn serve(self, identity: Identity, registry: Registry, etcd: Option<Managed>) -> Node {
        let keys = identity.keys().unwrap();
        let own = paquebot_peer::Identity::from_pem(keys.certificate.as_bytes(), keys.key.as_bytes()).unwrap();
        let tls = Tls::new(own, &authority(&identity)).unwrap();
        let (store, _) = Store::open(Arc::new(RealFs), &self.data.path().join("store"), Default::default()).unwrap();
        let door = Door::new(identity.cluster(), keys, registry.clone(), None).unwrap();
        let server = PeerServer::new(tls, Arc::new(store), Arc::new(Doorkeeper(door)));
        let listener = tokio::net::TcpListener::bind(&self.address).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.serve(listener, std::future::pending()));
        let seen = registry.clone();
        let members = move || seen.view().etcd().into_iter().map(str::to_owned).collect();
        tasks.spawn(etcd_care::route(registry.client(), etcd_options(&identity), members));
        Node { machine: self, identity, registry, etcd, _tasks: tasks }
    }
}

impl Node {
    pub fn fingerprint(&self) -> Fingerprint {
        authority(&self.identity).fingerprint()
    }

    /// Waits until the node sees the registry so.
    pub async fn sees(&self, what: impl Fn(&paquebot_cluster::registry::View) -> bool) {
        let end = Instant::now() + WAIT;
        while !what(&self.registry.view()) {
            assert!(Instant::now() < end, "it takes too long");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn authority(identity: &Identity) -> Authority {
    Authority::from_pem(identity.keys().unwrap().authority.as_bytes()).unwrap()
}

pub fn etcd_options(identity: &Identity) -> Options {
    let keys = identity.keys().unwrap();
    let tls = paquebot_log_etcd::Tls {
        authority: Some(keys.authority.into_bytes()),
        client: Some((keys.certificate.into_bytes(), keys.key.into_bytes())),
        server_name: None,
    };
    Options { tls: Some(tls), ..Options::new(identity.file.etcd.clone(), identity.cluster()) }
}

async fn open(identity: &Identity) -> Registry {
    let options = etcd_options(identity);
    until_ok(async || {
        let client = connect(&options).await.map_err(|error| error.to_string())?;
        Registry::open(client, "paquebot").await.map_err(|error| error.to_string())
    })
    .await
}

pub async fn until_ok<T>(mut work: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + WAIT;
    loop {
        match tokio::time::timeout(Duration::from_secs(5), work()).await {
            Ok(Ok(done)) => return done,
            failed => assert!(Instant::now() < end, "it takes too long: {:?}", failed.map(|result| result.err())),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lets machines in, and does nothing else.
struct Doorkeeper(Door);

impl Host for Doorkeeper {
    fn receive<'a>(&'a self, _: &'a NodeName, _: Vec<RecordBodies>) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(std::future::ready(Err(AppendError::Unavailable("not here".into()))))
    }

    fn body(&self, _: &NodeName, _: BodyName) -> Result<Option<BodyFile>, Refusal> {
        Ok(None)
    }

    fn damaged(&self, _: BodyName, _: &BodyFile) {}

    fn export(&self, _: &NodeName, _: ShardId) -> Result<Box<dyn Snapshot>, Refusal> {
        Err(Refusal::NotHere("not here".into()))
    }

    fn ask<'a>(&'a self, _: &'a NodeName, _: &'a str, _: Bytes) -> BoxFuture<'a, Result<Bytes, Refusal>> {
        Box::pin(std::future::ready(Err(Refusal::NotHere("not here".into()))))
    }

    fn join(&self, _: SocketAddr, request: JoinRequest) -> BoxFuture<'_, Result<Welcome, JoinRefusal>> {
        Box::pin(self.0.admit(request))
    }

    fn session<'a>(&'a self, _: &'a NodeName, _: Bytes, _: Offer) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn lmtp<'a>(&'a self, _: &'a NodeName, _: Bytes, _: Offer) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
