//! `paquebot serve`: listens, says so, and serves until it is told to stop.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use paquebot_admin::control;
use paquebot_admin::http::{self, Source};
use paquebot_auth::{Authenticator, CredentialSource, Network, PasswdFile, ServerSecret, SessionLimits, Throttle};
use paquebot_cluster::admission::Door;
use paquebot_cluster::{Etcd, Node};
use paquebot_config::{Config, ListenAddress};
use paquebot_delivery::{FirstOf, Peer, Recipients, SourceUsers, StoredUsers};
use paquebot_mailbox::Service;
use paquebot_peer::PeerServer;
use paquebot_session::{Counters, Listener, Router, Shared};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{self, Commands, Host, Routes, Served, Ways};
use crate::listen::{Accepted, Socket, stopped};
use crate::metrics::Metrics;
use crate::{listen, node, privileges, tls, upkeep};

/// For the last connections of a node to let go of its store.
const STOP: Duration = Duration::from_secs(10);

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
    let peer_socket = if config.cluster.is_on() { Some(cluster::listen(&config).await?) } else { None };
    let certificate = tls::configured(&config)?;
    privileges::drop_root(&config)?;
    if privileges::is_root() {
        tracing::warn!("running as root: set `user` in the configuration, and the server becomes it once it listens");
    } else if let Err(error) = tls::configured(&config) {
        tracing::warn!(error = format!("{error:#}"), "SIGHUP will not be able to read the certificate again");
    }
    let running = tokio::select! {
        running = Running::start(&config) => running?,
        // A node may wait for etcd.
        () = signals.stop() => return Ok(()),
    };
    let service = running.service.clone();
    let tls = match certificate {
        Some(certificate) => certificate,
        None => tls::self_signed(&config)?,
    };
    prepare(service.clone()).await?;
    let (stop, stopping) = watch::channel(false);
    let servers = Servers::new(&config, &running, tls, stopping)?;
    let mut tasks = JoinSet::new();
    if let (Some(node), Some(socket)) = (&running.node, peer_socket) {
        println!("peer {}", socket.local_addr()?);
        let server = node.peer_server(&servers)?;
        let mut stopping = servers.stopping.clone();
        tasks.spawn(async move { server.serve(socket, async move { stopped(&mut stopping).await }).await });
        tokio::select! {
            () = node.node.has_logins() => {}
            () = signals.stop() => {
                stop.send_replace(true);
                return running.stop(servers, service).await;
            }
        }
    }
    let listening = servers.accept(sockets, &mut tasks)?;
    servers.accept_commands(&config, &service, &mut tasks)?;
    tasks.spawn(upkeep::run(Arc::downgrade(&service), config.clone(), servers.stopping.clone()));
    println!("ready");
    std::io::stdout().flush()?;
    notify(NotifyState::Ready);
    welcome(&listening);
    let fatal = loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break None,
                Told::Reload => {}
            },
            why = running.must_stop() => break Some(why),
        }
        match tls::configured(&config) {
            Ok(Some(new)) => {
                tls::replace(&servers.sessions, new);
                tracing::info!("the certificate was read again");
            }
            Ok(None) => tracing::info!("there is nothing to read again: the certificate is the self-signed one"),
            Err(error) => tracing::error!(error = format!("{error:#}"), "the old certificate stays"),
        }
    };
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
        () = signals.stop() => {
            tracing::warn!("told to stop again: stopping at once");
            // What was acknowledged is in the log, and the next start applies it.
            std::process::exit(1);
        }
    }
    running.stop(servers, service).await?;
    match fatal {
        Some(why) => bail!(why),
        None => Ok(()),
    }
}

/// The mail service, and the node of a cluster that it is.
struct Running {
    service: Arc<Service>,
    node: Option<ClusterNode>,
}

/// A node, and what its peers reach of it.
struct ClusterNode {
    node: Arc<Node>,
    served: Arc<OnceLock<Served>>,
    data: PathBuf,
}

impl Running {
    async fn start(config: &Config) -> anyhow::Result<Self> {
        if !config.cluster.is_on() {
            return Ok(Self { service: node::start(config).await?, node: None });
        }
        let node = cluster::start(config).await?;
        let service = node.service.clone();
        Ok(Self { service, node: Some(ClusterNode { node, served: Arc::default(), data: config.data.clone() }) })
    }

    /// Resolves with the reason why this server must not go on, once there is one.
    async fn must_stop(&self) -> String {
        let Some(node) = &self.node else { return std::future::pending().await };
        let mut fatal = node.node.fatal.clone();
        let why = fatal.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Ends everything; when this returns all is on disk and the data directory can be opened by another.
    async fn stop(self, servers: Servers, service: Arc<Service>) -> anyhow::Result<()> {
        drop(servers);
        let Self { service: own, node } = self;
        drop(own);
        match node {
            None => node::stop(service).await,
            Some(ClusterNode { node, served, .. }) => {
                service.store().checkpoint().context("cannot make the index durable")?;
                let ended = service.ended();
                node.stop().await;
                drop((service, node, served));
                // A connection that did not end in time may still hold the store; what was acknowledged is on disk.
                let _ = tokio::time::timeout(STOP, ended).await;
                Ok(())
            }
        }
    }
}

impl ClusterNode {
    fn peer_server(&self, servers: &Servers) -> anyhow::Result<PeerServer> {
        let Node { log, registry, identity, tls, service, settings, .. } = &*self.node;
        let (cluster, keys) = {
            let identity = identity.lock();
            (identity.cluster(), identity.keys()?)
        };
        let given = match &settings.etcd {
            Etcd::Managed { .. } => None,
            Etcd::Given { endpoints, .. } => Some(endpoints.clone()),
        };
        let door = Door::new(cluster, keys, registry.clone(), given)?;
        let _ = self.served.set(Served { sessions: servers.sessions.clone(), delivery: servers.delivery.clone() });
        let host = Host {
            log: log.clone(),
            store: service.store().clone(),
            registry: registry.clone(),
            door,
            served: self.served.clone(),
        };
        Ok(PeerServer::new(tls.clone(), service.store().clone(), Arc::new(host)))
    }
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

    async fn stop(&mut self) {
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
        running: &Running,
        tls: tls::Certificate,
        stopping: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let service = &running.service;
        let routes = running.node.as_ref().map(|node| Arc::new(Routes::new(node.node.clone())));
        let mut sources: Vec<Arc<dyn CredentialSource>> = vec![Arc::new(node::StoredUsers(service.clone()))];
        let mut recipients: Vec<Arc<dyn Recipients>> = vec![Arc::new(StoredUsers(service.clone()))];
        if let Some(path) = &config.auth.passwd_file {
            let source: Arc<dyn CredentialSource> = Arc::new(PasswdFile::open(path, config.passwd_scheme())?);
            sources.push(source.clone());
            recipients.push(Arc::new(SourceUsers { service: service.clone(), source }));
        }
        let secret = match &running.node {
            None => node::secret(&config.data)?,
            // The same on every node: what differs would show who does not exist.
            Some(node) => blake3::derive_key(
                "paquebot users who do not exist",
                node.node.identity.lock().keys()?.authority_key.as_bytes(),
            ),
        };
        let secret = ServerSecret::from_bytes(secret);
        let sessions = Arc::new(Shared {
            service: service.clone(),
            authenticator: Arc::new(Authenticator::new(sources, secret, &config.authenticator())?),
            throttle: Arc::new(Throttle::new(config.throttle())),
            limits: SessionLimits::new(config.session_limits()),
            tls: Some(tls.into_session()),
            router: routes.clone().map(|routes| routes as Arc<dyn Router>),
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
        if let Some(routes) = routes {
            delivery.set_elsewhere(Arc::new(Ways(routes)));
        }
        let metrics = Arc::new(Metrics {
            service: service.clone(),
            sessions: sessions.clone(),
            delivery: delivery.clone(),
            started: Instant::now(),
            listening: OnceLock::new(),
            cluster: running
                .node
                .as_ref()
                .map(|node| Commands { node: node.node.clone(), data: node.data.clone() })
                .map(Arc::new),
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
