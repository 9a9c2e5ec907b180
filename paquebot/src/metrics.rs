//! The numbers for monitors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use paquebot_admin::http::{Kind, Metric, Source};
use paquebot_mailbox::Service;
use paquebot_session::Shared;

/// What the server's parts count.
pub struct Metrics {
    pub service: Arc<Service>,
    pub sessions: Arc<Shared>,
    pub delivery: Arc<paquebot_delivery::Shared>,
}

impl Source for Metrics {
    fn metrics(&self) -> Vec<Metric> {
        let (imap, lmtp) = (&self.sessions.counters, &self.delivery.counters);
        let counter = |name, help, value: &AtomicU64| {
            let value = value.load(Ordering::Relaxed) as f64;
            Metric { name, help, kind: Kind::Counter, value }
        };
        let gauge = |name, help, value| Metric { name, help, kind: Kind::Gauge, value };
        vec![
            gauge(
                "paquebot_up",
                "1: reads and changes are served; 0: reads only.",
                f64::from(u8::from(self.failure().is_none())),
            ),
            gauge("paquebot_imap_sessions", "IMAP sessions now.", self.sessions.limits.total().into()),
            counter("paquebot_imap_connections_total", "IMAP connections.", &imap.connections),
            counter("paquebot_imap_logins_total", "Logins that succeeded.", &imap.logins),
            counter("paquebot_imap_login_failures_total", "Logins that failed.", &imap.login_failures),
            counter("paquebot_imap_commands_total", "IMAP commands.", &imap.commands),
            counter("paquebot_imap_bad_commands_total", "IMAP commands that got BAD.", &imap.bad_commands),
            counter("paquebot_imap_failures_total", "IMAP commands that failed by the server's fault.", &imap.failures),
            counter("paquebot_imap_read_bytes_total", "Octets read from IMAP clients.", &imap.bytes_read),
            counter("paquebot_imap_written_bytes_total", "Octets written to IMAP clients.", &imap.bytes_written),
            counter("paquebot_imap_cut_total", "IMAP connections that were cut.", &imap.cut),
            counter("paquebot_lmtp_connections_total", "LMTP connections.", &lmtp.connections),
            counter("paquebot_lmtp_delivered_total", "Messages delivered, one for each recipient.", &lmtp.delivered),
            counter("paquebot_lmtp_delivered_bytes_total", "Octets delivered.", &lmtp.delivered_bytes),
            counter("paquebot_lmtp_unknown_users_total", "Recipients that are no users.", &lmtp.unknown_users),
            counter("paquebot_lmtp_not_delivered_total", "Messages that could not be stored.", &lmtp.not_delivered),
            counter("paquebot_lmtp_cut_total", "LMTP connections that were cut.", &lmtp.cut),
        ]
    }

    fn failure(&self) -> Option<String> {
        if self.service.store().is_poisoned() {
            return Some("the outcome of a write is unknown; restart the server once the disk is well".into());
        }
        self.service.failure()
    }
}
