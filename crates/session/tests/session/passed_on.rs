//! Connections that one node passes on to another after the login.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paquebot_auth::SessionLimitSettings;
use paquebot_session::{Config, Preface, Route, Router, Routing, Shared, serve_passed_on};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, tls};
use crate::server::Server;

/// Sends everybody to another node in this process, or nowhere.
struct To {
    home: Mutex<Home>,
    prefaces: Mutex<Vec<Preface>>,
}

enum Home {
    Node(Arc<Shared>),
    /// Takes nobody on, and says so by this octet or not at all.
    Says(Option<u8>),
    Gone,
}

impl Router for To {
    fn route<'a>(&'a self, preface: &'a Preface) -> Routing<'a> {
        let preface = Preface::decode(&preface.encode()).unwrap();
        self.prefaces.lock().unwrap().push(preface.clone());
        let (near, far) = tokio::io::duplex(4096);
        match &*self.home.lock().unwrap() {
            Home::Node(shared) => drop(tokio::spawn(serve_passed_on(Box::new(far), preface, shared.clone()))),
            Home::Says(octet) => {
                let octet = *octet;
                tokio::spawn(async move {
                    let mut far = far;
                    if let Some(octet) = octet {
                        far.write_u8(octet).await.unwrap();
                    }
                });
            }
            Home::Gone => return Box::pin(std::future::ready(Route::Nowhere("nobody is there".into()))),
        }
        Box::pin(std::future::ready(Route::There(Box::new(near))))
    }

    fn is_here(&self, _: &str) -> bool {
        false
    }
}

/// Serves everybody here.
struct Here;

impl Router for Here {
    fn route<'a>(&'a self, _: &'a Preface) -> Routing<'a> {
        Box::pin(std::future::ready(Route::Here))
    }

    fn is_here(&self, _: &str) -> bool {
        true
    }
}

/// The node that serves accounts, and one that passes connections on to it.
struct Nodes {
    home: Server,
    entry: Server,
    to: Arc<To>,
}

impl Nodes {
    async fn start() -> Self {
        Self::with(SessionLimitSettings::default()).await
    }

    async fn with(home_limits: SessionLimitSettings) -> Self {
        let home = Server::routing(Config::default(), home_limits, Some(Arc::new(Here))).await;
        let to = Arc::new(To { home: Mutex::new(Home::Node(home.shared.clone())), prefaces: Mutex::default() });
        let entry = Server::routing(Config::default(), SessionLimitSettings::default(), Some(to.clone())).await;
        Self { home, entry, to }
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} in time");
}

#[tokio::test]
async fn a_login_on_one_node_is_served_by_another() {
    let nodes = Nodes::start().await;
    let mut client = nodes.entry.connect().await;
    let login = client.ok("LOGIN alice secret").await;
    assert!(login.tagged.contains("[CAPABILITY IMAP4rev1 ") && !login.tagged.contains("UNAUTHENTICATE"), "{login:?}");
    client.append("INBOX", "Subject: here\r\n\r\nhello\r\n").await;
    assert!(client.ok("SELECT INBOX").await.has("* 1 EXISTS"));
    assert!(nodes.home.select().await.ok("FETCH 1 (BODY.PEEK[TEXT])").await.has_any("hello"));
    client.fails("UNAUTHENTICATE", "NO [CANNOT] ").await;
    let preface = nodes.to.prefaces.lock().unwrap()[0].clone();
    assert_eq!((preface.login.as_str(), preface.tls, preface.tag.as_str()), ("alice", false, "t1"));
    assert_eq!(preface.client, Some("127.0.0.1".parse().unwrap()));
    let (entry, home) = (&nodes.entry.shared.counters, &nodes.home.shared.counters);
    assert_eq!((count(&entry.passed_on), count(&home.taken_on)), (1, 1));
    assert_eq!((count(&entry.logins), count(&home.logins)), (0, 2), "a login is counted where the account is");
    client.ok("LOGOUT").await;
    assert!(client.ends().await.is_empty());
}

#[tokio::test]
async fn commands_sent_with_the_login_are_answered_in_their_order() {
    let nodes = Nodes::start().await;
    let mut client = nodes.entry.connect().await;
    let message = "x".repeat(50_000);
    let pipelined = format!(
        "a LOGIN {{5+}}\r\nalice secret\r\nb APPEND INBOX {{{}+}}\r\n{message}\r\nc SELECT INBOX\r\nd FETCH 1 (BODY.PEEK[])\r\ne LOGOUT\r\n",
        message.len()
    );
    client.send(pipelined).await;
    for tag in ["a", "b", "c"] {
        assert!(client.answer(tag).await.tagged.starts_with("OK "), "{tag}");
    }
    assert!(client.answer("d").await.has_any(&message));
    assert!(client.answer("e").await.has_any("* BYE "));
    assert!(client.ends().await.is_empty());
}

#[tokio::test]
async fn every_way_to_log_in_is_passed_on() {
    let nodes = Nodes::start().await;
    nodes.entry.connect().await.ok("AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==").await;
    let mut client = nodes.entry.connect().await;
    client.send("a AUTHENTICATE PLAIN\r\nAGFsaWNlAHNlY3JldA==\r\nb SELECT INBOX\r\n").await;
    assert_eq!(client.line().await, "+ ");
    assert!(client.line().await.starts_with("a OK [CAPABILITY "));
    assert!(client.answer("b").await.tagged.starts_with("OK "));

    let mut client = Client::connect_tls(nodes.entry.tls).await;
    client.line().await;
    client.ok("LOGIN alice secret").await;
    client.ok("SELECT INBOX").await;

    let mut client = nodes.entry.connect().await;
    client.ok("STARTTLS").await;
    let mut client = Client::over(Box::new(tls(client.into_stream().0).await));
    client.ok("LOGIN bob secret").await;
    client.ok("SELECT INBOX").await;
    let prefaces = nodes.to.prefaces.lock().unwrap();
    assert_eq!(prefaces.iter().map(|preface| preface.tls).collect::<Vec<_>>(), [false, false, true, true]);
}

#[tokio::test]
async fn compression_and_idle_work_through_another_node() {
    let nodes = Nodes::start().await;
    let mut client = nodes.entry.login().await;
    client.ok("COMPRESS DEFLATE").await;
    let (mut stream, _) = client.into_stream();
    let (mut deflate, mut inflate) =
        (flate2::Compress::new(flate2::Compression::fast(), false), flate2::Decompress::new(false));
    let mut octets = Vec::with_capacity(1024);
    let commands = b"a SELECT INBOX\r\nb IDLE\r\n";
    deflate.compress_vec(commands, &mut octets, flate2::FlushCompress::Sync).unwrap();
    stream.write_all(&octets).await.unwrap();
    let mut said = String::new();
    let mut hear = async |until: &str| {
        while !said.contains(until) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(count > 0, "{said}");
            let mut inflated = Vec::with_capacity(1 << 16);
            inflate.decompress_vec(&buffer[..count], &mut inflated, flate2::FlushDecompress::Sync).unwrap();
            said.push_str(&String::from_utf8(inflated).unwrap());
        }
    };
    hear("+ idling").await;
    nodes.home.login().await.append("INBOX", "\r\nx\r\n").await;
    hear("* 1 EXISTS").await;
    // The node that was connected to stops: the BYE is compressed as the rest.
    nodes.entry.stop.send_replace(true);
    hear("* BYE ").await;
}

#[tokio::test]
async fn a_stop_of_either_node_says_bye() {
    for stops_entry in [true, false] {
        let nodes = Nodes::start().await;
        let mut client = nodes.entry.login().await;
        client.ok("SELECT INBOX").await;
        let stopping = if stops_entry { &nodes.entry } else { &nodes.home };
        stopping.stop.send_replace(true);
        let said = client.ends().await;
        assert!(said.len() == 1 && said[0].starts_with("* BYE "), "{said:?}");
    }
}

#[tokio::test]
async fn places_are_held_on_both_nodes_until_the_client_leaves() {
    let nodes = Nodes::start().await;
    let client = nodes.entry.login().await;
    assert_eq!((nodes.entry.shared.limits.total(), nodes.home.shared.limits.total()), (1, 1));
    drop(client);
    let none = |server: &Server| server.shared.limits.total() == 0;
    until("the sessions end", || none(&nodes.entry) && none(&nodes.home)).await;
}

#[tokio::test]
async fn a_node_that_cannot_take_a_connection_on_leaves_the_client_not_logged_in() {
    let nodes = Nodes::with(SessionLimitSettings { per_account: 1, ..Default::default() }).await;
    let mut client = nodes.entry.connect().await;
    for home in [Home::Gone, Home::Says(None), Home::Says(Some(1)), Home::Node(nodes.entry.shared.clone())] {
        *nodes.to.home.lock().unwrap() = home;
        client.fails("LOGIN alice secret", "NO [UNAVAILABLE] ").await;
        client.fails("SELECT INBOX", "BAD ").await;
    }
    *nodes.to.home.lock().unwrap() = Home::Node(nodes.home.shared.clone());
    let _other = nodes.entry.login().await;
    client.fails("LOGIN alice secret", "NO [LIMIT] ").await;
    client.ok("LOGIN bob secret").await;
    client.ok("SELECT INBOX").await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_gets_what_it_asked_for() {
    let nodes = Nodes::start().await;
    let mut client = nodes.entry.login().await;
    client.send("a SELECT INBOX\r\nb NOOP\r\n").await;
    client.stream.shutdown().await.unwrap();
    assert!(client.answer("b").await.tagged.starts_with("OK "));
    client.ends().await;
}
