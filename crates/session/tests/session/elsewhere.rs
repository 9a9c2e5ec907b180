//! Bodies that are not on this machine, or damaged here, and are fetched when they are read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use paquebot_mailbox::{BodySource, FetchError, Fetching, Wanted};
use paquebot_store::{Fetched, Store};
use paquebot_types::{BlobHash, MailboxName};

use crate::bodies::{damage, text};
use crate::client::Client;
use crate::server::Server;

/// Another machine, with all bodies that it was given.
struct Elsewhere {
    store: Arc<Store>,
    bodies: Mutex<HashMap<BlobHash, Vec<u8>>>,
    asked: Mutex<Vec<Wanted>>,
    is_up: Mutex<bool>,
}

impl BodySource for Elsewhere {
    fn fetch(&self, wanted: Wanted) -> Fetching<'_> {
        self.asked.lock().unwrap().push(wanted);
        Box::pin(async move {
            if !*self.is_up.lock().unwrap() {
                return Err(FetchError("nobody answers".into()));
            }
            let body = self.bodies.lock().unwrap().get(&wanted.hash).cloned();
            let body = body.ok_or_else(|| FetchError("nobody has it".into()))?;
            self.store.place(&[(wanted, Fetched::Bytes(&body))]).unwrap();
            Ok(())
        })
    }
}

impl Elsewhere {
    fn beside(server: &Server) -> Arc<Self> {
        let store = server.shared.service.store().clone();
        let elsewhere = Self { store, bodies: Mutex::default(), asked: Mutex::default(), is_up: Mutex::new(true) };
        let elsewhere = Arc::new(elsewhere);
        server.shared.service.set_body_source(elsewhere.clone());
        elsewhere
    }

    /// Appends a message to INBOX, and keeps a copy of it.
    async fn append(&self, client: &mut Client, message: &str) {
        client.append("INBOX", message).await;
        let hash = BlobHash(*blake3::hash(message.as_bytes()).as_bytes());
        self.bodies.lock().unwrap().insert(hash, message.as_bytes().to_vec());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Takes every body away from the server, as if it had just joined.
    async fn take_all(&self, server: &Server) {
        let account = server.shared.service.account("alice").await.unwrap().unwrap();
        let (shard, id) = account.id();
        let mailbox = account.mailbox_named(&MailboxName::new("INBOX").unwrap()).unwrap().unwrap();
        for message in account.open(mailbox).unwrap().unwrap().current().messages.iter() {
            let reader = account.reader().unwrap();
            let hash = reader.blob(message.blob, |row| row.hash).unwrap();
            let wanted = Wanted { shard, account: id, blob: message.blob, hash };
            assert!(self.store.doubt(&wanted, reader.location(message.blob).unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_here_yet_is_fetched_and_read() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::beside(&server);
    let mut client = server.select().await;
    for number in 1..=3 {
        elsewhere.append(&mut client, &format!("Subject: number {number}\r\nX-N: {number}\r\n\r\nbody {number}")).await;
    }
    elsewhere.append(&mut client, &format!("X-Large: yes\r\n\r\n{}", text(400_000))).await;
    elsewhere.take_all(&server).await;
    // What the index has needs no body.
    client.ok("FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)").await;
    client.ok("COPY 1:* Trash").await;
    assert_eq!(elsewhere.asked(), 0);
    assert_eq!(client.ok("SEARCH HEADER X-N 2").await.untagged, ["* SEARCH 2"]);
    elsewhere.take_all(&server).await;
    assert_eq!(client.ok("SEARCH BODY \"body 3\"").await.untagged, ["* SEARCH 3"]);
    elsewhere.take_all(&server).await;
    let before = elsewhere.asked();
    let fetch = client.ok("FETCH 1:4 (BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (X-N)] BINARY.SIZE[1])").await;
    assert_eq!(fetch.untagged.len(), 4);
    assert!(fetch.has_any("body 1") && fetch.has_any(&text(400_000)));
    assert_eq!(elsewhere.asked(), before + 4, "each once");
    client.ok("FETCH 1:4 BODY.PEEK[]").await;
    assert_eq!(elsewhere.asked(), before + 4);
}

#[tokio::test]
async fn what_cannot_be_fetched_is_unavailable_and_the_rest_is_given() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::beside(&server);
    let mut client = server.select().await;
    for number in 1..=6 {
        elsewhere.append(&mut client, &format!("Subject: {number}\r\n\r\nbody {number}")).await;
    }
    elsewhere.take_all(&server).await;
    client.ok("FETCH 2 BODY.PEEK[]").await;
    *elsewhere.is_up.lock().unwrap() = false;
    let before = elsewhere.asked();
    let fetch = client.fails("FETCH 1:6 (UID BODY.PEEK[TEXT])", "NO [UNAVAILABLE] ").await;
    assert!(fetch.has("* 2 FETCH (UID 2 BODY[TEXT] {6}\r\nbody 2)") && fetch.has("* 3 FETCH (UID 3)"), "{fetch:?}");
    assert_eq!(elsewhere.asked(), before + 2, "a machine that does not answer is not asked for each of thousands");
    let search = client.fails("SEARCH BODY body", "NO [UNAVAILABLE] ").await;
    assert!(search.untagged.is_empty(), "{search:?}");
    *elsewhere.is_up.lock().unwrap() = true;
    assert_eq!(client.ok("SEARCH BODY body").await.untagged, ["* SEARCH 1 2 3 4 5 6"]);
}

#[tokio::test]
async fn a_damaged_body_is_fetched_and_read() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::beside(&server);
    let mut client = server.select().await;
    let body = format!("{} the small end", "x".repeat(300));
    elsewhere.append(&mut client, &format!("Subject: small\r\n\r\n{body}")).await;
    assert!(damage(server.data(), "the small end"));
    assert!(client.ok("FETCH 1 (BODY.PEEK[TEXT])").await.has_any(&body));
    assert!(damage(server.data(), "the small end"));
    assert_eq!(client.ok("SEARCH BODY \"small end\"").await.untagged, ["* SEARCH 1"]);
    assert_eq!(elsewhere.asked(), 2);
}

#[tokio::test]
async fn a_large_body_damaged_at_its_end_is_sent_on_from_another_machines_copy() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::beside(&server);
    let mut client = server.select().await;
    let message = format!("\r\n{}the end", text(400_000));
    elsewhere.append(&mut client, &message).await;
    assert!(damage(server.data(), "the end"));
    let fetch = client.ok("FETCH 1 (BODY.PEEK[])").await;
    assert_eq!(fetch.untagged, [format!("* 1 FETCH (BODY[] {{{}}}\r\n{message})", message.len())]);
    assert_eq!(elsewhere.asked(), 1);
    client.ok("NOOP").await;
}

#[tokio::test]
async fn a_large_body_of_which_wrong_octets_are_out_is_never_sent_to_its_end_and_right_the_next_time() {
    let server = Server::start().await;
    let elsewhere = Elsewhere::beside(&server);
    let mut client = server.select().await;
    let message = format!("\r\n{}the middle\r\n{}the end", text(100_000), text(300_000));
    elsewhere.append(&mut client, &message).await;
    assert!(damage(server.data(), "the middle"));
    client.start("FETCH 1 (BODY.PEEK[])").await;
    let lines = client.ends().await;
    assert!(lines.iter().all(|line| !line.contains("the end") && !line.starts_with('t')), "{}", lines.len());
    assert!(server.select().await.ok("FETCH 1 (BODY.PEEK[])").await.has_any(&message));
}
