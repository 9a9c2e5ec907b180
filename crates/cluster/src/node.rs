//! A node at work: everything of the cluster that runs beside the mail service.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paquebot_blobs::{Healer, Push};
use paquebot_etcd::Managed;
use paquebot_log_etcd::{EtcdLog, OpenError, connect};
use paquebot_mailbox::{DefaultMailboxes, Service, ServiceOptions};
use paquebot_model::RECORD_VERSION;
use paquebot_peer::{Authority, Peers, Tls};
use paquebot_s3::S3;
use paquebot_store::{IndexError, Store, Tail};
use paquebot_types::ShardId;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::bodies::Sources;
use crate::holders::RegisteredHolders;
use crate::hosting::Hosting;
use crate::identity::{Identity, IdentityError, hex, random};
use crate::placement::Standing;
use crate::registry::{Alive, Member, Registry, RegistryError};
use crate::settings::Settings;
use crate::{etcd_care, marks, placing, trimming};

/// Between attempts to reach etcd at the start.
const PAUSE: Duration = Duration::from_millis(200);
/// Between lines of the log that say that etcd is not reached.
const TELL: Duration = Duration::from_secs(10);
/// How often it is looked whether the certificate is to be renewed.
const RENEW: Duration = Duration::from_secs(12 * 3600);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the node's certificates: {0}")]
    Certificate(#[from] paquebot_peer::IdentityError),
    #[error(transparent)]
    Etcd(#[from] paquebot_etcd::StartError),
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cluster.s3: {0}")]
    S3(#[from] paquebot_s3::S3Error),
    #[error(transparent)]
    Service(#[from] paquebot_replica::StartError),
    #[error(
        "this node has the only copy of {0} shards, and its store is not the one that it had: give it the data directory that it had back, or a backup of it"
    )]
    Emptied(usize),
}

/// A node at work.
pub struct Node {
    pub settings: Settings,
    pub service: Arc<Service>,
    pub log: Arc<EtcdLog>,
    pub registry: Registry,
    pub peers: Arc<Peers>,
    pub tls: Arc<Tls>,
    pub healer: Healer,
    pub s3: Option<S3>,
    pub identity: Arc<Mutex<Identity>>,
    /// Why this node must stop, once it must.
    pub fatal: watch::Receiver<Option<String>>,
    tasks: Mutex<JoinSet<()>>,
    etcd: Mutex<Option<Managed>>,
}

impl Node {
    /// Starts the node on its store: its etcd if it runs one, the log, the mail service, and what looks after all that. It waits for etcd for as long as it takes.
    pub async fn start(
        settings: Settings,
        mut identity: Identity,
        store: Arc<Store>,
        tail: Tail,
        default_mailboxes: DefaultMailboxes,
    ) -> Result<Self, NodeError> {
        identity.renew(settings.host(), false)?;
        let keys = identity.keys()?;
        let tls = Tls::new(
            paquebot_peer::Identity::from_pem(keys.certificate.as_bytes(), keys.key.as_bytes())?,
            &Authority::from_pem(keys.authority.as_bytes())?,
        )?;
        let etcd = start_etcd(&settings, &identity)?;
        let options = settings.etcd_options(identity.cluster(), &identity.file.etcd, &keys);
        let registry = patiently(async || {
            let client = connect(&options)
                .await
                .map_err(|failure| NodeError::Log(OpenError::Unreachable(failure.to_string())))?;
            Ok(Registry::open(client, &options.prefix).await?)
        })
        .await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(etcd_care::route(registry.client(), options.clone(), members_of(&registry, &options)));
        let peers = Arc::new(Peers::new(tls.clone(), store.clone()));
        let holders = Arc::new(RegisteredHolders::new(registry.clone(), settings.node.clone()));
        let push = Arc::new(Push::new(peers.clone(), holders.clone()));
        let log =
            patiently(async || Ok(EtcdLog::open(options.clone(), store.clone(), tail.clone(), push.clone()).await?))
                .await?;
        let log = Arc::new(log);
        // The member of etcd that happens to be asked may have no vote yet, this node's own say.
        let own = etcd.as_ref().map(|(_, member)| member.clone());
        let hosted = patiently(async || register(&settings, &registry, &store, own.clone()).await).await?;

        let (troubles, trouble) = mpsc::unbounded_channel();
        let (on_mark, marked) = marks::channel();
        let (version, record_version) =
            watch::channel(registry.view().record_version(RECORD_VERSION).min(RECORD_VERSION));
        let accounts = registry.view().table.as_ref().map_or(1, |table| table.shards.len().saturating_sub(1));
        let service = Service::start(
            store.clone(),
            log.clone(),
            settings.node.as_str(),
            ServiceOptions {
                default_mailboxes,
                account_shards: u16::try_from(accounts).unwrap_or(u16::MAX).max(1),
                hosted,
                replica: paquebot_replica::Options {
                    record_version,
                    troubles: Some(troubles.clone()),
                    on_mark: Some(on_mark),
                    ..Default::default()
                },
            },
        )
        .await?;
        let healer = Healer::start(store.clone(), peers.clone(), holders.clone());
        let s3 = settings.s3.clone().map(|bucket| {
            let options = paquebot_s3::Options { cache_bytes: bucket.cache_bytes, ..Default::default() };
            S3::start(store.clone(), &bucket.address, bucket.credentials, options)
        });
        let s3 = s3.transpose()?;
        service.set_body_source(Arc::new(Sources { store, healer: healer.clone(), s3: s3.clone() }));

        let (fatal_sender, fatal) = watch::channel(None);
        let node = settings.node.clone();
        let alive = Alive { start: hex(&random::<8>()), address: settings.address.clone(), since_ms: now_ms() };
        let (_, stay_alive) = registry.stay_alive(node.clone(), alive, settings.lease);
        tasks.spawn(stay_alive);
        let hosting = Hosting {
            node: node.clone(),
            service: service.clone(),
            registry: registry.clone(),
            peers: peers.clone(),
            holders,
            troubles: trouble,
            fatal: fatal_sender,
        };
        tasks.spawn(hosting.run());
        tasks.spawn(marks::compare(node.clone(), registry.clone(), marked, troubles));
        tasks.spawn(marks::set(node.clone(), service.clone(), registry.clone(), settings.compare_interval));
        tasks.spawn(trimming::run(node.clone(), service.clone(), log.clone(), registry.clone(), settings.silence));
        tasks.spawn(placing::run(node.clone(), registry.clone(), settings.removal));
        let identity = Arc::new(Mutex::new(identity));
        tasks.spawn(follow_members(registry.clone(), log.clone(), version, identity.clone()));
        tasks.spawn(renew(identity.clone(), tls.clone(), settings.host().to_owned()));
        if let Some((_, member)) = &etcd {
            tasks.spawn(etcd_care::promote(registry.client()));
            let own = paquebot_log_etcd::Options { endpoints: vec![member.client.clone()], ..options.clone() };
            tasks.spawn(care_for_own(own, registry.clone(), settings.node.clone()));
        }
        let (tasks, etcd) = (Mutex::new(tasks), Mutex::new(etcd.map(|(managed, _)| managed)));
        Ok(Self { settings, service, log, registry, peers, tls, healer, s3, identity, fatal, tasks, etcd })
    }

    /// Waits until the system shard is here: without it nobody can log in.
    pub async fn has_logins(&self) {
        let began = Instant::now();
        let mut told = began;
        while self.service.applied(ShardId::SYSTEM).is_none() && self.fatal.borrow().is_none() {
            if told.elapsed() > TELL {
                told = Instant::now();
                tracing::warn!("waiting for the users: they are copied from another node");
            }
            sleep(PAUSE / 4).await;
        }
    }

    /// Ends what the node does for the cluster, and its etcd. The mail service is stopped before.
    pub async fn stop(&self) {
        let signed_off = tokio::time::timeout(Duration::from_secs(2), self.registry.sign_off(&self.settings.node));
        let _ = signed_off.await;
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
        let etcd = self.etcd.lock().take();
        // It waits for a process to end.
        let _ = tokio::task::spawn_blocking(move || drop(etcd)).await;
    }

    /// Runs until the node is stopped.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().spawn(task);
    }

    /// The state of the member of etcd that this node runs.
    pub fn etcd_state(&self) -> Option<paquebot_etcd::State> {
        self.etcd.lock().as_ref().map(Managed::state)
    }
}

/// Starts this node's member of etcd, if it has one.
pub fn start_etcd(
    settings: &Settings,
    identity: &Identity,
) -> Result<Option<(Managed, crate::registry::Etcd)>, paquebot_etcd::StartError> {
    let Some(managed) = settings.managed(identity) else { return Ok(None) };
    if managed.beginning()?.is_none() {
        return Ok(None);
    }
    let member = crate::registry::Etcd { client: managed.client_url(), peer: managed.peer_url() };
    Ok(Some((Managed::start(managed)?, member)))
}

/// Tries until etcd is reached. What asking again does not mend is an error.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T, NodeError>) -> Result<T, NodeError> {
    let mut told = Instant::now();
    loop {
        match attempt().await {
            Err(error @ (NodeError::Log(OpenError::Unreachable(_)) | NodeError::Registry(RegistryError::Etcd(_)))) => {
                if told.elapsed() > TELL {
                    told = Instant::now();
                    tracing::warn!(%error, "waiting for etcd");
                }
                sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Says what this node is, and gives the shards that it hosts from the start.
async fn register(
    settings: &Settings,
    registry: &Registry,
    store: &Arc<Store>,
    etcd: Option<crate::registry::Etcd>,
) -> Result<Vec<ShardId>, NodeError> {
    let node = &settings.node;
    let before = registry.view().members.get(node).cloned().ok_or_else(|| RegistryError::Removed(node.clone()))?;
    let member = Member {
        address: settings.address.clone(),
        store: hex(&store.uuid()),
        reads: RECORD_VERSION,
        software: env!("CARGO_PKG_VERSION").into(),
        leaving: false,
        etcd: etcd.or(before.etcd.clone()),
    };
    // An emptied machine has another store: what it hosted it copies anew.
    let own = registry.view().table.clone().ok_or(RegistryError::NoTable)?;
    let has_some = own.of(node).any(|(_, standing)| standing != Standing::Joining);
    if !before.store.is_empty() && before.store != member.store && has_some {
        let only = own.of(node).filter(|(shard, _)| own.hosts(*shard).all(|host| host == node)).count();
        if only > 0 {
            return Err(NodeError::Emptied(only));
        }
        tracing::warn!("this node's store is another than it had: it copies its shards from the other nodes");
        registry
            .change_table(|table| {
                let mut table = table.clone();
                let shards: Vec<ShardId> = table.of(node).map(|(shard, _)| shard).collect();
                shards.iter().for_each(|shard| table.set_joining(*shard, node));
                table
            })
            .await?;
    }
    registry.register(node, &member, settings.lease).await?;
    let out_of_use = store.importing()?;
    // Read anew: it may have been changed just now.
    let hosted = registry.table().await?;
    let ready =
        hosted.of(node).filter(|(shard, standing)| *standing != Standing::Joining && !out_of_use.contains(shard));
    Ok(ready.map(|(shard, _)| shard).collect())
}

/// Tells the log which members of etcd there are, and the proposers which format of records all nodes read.
async fn follow_members(
    registry: Registry,
    log: Arc<EtcdLog>,
    version: watch::Sender<u8>,
    identity: Arc<Mutex<Identity>>,
) {
    let mut bell = registry.subscribe();
    loop {
        let view = registry.view();
        version.send_if_modified(|version| {
            let next = view.record_version(RECORD_VERSION).min(RECORD_VERSION);
            std::mem::replace(version, next) != next
        });
        let endpoints: Vec<String> = view.etcd().into_iter().map(str::to_owned).collect();
        let peers: Vec<String> = view.members.values().map(|member| member.address.clone()).collect();
        let changed = {
            let mut identity = identity.lock();
            let file = &mut identity.file;
            let changed = (!endpoints.is_empty() && file.etcd != endpoints) || file.peers != peers;
            if !endpoints.is_empty() {
                file.etcd.clone_from(&endpoints);
            }
            file.peers = peers;
            // For the next start.
            if changed && let Err(error) = identity.save() {
                tracing::warn!(%error, "where the other nodes are cannot be noted");
            }
            changed
        };
        if changed && !endpoints.is_empty() {
            log.set_endpoints(&endpoints);
        }
        if bell.changed().await.is_err() {
            return;
        }
    }
}

async fn renew(identity: Arc<Mutex<Identity>>, tls: Arc<Tls>, host: String) {
    let mut ticks = interval(RENEW);
    loop {
        ticks.tick().await;
        let renewed = {
            let mut identity = identity.lock();
            identity.renew(&host, false).and_then(|renewed| renewed.then(|| identity.keys()).transpose())
        };
        let keys = match renewed {
            Ok(None) => continue,
            Ok(Some(keys)) => keys,
            Err(error) => {
                tracing::error!(%error, "this node's certificate cannot be renewed");
                continue;
            }
        };
        let taken = paquebot_peer::Identity::from_pem(keys.certificate.as_bytes(), keys.key.as_bytes())
            .and_then(|own| tls.renew(own, &Authority::from_pem(keys.authority.as_bytes())?));
        match taken {
            Ok(()) => tracing::info!("this node's certificate was renewed"),
            Err(error) => tracing::error!(%error, "the renewed certificate cannot be used"),
        }
    }
}

/// Where the members of etcd are: those that nodes run, or else those that the operator does.
fn members_of(registry: &Registry, options: &paquebot_log_etcd::Options) -> impl Fn() -> Vec<String> + Send + use<> {
    let (registry, given) = (registry.clone(), options.endpoints.clone());
    move || {
        let run: Vec<String> = registry.view().etcd().into_iter().map(str::to_owned).collect();
        if run.is_empty() { given.clone() } else { run }
    }
}

async fn care_for_own(own: paquebot_log_etcd::Options, registry: Registry, node: paquebot_peer::NodeName) {
    let client = loop {
        match connect(&own).await {
            Ok(client) => break client,
            Err(_) => sleep(TELL).await,
        }
    };
    let turn = registry.view().members.keys().position(|member| *member == node).unwrap_or(0);
    etcd_care::defragment(client, registry.client(), u32::try_from(turn).unwrap_or(0)).await;
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
