//! Messages by DATA: what is stored, byte for byte, and what never is.

use proptest::prelude::*;

use crate::support::{Server, config};

/// The part of a stored message after the fields that delivery wrote.
fn received(stored: &[u8]) -> &[u8] {
    let end = stored.windows(8).position(|octets| octets == b" +0000\r\n").unwrap();
    &stored[end + 8..]
}

#[tokio::test]
async fn a_message_is_stored_with_its_trace() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client
        .talk(&[
            ("MAIL FROM:<carl@example.net> SIZE=40 BODY=8BITMIME", "250 2.1.0 "),
            ("RCPT TO:<Bob@Example.org>", "250 2.1.5 "),
            ("DATA", "354 "),
        ])
        .await;
    client.send(b"Return-Path: <forged@x>\r\nSubject: x\r\n\r\n..dots\r\n.\r\n").await;
    let reply = client.expect("250 2.0.0 <Bob@Example.org> ").await;
    let id = reply.split(' ').nth(3).unwrap();
    client.talk(&[("QUIT", "221 2.0.0 ")]).await;
    client.expect_end().await;

    let messages = server.messages("bob@example.org", "INBOX").await;
    let text = String::from_utf8(messages[0].clone()).unwrap();
    let start = format!(
        "Return-Path: <carl@example.net>\r\nDelivered-To: Bob@Example.org\r\nReceived: from client.example\r\n\
         \tby mail.example with LMTP\r\n\tid {id}\r\n\tfor <Bob@Example.org>; "
    );
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(received(&messages[0]), b"Subject: x\r\n\r\n.dots\r\n");
    assert_eq!(messages.len(), 1);
}

#[tokio::test]
async fn everything_in_one_packet_works() {
    let server = Server::start(config()).await;
    let mut client = server.connect_silently();
    client
        .send(
            b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna>\r\nRCPT TO:<nobody>\r\nDATA\r\nA: 1\r\n\r\none\r\n.\r\n\
              MAIL FROM:<a@b>\r\nRCPT TO:<anna>\r\nBDAT 4\r\nB: 2BDAT 7 LAST\r\n\r\n\r\ntwoRSET\r\n\
              MAIL FROM:<a@b>\r\nRCPT TO:<nobody>\r\nDATA\r\nQUIT\r\n",
        )
        .await;
    for reply in ["220 ", "250 CHUNKING", "250 2.1.0", "250 2.1.5", "550 5.1.1", "354 ", "250 2.0.0 <anna>"] {
        client.expect(reply).await;
    }
    for reply in ["250 2.1.0", "250 2.1.5", "250 2.0.0 4 octets", "250 2.0.0 <anna>", "250 2.0.0 "] {
        client.expect(reply).await;
    }
    for reply in ["250 2.1.0", "550 5.1.1", "503 5.5.1", "221 2.0.0"] {
        client.expect(reply).await;
    }
    client.expect_end().await;
    let messages = server.messages("anna", "INBOX").await;
    assert!(messages[0].starts_with(b"Return-Path: <>\r\n"));
    assert_eq!(received(&messages[0]), b"A: 1\r\n\r\none\r\n");
    assert_eq!(received(&messages[1]), b"B: 2\r\n\r\ntwo");
    assert_eq!(messages.len(), 2);
}

#[tokio::test]
async fn smuggled_ends_are_data() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    for end in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r.\r\n"] {
        client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
        let smuggled = "MAIL FROM:<evil@x>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: evil\r\n";
        client.send(format!("Subject: a\r\n\r\nx{end}{smuggled}.\r\n").as_bytes()).await;
        client.expect("250 2.0.0 <anna>").await;
        client.talk(&[("NOOP", "250 2.0.0 OK")]).await;
        let messages = server.messages("anna", "INBOX").await;
        // A dot at the start of a line was stuffed there, whatever comes after it.
        let kept = end.replace("\r\n.", "\r\n");
        let expected = format!("Subject: a\r\n\r\nx{kept}{smuggled}");
        assert_eq!(String::from_utf8_lossy(received(messages.last().unwrap())), expected);
    }
    assert!(server.messages("bob@example.org", "INBOX").await.is_empty());
    client.leave().await;
}

#[tokio::test]
async fn any_octets_are_kept_as_they_came() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    let all: Vec<u8> = (0..=255).collect();
    let bodies = [b"".to_vec(), all, b"\0\0\n\r\0\r\n".to_vec(), b"no header at all\r\n".to_vec(), vec![b'x'; 300_000]];
    for body in &bodies {
        client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
        let line_end: &[u8] = if body.is_empty() { b"" } else { b"\r\n" };
        client.send(&[body, line_end, b".\r\n"].concat()).await;
        client.expect("250 2.0.0 <anna>").await;
        let messages = server.messages("anna", "INBOX").await;
        assert_eq!(received(messages.last().unwrap()), [body, line_end].concat());
    }
    client.leave().await;
}

#[tokio::test]
async fn a_connection_that_is_lost_leaves_nothing() {
    let server = Server::start(config()).await;
    // A small message, one that is on disk in part, and one that lacks its last octet.
    for octets in [100, 1_000_000] {
        for end in ["", "\r\n.\r"] {
            let mut client = server.hello().await;
            client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
            client.send(&vec![b'x'; octets]).await;
            client.send(end.as_bytes()).await;
            client.leave().await;
        }
    }
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250")]).await;
    client.send(b"BDAT 500000\r\n").await;
    client.send(&vec![b'x'; 500_000]).await;
    client.expect("250 2.0.0 500000").await;
    client.send(b"BDAT 500000 LAST\r\nxx").await;
    client.leave().await;
    assert_eq!((server.message_count().await, server.staged_files()), (0, 0));
}

#[tokio::test]
async fn reset_forgets_the_transaction_and_a_session_has_many() {
    let server = Server::start(config()).await;
    let mut client = server.hello().await;
    client
        .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("RSET", "250 2.0.0"), ("DATA", "503 5.5.1")])
        .await;
    for _ in 0..3 {
        client
            .talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354"), ("x\r\n.", "250 2.0.0")])
            .await;
    }
    assert_eq!(server.message_count().await, 3);
    client.leave().await;
}

#[tokio::test]
async fn smtputf8_lets_addresses_through() {
    let server = Server::start(config()).await;
    let account = server.account("anna").await;
    account.create(&paquebot_types::MailboxName::new("Été").unwrap(), &[]).await.unwrap();
    let mut client = server.hello().await;
    client
        .talk(&[
            ("MAIL FROM:<josé@example.org>", "553 5.6.7"),
            ("MAIL FROM:<josé@example.org> SMTPUTF8", "250"),
            ("RCPT TO:<anna+Été@exämple.org>", "250"),
            ("DATA", "354"),
            ("x\r\n.", "250 2.0.0 <anna+Été@exämple.org>"),
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<anna+Été@exämple.org>", "553 5.6.7"),
        ])
        .await;
    let messages = server.messages("anna", "Été").await;
    let start = "Return-Path: <josé@example.org>\r\nDelivered-To: anna+Été@exämple.org\r\n";
    assert!(messages[0].starts_with(start.as_bytes()));
    assert!(String::from_utf8_lossy(&messages[0]).contains(" with UTF8LMTP\r\n"));
    client.leave().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_session_does_not_depend_on_how_it_is_cut(sizes in prop::collection::vec(1usize..40, 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start(config()).await;
            let mut client = server.connect_silently();
            let session: &[u8] = b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna>\r\nDATA\r\nA: 1\r\nReturn-Path: <x>\r\n\r\n..\r\n\r\n.\n\r\n.\r\n\
                MAIL FROM:<>\r\nRCPT TO:<anna>\r\nBDAT 3\r\n.\r\nBDAT 5 LAST\r\n\r\n.\r\nQUIT\r\n";
            let (mut rest, mut sizes) = (session, sizes.iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                client.send(piece).await;
                rest = after;
                tokio::task::yield_now().await;
            }
            for reply in ["220", "250", "250", "250", "354", "250", "250", "250", "250", "250", "221"] {
                client.expect(reply).await;
            }
            client.expect_end().await;
            let messages = server.messages("anna", "INBOX").await;
            assert_eq!(received(&messages[0]), b"A: 1\r\n\r\n.\r\n\r\n\n\r\n");
            assert_eq!(received(&messages[1]), b".\r\n\r\n.\r\n");
        });
    }
}
