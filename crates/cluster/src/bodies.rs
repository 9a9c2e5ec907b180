//! Where bodies come from that are not on this machine: from S3, if their pack is there, and else from a peer.

use std::sync::Arc;

use paquebot_blobs::Healer;
use paquebot_mailbox::{BodySource, Fetching};
use paquebot_s3::S3;
use paquebot_store::{Location, Store, Wanted};

/// S3 first, where there is one.
pub struct Sources {
    pub store: Arc<Store>,
    pub healer: Healer,
    pub s3: Option<S3>,
}

impl Sources {
    /// Where the body lies, if it is not wanted.
    async fn location(&self, wanted: Wanted) -> Option<Location> {
        let store = self.store.clone();
        let look = move || store.read().ok()?.location(wanted.shard, wanted.account, wanted.blob).ok().flatten();
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }
}

impl BodySource for Sources {
    fn fetch(&self, wanted: Wanted) -> Fetching<'_> {
        Box::pin(async move {
            if let Some(s3) = &self.s3
                && let Some(location) = self.location(wanted).await
            {
                match s3.bring(location).await {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(?wanted, %error, "a body cannot be read from S3; a peer is asked"),
                }
            }
            self.healer.fetch(wanted).await
        })
    }
}
