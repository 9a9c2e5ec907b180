//! `paquebot serve`: listens, says so, and serves until it is told to stop.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use paquebot_auth::{
    Authenticator, AuthenticatorSettings, CredentialSource, PasswdFile, Scheme, ServerSecret, SessionLimitSettings, SessionLimits,
    Throttle, ThrottleSettings,
};
use paquebot_session::{Counters, Listener, Shared};
use tokio::net::TcpListener;
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
    let authenticator = Authenticator::new(sources, ServerSecret::random()?, &AuthenticatorSettings::default())?;
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        service: service.clone(),
        authenticator: Arc::new(authenticator),
        throttle: Arc::new(Throttle::new(ThrottleSettings::default())),
        limits: SessionLimits::new(SessionLimitSettings::default()),
        tls: Some(tls::load(&config)?),
        config: paquebot_session::Config::default(),
        stopping,
        counters: Counters::default(),
    });
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
    drop(shared);
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

/// The guard of what `wait_for` gives must not be held over another await.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
