//! `paquebot serve`: listens, says so, and serves until it is told to stop.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use paquebot_auth::{
    Authenticator, AuthenticatorSettings, CredentialSource, PasswdFile, Scheme, ServerSecret, SessionLimitSettings,
    SessionLimits, Throttle, ThrottleSettings,
};
use paquebot_delivery::{FirstOf, Peer, Recipients, SourceUsers, StoredUsers};
use paquebot_mailbox::Service;
use paquebot_session::{Counters, Listener, Shared};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::listen::{Accepted, Socket};
use crate::{node, tls, upkeep};

/// How long sessions may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long expunged mail can come back.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where a server listens, as it printed it.
#[derive(Debug, Default)]
pub struct Listening {
    pub imap: Vec<String>,
    pub imaps: Vec<String>,
    pub lmtp: Vec<String>,
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    serve_with(config, async |_| Ok(()), |_| {}).await
}

/// The same; `prepare` runs before anybody can connect, `welcome` once everybody can.
pub async fn serve_with(
    config: Config,
    prepare: impl AsyncFnOnce(Arc<Service>) -> anyhow::Result<()>,
    welcome: impl FnOnce(&Listening),
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let service = node::start(&config).await?;
    prepare(service.clone()).await?;
    let (stop, stopping) = watch::channel(false);
    let servers = Servers::new(&config, &service, stopping)?;
    let mut listeners = JoinSet::new();
    let listening = servers.listen(&config, &mut listeners).await?;
    listeners.spawn(upkeep::run(Arc::downgrade(&service), RETENTION, servers.stopping.clone()));
    println!("ready");
    std::io::stdout().flush()?;
    welcome(&listening);
    signals.next().await;
    tracing::info!("stopping");
    stop.send_replace(true);
    tokio::select! {
        // Each listener ends with its last connection.
        drained = tokio::time::timeout(DRAIN, listeners.join_all()) => {
            if drained.is_err() {
                tracing::warn!("some connections did not end in time");
            }
        }
        () = signals.next() => tracing::warn!("told to stop again: connections are cut"),
    }
    drop(servers);
    node::stop(service).await
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Self { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What serves connections.
struct Servers {
    sessions: Arc<Shared>,
    delivery: Arc<paquebot_delivery::Shared>,
    stopping: watch::Receiver<bool>,
}

impl Servers {
    fn new(config: &Config, service: &Arc<Service>, stopping: watch::Receiver<bool>) -> anyhow::Result<Self> {
        let mut sources: Vec<Arc<dyn CredentialSource>> = vec![Arc::new(node::StoredUsers(service.clone()))];
        let mut recipients: Vec<Arc<dyn Recipients>> = vec![Arc::new(StoredUsers(service.clone()))];
        if let Some(path) = &config.auth.passwd_file {
            let source: Arc<dyn CredentialSource> = Arc::new(PasswdFile::open(path, Scheme::Plain)?);
            sources.push(source.clone());
            recipients.push(Arc::new(SourceUsers { service: service.clone(), source }));
        }
        let secret = ServerSecret::from_bytes(node::secret(&config.data)?);
        let authenticator = Authenticator::new(sources, secret, &AuthenticatorSettings::default())?;
        let sessions = Arc::new(Shared {
            service: service.clone(),
            authenticator: Arc::new(authenticator),
            throttle: Arc::new(Throttle::new(ThrottleSettings::default())),
            limits: SessionLimits::new(SessionLimitSettings::default()),
            tls: Some(tls::load(config)?),
            config: paquebot_session::Config::default(),
            stopping: stopping.clone(),
            counters: Counters::default(),
        });
        let delivery = Arc::new(paquebot_delivery::Shared::new(
            service.clone(),
            Arc::new(FirstOf(recipients)),
            paquebot_delivery::Config { host_name: tls::host_name(), ..Default::default() },
            stopping.clone(),
        ));
        Ok(Self { sessions, delivery, stopping })
    }

    /// Listens on every address, prints a line for each, and starts to accept.
    async fn listen(&self, config: &Config, listeners: &mut JoinSet<()>) -> anyhow::Result<Listening> {
        let mut listening = Listening::default();
        for (kind, listener, addresses, found) in [
            ("imap", Listener::StartTls, &config.listen.imap, &mut listening.imap),
            ("imaps", Listener::ImplicitTls, &config.listen.imaps, &mut listening.imaps),
        ] {
            for address in addresses {
                let socket = Socket::bind(address).await?;
                found.push(announce(kind, &socket)?);
                let shared = self.sessions.clone();
                let serve = move |accepted| imap(accepted, listener, shared.clone());
                listeners.spawn(socket.accept(self.stopping.clone(), serve));
            }
        }
        for address in &config.listen.lmtp {
            let socket = Socket::bind(address).await?;
            listening.lmtp.push(announce("lmtp", &socket)?);
            let shared = self.delivery.clone();
            listeners.spawn(socket.accept(self.stopping.clone(), move |accepted| lmtp(accepted, shared.clone())));
        }
        Ok(listening)
    }
}

fn announce(kind: &str, socket: &Socket) -> anyhow::Result<String> {
    let address = socket.address()?;
    println!("{kind} {address}");
    Ok(address)
}

async fn imap(accepted: Accepted, listener: Listener, shared: Arc<Shared>) {
    match accepted {
        Accepted::Tcp(stream, _) => paquebot_session::serve(stream, listener, shared).await,
        Accepted::Unix(_) => tracing::warn!("IMAP is served over TCP only"),
    }
}

async fn lmtp(accepted: Accepted, shared: Arc<paquebot_delivery::Shared>) {
    match accepted {
        Accepted::Tcp(stream, address) => paquebot_delivery::serve(stream, Peer::Network(address), shared).await,
        Accepted::Unix(stream) => paquebot_delivery::serve(stream, Peer::Local, shared).await,
    }
}
