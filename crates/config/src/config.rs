//! All keys, and those that belong to the server as a whole.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::address::ListenAddress;
use crate::auth::Auth;
use crate::cluster::Cluster;
use crate::delivery::Delivery;
use crate::limits::Limits;
use crate::namespace::Namespace;
use crate::network::NetworkText;
use crate::store::Store;

/// Everything that can be configured; each key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Whom the server becomes once it listens, if it was started as root.
    pub user: Option<String>,
    /// The group with it; without it, the user's own.
    pub group: Option<String>,
    pub listen: Listen,
    pub tls: Tls,
    pub auth: Auth,
    pub imap: Imap,
    pub limits: Limits,
    pub delivery: Delivery,
    pub store: Store,
    pub cluster: Cluster,
    /// Other servers' mailboxes, served where they lie.
    #[serde(rename = "namespace", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    pub log: Log,
}

/// Where the server listens; an empty list is nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// IMAP with STARTTLS.
    pub imap: Vec<ListenAddress>,
    /// IMAP under TLS from the first byte.
    pub imaps: Vec<ListenAddress>,
    pub lmtp: Vec<ListenAddress>,
    /// HTTP: metrics, health, status.
    pub admin: Vec<ListenAddress>,
    /// Networks of load balancers that begin each connection, but those to `admin`, with a PROXY header.
    pub proxy_from: Vec<NetworkText>,
}

/// The certificate; without it a self-signed pair is made in the data directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM, the server's own certificate first.
    pub certificate: Option<PathBuf>,
    /// PEM.
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imap {
    /// Whether the server offers COMPRESS=DEFLATE.
    pub compress: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// The least important lines that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    /// One object a line.
    Json,
}

impl LogLevel {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "./paquebot-data".into(),
            user: None,
            group: None,
            listen: Listen::default(),
            tls: Tls::default(),
            auth: Auth::default(),
            imap: Imap::default(),
            limits: Limits::default(),
            delivery: Delivery::default(),
            store: Store::default(),
            cluster: Cluster::default(),
            namespaces: Vec::new(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let list = |address: &str| vec![ListenAddress::Tcp(address.into())];
        Self {
            imap: list("127.0.0.1:1143"),
            imaps: list("127.0.0.1:1993"),
            lmtp: list("127.0.0.1:1024"),
            admin: list("127.0.0.1:1080"),
            proxy_from: Vec::new(),
        }
    }
}

impl Default for Imap {
    fn default() -> Self {
        Self { compress: paquebot_session::Config::default().compress }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
    }
}
