//! TLS, and compression above it.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, tls};
use crate::server::Server;

#[tokio::test]
async fn what_follows_starttls_in_plain_text_is_dropped() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send("a STARTTLS\r\nb LOGIN alice secret\r\nc LOGIN {5}\r\n").await;
    assert!(client.line().await.starts_with("a OK "));
    let (stream, rest) = client.into_stream();
    assert!(rest.is_empty());
    let mut client = Client::over(Box::new(tls(stream).await));
    let capabilities = client.ok("CAPABILITY").await;
    assert_eq!(capabilities.untagged.len(), 1);
    let capabilities = &capabilities.untagged[0];
    assert!(!capabilities.contains("STARTTLS"), "{capabilities}");
    assert!(capabilities.contains("AUTH=SCRAM-SHA-256-PLUS"), "{capabilities}");
    client.fails("SELECT INBOX", "BAD ").await;
    client.fails("STARTTLS", "BAD ").await;
    client.ok("LOGIN alice secret").await;
}

#[tokio::test]
async fn implicit_tls_greets_under_tls() {
    let server = Server::start().await;
    let mut client = Client::connect_tls(server.tls).await;
    let greeting = client.line().await;
    assert!(greeting.starts_with("* OK [CAPABILITY ") && !greeting.contains("STARTTLS"), "{greeting}");
    client.ok("LOGIN alice secret").await;
    client.ok("LOGOUT").await;
}

#[tokio::test]
async fn a_client_hello_on_the_plain_port_is_told_so() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(b"\x16\x03\x01\x02\x00\x01\x00").await;
    let lines = client.ends().await;
    assert!(lines.len() == 1 && lines[0].starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn a_browser_is_turned_away() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN alice secret\r\n").await;
    let lines = client.ends().await;
    assert!(lines.len() == 1 && lines[0].starts_with("* BYE "), "{lines:?}");
}

#[tokio::test]
async fn compression_goes_both_ways_and_ends_with_unauthenticate() {
    let server = Server::start().await;
    server.fill(3).await;
    let mut client = server.login().await;
    client.ok("COMPRESS DEFLATE").await;
    let (mut stream, rest) = client.into_stream();
    assert!(rest.is_empty());
    let (mut deflate, mut inflate) = (Compress::new(Compression::fast(), false), Decompress::new(false));
    let commands = b"a SELECT INBOX\r\nb FETCH 1:3 BODY[]\r\nc COMPRESS DEFLATE\r\nd UNAUTHENTICATE\r\n";
    let mut compressed = Vec::with_capacity(1000);
    deflate.compress_vec(commands, &mut compressed, FlushCompress::Sync).unwrap();
    // In pieces, so that none of them is a whole block.
    for piece in compressed.chunks(7) {
        stream.write_all(piece).await.unwrap();
    }
    let mut plain = Vec::with_capacity(1 << 20);
    while !String::from_utf8_lossy(&plain).contains("\r\nd OK ") {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        inflate.decompress_vec(&buffer[..count], &mut plain, FlushDecompress::None).unwrap();
    }
    let text = String::from_utf8_lossy(&plain).into_owned();
    assert!(text.contains("This is message 3.\r\n") && text.contains("c NO [COMPRESSIONACTIVE] "), "{text}");
    let mut client = Client::over(stream);
    assert!(client.ok("CAPABILITY").await.untagged[0].contains("AUTH=PLAIN"));
}

#[tokio::test]
async fn a_broken_compressed_stream_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.login().await;
    client.ok("COMPRESS DEFLATE").await;
    client.send(b"\xff\xff\xff\xff\xff").await;
    client.ends().await;
}
