//! Sessions over real sockets, with the store and the embedded log below them, in one process: what needs its own settings, or a look at
//! the bytes. Conversations that any server must have are transcripts.
#![allow(clippy::unwrap_used)]

mod append;
mod bodies;
mod client;
mod elsewhere;
mod idle;
mod limits;
mod login;
mod mailboxes;
mod passed_on;
mod quorum;
mod random;
mod scram;
mod searching;
mod selected;
mod server;
mod tls;
