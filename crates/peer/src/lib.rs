//! What nodes say to each other: bodies, snapshots, short questions, and connections that are passed on.
//!
//! One port for all of it, told apart by ALPN: HTTP/2 for calls, and a protocol each for passed-on IMAP and LMTP connections and for joining. Both
//! ends show certificates of the cluster's authority that name their nodes; only who joins has none yet, and pins the authority by its fingerprint. The
//! crate knows neither etcd nor who hosts what: [`Host`] does.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use paquebot_peer::{Authority, Host, Identity, NodeName, PeerServer, Peers, Tls};
//! # use paquebot_store::Store;
//! # async fn example(store: Arc<Store>, host: Arc<dyn Host>, files: [Vec<u8>; 3]) -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::new(Identity::from_pem(&files[0], &files[1])?, &Authority::from_pem(&files[2])?)?;
//! let listener = tokio::net::TcpListener::bind("10.0.0.1:7143").await?;
//! tokio::spawn(PeerServer::new(tls.clone(), store.clone(), host).serve(listener, std::future::pending()));
//!
//! let peer = Peers::new(tls, store).to(&NodeName::new("b")?, "10.0.0.2:7143");
//! let answer = peer.ask("status", "".into()).await?;
//! # Ok(())
//! # }
//! ```

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
mod push;
mod receive;
mod server;
mod snapshot;
mod socket;
mod tls;
mod wire;

pub use error::PeerError;
pub use host::{BodyName, Host, Refusal, Snapshot, SnapshotHeader};
pub use identity::{Authority, Fingerprint, FingerprintError, Identity, IdentityError};
pub use join::{JoinError, JoinRefusal, JoinRequest, Welcome, join};
pub use name::{NodeName, NodeNameError};
pub use passed_on::{Offer, PeerStream};
pub use peers::{Peer, Peers};
pub use server::PeerServer;
pub use snapshot::SnapshotReader;
pub use tls::Tls;

/// A question to a node, or its answer, has so many bytes at most.
pub const ASK_BYTES_MAX: usize = 4 << 20;

/// A preface, which goes before a passed-on connection's octets, has so many bytes at most.
pub const PREFACE_BYTES_MAX: usize = 64 << 10;

/// A snapshot's chunk has so many bytes at most.
pub const CHUNK_BYTES_MAX: usize = 16 << 20;
