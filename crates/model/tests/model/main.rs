//! The model against a plain reference, and each op's rules one by one.

#![allow(clippy::unwrap_used)]

mod checks;
mod deliveries;
mod encoding;
mod flags;
mod generator;
mod mailboxes;
mod messages;
mod moves;
mod random_ops;
mod records;
mod recovery;
mod reference;
mod shard;
mod view;
