//! A node at work: everything of the cluster that runs beside the mail service.

use std::sync::Arc;
use std::time::Duration;

use paquebot_blobs::Healer;
use paquebot_etcd::Managed;
use paquebot_log_etcd::{EtcdLog, OpenError};
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
use crate::duties::Duties;
use crate::hosting::Hosting;
use crate::identity::{Identity, IdentityError};
use crate::marks;
use crate::registry::{Registry, RegistryError};
use crate::settings::Settings;
use crate::way::{Beginning, Way};

/// Between looks for the users.
const PAUSE: Duration = Duration::from_millis(50);
/// Between lines of the log that say what is waited for.
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
    /// Whether the cluster knows of it: not yet while it has begun without a quorum of etcd.
    pub registered: watch::Receiver<bool>,
    tasks: Mutex<JoinSet<()>>,
    etcd: Mutex<Option<Managed>>,
}

impl Node {
    /// Starts the node on its store: its etcd if it runs one, the log, the mail service, and what looks after all that. It waits for etcd for as long as it takes,
    /// unless it knows from an earlier life what it hosts: then it begins with that, and reaches etcd when it can.
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
        let peers = Arc::new(Peers::new(tls.clone(), store.clone()));
        let own = etcd.as_ref().map(|(_, member)| member.clone());
        let beginning = Beginning {
            settings: &settings,
            identity: &identity,
            options: &options,
            store: &store,
            tail: &tail,
            peers: &peers,
            own: own.clone(),
        };
        let Way { registry, holders, log, hosted, late } = beginning.way().await?;

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
                ..Default::default()
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
        let (registered_sender, registered) = watch::channel(late.is_none());
        let hosting = Hosting {
            node: node.clone(),
            service: service.clone(),
            registry: registry.clone(),
            peers: peers.clone(),
            holders,
            troubles: trouble,
            fatal: fatal_sender.clone(),
        };
        let identity = Arc::new(Mutex::new(identity));
        let mut tasks = JoinSet::new();
        tasks.spawn(renew(identity.clone(), tls.clone(), settings.host().to_owned()));
        let duties = Duties {
            settings: settings.clone(),
            service: service.clone(),
            registry: registry.clone(),
            log: log.clone(),
            identity: identity.clone(),
            options: options.clone(),
            own,
            hosting,
            marked,
            troubles,
            version,
        };
        tasks.spawn(async move {
            let reached = match late {
                Some(late) => late.reach(&options).await,
                None => Ok(()),
            };
            match reached {
                Ok(()) => {
                    registered_sender.send_replace(true);
                    duties.run().await;
                }
                Err(error) => {
                    fatal_sender.send_replace(Some(error.to_string()));
                }
            }
        });
        let (tasks, etcd) = (Mutex::new(tasks), Mutex::new(etcd.map(|(managed, _)| managed)));
        Ok(Self { settings, service, log, registry, peers, tls, healer, s3, identity, fatal, registered, tasks, etcd })
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
            sleep(PAUSE).await;
        }
    }

    /// Ends what the node does for the cluster, and its etcd. The mail service is stopped before.
    pub async fn stop(&self) {
        // One that was not registered is perhaps another node of the same name.
        if *self.registered.borrow() {
            let signed_off = self.registry.sign_off(&self.settings.node);
            let _ = tokio::time::timeout(Duration::from_secs(2), signed_off).await;
        }
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
        let etcd = self.etcd.lock().take();
        // It waits for a process to end.
        let _ = tokio::task::spawn_blocking(move || drop(etcd)).await;
        if let Err(error) = self.identity.lock().set_stopped() {
            tracing::warn!(%error, "it cannot be noted that this node was stopped in order");
        }
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
