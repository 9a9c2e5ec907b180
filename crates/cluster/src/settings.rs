//! What a node is told about its cluster, by the configuration.

use std::path::PathBuf;
use std::time::Duration;

use paquebot_etcd::Addresses;
use paquebot_log_etcd::{ClusterId, Login, Options, Tls};
use paquebot_peer::NodeName;

use crate::identity::{Identity, Keys};

/// How one node takes part.
#[derive(Clone)]
pub struct Settings {
    pub node: NodeName,
    /// `host:port` where other nodes reach this one.
    pub address: String,
    pub etcd: Etcd,
    /// What the cluster's keys in etcd begin with.
    pub prefix: String,
    /// Read when the cluster is made.
    pub replicas: usize,
    pub shards: u16,
    /// A node that is silent for so long is taken for one that is down.
    pub lease: Duration,
    /// The log is kept for a node that is down for so long.
    pub silence: Duration,
    /// The shards of a node that is down for longer are given to others.
    pub removal: Duration,
    /// Between comparisons of replicas.
    pub compare_interval: Duration,
    /// Where sealed packs go too.
    pub s3: Option<Bucket>,
}

/// Where packs go, and how many of their octets stay here.
#[derive(Clone)]
pub struct Bucket {
    pub address: paquebot_s3::Address,
    pub credentials: paquebot_s3::Credentials,
    pub cache_bytes: Option<u64>,
}

/// Which etcd.
#[derive(Clone)]
pub enum Etcd {
    /// The first three nodes run one themselves.
    Managed {
        program: PathBuf,
        directory: PathBuf,
        client_port: u16,
        peer_port: u16,
    },
    Given {
        endpoints: Vec<String>,
        tls: Option<Tls>,
        login: Option<Login>,
    },
}

impl Settings {
    /// The host of the address, without the port.
    pub fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or(&self.address, |(host, _)| host)
    }

    /// How etcd is reached.
    pub fn etcd_options(&self, cluster: ClusterId, known: &[String], keys: &Keys) -> Options {
        let mut options = match &self.etcd {
            Etcd::Managed { .. } => {
                let mut options = Options::new(known.to_vec(), cluster);
                options.quota_bytes = QUOTA_BYTES;
                options.tls = Some(Tls {
                    authority: Some(keys.authority.clone().into_bytes()),
                    client: Some((keys.certificate.clone().into_bytes(), keys.key.clone().into_bytes())),
                    server_name: None,
                });
                options
            }
            Etcd::Given { endpoints, tls, login } => {
                let mut options = Options::new(endpoints.clone(), cluster);
                (options.tls, options.login) = (tls.clone(), login.clone());
                // It may have other users, who may want its history.
                options.history = None;
                options
            }
        };
        options.prefix = self.prefix.clone();
        options
    }

    /// How this node's own member of etcd runs; `None` for an etcd that is given.
    pub fn managed(&self, identity: &Identity) -> Option<paquebot_etcd::Settings> {
        let Etcd::Managed { program, directory, client_port, peer_port } = &self.etcd else { return None };
        let addresses = |port: &u16| {
            let address = format!("{}:{port}", self.host());
            Addresses { listen: listen_address(&address), reached: address }
        };
        Some(paquebot_etcd::Settings {
            program: program.clone(),
            directory: directory.clone(),
            name: self.node.as_str().into(),
            client: addresses(client_port),
            peer: addresses(peer_port),
            authority: identity.path("authority.crt"),
            certificate: identity.path("node.crt"),
            key: identity.path("node.key"),
            quota_bytes: QUOTA_BYTES,
        })
    }
}

/// A managed etcd's quota: what it may take on the disk. Trimming keeps it far below.
pub const QUOTA_BYTES: u64 = 4 << 30;

/// etcd listens on addresses, not on names.
fn listen_address(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((host, port)) if host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[') => {
            format!("0.0.0.0:{port}")
        }
        _ => address.to_owned(),
    }
}
