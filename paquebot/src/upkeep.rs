//! What a server does while nobody asks for anything: making the index durable, and giving back the space of expunged mail.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paquebot_config::Config;
use paquebot_mailbox::Service;
use paquebot_store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::listen::stopped;

/// How often the index is made durable, so that a start after a crash has little to apply again.
const CHECKPOINT: Duration = Duration::from_secs(30);

/// Keeps the store in order until the server stops. The configuration says how long expunged mail can come back.
pub async fn run(service: Weak<Service>, config: Config, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(CHECKPOINT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Not at once: clients come back first.
    let mut round = interval_at(Instant::now() + CHECKPOINT, config.store.upkeep_interval);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = round.tick() => {
                let Some(service) = service.upgrade() else { return };
                give_back(&service, &config).await;
            }
            () = stopped(&mut stopping) => return,
        }
        let Some(service) = service.upgrade() else { return };
        blocking(service.store(), |store| store.checkpoint().map_err(|error| error.to_string())).await;
    }
}

async fn give_back(service: &Arc<Service>, config: &Config) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let before_ms = u64::try_from(now.saturating_sub(config.store.retention).as_millis()).unwrap_or(u64::MAX);
    for shard in service.hosted_accounts() {
        match service.upkeep(shard, before_ms).await {
            Ok(done) if done.collected > 0 => tracing::info!(%shard, ?done, "expunged mail was forgotten"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%shard, %error, "expunged mail cannot be forgotten now"),
        }
    }
    // A little at a time: who delivers meanwhile waits for the copying.
    let budget = config.reclaim_budget();
    while let Some(reclaimed) =
        blocking(service.store(), move |store| store.reclaim(&budget).map_err(|error| error.to_string())).await
    {
        if reclaimed.packs == 0 {
            break;
        }
        tracing::info!(?reclaimed, "space was given back");
    }
}

/// Runs on a thread that may wait for the disk; `None`, logged, when it fails.
async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, String> + Send + 'static,
) -> Option<T> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(Ok(done)) => Some(done),
        Ok(Err(error)) => {
            tracing::warn!(error, "the store cannot be kept in order now");
            None
        }
        Err(_) => None,
    }
}
