//! Delivery by LMTP (RFC 2033): from a mail server's connection to the recipients' mailboxes.
//!
//! [`serve`] takes a connection, of TCP or a UNIX socket, and answers for each recipient once his message is on disk. What octets mean is
//! decided in `protocol`, which does no I/O; who is a user, by [`Recipients`]. The crate knows neither the log's engine nor the disk nor where
//! passwords are kept.
//!
//! Offered are PIPELINING, 8BITMIME, SMTPUTF8, ENHANCEDSTATUSCODES, SIZE and CHUNKING. A message is stored octet by octet as it came, bare CR,
//! bare LF and NUL included; Return-Path, Delivered-To and Received are put before it, and a Return-Path that it had is taken out. A reply that
//! is not 2xx means that nothing was stored; if that cannot be told, there is no reply and the connection is cut.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use paquebot_delivery::{Config, Peer, Shared, StoredUsers};
//! # async fn example(
//! #     listener: tokio::net::TcpListener,
//! #     service: Arc<paquebot_mailbox::Service>,
//! #     stopping: tokio::sync::watch::Receiver<bool>,
//! # ) -> std::io::Result<()> {
//! let users = Arc::new(StoredUsers(service.clone()));
//! let shared = Arc::new(Shared::new(service, users, Config::default(), stopping));
//! loop {
//!     let (socket, address) = listener.accept().await?;
//!     socket.set_nodelay(true)?;
//!     tokio::spawn(paquebot_delivery::serve(socket, Peer::Network(address), shared.clone()));
//! }
//! # }
//! ```

mod config;
mod conn;
mod deliver;
mod failure;
mod once;
mod pass_on;
pub mod protocol;
mod receive;
mod recipients;
mod server;
mod shared;

pub use config::{Addresses, Config, LocalUsers};
pub use pass_on::{Elsewhere, Reaching, Stream};
pub use recipients::{FirstOf, Lookup, LookupError, Recipients, SourceUsers, StoredUsers};
pub use server::{serve, serve_passed_on};
pub use shared::{Counters, Peer, Shared};
