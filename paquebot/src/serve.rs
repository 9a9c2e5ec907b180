//! `paquebot serve`: listens, says so, and serves until it is told to stop.

use std::io::Write as _;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use anyhow::{Context as _, bail};
use paquebot_admin::control;
use paquebot_admin::http::{self, Source};
use paquebot_auth::{Authenticator, CredentialSource, Network, PasswdFile, ServerSecret, SessionLimits, Throttle};
use paquebot_config::{Config, ListenAddress};
use paquebot_delivery::{FirstOf, Peer, Recipients, SourceUsers, StoredUsers};
use paquebot_mailbox::Service;
use paquebot_session::{Counters, Listener, Shared};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::listen::{Accepted, Socket, stopped};
use crate::metrics::Metrics;
use crate::{listen, node, privileges, tls, upkeep};

/// Where a server listens, as it printed it.
#[derive(Debug, Default)]
pub struct Listening {
    pub imap: Vec<String>,
    pub imaps: Vec<String>,
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
    privileges::raise_open_files();
    // Before its addresses turn out to be taken, which says less.
    if control::is_answered(&config.data) {
        bail!("{}: a server has this data directory open already; `paquebot status` tells more", config.data.display());
    }
    // Ports below 1024 and a certificate's key are root's: they are taken while it is.
    let sockets = Sockets::bind(&config).await?;
    let certificate = tls::configured(&config)?;
    privileges::drop_root(&config)?;
    if privileges::is_root() {
        tracing::warn!("running as root: set `user` in the configuration, and the server becomes it once it listens");
    } else if let Err(error) = tls::configured(&config) {
        tracing::warn!(error = format!("{error:#}"), "SIGHUP will not be able to read the certificate again");
    }
    let service = node::start(&config).await?;
    let tls = match certificate {
        Some(certificate) => certificate,
        None => tls::self_signed(&config)?,
    };
    prepare(service.clone()).await?;
    let (stop, stopping) = watch::channel(false);
    let servers = Servers::new(&config, &service, tls, stopping)?;
    let mut tasks = JoinSet::new();
    let listening = servers.accept(sockets, &mut tasks)?;
    servers.accept_commands(&config, &service, &mut tasks)?;
    tasks.spawn(upkeep::run(Arc::downgrade(&service), config.clone(), servers.stopping.clone()));
    println!("ready");
    std::io::stdout().flush()?;
    notify(NotifyState::Ready);
    welcome(&listening);
    while signals.next().await == Told::Reload {
        match tls::configured(&config) {
            Ok(Some(new)) => {
                tls::replace(&servers.sessions, new);
                tracing::info!("the certificate was read again");
            }
            Ok(None) => tracing::info!("there is nothing to read again: the certificate is the self-signed one"),
            Err(error) => tracing::error!(error = format!("{error:#}"), "the old certificate stays"),
        }
    }
    tracing::info!("stopping");
    notify(NotifyState::Stopping);
    stop.send_replace(true);
    tokio::select! {
        // Each socket ends with its last connection.
        drained = tokio::time::timeout(config.limits.stop_time, tasks.join_all()) => {
            if drained.is_err() {
                tracing::warn!("some connections did not end in time");
            }
        }
        () = signals.stop_again() => {
            tracing::warn!("told to stop again: stopping at once");
            // What was acknowledged is in the log, and the next start applies it.
            std::process::exit(1);
        }
    }
    drop(servers);
    node::stop(service).await
}

/// Tells systemd, where it wants to be told.
fn notify(state: NotifyState) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

#[derive(PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        let (terminate, interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hang_up: catch(SignalKind::hangup())? })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    async fn stop_again(&mut self) {
        while self.next().await == Told::Reload {}
    }
}

/// Everything that is listened on.
struct Sockets {
    imap: Vec<Socket>,
    imaps: Vec<Socket>,
    lmtp: Vec<Socket>,
    admin: Vec<Socket>,
}

impl Sockets {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        async fn all(addresses: &[ListenAddress]) -> anyhow::Result<Vec<Socket>> {
            let mut sockets = Vec::new();
            for address in addresses {
                sockets.push(Socket::bind(&address.to_string()).await?);
            }
            Ok(sockets)
        }
        let listen = &config.listen;
        let (imap, imaps) = (all(&listen.imap).await?, all(&listen.imaps).await?);
        Ok(Self { imap, imaps, lmtp: all(&listen.lmtp).await?, admin: all(&listen.admin).await? })
    }
}

/// What serves connections.
struct Servers {
    sessions: Arc<Shared>,
    delivery: Arc<paquebot_delivery::Shared>,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
    /// Load balancers: their connections begin with a PROXY header.
    balancers: Arc<[Network]>,
}

impl Servers {
    fn new(
        config: &Config,
        service: &Arc<Service>,
        tls: tls::Certificate,
        stopping: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let mut sources: Vec<Arc<dyn CredentialSource>> = vec![Arc::new(node::StoredUsers(service.clone()))];
        let mut recipients: Vec<Arc<dyn Recipients>> = vec![Arc::new(StoredUsers(service.clone()))];
        if let Some(path) = &config.auth.passwd_file {
            let source: Arc<dyn CredentialSource> = Arc::new(PasswdFile::open(path, config.passwd_scheme())?);
            sources.push(source.clone());
            recipients.push(Arc::new(SourceUsers { service: service.clone(), source }));
        }
        let secret = ServerSecret::from_bytes(node::secret(&config.data)?);
        let sessions = Arc::new(Shared {
            service: service.clone(),
            authenticator: Arc::new(Authenticator::new(sources, secret, &config.authenticator())?),
            throttle: Arc::new(Throttle::new(config.throttle())),
            limits: SessionLimits::new(config.session_limits()),
            tls: Some(tls.into_session()),
            router: None,
            config: config.session(),
            stopping: stopping.clone(),
            counters: Counters::default(),
        });
        let delivery = Arc::new(paquebot_delivery::Shared::new(
            service.clone(),
            Arc::new(FirstOf(recipients)),
            config.delivery(&tls::host_name()),
            stopping.clone(),
        ));
        let metrics = Arc::new(Metrics {
            service: service.clone(),
            sessions: sessions.clone(),
            delivery: delivery.clone(),
            started: Instant::now(),
            listening: OnceLock::new(),
        });
        Ok(Self { sessions, delivery, metrics, stopping, balancers: config.proxy_networks().into() })
    }

    /// Begins to accept on every socket, and prints a line for each.
    fn accept(&self, sockets: Sockets, tasks: &mut JoinSet<()>) -> anyhow::Result<Listening> {
        let (mut listening, mut lines) = (Listening::default(), Vec::new());
        let mut announce = |line: String| {
            println!("{line}");
            lines.push(line);
        };
        for (kind, listener, sockets, told) in [
            ("imap", Listener::StartTls, sockets.imap, &mut listening.imap),
            ("imaps", Listener::ImplicitTls, sockets.imaps, &mut listening.imaps),
        ] {
            for socket in sockets {
                let address = socket.address()?;
                let (shared, balancers) = (self.sessions.clone(), self.balancers.clone());
                let serve = move |accepted| imap(accepted, listener, balancers.clone(), shared.clone());
                tasks.spawn(socket.accept(self.stopping.clone(), serve));
                announce(format!("{kind} {address}"));
                told.push(address);
            }
        }
        for socket in sockets.lmtp {
            let address = socket.address()?;
            let (shared, balancers) = (self.delivery.clone(), self.balancers.clone());
            let serve = move |accepted| lmtp(accepted, balancers.clone(), shared.clone());
            tasks.spawn(socket.accept(self.stopping.clone(), serve));
            announce(format!("lmtp {address}"));
        }
        for socket in sockets.admin {
            let address = socket.address()?;
            let (source, stopping) = (self.metrics.clone(), self.stopping.clone());
            let serve = move |accepted| until_stopped(stopping.clone(), admin(accepted, source.clone()));
            tasks.spawn(socket.accept(self.stopping.clone(), serve));
            announce(format!("admin {address}"));
        }
        let _ = self.metrics.listening.set(lines);
        Ok(listening)
    }

    /// Begins to take the commands of other `paquebot` processes.
    fn accept_commands(&self, config: &Config, service: &Arc<Service>, tasks: &mut JoinSet<()>) -> anyhow::Result<()> {
        let path = control::path(&config.data);
        let listener = control::listen(&config.data).with_context(|| format!("cannot listen on {}", path.display()))?;
        let (service, source, stopping) = (Arc::downgrade(service), self.metrics.clone(), self.stopping.clone());
        let serve = move |accepted| until_stopped(stopping.clone(), command(accepted, service.clone(), source.clone()));
        tasks.spawn(Socket::Unix(listener, path).accept(self.stopping.clone(), serve));
        Ok(())
    }
}

async fn imap(accepted: Accepted, listener: Listener, balancers: Arc<[Network]>, shared: Arc<Shared>) {
    match accepted {
        Accepted::Tcp(mut stream, peer) => {
            if let Some(client) = listen::client(&mut stream, peer, &balancers).await {
                paquebot_session::serve_for(Some(client.ip()), stream, listener, shared).await;
            }
        }
        Accepted::Unix(_) => tracing::warn!("IMAP is served over TCP only"),
    }
}

async fn lmtp(accepted: Accepted, balancers: Arc<[Network]>, shared: Arc<paquebot_delivery::Shared>) {
    match accepted {
        Accepted::Tcp(mut stream, peer) => {
            if let Some(client) = listen::client(&mut stream, peer, &balancers).await {
                paquebot_delivery::serve(stream, Peer::Network(client), shared).await;
            }
        }
        Accepted::Unix(stream) => paquebot_delivery::serve(stream, Peer::Local, shared).await,
    }
}

async fn admin(accepted: Accepted, source: Arc<dyn Source>) {
    match accepted {
        Accepted::Tcp(stream, _) => http::serve(stream, source).await,
        Accepted::Unix(stream) => http::serve(stream, source).await,
    }
}

async fn command(accepted: Accepted, service: Weak<Service>, source: Arc<dyn Source>) {
    if let (Accepted::Unix(stream), Some(service)) = (accepted, service.upgrade()) {
        control::serve(stream, service, source).await;
    }
}

/// Monitors and operators' commands do not keep a server that stops.
async fn until_stopped(mut stopping: watch::Receiver<bool>, serving: impl Future<Output = ()>) {
    tokio::select! {
        () = serving => {}
        () = stopped(&mut stopping) => {}
    }
}
