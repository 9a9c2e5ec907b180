//! Peers that are slow, many, or of another protocol.

use std::time::Duration;

use crate::attack::{Raw, Stage};

#[test]
fn slow_and_silent_peers_keep_nobody_waiting() {
    let stage = Stage::with_settings("limits.sessions_per_address = 1000\n");
    let mute: Vec<Raw> = (0..300).map(|_| Raw::connect(stage.imap())).collect();
    let mut dripping: Vec<Raw> = (0..40).map(|_| stage.stranger()).collect();
    for octet in b"x1 LOGIN bert secr" {
        for raw in &mut dripping {
            raw.send(&[*octet]);
        }
    }
    let body = vec![b'z'; 1 << 20];
    let mut raw = stage.bert();
    raw.send(format!("x1 APPEND INBOX {{{}+}}\r\n", body.len()).as_bytes());
    raw.send(&body);
    raw.send(b"\r\n");
    assert!(raw.until("x1 OK").ends_with("x1 OK"));
    let mut unread: Vec<Raw> = (0..8).map(|_| stage.bert()).collect();
    for raw in &mut unread {
        raw.command("SELECT INBOX");
        for _ in 0..20 {
            raw.send(b"y FETCH 1 BODY.PEEK[]\r\n");
        }
    }
    assert!(stage.bert().lives());
    drop((mute, dripping, unread));
    stage.judge();
}

#[test]
fn noops_that_nobody_reads_fill_no_memory() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    let flood = b"y NOOP\r\n".repeat(1_000);
    raw_timeout(&mut raw);
    for _ in 0..200 {
        // The server stops reading when its answers are not read.
        if !raw.send(&flood) {
            break;
        }
    }
    assert!(stage.bert().lives());
    drop(raw);
    stage.judge();
}

fn raw_timeout(raw: &mut Raw) {
    raw.give_up_writing_after(Duration::from_secs(2));
}

#[test]
fn storms_of_connections_pass() {
    let stage = Stage::new();
    for _ in 0..20 {
        let storm: Vec<Raw> = (0..100).map(|_| Raw::connect(stage.imap())).collect();
        drop(storm);
    }
    assert!(stage.bert().lives());
    stage.judge();
}

#[test]
fn other_protocols_are_cut_at_once() {
    let stage = Stage::new();
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\na LOGIN bert secret\r\nb SELECT INBOX\r\n";
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaa";
    for first in [post.as_bytes(), b"GET / HTTP/1.0\r\n\r\n", hello] {
        let mut raw = stage.stranger();
        raw.send(first);
        let answer = raw.rest();
        assert!(answer.contains("BYE") && !answer.contains("a OK") && !answer.contains("b OK"), "{answer}");
    }
    stage.judge();
}

#[test]
fn twenty_mistakes_end_a_connection() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    for _ in 0..19 {
        assert!(raw.command("NONSENSE").contains("x1 BAD"));
    }
    assert!(raw.lives(), "a right command ends the row");
    for _ in 0..20 {
        raw.send(b"x1 NONSENSE\r\n");
    }
    assert!(raw.rest().contains("* BYE"));
    stage.judge();
}
