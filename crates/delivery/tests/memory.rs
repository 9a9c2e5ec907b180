//! Memory while a large message comes and is given to its recipients, measured by the kernel. Alone in its process.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Server, config};

/// What a session may need above what the server needs without it.
const BYTES_MAX: u64 = 32 << 20;

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() << 10
}

async fn deliver(server: &Server, recipients: &[&str], octets: usize) {
    let mut client = server.hello().await;
    client.talk(&[("MAIL FROM:<>", "250")]).await;
    for recipient in recipients {
        client.talk(&[(&format!("RCPT TO:<{recipient}>"), "250")]).await;
    }
    client.talk(&[("DATA", "354")]).await;
    let piece = b"0123456789012345678901234567890123456789012345678901234567890123\r\n".repeat(1000);
    let mut sent = 0;
    while sent < octets {
        client.send(&piece).await;
        sent += piece.len();
    }
    client.send(b".\r\n").await;
    for recipient in recipients {
        client.expect(&format!("250 2.0.0 <{recipient}>")).await;
    }
    client.leave().await;
}

#[tokio::test]
async fn a_large_message_takes_little_memory() {
    let server = Server::start(config()).await;
    deliver(&server, &["anna", "bob@example.org"], 1 << 20).await;
    // Makes the peak what is in use now.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    deliver(&server, &["anna"], 100 << 20).await;
    deliver(&server, &["anna", "bob@example.org"], 30 << 20).await;
    let peak = status("VmHWM");
    println!("{} KiB more than before", peak.saturating_sub(before) >> 10);
    assert!(peak.saturating_sub(before) < BYTES_MAX);
}
