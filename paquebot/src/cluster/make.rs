//! Making a cluster, and joining one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use paquebot_cluster::admission::{Candidate, knock};
use paquebot_cluster::identity::{Identity, Keys, NodeFile, hex, random};
use paquebot_cluster::placement::Table;
use paquebot_cluster::registry::{Etcd as EtcdMember, Member, Registry};
use paquebot_cluster::{Etcd, Settings, start_etcd};
use paquebot_config::Config;
use paquebot_etcd::Beginning;
use paquebot_log_etcd::{ClusterId, EtcdLog, OpenError, Options, connect};
use paquebot_model::RECORD_VERSION;
use paquebot_peer::NodeName;
use paquebot_store::Store;
use paquebot_store::fs::RealFs;
use paquebot_types::{Sequence, ShardId};
use tokio::time::{Instant, sleep};

use super::settings;
use crate::node;

/// How long a new etcd may take to elect itself, and one that was there before to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_GIVEN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// Makes a cluster of which this machine is the first node.
pub async fn init(config: &Config, from_data: Option<&Path>) -> anyhow::Result<()> {
    let settings = settings(config)?;
    Identity::refuse_if_there(&config.data)?;
    let (store, bases) = take_mail(config, from_data).await?;
    let beyond = bases.iter().find(|(shard, _)| shard.0 > settings.shards);
    if let Some((shard, _)) = beyond {
        bail!("the data directory has shard {shard}: `shards` in [cluster] must be {} at least", shard.0);
    }
    let cluster = ClusterId(random());
    let (keys, until) = Keys::first(cluster, &settings.node, settings.host())?;
    let mut file = NodeFile::new(cluster, settings.node.clone());
    file.certificate_until = until;
    file.peers = vec![settings.address.clone()];
    let managed = match &settings.etcd {
        Etcd::Managed { client_port, .. } => {
            file.etcd = vec![format!("https://{}:{client_port}", settings.host())];
            true
        }
        Etcd::Given { endpoints, .. } => {
            file.etcd = endpoints.clone();
            false
        }
    };
    let etcd = file.etcd.clone();
    let identity = Identity::make(&config.data, file, &keys)?;
    let made = make_keys(&settings, &identity, cluster, &keys, &etcd, &store, &bases).await;
    if let Err(error) = made {
        // What was begun here is of no use; etcd's own directory tells of itself at the next attempt.
        let _ = std::fs::remove_dir_all(config.data.join("cluster"));
        if managed && let Etcd::Managed { directory, .. } = &settings.etcd {
            let _ = std::fs::remove_dir_all(directory);
        }
        return Err(error);
    }
    println!("cluster {cluster} is made, and this machine is its node {}", settings.node);
    println!(
        "start it with `paquebot serve`; `paquebot cluster token` then makes tokens with which other machines join"
    );
    Ok(())
}

/// The keys in etcd, with the etcd started for it if it is this node's own.
async fn make_keys(
    settings: &Settings,
    identity: &Identity,
    cluster: ClusterId,
    keys: &Keys,
    etcd: &[String],
    store: &str,
    bases: &[(ShardId, Sequence)],
) -> anyhow::Result<()> {
    if let Some(managed) = settings.managed(identity) {
        if managed.directory.join("member").exists() {
            bail!("{} has an etcd's data already: remove it if it is of no use any more", managed.directory.display());
        }
        managed.begin(&Beginning::New { token: cluster.to_string() })?;
    }
    let running = start_etcd(settings, identity)?;
    let options = settings.etcd_options(cluster, etcd, keys);
    make_cluster(&options, bases, if running.is_some() { PATIENCE } else { PATIENCE_GIVEN }).await?;
    let mut client = connect(&options).await.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let table = Table::first(&settings.node, settings.shards, settings.replicas);
    Registry::make(&mut client, &options.prefix, &table).await?;
    let registry = Registry::open(client, &options.prefix).await?;
    let member = Member {
        address: settings.address.clone(),
        store: store.into(),
        reads: RECORD_VERSION,
        software: env!("CARGO_PKG_VERSION").into(),
        leaving: false,
        etcd: running
            .as_ref()
            .map(|(_, member)| EtcdMember { client: member.client.clone(), peer: member.peer.clone() }),
    };
    registry.admit(&settings.node, &member).await?;
    // It waits for a process to end.
    tokio::task::spawn_blocking(move || drop(running)).await?;
    Ok(())
}

async fn make_cluster(options: &Options, bases: &[(ShardId, Sequence)], patience: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + patience;
    loop {
        match EtcdLog::make_cluster(options.clone(), bases).await {
            Err(OpenError::Unreachable(_)) if Instant::now() < until => sleep(PAUSE).await,
            made => return made.context("cannot make the cluster's keys in etcd"),
        }
    }
}

/// Gives the store's number, and how far each of its shards is: from there the cluster's log goes on.
async fn take_mail(config: &Config, from_data: Option<&Path>) -> anyhow::Result<(String, Vec<(ShardId, Sequence)>)> {
    let has_store = holds_mail(&config.data);
    match from_data {
        None if has_store => bail!(
            "{} holds a server's mail already: `paquebot cluster init --from-data {0}` takes it into the cluster",
            config.data.display()
        ),
        None => {}
        Some(from) if !holds_mail(from) => bail!("{} holds no server's mail", from.display()),
        Some(from) => {
            let from = std::path::absolute(from)?;
            let here = std::path::absolute(&config.data)?;
            // What a crash has left in the log is applied, and the index is durable.
            let mut alone = config.clone();
            alone.data = from.clone();
            let service = node::start(&alone).await.context("cannot open the data directory")?;
            if from != here {
                if has_store {
                    bail!("{} holds mail of its own: choose another `data`", here.display());
                }
                let (store, to) = (service.store().clone(), here.clone());
                let copied = tokio::task::spawn_blocking(move || store.backup(&to, &mut |_, _| {})).await?;
                copied.with_context(|| format!("cannot copy the mail to {}", here.display()))?;
            }
            node::stop(service).await?;
        }
    }
    let (store, _) = Store::open(Arc::new(RealFs), &config.data, config.store_options())?;
    Ok((hex(&store.uuid()), store.shards()?))
}

fn holds_mail(data: &Path) -> bool {
    data.join("store").exists()
}

/// Makes this machine a node of the cluster that the token is for.
pub async fn join(config: &Config, token: &str, replace: Option<&str>) -> anyhow::Result<()> {
    let settings = settings(config)?;
    if holds_mail(&config.data) {
        bail!(
            "{} holds mail of a server that is no node: a node that joins copies its mail from the others; choose an empty `data`",
            config.data.display()
        );
    }
    std::fs::create_dir_all(&config.data).with_context(|| format!("cannot make {}", config.data.display()))?;
    let etcd = match &settings.etcd {
        Etcd::Managed { client_port, peer_port, .. } => {
            let url = |port: &u16| format!("https://{}:{port}", settings.host());
            Some((url(client_port), url(peer_port)))
        }
        Etcd::Given { .. } => None,
    };
    let candidate = Candidate {
        node: settings.node.clone(),
        address: settings.address.clone(),
        reads: RECORD_VERSION,
        software: env!("CARGO_PKG_VERSION").into(),
        replaces: replace.map(NodeName::new).transpose()?,
        etcd,
    };
    let admitted = knock(&config.data, token, &candidate).await?;
    if let (Some(managed), Some(beginning)) = (settings.managed(&admitted.identity), &admitted.etcd) {
        if managed.directory.join("member").exists() {
            // A member that was replaced must not come back under its new number.
            std::fs::remove_dir_all(managed.directory.join("member"))?;
        }
        managed.begin(beginning)?;
    }
    println!("this machine is node {} of cluster {}", settings.node, admitted.identity.cluster());
    println!("start it with `paquebot serve`: it copies its mail from the other nodes");
    Ok(())
}
