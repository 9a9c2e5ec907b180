//! Bodies that are not on this machine, or damaged here: they are fetched when somebody wants to read them.

use std::pin::Pin;
use std::time::Duration;

use paquebot_store::{Location, Wanted};
use paquebot_types::BlobId;
use tokio::time::timeout;

use crate::account::Account;
use crate::error::ServiceError;

/// How long a reader waits for a body to be fetched.
const FETCH_TIME: Duration = Duration::from_secs(30);

/// A body on its way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<(), FetchError>> + Send + 'a>>;

/// Has bodies from other machines. On one machine there is none.
pub trait BodySource: Send + Sync {
    /// Brings a body to this machine that is wanted, or that is where packs are sent: once this resolves it can be read from the store. Several may ask for one body at a time. Whoever
    /// does not want to wait any longer drops it.
    fn fetch(&self, wanted: Wanted) -> Fetching<'_>;
}

/// Why a body could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

impl Account {
    /// Whether there is another machine that may have a body.
    pub fn can_fetch(&self) -> bool {
        self.service.body_source().is_some()
    }

    /// Has a body fetched from another machine, in bounded time. `damaged` is where it was read and found damaged, if it is here.
    ///
    /// Afterwards a fresh [`crate::Reader`] finds it. [`ServiceError::NoBody`] if nobody can have it, or there is nobody to ask;
    /// [`ServiceError::Unfetched`] if it could not be fetched now.
    pub async fn fetch(&self, blob: BlobId, damaged: Option<Location>) -> Result<(), ServiceError> {
        let Some(source) = self.service.body_source().cloned() else { return Err(ServiceError::NoBody) };
        let account = self.clone();
        let wanted = tokio::task::spawn_blocking(move || account.want(blob, damaged)).await;
        let Some(wanted) = wanted.map_err(|_| ServiceError::Stopping)?? else { return Ok(()) };
        match timeout(FETCH_TIME, source.fetch(wanted)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(FetchError(why))) => Err(ServiceError::Unfetched(why)),
            Err(_) => Err(ServiceError::Unfetched("no other machine gave it in time".into())),
        }
    }

    /// The body as it is to be fetched; `None` if it has come meanwhile.
    fn want(&self, blob: BlobId, damaged: Option<Location>) -> Result<Option<Wanted>, ServiceError> {
        let (shard, account) = self.id();
        let hash = self.reader()?.blob(blob, |row| row.hash)?;
        let wanted = Wanted { shard, account, blob, hash };
        if let Some(location) = damaged
            && self.service.store().doubt(&wanted, location)?
        {
            tracing::warn!(?wanted, ?location, "a body is damaged on this machine: it is fetched from another");
        }
        let txn = self.service.store().read()?;
        if let Some(location) = txn.location(shard, account, blob)? {
            return Ok(self.service.store().elsewhere(location)?.map(|_| wanted));
        }
        match txn.wanted_of(shard, account, blob)? {
            Some(hash) => Ok(Some(Wanted { hash, ..wanted })),
            None => Err(ServiceError::NoBody),
        }
    }
}
