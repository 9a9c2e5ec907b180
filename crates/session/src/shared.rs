//! What all sessions of a server have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use paquebot_auth::{Authenticator, SessionLimits, Throttle, tls_server_end_point};
use paquebot_mailbox::Service;
use tokio::sync::watch;

use crate::config::Config;
use crate::pass_on::Router;

/// What all sessions of a server have in common. The binary makes one.
pub struct Shared {
    pub service: Arc<Service>,
    pub authenticator: Arc<Authenticator>,
    pub throttle: Arc<Throttle>,
    pub limits: SessionLimits,
    /// Without it there is no STARTTLS.
    pub tls: Option<Tls>,
    /// Where accounts are served; `None`: here, all of them.
    pub router: Option<Arc<dyn Router>>,
    pub config: Config,
    /// Becomes `true` when the server stops: sessions finish the command that they are at, say BYE and end.
    pub stopping: watch::Receiver<bool>,
    pub counters: Counters,
}

/// The server's side of TLS. A clone is the same.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Identity>>);

/// What handshakes are made with, and what SCRAM binds to on the connections that come of them.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) config: Arc<rustls::ServerConfig>,
    pub(crate) end_point: Option<Arc<[u8]>>,
}

impl Tls {
    /// `certificate` is the server's own in DER: SCRAM binds to it. `config` should send no tickets: each costs a session memory and
    /// clients of IMAP rarely come back by one.
    pub fn new(config: Arc<rustls::ServerConfig>, certificate: &[u8]) -> Self {
        Self(Arc::new(RwLock::new(Identity::new(config, certificate))))
    }

    /// Takes another certificate for the handshakes to come, as [`Self::new`] does. Connections that there are keep theirs.
    pub fn replace(&self, config: Arc<rustls::ServerConfig>, certificate: &[u8]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Identity::new(config, certificate);
    }

    pub(crate) fn identity(&self) -> Identity {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Identity {
    fn new(config: Arc<rustls::ServerConfig>, certificate: &[u8]) -> Self {
        Self { config, end_point: tls_server_end_point(certificate).map(Arc::from) }
    }
}

/// How connections of a listening socket begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Port 143: plain text, and STARTTLS.
    StartTls,
    /// Port 993: TLS at once.
    ImplicitTls,
}

/// Counts for the metrics; they only grow.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub logins: AtomicU64,
    pub login_failures: AtomicU64,
    pub commands: AtomicU64,
    /// Commands that got BAD.
    pub bad_commands: AtomicU64,
    /// Commands that failed by the server's fault.
    pub failures: AtomicU64,
    pub bytes_read: AtomicU64,
    pub bytes_written: AtomicU64,
    /// Connections passed on to the nodes that serve their accounts, and those that other nodes passed on to this one.
    pub passed_on: AtomicU64,
    pub taken_on: AtomicU64,
    /// Connections that were cut: too slow, too much, or an outcome unknown.
    pub cut: AtomicU64,
}

impl Counters {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}
