//! The configuration file: its keys with their defaults, errors that say what is wrong and where, and what each part of the server makes of it.
//!
//! Every key has a default, and a file may leave out any. A key that does not exist is an error that names the nearest that does. The crate
//! reads one file and opens nothing else: no socket, no certificate, no data directory.
//!
//! ```
//! use std::path::Path;
//! use paquebot_config::Config;
//!
//! let config = Config::parse("listen.imap = [\"[::]:143\"]\nlimits.login_time = \"30s\"", Path::new("/etc/paquebot.toml")).unwrap();
//! assert_eq!(config.data, Path::new("/etc/paquebot-data"), "relative to the file");
//! let error = Config::parse("[listen]\nimapp = []", Path::new("p.toml")).unwrap_err();
//! assert_eq!(error.to_string(), "p.toml, line 2: there is no key `imapp`; did you mean `imap`?");
//! ```

mod address;
mod auth;
mod cluster;
mod config;
mod delivery;
mod limits;
mod load;
mod namespace;
mod network;
mod settings;
mod store;
mod value;

pub use address::{AddressError, ListenAddress};
pub use auth::{Auth, Delay, DelayCurve};
pub use cluster::{Cluster, Etcd, Managed, Size};
pub use config::{Config, Imap, Listen, Log, LogFormat, LogLevel, Tls};
pub use delivery::Delivery;
pub use limits::Limits;
pub use load::ConfigError;
pub use namespace::Namespace;
pub use network::NetworkText;
pub use store::Store;
