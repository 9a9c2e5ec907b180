//! For tests only: what drives the server from outside, as a client or an operator would.
//!
//! - [`Server`]: the built `paquebot`, started on free ports with accounts and certificates, stopped or killed.
//! - [`Client`]: a blocking IMAP client that hands over each response as its bytes, and shows each to a parser that is not ours ([`strict`]).
//! - [`transcript`]: conversations as files, each held with a server of its own.
//! - [`cluster`]: three servers and etcd on machines of their own, to be killed, frozen, emptied and cut off.
//! - [`samples`]: the sample mail with its hashes.
//! - [`process`]: other programs, run with a time limit.
//!
//! It knows the server by its command line and its sockets alone: none of the server's crates.
//!
//! ```no_run
//! use paquebot_testkit::{Options, Server};
//!
//! # fn main() -> anyhow::Result<()> {
//! let server = Server::start(Options::with_account("alice", "secret"))?;
//! let mut client = server.client("alice")?;
//! let answer = client.command("SELECT INBOX")?;
//! assert!(answer.untagged.iter().any(|response| response.starts_with("* 0 EXISTS")));
//! server.stop()
//! # }
//! ```

pub mod certificates;
mod client;
mod client_stream;
pub mod cluster;
mod hash;
mod injection;
mod mailbox_name;
pub mod process;
mod response;
mod running;
pub mod samples;
mod server;
mod server_binary;
pub mod strict;
pub mod transcript;

pub use client::{Answer, Client};
pub use hash::sha256_hex;
pub use injection::Injection;
pub use mailbox_name::modified_utf7;
pub use response::Response;
pub use running::{Addresses, LmtpAddress};
pub use server::{Account, Options, Server};
