//! LMTP sessions on a real store.
#![allow(clippy::unwrap_used)]

mod bounds;
mod chunks;
mod failures;
mod logs;
mod once;
mod recipients;
mod sockets;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
