//! Packs and a real S3 server (SeaweedFS, which `cargo xtask setup` installs).
#![allow(clippy::unwrap_used)]

mod mail;
mod packs;
mod server;
mod trouble;
