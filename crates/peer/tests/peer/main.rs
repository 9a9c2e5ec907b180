//! Nodes over loopback, with real TLS.
#![allow(clippy::unwrap_used)]

mod calls;
mod hostile;
mod node;
mod relay;
mod trust;
mod weather;
