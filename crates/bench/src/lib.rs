//! A load generator for IMAP and LMTP servers: what `paquebot bench` runs.
//!
//! It drives any server, knows none, and shares no code with ours: what it measures of a peer is what it measures of us. It is a closed
//! loop: each connection sends its next command when the last one was answered, so a slow server gets fewer of them. It takes any
//! certificate, and is therefore for tests only.
//!
//! ```no_run
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Arguments {
//!     #[command(flatten)]
//!     options: paquebot_bench::Options,
//! }
//!
//! let arguments = Arguments::parse_from(["bench", "append", "--imap", "127.0.0.1:143", "--user", "demo", "--password", "demo"]);
//! paquebot_bench::run(&arguments.options).unwrap();
//! ```

mod client;
mod connection;
mod corpus;
mod error;
mod histogram;
mod lmtp;
mod options;
mod process;
mod random;
mod report;
mod run;
mod tally;
mod work;

pub use corpus::{Corpus, Sizes};
pub use error::{BenchError, ClientError};
pub use histogram::Histogram;
pub use options::{LmtpAddress, Options, Tls, UserPattern, Work};
pub use report::{Idle, Latency, Report, Server, Step};
pub use run::{measure, run};
