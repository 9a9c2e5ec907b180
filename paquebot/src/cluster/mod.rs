//! A node of a cluster: the configuration's words for it, and what of the binary its peers reach.

mod accounts;
mod commands;
mod host;
mod make;
mod routes;
mod status;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use paquebot_cluster::identity::Identity;
use paquebot_cluster::{Bucket, Etcd, Node, Settings};
use paquebot_config::{Config, Etcd as Configured, ListenAddress};
use paquebot_log_etcd::{Login, Tls};
use paquebot_mailbox::usual_mailboxes;
use paquebot_peer::NodeName;
use paquebot_s3::Credentials;
use paquebot_store::Store;
use paquebot_store::fs::RealFs;
use tokio::net::TcpListener;

pub use commands::Commands;
pub use host::{Host, Served};
pub use make::{init, join};
pub use routes::{Routes, Ways};
pub use status::{Numbers, numbers};

/// What the configuration says of the cluster.
pub fn settings(config: &Config) -> anyhow::Result<Settings> {
    let cluster = &config.cluster;
    let Some(node) = &cluster.node else {
        bail!("the configuration names no node: say `node = \"a\"` in its [cluster]");
    };
    let ListenAddress::Tcp(address) = &cluster.peer else { bail!("cluster.peer must be host:port") };
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let etcd = match &cluster.etcd {
        Configured::Managed(_) => Etcd::Managed {
            program: cluster.etcd_program.clone(),
            directory: cluster.etcd_data.clone().unwrap_or_else(|| config.data.join("etcd")),
            client_port: cluster.etcd_client_port,
            peer_port: cluster.etcd_peer_port,
        },
        Configured::Given(endpoints) => {
            let client = match (&cluster.etcd_certificate, &cluster.etcd_key) {
                (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
                _ => None,
            };
            let authority = cluster.etcd_ca.as_deref().map(read).transpose()?;
            let login = match (&cluster.etcd_user, &cluster.etcd_password_file) {
                (Some(name), Some(file)) => {
                    let password = String::from_utf8_lossy(&read(file)?).trim_end().to_owned();
                    Some(Login { name: name.clone(), password })
                }
                _ => None,
            };
            let tls = (authority.is_some() || client.is_some()).then_some(Tls { authority, client, server_name: None });
            Etcd::Given { endpoints: endpoints.clone(), tls, login }
        }
    };
    let s3 = match &cluster.s3 {
        Some(address) => Some(Bucket {
            address: address.parse()?,
            credentials: Credentials::from_env()?,
            cache_bytes: cluster.s3_cache.map(|size| size.0),
        }),
        None => None,
    };
    Ok(Settings {
        node: NodeName::new(node).context("cluster.node")?,
        address: address.clone(),
        etcd,
        prefix: cluster.etcd_prefix.clone(),
        replicas: cluster.replicas.get(),
        shards: cluster.shards.get(),
        lease: cluster.lease,
        silence: cluster.silence,
        removal: cluster.removal,
        compare_interval: cluster.compare_interval,
        s3,
    })
}

/// The socket on which other nodes reach this one.
pub async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let address = config.cluster.peer_listen.as_ref().unwrap_or(&config.cluster.peer);
    let ListenAddress::Tcp(address) = address else { bail!("cluster.peer_listen must be host:port") };
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}, where other nodes reach this one"))
}

/// Starts the node that the data directory belongs to.
pub async fn start(config: &Config) -> anyhow::Result<Arc<Node>> {
    let settings = settings(config)?;
    let identity = Identity::open_as(&config.data, settings.node.as_str())?;
    let (store, tail) = Store::open(Arc::new(RealFs), &config.data, config.store_options())?;
    let node = Node::start(settings, identity, Arc::new(store), tail, usual_mailboxes()).await;
    Ok(Arc::new(node.context("cannot start this node")?))
}
