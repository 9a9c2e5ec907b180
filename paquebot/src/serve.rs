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
use paquebot_session::{Counters, Listener, Shared};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::{node, tls};

/// How long sessions may take to end once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

pub async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let service = node::start(&config).await?;
    let mut sources: Vec<Arc<dyn CredentialSource>> = vec![Arc::new(node::StoredUsers(service.clone()))];
    if let Some(path) = &config.auth.passwd_file {
        sources.push(Arc::new(PasswdFile::open(path, Scheme::Plain)?));
    }
    let mut recipients: Vec<Arc<dyn Recipients>> = vec![Arc::new(StoredUsers(service.clone()))];
    for source in sources.iter().skip(1) {
        recipients.push(Arc::new(SourceUsers { service: service.clone(), source: source.clone() }));
    }
    let authenticator = Authenticator::new(sources, ServerSecret::random()?, &AuthenticatorSettings::default())?;
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        service: service.clone(),
        authenticator: Arc::new(authenticator),
        throttle: Arc::new(Throttle::new(ThrottleSettings::default())),
        limits: SessionLimits::new(SessionLimitSettings::default()),
        tls: Some(tls::load(&config)?),
        config: paquebot_session::Config::default(),
        stopping: stopping.clone(),
        counters: Counters::default(),
    });
    let delivery = Arc::new(paquebot_delivery::Shared::new(
        service.clone(),
        Arc::new(FirstOf(recipients)),
        paquebot_delivery::Config { host_name: tls::host_name(), ..Default::default() },
        stopping,
    ));
    let mut listeners = JoinSet::new();
    for (kind, listener, addresses) in
        [("imap", Listener::StartTls, &config.listen.imap), ("imaps", Listener::ImplicitTls, &config.listen.imaps)]
    {
        for address in addresses {
            let socket = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
            println!("{kind} {}", socket.local_addr()?);
            listeners.spawn(accept(socket, listener, shared.clone()));
        }
    }
    for address in &config.listen.lmtp {
        match address.strip_prefix("unix:") {
            Some(path) => {
                // What a server that was killed has left behind takes the name of the one to come.
                let _ = std::fs::remove_file(path);
                let socket = UnixListener::bind(path).with_context(|| format!("cannot listen on {path}"))?;
                println!("lmtp unix:{path}");
                listeners.spawn(accept_unix(socket, delivery.clone(), shared.stopping.clone()));
            }
            None => {
                let socket = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
                println!("lmtp {}", socket.local_addr()?);
                listeners.spawn(accept_lmtp(socket, delivery.clone(), shared.stopping.clone()));
            }
        }
    }
    println!("ready");
    std::io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.send_replace(true);
    // Each listener ends with its last session.
    let _ = tokio::time::timeout(DRAIN, listeners.join_all()).await;
    drop((shared, delivery));
    node::stop(service).await
}

async fn accept(socket: TcpListener, listener: Listener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    let mut stopping = shared.stopping.clone();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(paquebot_session::serve(stream, listener, shared.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            () = stopped(&mut stopping) => break,
        }
    }
    sessions.join_all().await;
}

async fn accept_lmtp(socket: TcpListener, shared: Arc<paquebot_delivery::Shared>, mut stopping: watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, address)) => {
                    let _ = stream.set_nodelay(true);
                    sessions.spawn(paquebot_delivery::serve(stream, Peer::Network(address), shared.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            () = stopped(&mut stopping) => break,
        }
    }
    sessions.join_all().await;
}

async fn accept_unix(
    socket: UnixListener,
    shared: Arc<paquebot_delivery::Shared>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(paquebot_delivery::serve(stream, Peer::Local, shared.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            () = stopped(&mut stopping) => break,
        }
    }
    sessions.join_all().await;
}

/// The guard of what `wait_for` gives must not be held over another await.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
