//! Reading the file, and saying what is wrong with it.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use paquebot_auth::Scheme;

use crate::address::ListenAddress;
use crate::config::Config;

/// How alike two keys must be, from 0 to 1, for one to be taken for the other.
const ALIKE: f64 = 0.8;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: cannot be read", path = .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: {what}", path = .path.display())]
    Line { path: PathBuf, line: usize, what: String },
    /// Each key may be right, but not together.
    #[error("{path}: {what}", path = .path.display())]
    Whole { path: PathBuf, what: String },
}

impl Config {
    /// Reads a file, or takes the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path);
        Self::parse(&text.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?, path)
    }

    /// Reads a file's text; `path` is for errors, and relative paths in it are relative to its directory.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::Line {
            path: path.to_owned(),
            line: line_of(text, error.span()),
            what: explain(error.message()),
        })?;
        config.check().map_err(|what| ConfigError::Whole { path: path.to_owned(), what })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        config.paths_mut().for_each(|path| *path = directory.join(&*path).components().collect());
        Ok(config)
    }

    /// Every key with its table, as `listen.imap`, those included that have no default.
    pub fn keys() -> Vec<String> {
        let config = Self {
            user: Some(String::new()),
            group: Some(String::new()),
            tls: crate::Tls { certificate: Some(PathBuf::new()), key: Some(PathBuf::new()) },
            auth: crate::Auth { passwd_file: Some(PathBuf::new()), ..Default::default() },
            cluster: crate::Cluster::with_all_keys(),
            namespaces: vec![crate::Namespace::with_all_keys()],
            delivery: crate::Delivery { host_name: Some(String::new()), ..Default::default() },
            ..Default::default()
        };
        let mut keys = Vec::new();
        let table = toml::Table::try_from(config).unwrap_or_default();
        collect("", &table, &mut keys);
        keys
    }

    fn check(&self) -> Result<(), String> {
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err("[tls] needs both `certificate` and `key`, or neither".into());
        }
        if self.group.is_some() && self.user.is_none() {
            return Err("`group` is of use only beside `user`".into());
        }
        for (key, addresses) in
            [("imap", &self.listen.imap), ("imaps", &self.listen.imaps), ("admin", &self.listen.admin)]
        {
            if let Some(address) = addresses.iter().find(|address| matches!(address, ListenAddress::Unix(_))) {
                return Err(format!("listen.{key}: {address} is a UNIX socket, which `lmtp` alone can have"));
            }
        }
        if Scheme::named(&self.auth.passwd_scheme).is_none() {
            let name = &self.auth.passwd_scheme;
            return Err(format!("auth.passwd_scheme: {name:?} is no scheme; it is like \"CRYPT\" or \"PLAIN\""));
        }
        if !(1..=100).contains(&self.store.reclaim_dead_percent) {
            return Err("store.reclaim_dead_percent is from 1 to 100".into());
        }
        if self.store.upkeep_interval.is_zero() {
            return Err("store.upkeep_interval must be more than nothing".into());
        }
        self.namespaces.iter().try_for_each(crate::Namespace::check)?;
        for (at, namespace) in self.namespaces.iter().enumerate() {
            if self.namespaces.iter().take(at).any(|other| other.prefix == namespace.prefix) {
                let prefix = namespace.prefix.as_deref().unwrap_or_default();
                return Err(format!("[[namespace]]: there are two with the prefix {prefix:?}"));
            }
        }
        if self.cluster.is_on() && !self.namespaces.is_empty() {
            return Err(
                "a node of a cluster has no [[namespace]]: what is in one machine's files goes with the machine; \
                        `paquebot import` brings it into the cluster"
                    .into(),
            );
        }
        self.cluster.check()
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let sockets = self.listen.lmtp.iter_mut().filter_map(|address| match address {
            ListenAddress::Unix(path) => Some(path),
            ListenAddress::Tcp(_) => None,
        });
        let foreign =
            self.namespaces.iter_mut().flat_map(|namespace| [&mut namespace.root, &mut namespace.inbox]).flatten();
        let given = [&mut self.tls.certificate, &mut self.tls.key, &mut self.auth.passwd_file];
        [&mut self.data]
            .into_iter()
            .chain(given.into_iter().flatten())
            .chain(sockets)
            .chain(foreign)
            .chain(self.cluster.paths_mut())
    }
}

/// From 1.
fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// Serde's words, in ours where a key does not exist.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.trim_end().to_owned() };
    // unknown field `a`, expected one of `b`, `c`
    let mut quoted = rest.split('`').step_by(2);
    let (wrong, right) = (quoted.next().unwrap_or_default(), rest.split('`').skip(2).step_by(2));
    let right: Vec<&str> = right.collect();
    let alike = |key: &&str| strsim::jaro_winkler(wrong, key);
    let nearest = right.iter().copied().max_by(|one, other| alike(one).total_cmp(&alike(other)));
    if let Some(nearest) = nearest.filter(|key| alike(key) >= ALIKE) {
        return format!("there is no key `{wrong}`; did you mean `{nearest}`?");
    }
    let elsewhere = Config::keys().into_iter().find(|key| key.rsplit('.').next() == Some(wrong));
    match elsewhere {
        Some(key) => format!("there is no key `{wrong}` here; did you mean `{key}`?"),
        None => format!("there is no key `{wrong}`; there are {}", right.join(", ")),
    }
}

fn collect(above: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match value {
            // A curve of delays is one value.
            toml::Value::Table(inner) if !inner.contains_key("free") => collect(&path, inner, keys),
            toml::Value::Array(tables) if tables.first().is_some_and(toml::Value::is_table) => {
                tables.iter().filter_map(toml::Value::as_table).for_each(|table| collect(&path, table, keys));
            }
            _ => keys.push(path),
        }
    }
}

#[cfg(test)]
mod tests;
