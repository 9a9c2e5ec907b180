//! As much of an IMAP server as the works need: message bodies are kept, flags are not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How a server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// Literals must wait.
    NoLiteralPlus,
    /// One APPEND may bring several messages.
    MultiAppend,
    ImplicitTls,
    StartTls,
    /// Every second APPEND is refused.
    Refusing,
    /// Hangs up at every third APPEND.
    Dropping,
}

/// What all sessions share.
pub struct State {
    kind: Kind,
    pub mailboxes: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
    pub commands: Mutex<BTreeMap<String, u64>>,
    changes: watch::Sender<u64>,
}

impl State {
    fn change<T>(&self, mailbox: &str, change: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        let result = change(self.mailboxes.lock().unwrap().entry(mailbox.into()).or_default());
        self.changes.send_modify(|changes| *changes += 1);
        result
    }

    fn count(&self, mailbox: &str) -> usize {
        self.mailboxes.lock().unwrap().get(mailbox).map_or(0, Vec::len)
    }

    pub fn commands(&self, name: &str) -> u64 {
        self.commands.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

/// Serves until the test's runtime ends.
pub async fn serve(kind: Kind) -> (SocketAddr, Arc<State>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state =
        Arc::new(State { kind, mailboxes: Mutex::default(), commands: Mutex::default(), changes: watch::channel(0).0 });
    let acceptor = acceptor();
    let shared = state.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve_one(stream, shared.clone(), acceptor.clone()));
        }
    });
    (address, state)
}

fn acceptor() -> TlsAcceptor {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve_one(mut stream: TcpStream, state: Arc<State>, acceptor: TlsAcceptor) {
    match state.kind {
        Kind::ImplicitTls => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            Session::new(stream, state).run().await;
        }
        Kind::StartTls => {
            stream.write_all(b"* OK ready\r\n").await.unwrap();
            let mut line = [0; 13];
            stream.read_exact(&mut line).await.unwrap();
            assert_eq!(&line, b"a1 STARTTLS\r\n");
            stream.write_all(b"a1 OK now\r\n").await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut session = Session::new(stream, state);
            session.greeting = false;
            session.run().await;
        }
        _ => Session::new(stream, state).run().await,
    }
}

struct Session<S> {
    stream: BufReader<S>,
    state: Arc<State>,
    changes: watch::Receiver<u64>,
    greeting: bool,
    user: String,
    selected: String,
    told: usize,
    appends: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    fn new(stream: S, state: Arc<State>) -> Self {
        let changes = state.changes.subscribe();
        let stream = BufReader::new(stream);
        let (user, selected) = Default::default();
        Self { stream, state, changes, greeting: true, user, selected, told: 0, appends: 0 }
    }

    async fn send(&mut self, text: &str) -> Option<()> {
        self.stream.get_mut().write_all(text.as_bytes()).await.ok()
    }

    /// Until the client goes, or is hung up on.
    async fn run(mut self) {
        if self.greeting && self.send("* OK ready\r\n").await.is_none() {
            return;
        }
        while self.command().await.is_some() {}
    }

    async fn command(&mut self) -> Option<()> {
        let line = self.line().await?;
        let mut words = line.splitn(3, ' ').map(String::from);
        let (tag, name, rest) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        *self.state.commands.lock().unwrap().entry(name.clone()).or_default() += 1;
        let answer = match name.as_str() {
            "LOGIN" if !rest.ends_with("\"secret\"") => "NO [AUTHENTICATIONFAILED] wrong".to_string(),
            "LOGIN" => {
                self.user = rest.split('"').nth(1)?.into();
                "OK in".into()
            }
            "CAPABILITY" => {
                let plus = if self.state.kind == Kind::NoLiteralPlus { "" } else { " LITERAL+" };
                let many = if self.state.kind == Kind::MultiAppend { " MULTIAPPEND" } else { "" };
                self.send(&format!("* CAPABILITY IMAP4rev1 IDLE{plus}{many}\r\n")).await?;
                "OK".into()
            }
            "CREATE" => "NO [ALREADYEXISTS] there".into(),
            "SELECT" => {
                self.selected = format!("{}/{}", self.user, rest.trim_matches('"'));
                self.told = self.state.count(&self.selected);
                self.send(&format!("* FLAGS ()\r\n* {} EXISTS\r\n* OK [UIDNEXT 9] {{5}}\r\n", self.told)).await?;
                self.send("* OK [UIDVALIDITY 77] same\r\n").await?;
                "OK [READ-WRITE] selected".into()
            }
            "APPEND" => self.append(&tag, &rest).await?,
            "FETCH" => self.fetch(&rest).await?,
            "EXPUNGE" => {
                self.state.change(&self.selected, Vec::pop);
                self.send(&format!("* {} EXPUNGE\r\n", self.told)).await?;
                self.told -= 1;
                "OK".into()
            }
            "IDLE" => self.idle().await?,
            "SEARCH" => {
                self.send("* SEARCH 1 2\r\n").await?;
                "OK".into()
            }
            "NOOP" | "STORE" | "STATUS" | "LIST" => {
                self.tell_exists().await?;
                "OK".into()
            }
            "LOGOUT" => {
                self.send(&format!("* BYE\r\n{tag} OK\r\n")).await?;
                return None;
            }
            _ => "BAD what?".into(),
        };
        self.send(&format!("{tag} {answer}\r\n")).await
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.ok()?;
        line.strip_suffix("\r\n").map(Into::into)
    }

    /// More messages than before; fewer are told by their EXPUNGE alone.
    async fn tell_exists(&mut self) -> Option<()> {
        let now = self.state.count(&self.selected);
        if now > self.told {
            self.told = now;
            self.send(&format!("* {now} EXISTS\r\n")).await?;
        }
        Some(())
    }

    async fn append(&mut self, tag: &str, rest: &str) -> Option<String> {
        let (name, literal) = rest.rsplit_once(" {")?;
        let plus = literal.ends_with("+}");
        let size: usize = literal.trim_end_matches(['+', '}']).parse().ok()?;
        self.appends += 1;
        if !plus {
            if self.state.kind == Kind::Refusing && self.appends.is_multiple_of(2) {
                return Some("NO [OVERQUOTA] full".into());
            }
            self.send(&format!("+ go on, {tag}\r\n")).await?;
        }
        let mut body = vec![0; size];
        self.stream.read_exact(&mut body).await.ok()?;
        let mut more = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            assert_eq!(self.state.kind, Kind::MultiAppend);
            let size: usize = line.strip_prefix(" {")?.strip_suffix("+}")?.parse().ok()?;
            more.push(vec![0; size]);
            self.stream.read_exact(more.last_mut()?).await.ok()?;
        }
        if self.state.kind == Kind::Dropping && self.appends.is_multiple_of(3) {
            return None;
        }
        if self.state.kind == Kind::Refusing && self.appends.is_multiple_of(2) {
            return Some("NO [OVERQUOTA] full".into());
        }
        self.state.change(&format!("{}/{}", self.user, name.trim_matches('"')), |mailbox| {
            mailbox.push(body);
            mailbox.append(&mut more);
        });
        if !self.selected.is_empty() {
            self.tell_exists().await?;
        }
        Some("OK [APPENDUID 1 1] done".into())
    }

    async fn fetch(&mut self, rest: &str) -> Option<String> {
        let (set, items) = rest.split_once(' ')?;
        let last = self.told;
        let number = |text: &str| if text == "*" { Ok(last) } else { text.parse() };
        let (first, last) = set.split_once(':').unwrap_or((set, set));
        for n in number(first).ok()?..=number(last).ok()? {
            let body = self.state.mailboxes.lock().unwrap()[&self.selected].get(n - 1).cloned().unwrap_or_default();
            if items.contains("BODY.PEEK[]") {
                self.send(&format!("* {n} FETCH (UID {n} BODY[] {{{}}}\r\n", body.len())).await?;
                self.stream.get_mut().write_all(&body).await.ok()?;
                self.send(")\r\n").await?;
            } else {
                self.send(&format!("* {n} FETCH (UID {n} FLAGS ())\r\n")).await?;
            }
        }
        Some("OK".into())
    }

    async fn idle(&mut self) -> Option<String> {
        self.send("+ idling\r\n").await?;
        loop {
            self.tell_exists().await?;
            let mut line = String::new();
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                read = self.stream.read_line(&mut line) => {
                    return (read.ok()? > 0 && line == "DONE\r\n").then(|| "OK".into());
                }
            }
        }
    }
}
