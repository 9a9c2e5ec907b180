//! What every command that touches mail starts: the store, its log and the service.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use paquebot_auth::{Access, CredentialSource, Credentials, Found, SourceError, UserName};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Service, ServiceOptions};
use paquebot_store::Store;
use paquebot_store::fs::RealFs;

use paquebot_config::Config;

/// Opens the data directory and starts the service on it, as one machine.
pub async fn start(config: &Config) -> anyhow::Result<Arc<Service>> {
    if config.data.join("cluster").is_dir() {
        bail!(
            "{} is the data directory of a node of a cluster, and the configuration has no [cluster]: alone it would go another way than the other nodes; \
             a copy made by `paquebot backup` can be served alone",
            config.data.display()
        );
    }
    let (store, tail) = Store::open(Arc::new(RealFs), &config.data, config.store_options())?;
    if let Some(torn) = &tail.torn {
        tracing::warn!(
            ?torn,
            "the last write before the server ended was not finished, and nobody was told of it: it is cut off"
        );
    }
    let store = Arc::new(store);
    let log = Arc::new(EmbeddedLog::open(store.clone(), tail).context("cannot open the log")?);
    let mut options = ServiceOptions::default();
    // The copy of a cluster's node has more of them.
    options.hosted.extend(store.shards()?.into_iter().map(|(shard, _)| shard));
    options.hosted.sort_unstable();
    options.hosted.dedup();
    options.namespaces = config.namespaces.iter().map(paquebot_config::Namespace::to_service).collect();
    options.side_index = Some(config.data.join("foreign.redb"));
    Service::start(store, log, "local", options).await.context("cannot start the mail service")
}

/// Ends the service, and returns when everything is on disk and the data directory can be opened by another.
pub async fn stop(service: Arc<Service>) -> anyhow::Result<()> {
    service.store().checkpoint().context("cannot make the index durable")?;
    let ended = service.ended();
    drop(service);
    ended.await;
    Ok(())
}

/// The users whose passwords are kept in the store.
pub struct StoredUsers(pub Arc<Service>);

impl CredentialSource for StoredUsers {
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        let login = self.0.login(user.as_str()).map_err(|error| SourceError {
            what: "the accounts in the store cannot be read".into(),
            source: Some(Box::new(error)),
        })?;
        let Some(text) = login.and_then(|login| login.credentials) else { return Ok(None) };
        let credentials = Credentials::parse(&text).map_err(|error| SourceError {
            what: format!("the stored password of {user} cannot be used: set it anew with `paquebot user passwd`"),
            source: Some(Box::new(error)),
        })?;
        Ok(Some(Found { credentials, access: Access::default() }))
    }
}

/// The secret with which the server makes up what users who do not exist would show: made at the first start and kept, since what changes at a
/// restart shows as made up.
pub fn secret(data: &Path) -> anyhow::Result<[u8; 32]> {
    let path = data.join("secret");
    if let Ok(found) = std::fs::read(&path) {
        return found
            .try_into()
            .map_err(|_| anyhow::anyhow!("{} has not 32 bytes: remove it, and another is made", path.display()));
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("no random numbers")?;
    private_file(&path, &secret)?;
    Ok(secret)
}

/// Writes a file that only its owner may read, durably.
pub fn private_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
