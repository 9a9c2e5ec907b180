//! What an error of etcd says of the request: was it carried out?

use etcd_client::Error;

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// Not carried out, and asking again is of no use.
    #[error("etcd refuses it: {0}")]
    Refused(String),
    /// Not carried out: history that was asked for is gone.
    #[error("etcd has compacted it: {0}")]
    Compacted(String),
    /// Not carried out; another attempt may be.
    #[error("etcd cannot do it now: {0}")]
    NotDone(String),
    /// Perhaps carried out, perhaps later still.
    #[error("etcd did not answer: {0}")]
    Unknown(String),
}

/// How etcd begins its words about what it did not do, whatever was asked (etcd's `rpctypes/error.go`). Its other errors leave a change open:
/// "request timed out" and "leader changed" come when a change is on its way.
const REFUSED: &[&str] = &[
    "etcdserver: mvcc: database space exceeded",
    "etcdserver: request is too large",
    "etcdserver: too many operations in txn request",
    "etcdserver: duplicate key given in txn request",
    "etcdserver: permission denied",
    "etcdserver: invalid auth token",
    "etcdserver: authentication failed",
    "etcdserver: user name is empty",
    "etcdserver: corrupt cluster",
];
const NOT_DONE: &[&str] =
    &["etcdserver: no leader", "etcdserver: too many requests", "etcdserver: not capable", "etcdserver: not leader"];
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::GRpcStatus(status) => by_message(status.message()),
            // Found wrong before anything is sent.
            Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
                Self::Refused(error.to_string())
            }
            _ => Self::Unknown(error.to_string()),
        }
    }
}

fn by_message(message: &str) -> Failure {
    let is_one_of = |list: &[&str]| list.iter().any(|start| message.starts_with(start));
    let said = message.to_string();
    match () {
        () if message.starts_with(COMPACTED) => Failure::Compacted(said),
        () if is_one_of(REFUSED) => Failure::Refused(said),
        () if is_one_of(NOT_DONE) => Failure::NotDone(said),
        () => Failure::Unknown(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_etcd_surely_did_not_do_is_not_done() {
        assert!(matches!(by_message("etcdserver: mvcc: database space exceeded"), Failure::Refused(_)));
        assert!(matches!(by_message("etcdserver: no leader"), Failure::NotDone(_)));
        assert!(matches!(by_message(COMPACTED), Failure::Compacted(_)));
        for open in [
            "etcdserver: request timed out",
            "etcdserver: leader changed",
            "etcdserver: server stopped",
            "transport error",
        ] {
            assert!(matches!(by_message(open), Failure::Unknown(_)), "{open}");
        }
    }
}
