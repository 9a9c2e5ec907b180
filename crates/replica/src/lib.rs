//! Follows the logs of the shards that this node hosts into the store.
//!
//! A change is proposed, gathered with its neighbours into a record, appended to the log, applied to the store by this node as by every
//! other, and then its outcome is known. Shards come and go while others are at work, and one that cannot be followed any more leaves the others as
//! they are. The crate knows no engine, no mailbox semantics and no protocol.

mod applier;
mod apply;
mod feeds;
mod hosting;
mod options;
mod proposer;
mod recover;
mod replica;
mod trouble;
mod waiting;

pub use hosting::Hosting;
pub use options::{Applying, OnMark, Options, Stamps, Watcher};
pub use proposer::ProposeError;
pub use replica::{HostError, Replica, StartError};
pub use trouble::{Trouble, TroubleKind};

/// Pieces of a shard's log between the log and the applier, at most.
const FEED: usize = 256;
