//! The way to etcd: one member is asked, and when it fails another one.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Error, GetResponse, Identity, TlsOptions};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::keys::Keys;
use crate::options::Options;

/// Between attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// A member whose connection says nothing for this long is asked whether it is there, and has as long to answer. etcd closes the connections
/// of those who ask more often than every five seconds.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));

/// Connections to all members.
pub struct Link {
    pub options: Options,
    pub keys: Keys,
    members: Vec<Member>,
    /// The member that is asked now.
    current: AtomicUsize,
    /// Set by a request that failed, cleared by one that a quorum answered.
    suspect: AtomicBool,
}

/// A member of the etcd cluster.
struct Member {
    endpoint: String,
    requests: Mutex<Option<Client>>,
    /// Apart, so that watches that nobody reads cannot keep answers from coming through.
    watches: Mutex<Option<Client>>,
}

impl Link {
    pub fn new(options: Options) -> Self {
        let member = |endpoint: &String| Member {
            endpoint: endpoint.clone(),
            requests: Mutex::default(),
            watches: Mutex::default(),
        };
        let members = options.endpoints.iter().map(member).collect();
        let keys = Keys::new(&options.prefix);
        Self { options, keys, members, current: AtomicUsize::new(0), suspect: AtomicBool::new(false) }
    }

    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.endpoint.as_str())
    }

    /// Asks one member, by its number, within the time of an attempt.
    pub async fn ask<T, F>(&self, member: usize, call: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.ask_within(self.options.attempt, member, call).await
    }

    /// One attempt, at the member whose turn it is. One that fails passes the turn on.
    pub async fn attempt<T, F>(&self, call: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.attempt_within(self.options.attempt, call).await
    }

    /// Asks until there is an answer, for as long as `limit`. Only for what may be done twice.
    pub async fn persist<T, F>(&self, limit: Duration, call: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.attempt_within(left.min(self.options.attempt), &call).await {
                Err(failure @ (Failure::Unknown(_) | Failure::NotDone(_))) => {
                    if Instant::now() + PAUSE >= until {
                        return Err(failure);
                    }
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn attempt_within<T, F>(&self, limit: Duration, call: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let member = self.current.load(Ordering::Relaxed);
        let answer = self.ask_within(limit, member, call).await;
        match &answer {
            Ok(_) => self.suspect.store(false, Ordering::Relaxed),
            Err(Failure::Unknown(_) | Failure::NotDone(_)) => {
                self.suspect.store(true, Ordering::Relaxed);
                self.pass_on(member);
            }
            Err(Failure::Refused(_) | Failure::Compacted(_)) => {}
        }
        answer
    }

    /// Ends by itself within `limit`: ended from outside it could not give up a connection that is dead.
    async fn ask_within<T, F>(
        &self,
        limit: Duration,
        member: usize,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = async {
            let client = self.client(member, |member| &member.requests).await.map_err(connecting)?;
            call(client).await.map_err(Failure::from)
        };
        let answer = timeout(limit, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(Failure::Unknown("the time for an answer is over".into())));
        if let (Err(Failure::Unknown(_)), Some(failed)) = (&answer, self.members.get(member))
            && let Ok(mut client) = failed.requests.try_lock()
        {
            // Whoever asks next makes a new connection.
            *client = None;
        }
        answer.map_err(|failure| self.named(member, failure))
    }

    /// Makes sure, when there is doubt, that a quorum answers, before something is sent that must not be in the balance.
    pub async fn quorum(&self) -> Result<(), Failure> {
        if !self.suspect.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = self.keys.cluster();
        self.persist(self.options.patience, |client| get(client, key.clone())).await?;
        Ok(())
    }

    /// A client whose streams may be left unread, and the number of its member.
    pub async fn watching(&self) -> Result<(Client, usize), Failure> {
        let member = self.current.load(Ordering::Relaxed);
        let client = timeout(self.options.attempt, self.client(member, |member| &member.watches)).await;
        match client {
            Ok(Ok(client)) => Ok((client, member)),
            Ok(Err(error)) => Err(self.watch_failed(member, Failure::from(error)).await),
            Err(_) => {
                let late = Failure::Unknown("the time for an answer is over".into());
                Err(self.watch_failed(member, late).await)
            }
        }
    }

    /// A watch at this member ended, or never began: others are tried.
    pub async fn watch_failed(&self, member: usize, failure: Failure) -> Failure {
        if let Some(failed) = self.members.get(member) {
            *failed.watches.lock().await = None;
        }
        self.pass_on(member);
        self.named(member, failure)
    }

    /// The next member's turn, unless somebody passed it on already.
    fn pass_on(&self, member: usize) {
        let next = (member + 1) % self.members.len().max(1);
        let _ = self.current.compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn client(&self, member: usize, kind: impl Fn(&Member) -> &Mutex<Option<Client>>) -> Result<Client, Error> {
        let member = self.members.get(member).ok_or_else(|| Error::InvalidArgs("no endpoints".into()))?;
        let mut client = kind(member).lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let made = Client::connect([&member.endpoint], Some(connect_options(&self.options, &member.endpoint))).await?;
        *client = Some(made.clone());
        Ok(made)
    }

    fn named(&self, member: usize, failure: Failure) -> Failure {
        let endpoint = self.members.get(member).map_or("", |member| member.endpoint.as_str());
        let named = |said| format!("{endpoint}: {said}");
        match failure {
            Failure::Refused(said) => Failure::Refused(named(said)),
            Failure::Compacted(said) => Failure::Compacted(named(said)),
            Failure::NotDone(said) => Failure::NotDone(named(said)),
            Failure::Unknown(said) => Failure::Unknown(named(said)),
        }
    }
}

/// A client of etcd's own, for what is not the log's: by the same addresses, certificates and login. It goes to another member by itself when one
/// does not answer.
pub async fn connect(options: &Options) -> Result<Client, Failure> {
    let first = options.endpoints.first().map_or("", String::as_str);
    Ok(Client::connect(&options.endpoints, Some(connect_options(options, first))).await?)
}

/// Reads one key, as a quorum has it.
pub async fn get(mut client: Client, key: String) -> Result<GetResponse, Error> {
    client.get(key, None).await
}

/// Connecting carries no change.
fn connecting(error: Error) -> Failure {
    match Failure::from(error) {
        Failure::Unknown(said) => Failure::NotDone(said),
        failure => failure,
    }
}

fn connect_options(options: &Options, endpoint: &str) -> ConnectOptions {
    let (interval, timeout) = KEEP_ALIVE;
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(options.attempt)
        .with_keep_alive(interval, timeout)
        // A member that has lost its quorum says so, instead of keeping a watch silent.
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some(login) = &options.login {
        connect = connect.with_user(&login.name, &login.password);
    }
    if let Some(tls) = options.tls.as_ref().filter(|_| endpoint.starts_with("https://")) {
        let mut config = TlsOptions::new();
        if let Some(authority) = &tls.authority {
            config = config.ca_certificate(Certificate::from_pem(authority));
        }
        if let Some((certificate, key)) = &tls.client {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &tls.server_name {
            config = config.domain_name(name);
        }
        connect = connect.with_tls(config);
    }
    connect
}
