//! The way to the cluster with which a node begins: etcd, or, while that has no quorum, what the node knew when it ended.

use std::sync::Arc;
use std::time::Duration;

use paquebot_blobs::Push;
use paquebot_log_etcd::{EtcdLog, Failure, OpenError, Options, connect};
use paquebot_model::RECORD_VERSION;
use paquebot_peer::Peers;
use paquebot_store::{Store, Tail};
use paquebot_types::ShardId;
use tokio::time::{Instant, sleep, timeout};

use crate::holders::RegisteredHolders;
use crate::identity::{Identity, hex};
use crate::node::NodeError;
use crate::placement::{Standing, Table};
use crate::registry::{Etcd, Member, Registry, RegistryError, Unreached, View};
use crate::settings::Settings;

/// How long etcd is waited for before the node begins with what it knew: its index has all that it had shown.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same when the node was not stopped in order: it may show less than it had shown, and that only when nothing better is to be had.
const LONG_PATIENCE: Duration = Duration::from_secs(30);
/// Between attempts to reach etcd.
const PAUSE: Duration = Duration::from_millis(200);
/// Between lines of the log that say that etcd is not reached.
const TELL: Duration = Duration::from_secs(10);

/// What the node has of itself when it begins.
pub(crate) struct Beginning<'a> {
    pub settings: &'a Settings,
    pub identity: &'a Identity,
    pub options: &'a Options,
    pub store: &'a Arc<Store>,
    pub tail: &'a Tail,
    pub peers: &'a Arc<Peers>,
    /// The member of etcd that it runs.
    pub own: Option<Etcd>,
}

/// The way to the cluster.
pub(crate) struct Way {
    pub registry: Registry,
    pub holders: Arc<RegisteredHolders>,
    pub log: Arc<EtcdLog>,
    /// The shards that are hosted from the start.
    pub hosted: Vec<ShardId>,
    /// What is left to do when etcd is reached, where it has not been.
    pub late: Option<Late>,
}

/// Reaches etcd when it has a quorum again.
pub(crate) struct Late {
    unreached: Unreached,
    log: Arc<EtcdLog>,
    registering: Registering,
}

impl Beginning<'_> {
    /// Waits for etcd for as long as it takes, or, where the node can begin without, for a moment.
    pub async fn way(self) -> Result<Way, NodeError> {
        let was_stopped = self.identity.was_stopped()?;
        let Some((noted, hosted)) = self.noted() else { return self.register(self.open().await?).await };
        let patience = if was_stopped { PATIENCE } else { LONG_PATIENCE };
        match timeout(patience, self.open()).await {
            Ok(opened) => self.register(opened?).await,
            Err(_) => self.unreached(noted, hosted, was_stopped).await,
        }
    }

    /// The registry and the log, as soon as etcd has a quorum.
    async fn open(&self) -> Result<(Registry, Arc<RegisteredHolders>, Arc<EtcdLog>), NodeError> {
        let options = self.options;
        let registry = patiently(async || Ok(Registry::open(client(options).await?, &options.prefix).await?)).await?;
        let holders = self.holders(&registry);
        let push = Arc::new(Push::new(self.peers.clone(), holders.clone()));
        let (store, tail) = (self.store, self.tail);
        let open = async || Ok(EtcdLog::open(options.clone(), store.clone(), tail.clone(), push.clone()).await?);
        let log = Arc::new(patiently(open).await?);
        Ok((registry, holders, log))
    }

    async fn register(
        &self,
        (registry, holders, log): (Registry, Arc<RegisteredHolders>, Arc<EtcdLog>),
    ) -> Result<Way, NodeError> {
        let registering = self.registering(&registry);
        // The member of etcd that happens to be asked may have no vote yet, this node's own say.
        let hosted = patiently(async || registering.register().await).await?;
        Ok(Way { registry, holders, log, hosted, late: None })
    }

    /// What the node saw last of the registry, and the shards that it hosts by that, if it can begin so.
    fn noted(&self) -> Option<(View, Vec<ShardId>)> {
        let noted = self.identity.noted()?;
        // A store that was emptied has nothing to serve.
        let is_same = noted.members.get(&self.settings.node)?.store == hex(&self.store.uuid());
        let hosted = hosted_by(noted.table.as_ref()?, &self.settings.node, self.store).ok()?;
        (is_same && hosted.contains(&ShardId::SYSTEM)).then_some((noted, hosted))
    }

    async fn unreached(&self, noted: View, hosted: Vec<ShardId>, was_stopped: bool) -> Result<Way, NodeError> {
        tracing::warn!(
            may_show_less_than_before = !was_stopped,
            "etcd is not reached: this node serves what it has, and takes no changes until etcd is there"
        );
        // Without a login it asks nobody anything.
        let placeholder = Options { login: None, ..self.options.clone() };
        let unreached = Unreached::new(client(&placeholder).await?, &self.options.prefix, noted);
        let registry = unreached.registry();
        let holders = self.holders(&registry);
        let push = Arc::new(Push::new(self.peers.clone(), holders.clone()));
        let log = EtcdLog::open_unreached(self.options.clone(), self.store.clone(), self.tail.clone(), push)?;
        let log = Arc::new(log);
        let registering = self.registering(&registry);
        let late = Some(Late { unreached, log: log.clone(), registering });
        Ok(Way { registry, holders, log, hosted, late })
    }

    fn holders(&self, registry: &Registry) -> Arc<RegisteredHolders> {
        Arc::new(RegisteredHolders::new(registry.clone(), self.settings.node.clone()))
    }

    fn registering(&self, registry: &Registry) -> Registering {
        Registering {
            settings: self.settings.clone(),
            registry: registry.clone(),
            store: self.store.clone(),
            own: self.own.clone(),
        }
    }
}

impl Late {
    /// Done when etcd is reached, is this cluster's, and knows this node: then the log goes on. An error is one that the node must not go on with; that etcd
    /// does not let it in now is none, since it serves.
    pub async fn reach(mut self, options: &Options) -> Result<(), NodeError> {
        let mut patience = Patience::new();
        while let Err(error) = self.attempt(options).await {
            match is_passing(&error) || is_refusal(&error) {
                true => patience.wait(&error).await,
                false => return Err(error),
            }
        }
        self.log.go_on();
        tracing::info!("etcd is reached: changes are taken from now on");
        Ok(())
    }

    async fn attempt(&mut self, options: &Options) -> Result<(), NodeError> {
        // Before anything of etcd is believed.
        self.log.verify().await?;
        self.unreached.reach(client(options).await?).await?;
        self.registering.register().await?;
        Ok(())
    }
}

async fn client(options: &Options) -> Result<etcd_client::Client, NodeError> {
    connect(options).await.map_err(|failure| NodeError::Log(failure.into()))
}

/// Tries until etcd is reached. What asking again does not mend is an error.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T, NodeError>) -> Result<T, NodeError> {
    let mut patience = Patience::new();
    loop {
        match attempt().await {
            Err(error) if is_passing(&error) => patience.wait(&error).await,
            result => return result,
        }
    }
}

/// The pauses between attempts, of which the log tells now and then.
struct Patience {
    told: Instant,
}

impl Patience {
    fn new() -> Self {
        Self { told: Instant::now() }
    }

    async fn wait(&mut self, error: &NodeError) {
        if self.told.elapsed() > TELL {
            self.told = Instant::now();
            tracing::warn!(%error, "waiting for etcd");
        }
        sleep(PAUSE).await;
    }
}

/// Whether etcd may do it when it is asked again.
fn is_passing(error: &NodeError) -> bool {
    match error {
        NodeError::Log(OpenError::Unreachable(_)) => true,
        NodeError::Log(OpenError::Etcd(failure)) => !matches!(failure, Failure::Refused(_)),
        NodeError::Registry(RegistryError::Etcd(_)) => !is_refusal(error),
        _ => false,
    }
}

/// Whether etcd says no, and may say yes when somebody has seen to it.
fn is_refusal(error: &NodeError) -> bool {
    match error {
        NodeError::Log(OpenError::Denied(_) | OpenError::Etcd(Failure::Refused(_))) => true,
        NodeError::Registry(RegistryError::Etcd(etcd_client::Error::GRpcStatus(status))) => {
            matches!(Failure::from(etcd_client::Error::GRpcStatus(status.clone())), Failure::Refused(_))
        }
        _ => false,
    }
}

/// The shards of a placement that a node serves from the start.
fn hosted_by(
    table: &Table,
    node: &paquebot_peer::NodeName,
    store: &Store,
) -> Result<Vec<ShardId>, paquebot_store::IndexError> {
    let out_of_use = store.importing()?;
    let ready =
        table.of(node).filter(|(shard, standing)| *standing != Standing::Joining && !out_of_use.contains(shard));
    Ok(ready.map(|(shard, _)| shard).collect())
}

/// What a node says of itself in the registry.
struct Registering {
    settings: Settings,
    registry: Registry,
    store: Arc<Store>,
    own: Option<Etcd>,
}

impl Registering {
    /// Says what this node is, and gives the shards that it hosts from the start.
    async fn register(&self) -> Result<Vec<ShardId>, NodeError> {
        let (node, registry) = (&self.settings.node, &self.registry);
        let before = registry.view().members.get(node).cloned().ok_or_else(|| RegistryError::Removed(node.clone()))?;
        let member = Member {
            address: self.settings.address.clone(),
            store: hex(&self.store.uuid()),
            reads: RECORD_VERSION,
            software: env!("CARGO_PKG_VERSION").into(),
            leaving: false,
            etcd: self.own.clone().or(before.etcd.clone()),
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
        registry.register(node, &member, self.settings.lease).await?;
        // Read anew: it may have been changed just now.
        Ok(hosted_by(&registry.table().await?, node, &self.store)?)
    }
}
