//! What a client delivers again because it did not hear of the first time is there once.

use std::sync::atomic::Ordering;

use crate::support::{Client, Server, config};

const RETRY: &[u8] = b"Received: by mx id 1\r\nSubject: x\r\n\r\nbody\r\n.\r\n";

async fn deliver(client: &mut Client, recipients: &[&str], message: &[u8]) {
    client.talk(&[("MAIL FROM:<carl@example.net>", "250 2.1.0 ")]).await;
    for recipient in recipients {
        client.talk(&[(&format!("RCPT TO:<{recipient}>"), "250 2.1.5 ")]).await;
    }
    client.talk(&[("DATA", "354 ")]).await;
    client.send(message).await;
    for recipient in recipients {
        client.expect(&format!("250 2.0.0 <{recipient}> ")).await;
    }
}

#[tokio::test]
async fn a_delivery_tried_again_is_there_once_for_each_recipient() {
    let server = Server::start(config()).await;
    for recipients in [&["anna"][..], &["bob@example.org", "anna"], &["anna", "bob@example.org"]] {
        // Another connection, as after one that was cut.
        let mut client = server.hello().await;
        deliver(&mut client, recipients, RETRY).await;
    }
    for account in ["anna", "bob@example.org"] {
        assert_eq!(server.messages(account, "INBOX").await.len(), 1, "{account}");
    }
    assert_eq!(server.shared.counters.repeated.load(Ordering::Relaxed), 3);
    assert_eq!(server.shared.counters.delivered.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn what_differs_or_cannot_be_told_is_delivered_each_time() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    let other = b"Received: by mx id 2\r\nSubject: x\r\n\r\nbody\r\n.\r\n";
    let unnamed = b"Message-ID: <1@x>\r\nSubject: x\r\n\r\nbody\r\n.\r\n";
    for message in [RETRY, other, unnamed, unnamed] {
        deliver(&mut client, &["anna"], message).await;
    }
    assert_eq!(server.messages("anna", "INBOX").await.len(), 4);
    // Another address of the same user is another delivery: her mailboxes may be told apart by it.
    deliver(&mut client, &["anna+x"], RETRY).await;
    assert_eq!(server.messages("anna", "INBOX").await.len(), 5);
    assert_eq!(server.shared.counters.repeated.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_large_message_is_known_again_too() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    let large = [b"Received: by mx id 1\r\n\r\n", "x\r\n".repeat(200_000).as_bytes(), b".\r\n"].concat();
    for _ in 0..2 {
        deliver(&mut client, &["anna", "bob@example.org"], &large).await;
    }
    for account in ["anna", "bob@example.org"] {
        assert_eq!(server.messages(account, "INBOX").await.len(), 1, "{account}");
    }
}
