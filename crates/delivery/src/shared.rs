//! What all LMTP sessions of a server have in common.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use paquebot_mailbox::Service;
use tokio::sync::{Semaphore, watch};

use crate::config::Config;
use crate::pass_on::Elsewhere;
use crate::recipients::Recipients;

/// What all LMTP sessions of a server have in common. The binary makes one.
pub struct Shared {
    pub(crate) service: Arc<Service>,
    pub(crate) recipients: Arc<dyn Recipients>,
    pub(crate) config: Config,
    /// Becomes `true` when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    pub counters: Counters,
    elsewhere: OnceLock<Arc<dyn Elsewhere>>,
    pub(crate) places: Semaphore,
    started_ms: u128,
    sessions: AtomicU64,
}

/// Counts for the metrics; they only grow.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    /// Messages, each counted once for every recipient that has it.
    pub delivered: AtomicU64,
    pub delivered_bytes: AtomicU64,
    /// Deliveries that had been made before, and were not made again; they are among the delivered.
    pub repeated: AtomicU64,
    /// Messages that other nodes answered for, each counted once for every recipient.
    pub passed_on: AtomicU64,
    /// Recipients that are no users.
    pub unknown_users: AtomicU64,
    /// Messages that were refused or could not be stored, each counted once for every recipient.
    pub not_delivered: AtomicU64,
    /// Connections that were cut: too slow, too much, or an outcome unknown.
    pub cut: AtomicU64,
}

/// Who connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Network(SocketAddr),
    /// By a UNIX socket.
    Local,
}

impl Shared {
    /// `stopping` becomes `true` when the server stops: sessions finish the message that they are at, say 421 and end.
    pub fn new(
        service: Arc<Service>,
        recipients: Arc<dyn Recipients>,
        config: Config,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let places = Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS));
        let started_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (counters, sessions) = (Counters::default(), AtomicU64::new(0));
        let elsewhere = OnceLock::new();
        Self { service, recipients, config, stopping, counters, elsewhere, places, started_ms, sessions }
    }

    /// Sets how the other nodes are reached, which have the accounts that this one has not. The first to do so is heard.
    pub fn set_elsewhere(&self, elsewhere: Arc<dyn Elsewhere>) {
        let _ = self.elsewhere.set(elsewhere);
    }

    pub(crate) fn elsewhere(&self) -> Option<&Arc<dyn Elsewhere>> {
        self.elsewhere.get()
    }

    /// A session's name for logs and Received: another one for each session, also after a restart.
    pub(crate) fn next_session_id(&self) -> String {
        format!("{:x}.{:x}", self.started_ms, self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Peer {
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Network(address) => Some(address.ip().to_canonical()),
            Self::Local => None,
        }
    }
}

impl Peer {
    pub(crate) fn socket(self) -> Option<SocketAddr> {
        match self {
            Self::Network(address) => Some(address),
            Self::Local => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => write!(f, "{address}"),
            Self::Local => f.write_str("local"),
        }
    }
}
