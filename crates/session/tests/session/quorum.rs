//! Sessions while the log takes no changes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paquebot_log::{AppendError, Body, BoxFuture, Feed, Log, LogError};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_model::Record;
use paquebot_types::{Sequence, ShardId};

use crate::server::Server;

/// Whether there is a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    There,
    /// Changes are refused, and nobody says what the last record is.
    Gone,
    /// The same, but it went while the change was on its way.
    Going,
}

/// The embedded log, as one that is elsewhere would look.
pub struct QuorumLog {
    pub inner: EmbeddedLog,
    pub quorum: Arc<Mutex<Quorum>>,
}

impl Log for QuorumLog {
    fn append(
        &self,
        shard: ShardId,
        record: Record,
        bodies: Vec<Body>,
    ) -> BoxFuture<'_, Result<Sequence, AppendError>> {
        let quorum = *self.quorum.lock().unwrap();
        match quorum {
            Quorum::There => self.inner.append(shard, record, bodies),
            Quorum::Gone => Box::pin(std::future::ready(Err(AppendError::Unavailable("no quorum".into())))),
            Quorum::Going => Box::pin(std::future::ready(Err(AppendError::Unknown("the connection broke".into())))),
        }
    }

    fn follow(&self, shard: ShardId, after: Sequence, feed: Feed) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.follow(shard, after, feed)
    }

    fn last(&self, shard: ShardId) -> BoxFuture<'_, Result<Sequence, LogError>> {
        match *self.quorum.lock().unwrap() {
            Quorum::There => self.inner.last(shard),
            _ => Box::pin(std::future::pending()),
        }
    }

    fn trim(&self, shard: ShardId, upto: Sequence) -> BoxFuture<'_, Result<(), LogError>> {
        self.inner.trim(shard, upto)
    }

    fn records_in_store(&self) -> bool {
        self.inner.records_in_store()
    }
}

#[tokio::test]
async fn without_a_quorum_reads_go_on_and_changes_are_unavailable() {
    let server = Server::start().await;
    server.fill(2).await;
    let mut idle = server.select().await;
    let idling = idle.start("IDLE").await;
    assert_eq!(idle.line().await, "+ idling");
    let mut client = server.select().await;
    *server.quorum.lock().unwrap() = Quorum::Gone;
    for change in [
        "STORE 1 +FLAGS (\\Flagged)",
        "COPY 1 Trash",
        "MOVE 1 Trash",
        "CREATE new",
        "RENAME Trash Old",
        "DELETE Trash",
        "SUBSCRIBE INBOX",
        "APPEND INBOX {4+}\r\n\r\nx\r\n",
    ] {
        client.fails(change, "NO [UNAVAILABLE] ").await;
    }
    assert!(client.ok("FETCH 1:2 (FLAGS BODY.PEEK[])").await.has_any("This is message 2"));
    // \Seen could not be set, and the body is given all the same.
    let fetch = client.ok("FETCH 1 (BODY[TEXT])").await;
    assert!(fetch.has_any("* NO [UNAVAILABLE] ") && fetch.has_any("This is message 1"), "{fetch:?}");
    let began = Instant::now();
    client.ok("SELECT INBOX").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // One has waited; whoever comes then does not. A login is no change.
    let began = Instant::now();
    for _ in 0..20 {
        client.ok("STATUS INBOX (MESSAGES)").await;
    }
    server.select().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    *server.quorum.lock().unwrap() = Quorum::There;
    client.ok("STORE 1 +FLAGS (\\Flagged)").await;
    assert!(idle.line().await.starts_with("* 1 FETCH "), "the session that idled is there and hears of it");
    idle.send("DONE\r\n").await;
    assert!(idle.answer(&idling).await.tagged.starts_with("OK "));
}

#[tokio::test]
async fn a_change_of_unknown_outcome_ends_the_connection() {
    let server = Server::start().await;
    server.fill(1).await;
    let mut client = server.select().await;
    *server.quorum.lock().unwrap() = Quorum::Going;
    let tag = client.start("STORE 1 +FLAGS (\\Flagged)").await;
    let said = client.ends().await;
    assert!(said.iter().any(|line| line.starts_with("* BYE ")) && !said.iter().any(|line| line.starts_with(&tag)));
}
