//! The traditional UNIX format, as c-client's `unix` driver has it, and MMDF, which differs in what stands between messages.
//!
//! One file is one mailbox, and all that is known of a message stands in its header. One session may change it.

mod append;
mod body;
mod change;
mod contents;
mod driver;
mod incoming;
mod layout;
mod lines;
mod numbering;
mod open;
mod place;
mod scan;
mod separator;

pub use driver::{Mbox, Mmdf};
