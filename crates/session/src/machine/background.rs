//! Computing what takes long.

use std::io;

use crate::state::End;

/// Computes where no session waits for the processor: a session's own worker serves others meanwhile.
pub(super) async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.map_err(|error| End::Broken(io::Error::other(error)))
}
