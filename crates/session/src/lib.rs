//! One IMAP connection: from the socket to the mailbox service and back.
//!
//! [`serve`] greets a client and answers its commands until one of both has had enough. What the client may be told when is decided in
//! `view`, what each command does in `machine`, one file a command; `conn` and `stream` know the socket, TLS and compression.
//! The crate knows neither the log's engine nor the disk nor where users and passwords are kept.
//!
//! In a cluster a connection whose account is served by another node is passed on to it after the login: [`Router`] says where, and
//! [`serve_passed_on`] serves it there.
//!
//! Nothing is held for a client that says nothing: no buffer, no reader of the store, only its place in the mailbox.
//!
//! ```no_run
//! # async fn example(listener: tokio::net::TcpListener, shared: std::sync::Arc<paquebot_session::Shared>) -> std::io::Result<()> {
//! loop {
//!     let (socket, _) = listener.accept().await?;
//!     tokio::spawn(paquebot_session::serve(socket, paquebot_session::Listener::StartTls, shared.clone()));
//! }
//! # }
//! ```

mod answer;
mod capability;
mod config;
mod conn;
mod machine;
mod pass_on;
mod reading;
mod serve;
mod session;
mod shared;
mod state;
mod stream;
mod view;

pub use config::Config;
pub use pass_on::{Pipe, Preface, PrefaceError, Route, Router, Routing, serve_passed_on};
pub use serve::{serve, serve_for};
pub use shared::{Counters, Listener, Shared, Tls};
