//! Every work against small servers in this process.

#![allow(clippy::unwrap_used)]

mod imap_server;
mod lmtp_server;
mod works;
