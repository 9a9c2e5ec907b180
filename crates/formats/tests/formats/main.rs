//! Every driver against mailboxes that the real programs made, and against those programs.
#![allow(clippy::unwrap_used)]

mod c_client;
mod cyrus;
mod fixtures;
mod killed;
mod maildir;
mod manifest;
mod mbox;
mod mbx;
mod mix;
mod mutations;
mod sharing;
