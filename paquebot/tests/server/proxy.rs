//! Load balancers that say whose connection it is.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::process::Running;

const LISTEN: &str = "listen = { imap = [\"127.0.0.1:0\"], imaps = [\"[::1]:0\"], lmtp = [\"127.0.0.1:0\"], \
    admin = [], proxy_from = [\"127.0.0.0/8\"] }\n";
/// From 203.0.113.9, with an addition of four octets.
const FROM_FAR: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xcb\0\x71\x09\x7f\0\0\x01\xc3\x50\0\x8f\x04\0\x01x";

fn started() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), LISTEN).unwrap();
    let server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    (folder, server)
}

/// Sends octets in these pieces, and reads the first line of what is said; nothing if the connection ends.
fn greeting(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for piece in pieces {
        stream.write_all(piece).unwrap();
        stream.flush().unwrap();
    }
    let mut line = String::new();
    // A reset is an end too.
    let _ = BufReader::new(stream).read_line(&mut line);
    line
}

#[test]
fn a_balancers_header_says_whose_connection_it_is() {
    let (_folder, server) = started();
    let imap = server.address("imap");
    let octets: Vec<&[u8]> = FROM_FAR.chunks(1).collect();
    for pieces in [&[FROM_FAR][..], &octets, &[b"PROXY TCP4 203.0.113.9 127.0.0.1 50000 143\r\n"]] {
        let greeting = greeting(imap, pieces);
        assert!(greeting.starts_with("* OK ") && greeting.contains("LOGINDISABLED"), "not from here: {greeting}");
    }
    for pieces in [&[&b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..]][..], &[b"PROXY UNKNOWN\r\n"]] {
        let greeting = greeting(imap, pieces);
        assert!(greeting.starts_with("* OK ") && !greeting.contains("LOGINDISABLED"), "the balancer's own: {greeting}");
    }
    assert!(greeting(server.address("lmtp"), &[FROM_FAR]).starts_with("220 "));
}

#[test]
fn a_balancers_connection_without_a_header_that_can_be_read_is_refused() {
    let (_folder, server) = started();
    let oversized = [&FROM_FAR[..14], &[0xff; 3000]].concat();
    let wrong_family = [&FROM_FAR[..13], &[0x12], &FROM_FAR[14..]].concat();
    for bad in [&b"a NOOP\r\nb NOOP\r\n"[..], &oversized, &wrong_family, b"PROXY TCP4 203.0.113.9 127.0.0.1 x 143\r\n"]
    {
        for kind in ["imap", "lmtp"] {
            assert_eq!(greeting(server.address(kind), &[bad]), "", "{kind} {}", bad.escape_ascii());
        }
    }
    // Who is not named sends none, and is not believed: here it is the beginning of no TLS handshake.
    let mut stream = TcpStream::connect(server.address("imaps")).unwrap();
    stream.write_all(FROM_FAR).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(!said.starts_with(b"* OK"));
}
