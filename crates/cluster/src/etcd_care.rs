//! Looking after the etcd that nodes run: new members get their vote, and files that are mostly empty their space back.

use std::time::Duration;

use etcd_client::Client;
use paquebot_etcd::members;
use tokio::time::{Instant, sleep};

/// How often sizes are looked at.
const SIZES: Duration = Duration::from_secs(60);
/// After one member's file was defragmented, before the next.
const BETWEEN: Duration = Duration::from_secs(20);

/// Promotes learners, until it is ended. All nodes do so, and the first is enough.
pub async fn promote(mut client: Client) {
    let mut every = members::PROMOTE_EVERY;
    loop {
        sleep(every).await;
        let learners = members::list(&mut client).await.map(|known| known.iter().any(|member| member.is_learner));
        every = match learners {
            Ok(true) => {
                if let Err(error) = members::promote(&mut client).await {
                    tracing::debug!(%error, "no member of etcd can get its vote now");
                }
                members::PROMOTE_EVERY
            }
            // One that has just come waits for this at most.
            _ => members::PROMOTE_EVERY * 4,
        };
    }
}

/// Defragments this node's own member when it is worth it and nobody else's was shortly before, until it is ended. `own` speaks to this member alone, and
/// `turn` is this node's place among those that run one.
pub async fn defragment(mut own: Client, mut all: Client, turn: u32) {
    sleep(BETWEEN * turn).await;
    loop {
        let began = Instant::now();
        match members::size(&mut own).await {
            Ok(size) if size.is_worth_defragmenting() && all_are_well(&mut all).await => {
                tracing::info!(?size, "the file of etcd's member on this node is defragmented");
                if let Err(error) = members::defragment(&mut own).await {
                    tracing::warn!(%error, "the file of etcd's member on this node cannot be defragmented");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the size of etcd's member on this node is not known now"),
        }
        sleep(SIZES.saturating_sub(began.elapsed())).await;
    }
}

/// Whether the cluster can do without one member for a moment: none is missing or without a vote.
async fn all_are_well(client: &mut Client) -> bool {
    let Ok(known) = members::list(client).await else { return false };
    known.len() == 1 || (known.len() >= 3 && known.iter().all(|member| !member.is_learner && !member.name.is_empty()))
}
