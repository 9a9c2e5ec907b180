//! Who this node is: the files in `DATA/cluster`, which none but the server's user may read.
//!
//! ```text
//! node.json        the cluster, the node, the store's identity, how etcd is reached
//! authority.crt    the cluster's authority, and its key: every node can let others in, and renews its own certificate
//! authority.key
//! node.crt         this node's certificate and its key, for peers and a managed etcd
//! node.key
//! registry.json    the members and the placement as they were last seen: without a quorum of etcd the node starts with them
//! stopped          there while the node does not run and was stopped in order: its index has all that it had shown
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use paquebot_log_etcd::ClusterId;
use paquebot_peer::NodeName;
use serde::{Deserialize, Serialize};

use crate::authority::{CertificateAuthority, CertificateError, is_to_be_renewed, make_key};
use crate::registry::View;

/// The form of `node.json` that this build reads and writes.
const FORM: u32 = 1;

/// What a data directory says of the node that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    form: u32,
    /// 32 hex digits.
    cluster: String,
    pub node: NodeName,
    /// A random number of this data directory: two nodes with one name are told apart by it.
    pub store: String,
    /// Where nodes of the cluster were last seen.
    pub peers: Vec<String>,
    /// Where etcd's members were last seen: clients' addresses.
    pub etcd: Vec<String>,
    /// When the certificate ends, in seconds since 1970.
    pub certificate_until: i64,
}

/// The folder with the files.
#[derive(Debug, Clone)]
pub struct Identity {
    dir: PathBuf,
    pub file: NodeFile,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{path} is no node's: `paquebot cluster init` makes a cluster, `paquebot cluster join` adds a node to one", path = .0.display())]
    None(PathBuf),
    #[error("{path} is a node's already ({node} of cluster {cluster})", path = .path.display())]
    There { path: PathBuf, node: NodeName, cluster: String },
    #[error("{path}: the configuration says that this is node {configured}, and the data directory is node {found}'s", path = .path.display())]
    OtherNode { path: PathBuf, configured: String, found: NodeName },
    #[error("{path} is damaged: {why}", path = .path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("{path}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl NodeFile {
    pub fn new(cluster: ClusterId, node: NodeName) -> Self {
        Self {
            form: FORM,
            cluster: cluster.to_string(),
            node,
            store: hex(&random::<16>()),
            peers: Vec::new(),
            etcd: Vec::new(),
            certificate_until: 0,
        }
    }
}

impl Identity {
    /// The node that a data directory belongs to.
    pub fn open(data: &Path) -> Result<Self, IdentityError> {
        let dir = data.join("cluster");
        let path = dir.join("node.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(IdentityError::None(data.into())),
            Err(source) => return Err(IdentityError::File { path, source }),
        };
        let file: NodeFile = serde_json::from_slice(&text)
            .map_err(|error| IdentityError::Damaged { path: path.clone(), why: error.to_string() })?;
        if file.form != FORM || parse_hex(&file.cluster).is_none() {
            return Err(IdentityError::Damaged { path, why: format!("its form is {}, not {FORM}", file.form) });
        }
        Ok(Self { dir, file })
    }

    /// Opens it, and compares the name with the configured one.
    pub fn open_as(data: &Path, configured: &str) -> Result<Self, IdentityError> {
        let identity = Self::open(data)?;
        if identity.file.node.as_str() != configured {
            let (path, found) = (data.into(), identity.file.node);
            return Err(IdentityError::OtherNode { path, configured: configured.into(), found });
        }
        Ok(identity)
    }

    /// Refuses a data directory that is a node's.
    pub fn refuse_if_there(data: &Path) -> Result<(), IdentityError> {
        match Self::open(data) {
            Err(IdentityError::None(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(Self { file, .. }) => {
                Err(IdentityError::There { path: data.into(), node: file.node, cluster: file.cluster })
            }
        }
    }

    /// Writes all files. `node.json` comes last: without it there is no node.
    pub fn make(data: &Path, file: NodeFile, keys: &Keys) -> Result<Self, IdentityError> {
        Self::refuse_if_there(data)?;
        let dir = data.join("cluster");
        fs::create_dir_all(&dir).map_err(|source| IdentityError::File { path: dir.clone(), source })?;
        let identity = Self { dir, file };
        for (name, text) in [
            ("authority.crt", &keys.authority),
            ("authority.key", &keys.authority_key),
            ("node.key", &keys.key),
            ("node.crt", &keys.certificate),
        ] {
            identity.write(name, text.as_bytes())?;
        }
        identity.save()?;
        Ok(identity)
    }

    /// Writes `node.json` anew.
    pub fn save(&self) -> Result<(), IdentityError> {
        let text = serde_json::to_vec_pretty(&self.file).unwrap_or_default();
        self.write("node.json", &text)
    }

    pub fn cluster(&self) -> ClusterId {
        ClusterId(parse_hex(&self.file.cluster).unwrap_or_default())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn keys(&self) -> Result<Keys, IdentityError> {
        let read = |name: &str| {
            let path = self.path(name);
            fs::read_to_string(&path).map_err(|source| IdentityError::File { path, source })
        };
        Ok(Keys {
            authority: read("authority.crt")?,
            authority_key: read("authority.key")?,
            certificate: read("node.crt")?,
            key: read("node.key")?,
        })
    }

    /// Makes a new certificate, for the same key, when the old one is half over or `host` is asked for anew. Whether it did.
    pub fn renew(&mut self, host: &str, always: bool) -> Result<bool, IdentityError> {
        if !always && !is_to_be_renewed(self.file.certificate_until) {
            return Ok(false);
        }
        let keys = self.keys()?;
        let authority = CertificateAuthority::from_pem(&keys.authority, &keys.authority_key)?;
        let made = authority.certify(&self.file.node, host, &keys.key)?;
        // The certificate first: a crash in between only has it made again.
        self.write("node.crt", made.pem.as_bytes())?;
        self.file.certificate_until = made.until;
        self.save()?;
        Ok(true)
    }

    /// Keeps what was seen of the registry.
    pub fn note(&self, view: &View) -> Result<(), IdentityError> {
        view.to_note().map_or(Ok(()), |note| self.write("registry.json", &note))
    }

    /// What was last seen of the registry, if that was kept and can be read.
    pub fn noted(&self) -> Option<View> {
        View::from_note(&fs::read(self.path("registry.json")).ok()?)
    }

    /// Says that the index has all that this node has shown.
    pub fn set_stopped(&self) -> Result<(), IdentityError> {
        self.write("stopped", b"")
    }

    /// Whether that was said when the node ended; from now on it is not.
    pub fn was_stopped(&self) -> Result<bool, IdentityError> {
        let path = self.path("stopped");
        let removed = match fs::remove_file(&path) {
            Ok(()) => File::open(&self.dir).and_then(|dir| dir.sync_all()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        removed.map_err(|source| IdentityError::File { path, source })
    }

    /// The old file or the new one, whatever happens.
    fn write(&self, name: &str, text: &[u8]) -> Result<(), IdentityError> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()
        })();
        written.map_err(|source| IdentityError::File { path, source })
    }
}

/// Certificates and keys, in PEM.
#[derive(Clone)]
pub struct Keys {
    pub authority: String,
    pub authority_key: String,
    pub certificate: String,
    pub key: String,
}

impl Keys {
    /// Those of a new cluster's first node, and when its certificate ends.
    pub fn first(cluster: ClusterId, node: &NodeName, host: &str) -> Result<(Self, i64), CertificateError> {
        let (authority, authority_key) = CertificateAuthority::make(&cluster.to_string())?;
        let key = make_key()?;
        let made = authority.certify(node, host, &key)?;
        let keys = Self { authority: authority.certificate().into(), authority_key, certificate: made.pem, key };
        Ok((keys, made.until))
    }
}

/// A number that nobody else has.
///
/// # Panics
/// When the system gives no random bytes, without which nothing is safe.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_hex(digits: &str) -> Option<[u8; 16]> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)).flatten()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_node_is_made_once_and_found_again() {
        let data = tempfile::tempdir().unwrap();
        assert!(matches!(Identity::open(data.path()), Err(IdentityError::None(_))));
        let (cluster, node) = (ClusterId(random()), NodeName::new("a").unwrap());
        let (keys, until) = Keys::first(cluster, &node, "10.0.0.1").unwrap();
        let file = NodeFile { certificate_until: until, ..NodeFile::new(cluster, node) };
        Identity::make(data.path(), file.clone(), &keys).unwrap();
        let mut found = Identity::open_as(data.path(), "a").unwrap();
        assert_eq!((found.cluster(), &found.file), (cluster, &file));
        for entry in fs::read_dir(data.path().join("cluster")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(matches!(Identity::open_as(data.path(), "b"), Err(IdentityError::OtherNode { .. })));
        assert!(matches!(Identity::make(data.path(), file, &keys), Err(IdentityError::There { .. })));
        assert!(!found.was_stopped().unwrap());
        found.set_stopped().unwrap();
        assert!(found.was_stopped().unwrap() && !found.was_stopped().unwrap());
        assert!(!found.renew("10.0.0.1", false).unwrap());
        assert!(found.renew("10.0.0.2", true).unwrap());
        assert_ne!(found.keys().unwrap().certificate, keys.certificate);
        fs::write(data.path().join("cluster/node.json"), "{").unwrap();
        assert!(matches!(Identity::open(data.path()), Err(IdentityError::Damaged { .. })));
    }
}
