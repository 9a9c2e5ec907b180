//! Many machines: who the nodes are, who hosts what, and what they do for one another.
//!
//! Leases and placement are hints: safety never depends on a clock, nor on who believes to be responsible. What must not be lost is in the log.

pub mod admission;
pub mod authority;
mod bodies;
mod clock;
mod duties;
pub mod etcd_care;
mod holders;
mod hosting;
pub mod identity;
pub mod marks;
mod node;
pub mod placement;
pub mod placing;
pub mod registry;
mod settings;
pub mod token;
pub mod trimming;
mod way;

pub use holders::RegisteredHolders;
pub use hosting::Hosting;
pub use node::{Node, NodeError, start_etcd};
pub use settings::{Bucket, Etcd, QUOTA_BYTES, Settings};
