//! The time for which a shard is hosted.

use tokio::sync::watch;

/// Says when a shard is not hosted any more. One that was hosted again since is another time.
#[derive(Debug, Clone)]
pub struct Hosting {
    pub(crate) gone: watch::Receiver<bool>,
}

impl Hosting {
    pub fn is_over(&self) -> bool {
        *self.gone.borrow() || self.gone.has_changed().is_err()
    }

    /// Resolves when the shard is not hosted any more. Cancel-safe.
    pub async fn over(&mut self) {
        // Without a sender the replica itself is gone.
        let _ = self.gone.wait_for(|gone| *gone).await;
    }
}
