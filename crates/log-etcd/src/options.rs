//! How to reach etcd, and how patient to be with it.

use std::time::Duration;

use crate::keys::ClusterId;

/// How the engine uses etcd.
#[derive(Clone)]
pub struct Options {
    /// `https://10.0.0.1:2379`, one for each member of the etcd cluster.
    pub endpoints: Vec<String>,
    pub login: Option<Login>,
    /// For endpoints that begin with `https`.
    pub tls: Option<Tls>,
    /// What all of the cluster's keys begin with, before a slash.
    pub prefix: String,
    /// Whose keys those are.
    pub cluster: ClusterId,
    /// A member that takes longer over a request is given up for another.
    pub attempt: Duration,
    /// How long an append, a read or a trim is tried.
    pub deadline: Duration,
    /// Changes are refused when etcd has not answered for this long.
    pub patience: Duration,
    /// What the members of the etcd cluster were started with as `--quota-backend-bytes`; 2 GiB is etcd's default. A member that tells its
    /// quota by itself (since 3.6) is believed.
    pub quota_bytes: u64,
    /// How often sizes and versions are looked at.
    pub look: Duration,
    /// History older than this is compacted; `None` leaves compaction to others, as befits an etcd that is shared.
    pub history: Option<Duration>,
}

/// A user of etcd.
#[derive(Clone)]
pub struct Login {
    pub name: String,
    pub password: String,
}

/// Certificates and keys, in PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Who signed the members' certificates.
    pub authority: Option<Vec<u8>>,
    /// This node's certificate and its key.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the members' certificates have, if it is not the host in their addresses.
    pub server_name: Option<String>,
}

impl Options {
    /// The defaults, for a cluster in one place.
    pub fn new(endpoints: Vec<String>, cluster: ClusterId) -> Self {
        Self {
            endpoints,
            login: None,
            tls: None,
            prefix: "paquebot".into(),
            cluster,
            attempt: Duration::from_secs(3),
            deadline: Duration::from_secs(15),
            patience: Duration::from_secs(5),
            quota_bytes: 2 << 30,
            look: Duration::from_secs(5),
            history: Some(Duration::from_secs(60)),
        }
    }
}
