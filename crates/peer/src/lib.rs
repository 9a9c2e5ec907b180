//! What nodes say to each other: bodies, snapshots, short questions, and connections that are passed on.
//!
//! One port for all of it, told apart by ALPN: HTTP/2 for calls, and a protocol each for passed-on IMAP and LMTP connections and for joining. Both
//! ends show certificates of the cluster's authority that name their nodes; only who joins has none yet, and pins the authority by its fingerprint. The
//! crate knows neither etcd nor who hosts what: [`Host`] does.

mod error;
mod host;
mod join;
mod name;
mod passed_on;
mod preface;

pub use error::PeerError;
pub use host::{BodyName, Host, Push, Refusal, Snapshot, SnapshotHeader};
pub use join::{JoinRefusal, JoinRequest, Welcome};
pub use name::{NodeName, NodeNameError};
pub use passed_on::{Offer, PeerStream};
pub use preface::{Preface, PrefaceError};

/// A question to a node, or its answer, has so many bytes at most.
pub const ASK_BYTES_MAX: usize = 4 << 20;

/// A snapshot's chunk has so many bytes at most.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;
