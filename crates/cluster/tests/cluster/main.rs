//! Nodes over loopback, with real TLS and a real etcd that they run.
#![allow(clippy::unwrap_used)]

mod admission;
mod node;
