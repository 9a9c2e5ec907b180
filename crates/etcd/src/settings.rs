//! What an etcd is started with.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A LAN's times, in milliseconds: a leader that is not heard of for an election's time is replaced.
const HEARTBEAT_MS: u32 = 100;
const ELECTION_MS: u32 = 1000;
/// Entries between two snapshots of etcd's: the log's records are large, and etcd keeps so many in memory.
const SNAPSHOT_ENTRIES: u32 = 10_000;
/// Kept in the data directory, since it is needed at each start.
const BEGINNING: &str = "beginning.json";

/// How one member of an etcd cluster runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `etcd`, or where it lies.
    pub program: PathBuf,
    /// The member's own directory.
    pub directory: PathBuf,
    /// The member's name among the others.
    pub name: String,
    /// `host:port` to listen on and to be reached at, for clients.
    pub client: Addresses,
    /// The same for the other members.
    pub peer: Addresses,
    /// PEM files: who signed the certificates of all, and this member's own with its key. It serves and it asks with them.
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub quota_bytes: u64,
}

/// Where something listens, and what others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    pub listen: String,
    pub reached: String,
}

/// How a member came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beginning {
    /// The first of a new cluster. `token` is no other cluster's.
    New { token: String },
    /// It was added to a cluster; the members with their peer addresses (`https://host:port`), this one among them.
    Joined { token: String, members: Vec<(String, String)> },
}

/// Why an etcd cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("cannot {doing} {path}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{0} does not say how this member of etcd began: replace the machine's node (`paquebot cluster join TOKEN --replace NODE`)"
    )]
    Beginning(PathBuf),
}

impl Settings {
    /// Where clients reach the member.
    pub fn client_url(&self) -> String {
        format!("https://{}", self.client.reached)
    }

    /// Where the other members reach it.
    pub fn peer_url(&self) -> String {
        format!("https://{}", self.peer.reached)
    }

    /// Notes how the member begins: read again at each start.
    pub fn begin(&self, beginning: &Beginning) -> Result<(), SettingsError> {
        let failed = |doing, path: &Path, source| SettingsError::Io { doing, path: path.into(), source };
        std::fs::create_dir_all(&self.directory).map_err(|source| failed("make", &self.directory, source))?;
        let (path, new) = (self.directory.join(BEGINNING), self.directory.join("beginning.new"));
        let text =
            serde_json::to_vec_pretty(beginning).map_err(|error| failed("write", &new, io::Error::other(error)))?;
        let write = || {
            std::fs::write(&new, text)?;
            std::fs::File::open(&new)?.sync_all()?;
            std::fs::rename(&new, &path)?;
            std::fs::File::open(&self.directory)?.sync_all()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// How the member began; `None` if it never did.
    pub fn beginning(&self) -> Result<Option<Beginning>, SettingsError> {
        let path = self.directory.join(BEGINNING);
        match std::fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(beginning) => Ok(Some(beginning)),
                Err(_) => Err(SettingsError::Beginning(path)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SettingsError::Io { doing: "read", path, source }),
        }
    }

    /// The command line.
    pub(crate) fn arguments(&self, beginning: &Beginning) -> Vec<String> {
        let own = (self.name.clone(), self.peer_url());
        let (state, token, members) = match beginning {
            Beginning::New { token } => ("new", token, vec![own]),
            Beginning::Joined { token, members } => ("existing", token, members.clone()),
        };
        let members: Vec<String> = members.iter().map(|(name, url)| format!("{name}={url}")).collect();
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let named = [
            ("name", self.name.clone()),
            ("data-dir", path(&self.directory.join("member"))),
            ("listen-client-urls", format!("https://{}", self.client.listen)),
            ("advertise-client-urls", self.client_url()),
            ("listen-peer-urls", format!("https://{}", self.peer.listen)),
            ("initial-advertise-peer-urls", self.peer_url()),
            ("initial-cluster", members.join(",")),
            ("initial-cluster-state", state.into()),
            ("initial-cluster-token", token.clone()),
            ("trusted-ca-file", path(&self.authority)),
            ("cert-file", path(&self.certificate)),
            ("key-file", path(&self.key)),
            ("peer-trusted-ca-file", path(&self.authority)),
            ("peer-cert-file", path(&self.certificate)),
            ("peer-key-file", path(&self.key)),
            ("heartbeat-interval", HEARTBEAT_MS.to_string()),
            ("election-timeout", ELECTION_MS.to_string()),
            ("quota-backend-bytes", self.quota_bytes.to_string()),
            ("snapshot-count", SNAPSHOT_ENTRIES.to_string()),
            ("logger", "zap".into()),
            ("log-level", "warn".into()),
            ("log-outputs", "stderr".into()),
        ];
        let mut arguments: Vec<String> = named.iter().map(|(name, value)| format!("--{name}={value}")).collect();
        arguments.extend(["--client-cert-auth", "--peer-client-cert-auth", "--pre-vote"].map(String::from));
        arguments
    }
}
