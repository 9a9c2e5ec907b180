//! The server stops: what has begun to come is finished, all else is told to come again.

use crate::support::{Server, config};

#[tokio::test]
async fn a_message_that_comes_is_finished() {
    let server = Server::start(config()).await;
    let (mut idle, mut with_sender, mut sending) = (server.hello().await, server.hello().await, server.hello().await);
    let mut in_chunk = server.hello().await;
    with_sender.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250")]).await;
    sending.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
    in_chunk.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<bob@example.org>", "250")]).await;
    in_chunk.send(b"BDAT 4 LAST\r\nx").await;
    // The session has to be at its chunk, and not before it.
    crate::support::settle().await;
    server.stop.send(true).unwrap();
    for client in [&mut idle, &mut with_sender] {
        client.expect("421 4.3.2").await;
    }
    sending.send(b"x\r\n.\r\n").await;
    sending.expect("250 2.0.0 <anna>").await;
    sending.expect("421 4.3.2").await;
    in_chunk.send(b"\r\nx").await;
    in_chunk.expect("250 2.0.0 <bob@example.org>").await;
    in_chunk.expect("421 4.3.2").await;
    for client in [idle, with_sender, sending, in_chunk] {
        client.expect_end().await;
    }
    assert_eq!(server.message_count().await, 2);
}

#[tokio::test]
async fn a_session_goes_on_when_nobody_can_stop_it() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    drop(server.stop);
    client.talk(&[("NOOP", "250"), ("QUIT", "221")]).await;
    client.expect_end().await;
}
