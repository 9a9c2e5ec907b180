//! What a node does for the cluster beside serving mail, once the cluster knows of it.

use std::sync::Arc;
use std::time::Duration;

use paquebot_log_etcd::{EtcdLog, Options, connect};
use paquebot_mailbox::Service;
use paquebot_model::RECORD_VERSION;
use paquebot_replica::Trouble;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::now_ms;
use crate::hosting::Hosting;
use crate::identity::{Identity, hex, random};
use crate::registry::{Alive, Etcd, Registry};
use crate::settings::Settings;
use crate::{etcd_care, marks, placing, trimming};

/// Between attempts to reach this node's own member of etcd.
const PAUSE: Duration = Duration::from_secs(10);

/// What they need of the node around them.
pub(crate) struct Duties {
    pub settings: Settings,
    pub service: Arc<Service>,
    pub registry: Registry,
    pub log: Arc<EtcdLog>,
    pub identity: Arc<Mutex<Identity>>,
    pub options: Options,
    /// The member of etcd that this node runs.
    pub own: Option<Etcd>,
    pub hosting: Hosting,
    pub marked: mpsc::UnboundedReceiver<marks::Marked>,
    pub troubles: mpsc::UnboundedSender<Trouble>,
    /// Which format of records all nodes read.
    pub version: watch::Sender<u8>,
}

impl Duties {
    /// Does them until it is ended.
    pub async fn run(self) {
        let Self { settings, service, registry, log, identity, options, own, hosting, marked, troubles, version } =
            self;
        let node = settings.node.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(etcd_care::route(registry.client(), options.clone(), members_of(&registry, &options)));
        let alive = Alive { start: hex(&random::<8>()), address: settings.address.clone(), since_ms: now_ms() };
        let (_, stay_alive) = registry.stay_alive(node.clone(), alive, settings.lease);
        tasks.spawn(stay_alive);
        tasks.spawn(hosting.run());
        tasks.spawn(marks::compare(node.clone(), registry.clone(), marked, troubles));
        tasks.spawn(marks::set(node.clone(), service.clone(), registry.clone(), settings.compare_interval));
        tasks.spawn(trimming::run(node.clone(), service, log.clone(), registry.clone(), settings.silence));
        tasks.spawn(placing::run(node.clone(), registry.clone(), settings.removal));
        tasks.spawn(follow_members(registry.clone(), log, version, identity));
        if let Some(member) = own {
            tasks.spawn(etcd_care::promote(registry.client()));
            let own = Options { endpoints: vec![member.client], ..options };
            tasks.spawn(care_for_own(own, registry, node));
        }
        tasks.join_all().await;
    }
}

/// Tells the log which members of etcd there are, and the proposers which format of records all nodes read.
async fn follow_members(
    registry: Registry,
    log: Arc<EtcdLog>,
    version: watch::Sender<u8>,
    identity: Arc<Mutex<Identity>>,
) {
    let mut bell = registry.subscribe();
    let mut noted = None;
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
            let kept = if changed { identity.save() } else { Ok(()) };
            let note = view.to_note();
            let kept = kept.and_then(|()| if note == noted { Ok(()) } else { identity.note(&view) });
            // For the next start.
            match kept {
                Ok(()) => noted = note,
                Err(error) => tracing::warn!(%error, "where the other nodes are, and what they host, cannot be noted"),
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
            Err(_) => sleep(PAUSE).await,
        }
    };
    let turn = registry.view().members.keys().position(|member| *member == node).unwrap_or(0);
    etcd_care::defragment(client, registry.client(), u32::try_from(turn).unwrap_or(0)).await;
}
