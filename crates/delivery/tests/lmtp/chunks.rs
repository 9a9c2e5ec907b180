//! Messages by BDAT (RFC 3030).

use crate::support::{Server, config};

#[tokio::test]
async fn chunks_are_put_together_octet_by_octet() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("RCPT TO:<bob@example.org>", "250")]).await;
    client.send(b"BDAT 12\r\n\0\r\n.\r\n..\r\n\xff\r").await;
    client.expect("250 2.0.0 12 octets received").await;
    client.talk(&[("NOOP", "250"), ("RCPT TO:<anna>", "503"), ("DATA", "503"), ("MAIL FROM:<>", "503")]).await;
    client.send(b"BDAT 2\r\n\nxBDAT 0 LAST\r\n").await;
    client.expect("250 2.0.0 2 octets received").await;
    client.expect("250 2.0.0 <anna>").await;
    client.expect("250 2.0.0 <bob@example.org>").await;
    for account in ["anna", "bob@example.org"] {
        let messages = server.messages(account, "INBOX").await;
        assert!(messages[0].ends_with(b" +0000\r\n\0\r\n.\r\n..\r\n\xff\r\nx"));
    }
    client.talk(&[("BDAT 0 LAST", "503 5.5.1")]).await;
    client.leave().await;
}

#[tokio::test]
async fn chunks_that_cannot_be_taken_are_passed_over() {
    let server = Server::start(config()).await;
    let mut client = server.connect().await;
    // In each case what follows the chunk is a command again.
    client
        .send(b"BDAT 6 LAST\r\nQUIT\r\nLHLO x\r\nBDAT 6\r\nQUIT\r\nMAIL FROM:<>\r\nBDAT 6\r\nQUIT\r\nRCPT TO:<no>\r\n")
        .await;
    client.send(b"BDAT 100000 LAST\r\n").await;
    client.send(&[b'\n'; 100_000]).await;
    for reply in ["503 5.5.1", "250 CHUNKING", "503 5.5.1", "250 2.1.0", "503 5.5.1", "550 5.1.1", "503 5.5.1"] {
        client.expect(reply).await;
    }
    client.talk(&[("NOOP", "250")]).await;
    client.leave().await;
    assert_eq!(server.message_count().await, 0);
}

#[tokio::test]
async fn reset_ends_a_message_in_chunks() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250")]).await;
    client.send(b"BDAT 300000\r\n").await;
    client.send(&[b'x'; 300_000]).await;
    client.expect("250 2.0.0").await;
    client.talk(&[("RSET", "250 2.0.0")]).await;
    assert_eq!(server.staged_files(), 0);
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("BDAT 3 LAST\r\ny", "250 2.0.0 <anna>")]).await;
    let messages = server.messages("anna", "INBOX").await;
    assert!(messages.len() == 1 && messages[0].ends_with(b" +0000\r\ny\r\n"));
    client.leave().await;
}

#[tokio::test]
async fn a_message_too_large_is_refused_for_each_recipient_and_leaves_nothing() {
    let server = Server::start(paquebot_delivery::Config { message_bytes_max: 1000, ..config() }).await;
    let mut client = server.hello().await;
    let begin = [("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("RCPT TO:<bob@example.org>", "250")];
    client.talk(&begin).await;
    client.send(b"BDAT 600\r\n").await;
    client.send(&[b'x'; 600]).await;
    client.expect("250 2.0.0").await;
    client.send(b"BDAT 401\r\n").await;
    client.send(&[b'x'; 401]).await;
    client.expect("552 5.3.4").await;
    client.talk(&[("BDAT 3 LAST\r\nx", "503 5.5.1"), ("DATA", "503 5.5.1"), ("RSET", "250")]).await;
    client.talk(&begin).await;
    client.send(b"BDAT 1001 LAST\r\n").await;
    client.send(&[b'x'; 1001]).await;
    client.expect("552 5.3.4").await;
    client.expect("552 5.3.4").await;
    // By DATA, where nobody announces it; and exactly as much as is taken, dots and fields not counted.
    client.talk(&begin).await;
    client.talk(&[("DATA", "354")]).await;
    client.send(&[&[b'x'; 999], b"\r\n.\r\n".as_slice()].concat()).await;
    client.expect("552 5.3.4").await;
    client.expect("552 5.3.4").await;
    assert_eq!(server.message_count().await, 0);
    client.talk(&begin).await;
    client.talk(&[("DATA", "354")]).await;
    client.send(&[[b'.'; 999].as_slice(), b"\r\n.\r\n"].concat()).await;
    client.expect("250 2.0.0 <anna>").await;
    client.expect("250 2.0.0 <bob@example.org>").await;
    assert_eq!(server.message_count().await, 2);
    client.leave().await;
}
