//! The configuration file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

/// Everything that can be configured; each key has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    pub listen: Listen,
    pub tls: Tls,
    pub auth: Auth,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    pub imap: Vec<String>,
    pub imaps: Vec<String>,
    pub lmtp: Vec<String>,
    pub admin: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    pub passwd_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub level: String,
}

impl Default for Config {
    fn default() -> Self {
        let (listen, tls, auth, log) = Default::default();
        Self { data: "./paquebot-data".into(), listen, tls, auth, log }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let list = |address: &str| vec![address.to_owned()];
        Self {
            imap: list("127.0.0.1:1143"),
            imaps: list("127.0.0.1:1993"),
            lmtp: list("127.0.0.1:1024"),
            admin: list("127.0.0.1:1080"),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

impl Config {
    /// Reads a file, or takes the defaults.
    pub fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not right", path.display()))
    }
}
