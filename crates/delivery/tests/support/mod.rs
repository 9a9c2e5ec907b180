//! A server in this process, on a store of its own, and a client that says and checks lines.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use paquebot_delivery::{Config, Peer, Recipients, Shared, StoredUsers, serve};
use paquebot_log::{AppendError, Body, BoxFuture, Feed, Log, LogError};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_mailbox::{Account, Service, ServiceOptions};
use paquebot_model::Record;
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use paquebot_types::{MailboxName, Sequence, ShardId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split};
use tokio::sync::{RwLock, watch};
use tokio::task::JoinHandle;

/// The embedded log, which counts and can be told to hold appends back or to fail them.
pub struct TestLog {
    inner: EmbeddedLog,
    pub appends: AtomicUsize,
    pub fault: std::sync::Mutex<Option<AppendError>>,
    /// Appends wait while somebody has this for writing.
    pub gate: Arc<RwLock<()>>,
}

impl Log for TestLog {
    fn append(
        &self,
        shard: ShardId,
        record: Record,
        bodies: Vec<Body>,
    ) -> BoxFuture<'_, Result<Sequence, AppendError>> {
        Box::pin(async move {
            self.appends.fetch_add(1, Ordering::SeqCst);
            let _open = self.gate.read().await;
            let fault = self.fault.lock().unwrap().clone();
            match fault {
                Some(fault) => Err(fault),
                None => self.inner.append(shard, record, bodies).await,
            }
        })
    }

    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.follow(shard, after, feed)
    }

    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>> {
        self.inner.last(shard)
    }

    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.trim(shard, upto)
    }
}

pub struct Server {
    pub dir: tempfile::TempDir,
    pub service: Arc<Service>,
    pub log: Arc<TestLog>,
    pub shared: Arc<Shared>,
    pub stop: watch::Sender<bool>,
}

pub fn config() -> Config {
    Config { host_name: "mail.example".into(), ..Config::default() }
}

impl Server {
    /// With the users anna and bob@example.org.
    pub async fn start(config: Config) -> Self {
        Self::start_with(config, |service| Arc::new(StoredUsers(service.clone()))).await
    }

    pub async fn start_with(config: Config, users: impl FnOnce(&Arc<Service>) -> Arc<dyn Recipients>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            reserve_step_bytes: 1 << 20,
            index_headroom_bytes: 1 << 20,
            ballast_bytes: 0,
            ..Options::default()
        };
        let (store, tail) = Store::open(Arc::new(RealFs), &dir.path().join("store"), options).unwrap();
        let store = Arc::new(store);
        let inner = EmbeddedLog::open(store.clone(), tail).unwrap();
        let log = Arc::new(TestLog {
            inner,
            appends: AtomicUsize::new(0),
            fault: std::sync::Mutex::new(None),
            gate: Arc::default(),
        });
        let service = Service::start(store, log.clone(), "test", ServiceOptions::default()).await.unwrap();
        for name in ["anna", "bob@example.org"] {
            service.add_login(name, Some("hash".into())).await.unwrap();
        }
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(service.clone(), users(&service), config, stopping));
        log.appends.store(0, Ordering::SeqCst);
        Self { dir, service, log, shared, stop }
    }

    /// A session over a pipe, greeted.
    pub async fn connect(&self) -> Client {
        let mut client = self.connect_silently();
        client.expect("220 mail.example LMTP Paquebot").await;
        client
    }

    pub fn connect_silently(&self) -> Client {
        let (client, server) = tokio::io::duplex(64 << 10);
        let serving = tokio::spawn(serve(server, Peer::Local, self.shared.clone()));
        Client::new(client, Some(serving))
    }

    /// A session in which LHLO has been said.
    pub async fn hello(&self) -> Client {
        let mut client = self.connect().await;
        client.say("LHLO client.example").await;
        client.expect("250 CHUNKING").await;
        client
    }

    pub async fn account(&self, name: &str) -> Account {
        self.service.account(name).await.unwrap().unwrap()
    }

    /// The messages of a mailbox, by UID.
    pub async fn messages(&self, account: &str, mailbox: &str) -> Vec<Vec<u8>> {
        let account = self.account(account).await;
        let id = account.mailbox_named(&MailboxName::new(mailbox).unwrap()).unwrap().unwrap();
        let live = account.open(id).unwrap().unwrap();
        let reader = account.reader().unwrap();
        let read = |message: &paquebot_model::Message| {
            let mut body = vec![0; message.size as usize];
            let count = reader.read_body(reader.location(message.blob).unwrap(), 0, &mut body).unwrap();
            assert_eq!(count, body.len());
            body
        };
        live.current().messages.iter().map(read).collect()
    }

    /// How many messages there are, whoever's.
    pub async fn message_count(&self) -> usize {
        let mut count = 0;
        for login in self.service.logins().unwrap() {
            let account = self.account(&login.name).await;
            let names = account.list().unwrap();
            count += names.keys().map(|name| account.status(name).unwrap().unwrap().messages as usize).sum::<usize>();
        }
        count
    }

    /// Files of messages that nobody owns yet.
    pub fn staged_files(&self) -> usize {
        files(&self.dir.path().join("store/incoming"))
    }
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// Any connection to a server.
pub struct Client<S = DuplexStream> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    seen: Vec<u8>,
    serving: Option<JoinHandle<()>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S, serving: Option<JoinHandle<()>>) -> Self {
        let (reader, writer) = split(stream);
        Self { reader, writer, seen: Vec::new(), serving }
    }

    pub async fn send(&mut self, octets: &[u8]) {
        self.writer.write_all(octets).await.unwrap();
    }

    /// Whether the server still took them.
    pub async fn try_send(&mut self, octets: &[u8]) -> bool {
        self.writer.write_all(octets).await.is_ok()
    }

    pub async fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes()).await;
    }

    /// The next line, without its CRLF; `None` when the server has closed.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.seen.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8(self.seen[..end].to_vec()).unwrap();
                self.seen.drain(..end + 2);
                return Some(line);
            }
            if self.reader.read_buf(&mut self.seen).await.ok()? == 0 {
                assert!(self.seen.is_empty(), "half a reply: {}", self.seen.escape_ascii());
                return None;
            }
        }
    }

    /// Reads a reply of any number of lines, whose last one must begin so.
    pub async fn expect(&mut self, start: &str) -> String {
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("the server has closed and not said {start}"));
            if line.as_bytes().get(3) != Some(&b'-') {
                assert!(line.starts_with(start), "{line:?} and not {start:?}");
                return line;
            }
        }
    }

    /// Says each line and checks its reply.
    pub async fn talk(&mut self, lines: &[(&str, &str)]) {
        for (line, reply) in lines {
            self.say(line).await;
            self.expect(reply).await;
        }
    }

    /// Sends no more, and sees the server do so too, without another word.
    pub async fn expect_end(mut self) {
        assert_eq!(self.line().await, None);
        self.leave().await;
    }

    /// Closes the connection and waits until the session is over.
    pub async fn leave(self) {
        let Self { reader, writer, serving, .. } = self;
        drop(reader.unsplit(writer));
        if let Some(serving) = serving {
            serving.await.unwrap();
        }
    }
}

/// Lets everything happen that can happen without time or another thread.
pub async fn settle() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

/// Longer than any session may take, on a clock that stands still meanwhile.
pub const FOREVER: Duration = Duration::from_secs(100 * 60 * 60);
