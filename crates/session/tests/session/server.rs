//! A server in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use paquebot_auth::{
    Access, Authenticator, AuthenticatorSettings, CredentialSource, Credentials, Found, Scheme, ServerSecret,
    SessionLimitSettings, SessionLimits, SourceError, Throttle, ThrottleSettings, UserName,
};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Service, ServiceOptions};
use paquebot_session::{Config, Counters, Listener, Router, Shared, Tls, serve};
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::client::Client;
use crate::quorum::{Quorum, QuorumLog};

/// A server with the accounts alice and bob, both with the password `secret`.
pub struct Server {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    pub stop: watch::Sender<bool>,
    pub shared: Arc<Shared>,
    pub quorum: Arc<Mutex<Quorum>>,
    _data: TempDir,
}

struct Users;

impl CredentialSource for Users {
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        if !["alice", "bob"].contains(&user.as_str()) {
            return Ok(None);
        }
        let credentials = Credentials::from_hash("{PLAIN}secret", Scheme::Plain).unwrap();
        Ok(Some(Found { credentials, access: Access::default() }))
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Config::default(), SessionLimitSettings::default()).await
    }

    pub async fn with(config: Config, limits: SessionLimitSettings) -> Self {
        Self::routing(config, limits, None).await
    }

    pub async fn routing(config: Config, limits: SessionLimitSettings, router: Option<Arc<dyn Router>>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (store, tail) = Store::open(Arc::new(RealFs), data.path(), Options::default()).unwrap();
        let store = Arc::new(store);
        let quorum = Arc::new(Mutex::new(Quorum::There));
        let inner = EmbeddedLog::open(store.clone(), tail).unwrap();
        let log = Arc::new(QuorumLog { inner, quorum: quorum.clone() });
        let service = Service::start(store, log, "test", ServiceOptions::default()).await.unwrap();
        let authenticator = Authenticator::new(
            vec![Arc::new(Users)],
            ServerSecret::random().unwrap(),
            &AuthenticatorSettings::default(),
        )
        .unwrap();
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            service,
            authenticator: Arc::new(authenticator),
            throttle: Arc::new(Throttle::new(ThrottleSettings::default())),
            limits: SessionLimits::new(limits),
            tls: Some(self_signed()),
            router,
            config,
            stopping,
            counters: Counters::default(),
        });
        let plain = listen(Listener::StartTls, shared.clone()).await;
        let tls = listen(Listener::ImplicitTls, shared.clone()).await;
        Self { plain, tls, stop, shared, quorum, _data: data }
    }

    /// The store's directory.
    pub fn data(&self) -> &Path {
        self._data.path()
    }

    /// A connection that has been greeted.
    pub async fn connect(&self) -> Client {
        let mut client = Client::connect(self.plain).await;
        client.line().await;
        client
    }

    pub async fn login(&self) -> Client {
        let mut client = self.connect().await;
        client.ok("LOGIN alice secret").await;
        client
    }

    /// A connection with INBOX selected.
    pub async fn select(&self) -> Client {
        let mut client = self.login().await;
        client.ok("SELECT INBOX").await;
        client
    }

    /// Puts `count` messages into INBOX, `\Recent` to nobody any more.
    pub async fn fill(&self, count: usize) {
        let mut client = self.select().await;
        for number in 1..=count {
            client.append("INBOX", &format!("Subject: message {number}\r\n\r\nThis is message {number}.\r\n")).await;
        }
        client.ok("LOGOUT").await;
    }
}

async fn listen(listener: Listener, shared: Arc<Shared>) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(serve(stream, listener, shared.clone()));
        }
    });
    address
}

fn self_signed() -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Tls::new(Arc::new(config), made.cert.der())
}
