//! How a machine becomes a node: with a token, once.
//!
//! The machine makes its key and asks a node of the cluster, which proves by the authority's fingerprint in the token that it is one. The node takes the
//! token, notes the new member, adds its member of etcd if it is to run one, and answers with a certificate and what the machine needs to go on by itself.
//! An answer that was lost is had by asking again with the same token, from the same machine and under the same name.

mod door;
mod knock;
mod tokens;

use paquebot_peer::NodeName;
use serde::{Deserialize, Serialize};

pub use door::Door;
pub use knock::{AdmissionError, Admitted, Candidate, knock};
pub use tokens::{TOKEN_LIFETIME, make_token};

/// The form of [`Ask`] and [`Given`].
const FORM: u8 = 1;

/// So many nodes run a member of a managed etcd.
pub const ETCD_MEMBERS: usize = 3;

/// What `JoinRequest::more` has. A later form begins with the same byte and cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ask {
    form: u8,
    cluster: [u8; 16],
    /// The same each time that one machine asks with one token.
    attempt: String,
    /// The number of the machine's store.
    store: String,
    /// The newest format of records that it reads.
    reads: u8,
    /// The node whose machine is gone for good, and which it replaces.
    replaces: Option<NodeName>,
    /// Where a member of etcd that it runs would be reached: by clients, and by the other members.
    etcd: Option<(String, String)>,
}

/// What `Welcome::more` has.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    form: u8,
    authority_key: String,
    certificate_until: i64,
    /// Where nodes are reached.
    peers: Vec<String>,
    /// Where the members of etcd are reached by clients.
    etcd: Vec<String>,
    /// What the machine's own member of etcd starts with, if it is to run one: a name that no other cluster's has, and the members with their addresses.
    etcd_start: Option<(String, Vec<(String, String)>)>,
}
