//! APPEND.

use paquebot_auth::SessionLimitSettings;
use paquebot_protocol::Limits;
use paquebot_session::Config;

use crate::server::Server;

#[tokio::test]
async fn append_tells_the_uid_and_the_message_comes_back() {
    let server = Server::start().await;
    let mut client = server.select().await;
    client.send("a APPEND INBOX (\\Seen $x) \" 1-Jan-2020 00:00:00 +0100\" {11}\r\n").await;
    assert_eq!(client.line().await, "+ Go ahead");
    client.send("hello world\r\n").await;
    let answer = client.answer("a").await;
    assert!(answer.tagged.starts_with("OK [APPENDUID ") && answer.tagged.contains(" 1] "), "{answer:?}");
    assert!(answer.has("* 1 EXISTS") && answer.has("* 1 RECENT"), "{answer:?}");
    let fetch = client.ok("FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY[])").await;
    assert_eq!(
        fetch.untagged,
        [
            "* 1 FETCH (FLAGS (\\Seen $x \\Recent) INTERNALDATE \" 1-Jan-2020 00:00:00 +0100\" RFC822.SIZE 11 BODY[] {11}\r\nhello world)"
        ]
    );
}

#[tokio::test]
async fn many_messages_come_all_or_none() {
    let server = Server::start().await;
    let mut client = server.select().await;
    let answer = client.ok("APPEND INBOX {1+}\r\na (\\Seen) {1+}\r\nb {1+}\r\nc").await;
    assert!(answer.tagged.contains(" 1:3] ") && answer.has("* 3 EXISTS"), "{answer:?}");
    client.fails("APPEND INBOX {1+}\r\na {1+}\r\n\0", "BAD ").await;
    client.fails("APPEND INBOX {1+}\r\na {0+}\r\n", "NO [CANNOT] ").await;
    client.fails("APPEND INBOX {1+}\r\na nonsense", "BAD ").await;
    client.fails("APPEND INBOX {1+}\r\na (\\Nonsense) {3+}\r\nabc {1+}\r\nc", "BAD ").await;
    assert!(client.ok("NOOP").await.untagged.is_empty());
    let nul = client.ok("APPEND INBOX ~{3+}\r\na\0b").await;
    assert!(nul.tagged.contains(" 4] "), "{nul:?}");
}

#[tokio::test]
async fn a_refusal_comes_before_the_message_is_sent() {
    let limits = Limits { append_bytes: 1000, ..Limits::AFTER_LOGIN };
    let server = Server::with(Config { limits, ..Config::default() }, SessionLimitSettings::default()).await;
    let mut client = server.login().await;
    client.fails("APPEND nowhere {5}", "NO [TRYCREATE] ").await;
    client.fails("APPEND INBOX {1001}", "NO [TOOBIG] ").await;
    client.fails(&format!("APPEND INBOX {{1001+}}\r\n{}", "x".repeat(1001)), "NO [TOOBIG] ").await;
    client.fails("APPEND nowhere {5+}\r\nhello", "NO [TRYCREATE] ").await;
    client.fails(&format!("APPEND INBOX {{5+}}\r\nhello {{1001+}}\r\n{}", "x".repeat(1001)), "NO [TOOBIG] ").await;
    assert_eq!(client.ok("STATUS INBOX (MESSAGES)").await.untagged, ["* STATUS INBOX (MESSAGES 0)"]);
}

#[tokio::test]
async fn a_large_message_passes_in_pieces_and_others_do_not_wait() {
    let server = Server::start().await;
    let mut client = server.select().await;
    let mut other = server.select().await;
    const SIZE: usize = 8 << 20;
    client.send(format!("a APPEND INBOX {{{SIZE}+}}\r\n")).await;
    let piece: Vec<u8> = (0..64 << 10).map(|n: u32| b'a' + (n % 26) as u8).collect();
    for _ in 0..SIZE / piece.len() {
        client.send(&piece).await;
        other.ok("NOOP").await;
    }
    client.send("\r\n").await;
    assert!(client.answer("a").await.tagged.starts_with("OK [APPENDUID "));
    assert!(other.ok("NOOP").await.has("* 1 EXISTS"));
    let fetch = other.ok("FETCH 1 BODY.PEEK[]").await;
    let line = fetch.untagged.iter().find(|line| line.contains("FETCH")).unwrap();
    let whole = String::from_utf8(piece).unwrap().repeat(SIZE / (64 << 10));
    assert!(*line == format!("* 1 FETCH (BODY[] {{{SIZE}}}\r\n{whole})"));
}
