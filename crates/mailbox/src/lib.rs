//! One API over a native shard's mailboxes and a driver's.

mod tree;

pub use tree::{Diff, PageTree};
