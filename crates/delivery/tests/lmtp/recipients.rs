//! Who gets a message, and in which mailbox.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use paquebot_auth::{Access, Cost, CredentialSource, Credentials, Found, Scheme, SourceError, UserName};
use paquebot_delivery::{Addresses, Config, FirstOf, LocalUsers, SourceUsers, StoredUsers};
use paquebot_types::MailboxName;

use crate::support::{Server, config, settle};

#[tokio::test]
async fn unknown_users_are_refused_and_the_others_get_their_message() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client
        .talk(&[
            ("MAIL FROM:<carl@example.net>", "250"),
            ("RCPT TO:<nobody@example.org>", "550 5.1.1"),
            ("RCPT TO:<bob@example.org>", "250 2.1.5"),
            ("RCPT TO:<bob@example.com>", "550 5.1.1"),
            ("RCPT TO:<bob>", "550 5.1.1"),
            ("RCPT TO:<anna@wherever.example>", "250 2.1.5"),
            ("RCPT TO:<\"\"@example.org>", "501 5.1.3"),
            ("RCPT TO:<%u%{env:HOME}@example.org>", "501 5.1.3"),
            ("RCPT TO:<../anna@example.org>", "501 5.1.3"),
            ("RCPT TO:<\"' OR 1=1\"@example.org>", "550 5.1.1"),
            ("RCPT TO:<@relay.example:ANNA@example.org>", "250 2.1.5"),
            ("DATA", "354"),
            ("x\r\n.", "250 2.0.0 <bob@example.org>"),
        ])
        .await;
    client.expect("250 2.0.0 <anna@wherever.example>").await;
    client.expect("250 2.0.0 <ANNA@example.org>").await;
    client.talk(&[("NOOP", "250 2.0.0 OK")]).await;
    client.leave().await;
    assert_eq!(server.messages("bob@example.org", "INBOX").await.len(), 1);
    assert_eq!(server.messages("anna", "INBOX").await.len(), 2);
    assert_eq!(server.shared.counters.unknown_users.load(Ordering::Relaxed), 4);
    assert_eq!(server.shared.counters.delivered.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_detail_names_a_mailbox_that_exists() {
    let server = Server::start(config()).await;
    let account = server.account("anna").await;
    for name in ["Lists", "Lists/Rust", "a+b"] {
        account.create(&MailboxName::new(name).unwrap(), &[]).await.unwrap();
    }
    let mut client = server.hello().await;
    let table = [
        ("anna+Lists", "Lists"),
        ("ANNA+Lists/Rust", "Lists/Rust"),
        ("anna+a+b", "a+b"),
        ("anna+lists", "INBOX"),
        ("anna+Lists/Go", "INBOX"),
        ("anna+inbox", "INBOX"),
        ("anna+", "INBOX"),
        ("anna+Lists/", "INBOX"),
        ("anna+*", "INBOX"),
        ("\"anna+../x\"", "INBOX"),
        ("\"anna+Lists/../../x\"", "INBOX"),
        ("anna+/etc/passwd", "INBOX"),
    ];
    for (local, mailbox) in table {
        let before = server.messages("anna", mailbox).await.len();
        let rcpt = format!("RCPT TO:<{local}@example.org>");
        client.talk(&[("MAIL FROM:<>", "250"), (&rcpt, "250"), ("DATA", "354"), ("x\r\n.", "250 2.0.0")]).await;
        let messages = server.messages("anna", mailbox).await;
        assert_eq!(messages.len(), before + 1, "{local}");
        let delivered_to = format!("Return-Path: <>\r\nDelivered-To: {local}@example.org\r\n");
        assert!(messages[before].starts_with(delivered_to.as_bytes()), "{local}");
    }
    client.leave().await;
}

#[tokio::test]
async fn delimiters_and_domains_can_be_chosen() {
    let addresses = Addresses { delimiters: "-".into(), local_users: LocalUsers::Domains(vec!["example.org".into()]) };
    let server = Server::start(Config { addresses, ..config() }).await;
    let mut client = server.hello().await;
    client
        .talk(&[
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<anna>", "250"),
            ("RCPT TO:<anna@Example.ORG>", "250"),
            ("RCPT TO:<anna@example.net>", "550 5.1.1"),
            ("RCPT TO:<anna+Sent@example.org>", "550 5.1.1"),
            ("RCPT TO:<anna-Sent@example.org>", "250"),
            ("RCPT TO:<bob-Sent@example.org>", "250"),
            ("DATA", "354"),
            ("x\r\n.", "250"),
        ])
        .await;
    for _ in 0..3 {
        client.expect("250").await;
    }
    client.leave().await;
    assert_eq!((server.messages("anna", "INBOX").await.len(), server.messages("anna", "Sent").await.len()), (2, 1));
    assert_eq!(server.messages("bob@example.org", "Sent").await.len(), 1);
}

#[tokio::test]
async fn each_recipient_has_a_message_with_his_own_fields_in_one_flush() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    for octets in [10, 10_000] {
        server.log.appends.store(0, Ordering::SeqCst);
        client.talk(&[("MAIL FROM:<a@b>", "250")]).await;
        let addresses: Vec<String> = (0..20).map(|number| format!("anna+{number}@example.org")).collect();
        for address in &addresses {
            client.talk(&[(&format!("RCPT TO:<{address}>"), "250")]).await;
        }
        client.talk(&[("DATA", "354")]).await;
        let body = [b"Subject: to many\r\n\r\n".to_vec(), vec![b'x'; octets], b"\r\n".to_vec()].concat();
        client.send(&[&body, b".\r\n".as_slice()].concat()).await;
        for address in &addresses {
            client.expect(&format!("250 2.0.0 <{address}>")).await;
        }
        assert_eq!(server.log.appends.load(Ordering::SeqCst), 1);
        let messages = server.messages("anna", "INBOX").await;
        for (message, address) in messages[messages.len() - 20..].iter().zip(&addresses) {
            let start = format!("Return-Path: <a@b>\r\nDelivered-To: {address}\r\nReceived: ");
            assert!(message.starts_with(start.as_bytes()) && message.ends_with(&body));
        }
    }
    client.leave().await;
}

#[tokio::test]
async fn a_large_message_goes_to_several() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("RCPT TO:<bob@example.org>", "250")]).await;
    client.talk(&[("RCPT TO:<anna+Junk>", "250"), ("DATA", "354")]).await;
    let line: Vec<u8> = (0..70u8).map(|n| b'0' + n % 60).chain(*b"\r\n").collect();
    let body = [b"Subject: large\r\n\r\n".to_vec(), line.repeat(40_000)].concat();
    client.send(&body).await;
    client.send(b".\r\n").await;
    for _ in 0..3 {
        client.expect("250 2.0.0").await;
    }
    for (account, mailbox) in [("anna", "INBOX"), ("bob@example.org", "INBOX"), ("anna", "Junk")] {
        let messages = server.messages(account, mailbox).await;
        assert!(messages.len() == 1 && messages[0].ends_with(&body), "{account} {mailbox}");
    }
    client.leave().await;
}

#[tokio::test]
async fn connections_share_flushes() {
    let server = Server::start(config()).await;
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = server.hello().await;
        client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
        clients.push(client);
    }
    // While the first append is on its way to the disk, all other messages arrive.
    let gate = server.log.gate.clone().write_owned().await;
    for client in &mut clients {
        client.send(b"x\r\n.\r\n").await;
    }
    settle().await;
    drop(gate);
    for mut client in clients {
        client.expect("250 2.0.0 <anna>").await;
        client.leave().await;
    }
    assert_eq!(server.message_count().await, 32);
    assert!(server.log.appends.load(Ordering::SeqCst) <= 2);
}

/// Knows carl, and breaks for mallory.
struct Elsewhere;

impl CredentialSource for Elsewhere {
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        match user.as_str() {
            "carl" => {
                let credentials = Credentials::from_hash("{PLAIN}secret", Scheme::Plain).unwrap();
                let access = Access { no_login: true, ..Access::default() };
                Ok(Some(Found { credentials, access }))
            }
            "mallory" => Err(SourceError { what: "the file is gone".into(), source: None }),
            _ => Ok(None),
        }
    }

    fn costs(&self) -> Vec<Cost> {
        Vec::new()
    }
}

#[tokio::test]
async fn users_of_another_source_get_an_account_with_their_first_message() {
    let server = Server::start_with(config(), |service| {
        let source = SourceUsers { service: service.clone(), source: Arc::new(Elsewhere) };
        Arc::new(FirstOf(vec![Arc::new(StoredUsers(service.clone())), Arc::new(source)]))
    })
    .await;
    // Somebody who once was in such a source, and is not any more: his login has no credentials.
    server.service.account_or_new("dora").await.unwrap();
    let mut client = server.hello().await;
    client
        .talk(&[
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<dora>", "550 5.1.1"),
            ("RCPT TO:<mallory>", "451 4.3.0"),
            ("RCPT TO:<anna>", "250"),
            ("RCPT TO:<carl+Junk>", "250"),
            ("DATA", "354"),
            ("x\r\n.", "250 2.0.0 <anna>"),
        ])
        .await;
    client.expect("250 2.0.0 <carl+Junk>").await;
    client.leave().await;
    assert_eq!(server.messages("carl", "Junk").await.len(), 1);
}

#[tokio::test]
async fn a_removed_user_gets_nothing() {
    let server = Server::start(config()).await;
    server.service.remove_login("anna").await.unwrap();
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "550 5.1.1")]).await;
    client.leave().await;
}
