//! Keeping the log small: what every host has on its disk is forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use paquebot_log::Log;
use paquebot_mailbox::Service;
use paquebot_peer::NodeName;
use paquebot_types::{Sequence, ShardId};
use tokio::time::interval;

use crate::clock::now_ms;
use crate::registry::{Durable, Registry, Seen, View};

/// How often this node says how far it is, and what all have is forgotten.
const EVERY: Duration = Duration::from_secs(3);
/// Records that are kept although all have them: so that a node that is slightly late need not copy a shard.
const MARGIN: u64 = 64;

/// Says how far this node's index is on its disk, and trims the shards that it is the first host of, until it is ended.
pub async fn run(node: NodeName, service: Arc<Service>, log: Arc<dyn Log>, registry: Registry, silence: Duration) {
    let mut ticks = interval(EVERY);
    let mut said = Durable::default();
    let mut trimmed: HashMap<ShardId, Sequence> = HashMap::new();
    loop {
        ticks.tick().await;
        let durable = Durable { at_ms: now_ms(), shards: service.store().durable().into_iter().collect() };
        // Now and then also when nothing has changed: a node that says nothing is taken for one that is away.
        if durable.shards != said.shards || durable.at_ms.saturating_sub(said.at_ms) > 60_000 {
            match registry.set_durable(&node, &durable).await {
                Ok(()) => said = durable,
                Err(error) => tracing::debug!(%error, "it cannot be said now what is on this node's disk"),
            }
        }
        let view = registry.view();
        for shard in service.hosted() {
            let last = trimmed.get(&shard).copied().unwrap_or_default();
            let Some(upto) = upto(&view, &node, shard, silence, now_ms()).filter(|upto| *upto > last) else { continue };
            match log.trim(shard, upto).await {
                Ok(()) => _ = trimmed.insert(shard, upto),
                Err(error) => {
                    tracing::warn!(%shard, %error, "the log cannot be trimmed now");
                    break;
                }
            }
        }
    }
}

/// Up to where a shard's log is needed by nobody; `None` if that is not for this node to say.
fn upto(view: &View, node: &NodeName, shard: ShardId, silence: Duration, now_ms: u64) -> Option<Sequence> {
    if view.hosts(shard).first() != Some(&node) {
        return None;
    }
    let followers = view.table.as_ref()?.followers(shard);
    let mut least = None;
    for follower in followers {
        let durable = view.durable.get(follower);
        let silent_ms = now_ms.saturating_sub(durable.map_or(0, |durable| durable.at_ms));
        let is_away = view.seen(follower) == Seen::Down && u128::from(silent_ms) > silence.as_millis();
        if is_away {
            continue;
        }
        match durable.and_then(|durable| durable.shards.get(&shard)) {
            Some(sequence) => least = Some(least.map_or(*sequence, |least: Sequence| least.min(*sequence))),
            // It has nothing of the shard yet: the log is kept until it has what it copies.
            None => return None,
        }
    }
    least?.0.checked_sub(MARGIN).map(Sequence)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::placement::{Standing, Table};
    use crate::registry::Alive;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: u64 = 10_000_000_000;

    fn name(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    fn view(nodes: &[(&str, u64, u64)]) -> View {
        let mut table = Table::first(&name(nodes[0].0), 1, 3);
        let place = table.shards.get_mut(&ShardId(1)).unwrap();
        let mut view = View::default();
        for (node, sequence, at_ms) in nodes {
            place.hosts.insert(name(node), Standing::Ready);
            let shards = [(ShardId(1), Sequence(*sequence))].into_iter().collect();
            view.durable.insert(name(node), Durable { at_ms: *at_ms, shards });
            if NOW - at_ms < 10_000 {
                let alive = Alive { start: String::new(), address: String::new(), since_ms: 0 };
                view.alive.insert(name(node), alive);
            }
        }
        view.table = Some(table);
        view
    }

    #[test]
    fn the_log_is_kept_for_the_last_of_those_that_are_not_away() {
        let upto = |view: &View, node: &str| upto(view, &name(node), ShardId(1), HOUR, NOW);
        let all = view(&[("a", 1000, NOW), ("b", 900, NOW), ("c", 950, NOW)]);
        assert_eq!(upto(&all, "a"), Some(Sequence(836)));
        assert_eq!(upto(&all, "b"), None, "one node does it");
        let late = view(&[("a", 1000, NOW), ("b", 300, NOW - 3_000_000), ("c", 950, NOW)]);
        assert_eq!(upto(&late, "a"), Some(Sequence(236)));
        let away = view(&[("a", 1000, NOW), ("b", 300, NOW - 4_000_000), ("c", 950, NOW)]);
        assert_eq!(upto(&away, "a"), Some(Sequence(886)));
        let new = view(&[("a", 30, NOW), ("b", 30, NOW)]);
        assert_eq!(upto(&new, "a"), None);
    }

    #[test]
    fn nothing_is_forgotten_while_a_host_has_said_nothing() {
        let mut view = view(&[("a", 1000, NOW), ("b", 900, NOW)]);
        view.durable.remove(&name("b"));
        assert_eq!(upto(&view, &name("a"), ShardId(1), HOUR, NOW), None);
    }
}
