//! Computing the placement as nodes come and go. Whoever computes it gets the same; one node does, and another when that one is away.

use std::collections::BTreeMap;
use std::time::Duration;

use paquebot_peer::NodeName;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::now_ms;
use crate::placement::Presence;
use crate::registry::{Registry, Seen, View};

/// How often the placement is looked at without a bell.
const LOOK: Duration = Duration::from_secs(5);

/// Keeps the placement in step with the members, until it is ended. A node that has been away for `removal` is given up.
pub async fn run(node: NodeName, registry: Registry, removal: Duration) {
    let mut bell = registry.subscribe();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = bell.changed() => if changed.is_err() { return },
        }
        let view = registry.view();
        if first_up(&view) != Some(&node) {
            continue;
        }
        let presence = presence(&view, removal, now_ms());
        if view.table.as_ref().is_some_and(|table| table.next(&presence) == *table) {
            continue;
        }
        match timeout(LOOK, registry.change_table(|table| table.next(&presence))).await {
            Ok(Ok(true)) => tracing::info!("the placement has changed"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the placement cannot be changed now"),
            Err(_) => tracing::warn!("the placement cannot be changed now: etcd does not answer"),
        }
    }
}

fn first_up(view: &View) -> Option<&NodeName> {
    view.members.keys().find(|node| view.seen(node) == Seen::Up)
}

fn presence(view: &View, removal: Duration, now_ms: u64) -> BTreeMap<NodeName, Presence> {
    let of = |node: &NodeName| {
        // One that has never said anything has only just joined.
        let said_ms = view.durable.get(node).map_or(now_ms, |durable| durable.at_ms);
        let is_away = view.seen(node) == Seen::Down && u128::from(now_ms.saturating_sub(said_ms)) > removal.as_millis();
        match view.members.get(node) {
            Some(member) if member.leaving => Presence::Draining,
            Some(_) if !is_away => Presence::Here,
            _ => Presence::Gone,
        }
    };
    view.members.keys().map(|node| (node.clone(), of(node))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::registry::{Alive, Durable, Member};

    #[test]
    fn a_node_is_given_up_only_after_the_time() {
        let name = |name| NodeName::new(name).unwrap();
        let mut view = View::default();
        for node in ["a", "b", "c", "d", "e"] {
            let member = Member {
                address: String::new(),
                store: String::new(),
                reads: 2,
                software: String::new(),
                leaving: node == "d",
                etcd: None,
            };
            view.members.insert(name(node), member);
        }
        let up = Alive { start: String::new(), address: String::new(), since_ms: 0 };
        view.alive.insert(name("b"), up);
        for (node, at_ms) in [("a", 1_000), ("b", 1_000), ("c", 95_000)] {
            view.durable.insert(name(node), Durable { at_ms, shards: BTreeMap::new() });
        }
        let presence = presence(&view, Duration::from_secs(60), 100_000);
        let found: Vec<Presence> = presence.into_values().collect();
        let (here, gone) = (Presence::Here, Presence::Gone);
        assert_eq!(found, [gone, here, here, Presence::Draining, here]);
        assert_eq!(first_up(&view), Some(&name("b")));
    }
}
