//! Many machines.

use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::ListenAddress;
use crate::value::{size, time};

/// A node of a cluster; a server without it is one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// What this node is called; a cluster has no two of one name.
    pub node: Option<String>,
    pub etcd: Etcd,
    /// Where other nodes reach this one.
    pub peer: ListenAddress,
    /// Where this node listens for them; without it, at `peer`.
    pub peer_listen: Option<ListenAddress>,
    /// On how many nodes each shard is. Read when the cluster is made.
    pub replicas: NonZeroUsize,
    /// How many shards the accounts are spread over. Read when the cluster is made.
    pub shards: NonZeroU16,
    /// Where packs go too.
    pub s3: Option<String>,
    /// What packs that are there may take on this machine's disk too; without it all stay.
    pub s3_cache: Option<Size>,
    /// PEM: who signed the certificates of an etcd that is given.
    pub etcd_ca: Option<PathBuf>,
    /// PEM: this node's certificate for it, and its key.
    pub etcd_certificate: Option<PathBuf>,
    pub etcd_key: Option<PathBuf>,
    pub etcd_user: Option<String>,
    pub etcd_password_file: Option<PathBuf>,
    /// What its keys begin with.
    pub etcd_prefix: String,
    /// The ports of an etcd that this node runs: for clients, and for its peers.
    pub etcd_client_port: u16,
    pub etcd_peer_port: u16,
    /// Where its data is; without it, `etcd` in the data directory. A disk that flushes fast serves it best.
    pub etcd_data: Option<PathBuf>,
    pub etcd_program: PathBuf,
    /// A node that is silent for this long is believed to be away; passed-on connections go elsewhere.
    #[serde(with = "time")]
    pub lease: Duration,
    /// After this long the log is no longer kept for a silent node, which then copies its shards anew.
    #[serde(with = "time")]
    pub silence: Duration,
    /// After this long a silent node's shards are given to others.
    #[serde(with = "time")]
    pub removal: Duration,
    /// How often the replicas of a shard are compared.
    #[serde(with = "time")]
    pub compare_interval: Duration,
}

/// Octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(#[serde(with = "size")] pub u64);

/// Which etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"managed\", or a list of addresses like [\"https://10.0.0.1:2379\"]")]
pub enum Etcd {
    /// One that the first three nodes run themselves.
    Managed(Managed),
    /// One that is there: the addresses of its members.
    Given(Vec<String>),
}

/// The word `managed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Managed {
    Managed,
}

impl Cluster {
    /// Whether the server is a node of a cluster.
    pub fn is_on(&self) -> bool {
        self.node.is_some()
    }

    /// What is wrong with it as a whole.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, address) in [("peer", Some(&self.peer)), ("peer_listen", self.peer_listen.as_ref())] {
            if let Some(address @ ListenAddress::Unix(_)) = address {
                return Err(format!("cluster.{key}: {address} is a UNIX socket, which other nodes cannot reach"));
            }
        }
        if self.etcd_certificate.is_some() != self.etcd_key.is_some() {
            return Err("[cluster] needs both `etcd_certificate` and `etcd_key`, or neither".into());
        }
        if self.etcd_user.is_some() != self.etcd_password_file.is_some() {
            return Err("[cluster] needs both `etcd_user` and `etcd_password_file`, or neither".into());
        }
        if let Etcd::Given(addresses) = &self.etcd {
            if addresses.is_empty() {
                return Err("cluster.etcd has no address; \"managed\" has the first three nodes run one".into());
            }
            let begins = |address: &&String| !address.starts_with("http://") && !address.starts_with("https://");
            if let Some(address) = addresses.iter().find(begins) {
                return Err(format!("cluster.etcd: {address:?} is no address; it is like \"https://10.0.0.1:2379\""));
            }
        }
        if self.lease < Duration::from_secs(2) {
            return Err("cluster.lease is 2s at least".into());
        }
        if self.silence < self.lease || self.removal < self.silence {
            return Err(
                "of cluster.lease, cluster.silence and cluster.removal none is shorter than the one before".into()
            );
        }
        if self.compare_interval.is_zero() {
            return Err("cluster.compare_interval must be more than nothing".into());
        }
        Ok(())
    }

    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let given = [
            &mut self.etcd_ca,
            &mut self.etcd_certificate,
            &mut self.etcd_key,
            &mut self.etcd_password_file,
            &mut self.etcd_data,
        ];
        given.into_iter().flatten()
    }

    /// With every key that has no default.
    pub(crate) fn with_all_keys() -> Self {
        let (path, text) = (Some(PathBuf::new()), Some(String::new()));
        let mut all = Self { node: text.clone(), s3: text.clone(), etcd_user: text, ..Self::default() };
        all.peer_listen = Some(all.peer.clone());
        all.s3_cache = Some(Size(0));
        all.etcd_ca = path.clone();
        all.etcd_certificate = path.clone();
        all.etcd_key = path.clone();
        all.etcd_password_file = path.clone();
        all.etcd_data = path;
        all
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            node: None,
            etcd: Etcd::Managed(Managed::Managed),
            peer: ListenAddress::Tcp("127.0.0.1:7143".into()),
            peer_listen: None,
            replicas: NonZeroUsize::MIN.saturating_add(2),
            shards: NonZeroU16::MIN.saturating_add(255),
            s3: None,
            s3_cache: None,
            etcd_ca: None,
            etcd_certificate: None,
            etcd_key: None,
            etcd_user: None,
            etcd_password_file: None,
            etcd_prefix: "paquebot".into(),
            etcd_client_port: 7144,
            etcd_peer_port: 7145,
            etcd_data: None,
            etcd_program: "/usr/bin/etcd".into(),
            lease: Duration::from_secs(10),
            silence: Duration::from_secs(3600),
            removal: Duration::from_secs(86_400),
            compare_interval: Duration::from_secs(600),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/p.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_is_named() {
        assert!(!parse("").unwrap().cluster.is_on());
        let config =
            parse("[cluster]\nnode = \"a\"\netcd = [\"https://10.0.0.1:2379\"]\netcd_ca = \"ca.pem\"").unwrap();
        assert!(config.cluster.is_on());
        assert_eq!(config.cluster.etcd, Etcd::Given(vec!["https://10.0.0.1:2379".into()]));
        assert_eq!(config.cluster.etcd_ca.as_deref(), Some(Path::new("/etc/ca.pem")), "relative to the file");
        assert_eq!(parse("cluster.etcd = \"managed\"").unwrap().cluster, Cluster::default());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (text, named) in [
            ("cluster.etcd = []", "managed"),
            ("cluster.etcd = \"menaged\"", "managed"),
            ("cluster.etcd = [\"10.0.0.1:2379\"]", "https://"),
            ("cluster.peer = \"unix:/run/peer\"", "cluster.peer"),
            ("cluster.etcd_key = \"k\"", "etcd_certificate"),
            ("cluster.etcd_user = \"u\"", "etcd_password_file"),
            ("cluster.lease = \"1s\"", "2s"),
            ("cluster.removal = \"1m\"", "cluster.silence"),
            ("cluster.replica = 3", "replicas"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
