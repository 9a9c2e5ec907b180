//! What nodes say to each other: bodies, snapshots, short questions, and connections that are passed on.
//!
//! One port for all of it, told apart by ALPN: HTTP/2 for calls, and a protocol each for passed-on IMAP and LMTP connections and for joining. Both
//! ends show certificates of the cluster's authority that name their nodes; only who joins has none yet, and pins the authority by its fingerprint. The
//! crate knows neither etcd nor who hosts what: [`Host`] does.

mod error;
mod fetch;
mod host;
mod identity;
mod join;
mod link;
mod name;
mod octets;
mod passed_on;
mod peers;
mod preface;
mod push;
mod receive;
mod server;
mod snapshot;
mod socket;
mod tls;
mod wire;

pub use error::PeerError;
pub use host::{BodyName, Host, Push, Refusal, Snapshot, SnapshotHeader};
pub use identity::{Authority, Fingerprint, FingerprintError, Identity, IdentityError};
pub use join::{JoinError, JoinRefusal, JoinRequest, Welcome, join};
pub use name::{NodeName, NodeNameError};
pub use passed_on::{Offer, PeerStream};
pub use peers::{Peer, Peers};
pub use preface::{Preface, PrefaceError};
pub use server::PeerServer;
pub use snapshot::SnapshotReader;
pub use tls::Tls;

/// A question to a node, or its answer, has so many bytes at most.
pub const ASK_BYTES_MAX: usize = 4 << 20;

/// A snapshot's chunk has so many bytes at most.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;
