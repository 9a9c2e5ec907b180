//! The etcd engine against Debian's real etcd.
#![allow(clippy::unwrap_used)]

mod access;
mod bases;
mod bodies;
mod faults;
mod node;
mod proxy;
mod servers;
mod space;
mod suite;
