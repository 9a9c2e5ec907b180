//! Other servers' mailboxes served in place by the whole server: the real programs' fixtures, clients, and others who write meanwhile.
#![allow(clippy::unwrap_used)]

mod changes;
mod others;
mod shown;
mod stage;
