//! What goes wrong, and when.

use std::sync::Arc;
use std::time::Duration;

use paquebot_log_etcd::simulated::{Random, Weather};
use tokio::time::{Instant, sleep};

use crate::NODES;
use crate::cluster::Cluster;
use crate::network;

/// Faults until the time is over; then everything is well again.
pub async fn run(cluster: Arc<Cluster>, seed: u64, until: Instant) {
    let mut random = Random::new(seed);
    storm(&cluster, &mut random);
    while Instant::now() < until {
        sleep(random.time(Duration::from_secs(3))).await;
        let node = random.below(NODES as u64) as usize;
        match random.below(10) {
            0..4 => {
                if let Some(running) = cluster.network.running(node) {
                    running.life.die_after(random.below(60));
                }
            }
            4 => {
                // The power goes.
                for running in (0..NODES).filter_map(|node| cluster.network.running(node)) {
                    running.life.die();
                }
            }
            5 => {
                cluster.etcd.set_quorum(false);
                sleep(random.time(Duration::from_secs(8))).await;
                cluster.etcd.set_quorum(true);
            }
            6 => {
                let reachable = |reachable| {
                    if let Some(running) = cluster.network.running(node) {
                        running.etcd.set_reachable(reachable);
                    }
                };
                reachable(false);
                sleep(random.time(Duration::from_secs(8))).await;
                reachable(true);
            }
            7 => {
                cluster.network.cut_off(node, true);
                sleep(random.time(Duration::from_secs(5))).await;
                cluster.network.cut_off(node, false);
            }
            8 => cluster.etcd.compact(),
            _ => storm(&cluster, &mut random),
        }
    }
    cluster.etcd.set_weather(Weather::FAIR);
    cluster.network.set_weather(network::Weather::FAIR);
}

/// Another mood of the network.
fn storm(cluster: &Cluster, random: &mut Random) {
    let delay = Duration::from_millis([3, 20, 200][random.below(3) as usize]);
    cluster.etcd.set_weather(Weather {
        delay,
        lost_requests: random.below(4),
        lost_answers: random.below(8),
        stray: random.below(3),
        cut_watches: random.below(6),
        late_watches: random.below(4),
    });
    let (lost, doubled) = (random.below(10), random.below(10));
    cluster.network.set_weather(network::Weather { delay, lost, doubled });
}
