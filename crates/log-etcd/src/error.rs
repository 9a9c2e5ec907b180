//! Why an etcd is not used.

use crate::failure::Failure;
use crate::keys::ClusterId;

/// Why the log cannot be opened, or a cluster not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("no endpoints of etcd are configured")]
    NoEndpoints,
    #[error(
        "etcd does not let this node in: {0}; see to `etcd_user` and `etcd_password_file` in [cluster], and to what that user may do in etcd"
    )]
    Denied(String),
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
    Etcd(Failure),
    #[error("cannot start the thread that writes bodies")]
    Thread(#[source] std::io::Error),
}

impl OpenError {
    /// No member answered as it should; what the last of them said.
    pub(crate) fn unreachable(said: String) -> Self {
        if is_denial(&said) { Self::Denied(said) } else { Self::Unreachable(said) }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(said) if is_denial(&said) => Self::Denied(said),
            failure => Self::Etcd(failure),
        }
    }
}

/// What etcd says to whom it does not know, or who may not do what it asks (etcd's `rpctypes/error.go`).
fn is_denial(said: &str) -> bool {
    let denials = ["authentication failed", "user name is empty", "permission denied", "invalid auth token"];
    denials.iter().any(|denial| said.contains(&format!("etcdserver: {denial}")))
}
