//! The numbers for monitors.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use paquebot_admin::http::{Kind, Metric, Source};
use paquebot_admin::{Cluster, Running};
use paquebot_mailbox::Service;
use paquebot_session::Shared;

use crate::cluster::{self, Commands, Numbers};

/// What the server's parts count.
pub struct Metrics {
    pub service: Arc<Service>,
    pub sessions: Arc<Shared>,
    pub delivery: Arc<paquebot_delivery::Shared>,
    pub started: Instant,
    /// The start-up lines, once they are printed.
    pub listening: OnceLock<Vec<String>>,
    /// For a node of a cluster.
    pub cluster: Option<Arc<Commands>>,
}

impl Source for Metrics {
    fn metrics(&self) -> Vec<Metric> {
        let (imap, lmtp) = (&self.sessions.counters, &self.delivery.counters);
        let counter = |name, help, value: &AtomicU64| {
            let value = value.load(Ordering::Relaxed);
            Metric { name, help, kind: Kind::Counter, value }
        };
        let gauge = |name, help, value| Metric { name, help, kind: Kind::Gauge, value };
        let mut metrics = vec![
            gauge(
                "paquebot_takes_changes",
                "1: reads and changes are served; 0: reads only.",
                u64::from(self.failure().is_none()),
            ),
            gauge("paquebot_imap_sessions", "IMAP sessions now.", self.sessions.limits.total().into()),
            counter("paquebot_imap_connections", "IMAP connections.", &imap.connections),
            counter("paquebot_imap_logins", "Logins that succeeded.", &imap.logins),
            counter("paquebot_imap_login_failures", "Logins that failed.", &imap.login_failures),
            counter("paquebot_imap_commands", "IMAP commands.", &imap.commands),
            counter("paquebot_imap_bad_commands", "IMAP commands that got BAD.", &imap.bad_commands),
            counter("paquebot_imap_failures", "IMAP commands that failed by the server's fault.", &imap.failures),
            counter("paquebot_imap_read_bytes", "Octets read from IMAP clients.", &imap.bytes_read),
            counter("paquebot_imap_written_bytes", "Octets written to IMAP clients.", &imap.bytes_written),
            counter("paquebot_imap_passed_on", "IMAP connections passed on to another node.", &imap.passed_on),
            counter("paquebot_imap_taken_on", "IMAP connections that another node passed on to this.", &imap.taken_on),
            counter("paquebot_imap_cut", "IMAP connections that were cut.", &imap.cut),
            counter("paquebot_lmtp_connections", "LMTP connections.", &lmtp.connections),
            counter("paquebot_lmtp_delivered", "Messages delivered, one for each recipient.", &lmtp.delivered),
            counter("paquebot_lmtp_repeated", "Deliveries made before, and not again.", &lmtp.repeated),
            counter("paquebot_lmtp_delivered_bytes", "Octets delivered.", &lmtp.delivered_bytes),
            counter("paquebot_lmtp_unknown_users", "Recipients that are no users.", &lmtp.unknown_users),
            counter("paquebot_lmtp_not_delivered", "Messages that could not be stored.", &lmtp.not_delivered),
            counter("paquebot_lmtp_cut", "LMTP connections that were cut.", &lmtp.cut),
        ];
        if let Some(commands) = &self.cluster {
            metrics.extend(cluster_metrics(&cluster::numbers(&commands.node)));
        }
        metrics
    }

    fn failure(&self) -> Option<String> {
        if self.service.store().is_poisoned() {
            return Some("the outcome of a write is unknown; restart the server once the disk is well".into());
        }
        self.service.failure()
    }

    fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        self.cluster.clone().map(|cluster| cluster as Arc<dyn Cluster>)
    }

    fn running(&self) -> Running {
        Running {
            process: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            listening: self.listening.get().cloned().unwrap_or_default(),
            imap_sessions: self.sessions.limits.total(),
        }
    }
}

fn cluster_metrics(numbers: &Numbers) -> Vec<Metric> {
    let gauge = |name, help, value| Metric { name, help, kind: Kind::Gauge, value };
    let mut metrics = vec![
        gauge("paquebot_cluster_nodes", "Nodes of the cluster.", numbers.nodes),
        gauge("paquebot_cluster_nodes_up", "Nodes that are up, as this one sees it.", numbers.nodes_up),
        gauge("paquebot_cluster_shards_hosted", "Shards on this node.", numbers.shards_hosted),
        gauge("paquebot_cluster_shards_joining", "Shards that this node is copying.", numbers.shards_joining),
        gauge("paquebot_cluster_shards_failed", "Shards on this node that it cannot follow.", numbers.shards_failed),
        gauge("paquebot_cluster_bodies_wanted", "Bodies that this node has yet to fetch.", numbers.bodies_wanted),
        Metric {
            name: "paquebot_cluster_bodies_fetched",
            help: "Bodies that this node has fetched.",
            kind: Kind::Counter,
            value: numbers.bodies_fetched,
        },
        gauge("paquebot_etcd_members", "Members of etcd.", numbers.etcd_members),
        gauge("paquebot_etcd_members_up", "Members of etcd that answer this node.", numbers.etcd_members_up),
        gauge("paquebot_etcd_file_bytes", "The largest file of a member of etcd.", numbers.etcd_file_bytes),
        gauge("paquebot_etcd_quota_bytes", "What such a file may take.", numbers.etcd_quota_bytes),
    ];
    if let Some((packs, cached_bytes, waiting)) = numbers.s3 {
        metrics.extend([
            gauge("paquebot_s3_packs", "Packs in S3.", packs),
            gauge("paquebot_s3_cached_bytes", "What of them is on this machine too.", cached_bytes),
            gauge("paquebot_s3_waiting", "Packs that are to be sent.", waiting),
        ]);
    }
    metrics
}
