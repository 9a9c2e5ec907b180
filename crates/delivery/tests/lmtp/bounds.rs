//! Hostile clients: each has its bound, and a neighbour is served all the while. The clock is the test's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use paquebot_delivery::Config;

use crate::support::{FOREVER, Server, config};

#[tokio::test]
async fn recipients_have_a_bound() {
    let server = Server::start(Config { recipients_max: 1000, ..config() }).await;
    let (mut client, mut neighbour) = (server.hello().await, server.hello().await);
    client.talk(&[("MAIL FROM:<>", "250")]).await;
    for number in 0..5000 {
        let reply = if number < 1000 { "250 2.1.5" } else { "452 4.5.3" };
        client.talk(&[("RCPT TO:<anna>", reply)]).await;
    }
    neighbour.talk(&[("NOOP", "250")]).await;
    client.talk(&[("DATA", "354"), ("x\r\n.", "250 2.0.0 <anna>")]).await;
    for _ in 1..1000 {
        client.expect("250 2.0.0 <anna>").await;
    }
    client.talk(&[("NOOP", "250 2.0.0 OK")]).await;
    assert_eq!(server.messages("anna", "INBOX").await.len(), 1000);
    client.leave().await;
    neighbour.leave().await;
}

#[tokio::test]
async fn lines_that_are_none_end_the_connection() {
    let server = Server::start(config()).await;
    let table: [(Vec<u8>, &str); 7] = [
        (vec![b'x'; 100_000], "500 5.5.2 The line is too long"),
        (b"NOOP\nMAIL FROM:<>\r\n".to_vec(), "500 5.5.2 Lines end in CRLF"),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\nLHLO x\r\n".to_vec(), "500 5.5.1"),
        (b"\x16\x03\x01\x02\x00\x01\r\n".to_vec(), "500 5.5.2"),
        (b"NOOP\r\n".iter().copied().chain(b"?\r\n".repeat(20)).collect(), "421 4.7.0"),
        ([b"NOOP ".to_vec(), vec![b'a'; 5000], b"\r\n".to_vec()].concat(), "500 5.5.2"),
        (b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna>\r\nDATA\nQUIT\r\n".to_vec(), "500 5.5.2"),
    ];
    for (octets, last) in table {
        let mut client = server.connect().await;
        client.try_send(&octets).await;
        let mut lines = Vec::new();
        while let Some(line) = client.line().await {
            lines.push(line);
        }
        assert!(lines.last().unwrap().starts_with(last), "{lines:?}");
        client.leave().await;
    }
    assert_eq!(server.message_count().await, 0);
}

#[tokio::test]
async fn a_message_without_end_is_cut() {
    let bounds = Config { message_bytes_max: 100_000, drain_bytes_max: 200_000, ..config() };
    let server = Server::start(bounds).await;
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
    let mut sent = 0;
    while sent < 10_000_000 && client.try_send(&[b'x'; 10_000]).await {
        sent += 10_000;
    }
    assert!(sent < 1_000_000);
    client.leave().await;

    let mut client = server.hello().await;
    client.talk(&[("BDAT 18446744073709551615 LAST", "552 5.3.4")]).await;
    client.expect_end().await;
    assert_eq!((server.message_count().await, server.staged_files()), (0, 0));
    assert_eq!(server.shared.counters.cut.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn connections_have_a_bound() {
    let server = Server::start(Config { connections_max: 2, ..config() }).await;
    let (first, second) = (server.connect().await, server.connect().await);
    let mut third = server.connect_silently();
    third.expect("421 4.3.2").await;
    third.expect_end().await;
    first.leave().await;
    server.connect().await.leave().await;
    second.leave().await;
}

#[tokio::test]
async fn who_says_nothing_is_told_to_go() {
    let server = Server::start(config()).await;
    let (mut mute, mut dripping) = (server.connect().await, server.hello().await);
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    mute.expect("421 4.4.2").await;
    mute.expect_end().await;
    assert!(begin.elapsed() < Duration::from_secs(5 * 60 + 2));
    // An octet now and then is no line.
    let begin = tokio::time::Instant::now();
    while dripping.try_send(b"x").await && begin.elapsed() < FOREVER {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(7 * 60));
    dripping.expect("421 4.4.2").await;
    dripping.leave().await;
}

#[tokio::test]
async fn a_message_that_drips_is_cut_in_the_end() {
    let server = Server::start(config()).await;
    let mut silent = server.hello().await;
    let mut dripping = server.hello().await;
    for client in [&mut silent, &mut dripping] {
        client.talk(&[("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
    }
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    silent.send(b"Subject: x\r\n").await;
    silent.expect("421 4.4.2").await;
    assert!(begin.elapsed() < Duration::from_secs(3 * 60 + 2));
    silent.leave().await;
    let begin = tokio::time::Instant::now();
    while dripping.try_send(b"x").await && begin.elapsed() < FOREVER {
        tokio::time::sleep(Duration::from_secs(120)).await;
    }
    assert!(begin.elapsed() < Duration::from_secs(65 * 60));
    dripping.expect("421 4.4.2").await;
    dripping.leave().await;
    assert_eq!(server.message_count().await, 0);
}

#[tokio::test]
async fn who_does_not_read_is_cut() {
    let server = Server::start(Config { write_timeout: Duration::from_secs(60), ..config() }).await;
    let mut client = server.hello().await;
    let mut neighbour = server.hello().await;
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let mut sent = 0;
    while client.try_send(&b"NOOP\r\n".repeat(1000)).await {
        sent += 1000;
        assert!(sent < 200_000, "replies that nobody reads pile up");
    }
    assert!(begin.elapsed() <= Duration::from_secs(62));
    neighbour.talk(&[("QUIT", "221")]).await;
    client.leave().await;
    assert_eq!(server.shared.counters.cut.load(Ordering::Relaxed), 1);
}
