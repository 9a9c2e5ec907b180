//! What a client is told when its message cannot be stored, and when nobody can tell.

use std::sync::atomic::Ordering;

use paquebot_log::AppendError;

use crate::support::{Client, Server, config};

async fn send_to_three(client: &mut Client) {
    client
        .talk(&[
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<anna>", "250"),
            ("RCPT TO:<bob@example.org>", "250"),
            ("RCPT TO:<anna+Sent>", "250"),
            ("DATA", "354"),
        ])
        .await;
    client.send(b"x\r\n.\r\n").await;
}

#[tokio::test]
async fn what_was_not_done_is_told_to_each_recipient_and_can_be_tried_again() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    let faults = [(AppendError::Full, "452 4.3.1"), (AppendError::Unavailable("no quorum".into()), "451 4.3.0")];
    for (fault, reply) in faults {
        *server.log.fault.lock().unwrap() = Some(fault);
        send_to_three(&mut client).await;
        for _ in 0..3 {
            client.expect(reply).await;
        }
        assert_eq!(server.message_count().await, 0);
    }
    *server.log.fault.lock().unwrap() = None;
    send_to_three(&mut client).await;
    for _ in 0..3 {
        client.expect("250 2.0.0").await;
    }
    assert_eq!(server.message_count().await, 3);
    assert_eq!(server.shared.counters.not_delivered.load(Ordering::Relaxed), 6);
    client.leave().await;
}

#[tokio::test]
async fn an_unknown_outcome_is_never_answered() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    *server.log.fault.lock().unwrap() = Some(AppendError::Unknown("a sync failed".into()));
    send_to_three(&mut client).await;
    client.expect_end().await;
    assert_eq!(server.shared.counters.cut.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_was_stored_before_the_unknown_is_answered() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250")]).await;
    for _ in 0..3 {
        client.talk(&[("RCPT TO:<anna>", "250")]).await;
    }
    client.talk(&[("DATA", "354")]).await;
    // Each of these large messages is a batch of its own; the log fails once the first has been answered.
    client.send(&vec![b'x'; 2 << 20]).await;
    let gate = server.log.gate.clone().write_owned().await;
    client.send(b"\r\n.\r\n").await;
    let breaking = async {
        while server.log.appends.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        drop(gate);
        client.expect("250 2.0.0 <anna>").await;
        *server.log.fault.lock().unwrap() = Some(AppendError::Unknown("a sync failed".into()));
    };
    breaking.await;
    // The second may have been stored before the log failed; the third's outcome is unknown at the latest.
    let mut answered = 1;
    while client.line().await.is_some() {
        answered += 1;
    }
    client.leave().await;
    assert!(answered < 3);
    assert_eq!(server.message_count().await, answered);
}

#[tokio::test]
async fn a_mailbox_that_goes_meanwhile_is_no_loss() {
    let server = Server::start(config()).await;
    let junk = paquebot_types::MailboxName::new("Junk").unwrap();
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna+Junk>", "250"), ("DATA", "354")]).await;
    server.account("anna").await.delete(&junk).await.unwrap();
    client.talk(&[("x\r\n.", "250 2.0.0")]).await;
    assert_eq!(server.messages("anna", "INBOX").await.len(), 1);
    client.leave().await;
}
