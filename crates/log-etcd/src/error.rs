//! Why an etcd is not used.

use crate::failure::Failure;
use crate::keys::ClusterId;

/// Why the log cannot be opened, or a cluster not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no endpoints of etcd are configured")]
    NoEndpoints,
    #[error("no member of etcd can be reached: {0}")]
    Unreachable(String),
    #[error("{endpoint} runs etcd {version}, which is not used: {why}")]
    Version { endpoint: String, version: String, why: &'static str },
    #[error("etcd has no cluster under {prefix}: make one by `paquebot cluster init`, or name the right prefix")]
    NoCluster { prefix: String },
    #[error("the cluster under {prefix} has not been made whole: run `paquebot cluster init` again")]
    Unfinished { prefix: String },
    #[error("etcd has the keys of another cluster under {prefix}: {found}, and this node belongs to {expected}")]
    OtherCluster { prefix: String, found: ClusterId, expected: ClusterId },
    #[error("etcd has keys under {prefix} that this version of Paquebot did not make; name another prefix")]
    NotOurs { prefix: String },
    #[error("etcd cannot be asked whose keys it has: {0}")]
    Etcd(#[from] Failure),
    #[error("cannot start the thread that writes bodies")]
    Thread(#[source] std::io::Error),
}
