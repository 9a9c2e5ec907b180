//! The memory that something takes while it goes on, not after it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::attack::{Raw, Stage, resident_kib};

/// Above idle, at most, for one session that sends or fetches however much.
const STREAM_KIB: u64 = 32 << 10;

/// How much more memory the server had at its highest during `work` than before it, in KiB.
fn peak_kib(stage: &Stage, work: impl FnOnce()) -> u64 {
    let process = stage.server.process_id();
    let (before, highest, over) = (resident_kib(process), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                highest.fetch_max(resident_kib(process), Ordering::Relaxed);
                thread::yield_now();
            }
        });
        work();
        over.store(true, Ordering::Relaxed);
    });
    let more = highest.load(Ordering::Relaxed).saturating_sub(before);
    println!("at its highest: {more} KiB more");
    more
}

fn skip(raw: &mut Raw, count: usize, piece: &[u8]) {
    assert!(raw.take(count, piece), "what came back is not what was sent");
}

#[test]
fn a_hundred_megabytes_stream_through_little_memory() {
    const PIECES: usize = 100;
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command("SELECT INBOX");
    let piece = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(1 << 14);
    let appended = peak_kib(&stage, || {
        raw.send(format!("x1 APPEND INBOX {{{}+}}\r\n", PIECES * piece.len()).as_bytes());
        for _ in 0..PIECES {
            assert!(raw.send(&piece));
        }
        raw.send(b"\r\n");
        assert!(raw.until("x1 OK").ends_with("x1 OK"));
    });
    raw.until("\r\n");
    let fetched = peak_kib(&stage, || {
        raw.send(b"x1 FETCH 1 BODY.PEEK[]\r\n");
        raw.until("}\r\n");
        skip(&mut raw, PIECES * piece.len(), &piece);
        assert!(raw.until("x1 OK").ends_with("x1 OK"));
    });
    assert!(appended < STREAM_KIB, "the APPEND took {appended} KiB");
    assert!(fetched < STREAM_KIB, "the FETCH took {fetched} KiB");
    stage.judge();
}

#[test]
fn a_hundred_thousand_messages_are_fetched_in_little_memory() {
    const MESSAGES: usize = 100_000;
    const AT_ONCE: usize = 1_000;
    let stage = Stage::new();
    let mut raw = stage.bert();
    let mut append = b"x1 APPEND INBOX".to_vec();
    for number in 0..AT_ONCE {
        let message = format!("Subject: {number}\r\n\r\n");
        append.extend(format!(" {{{}+}}\r\n{message}", message.len()).into_bytes());
    }
    append.extend(b"\r\n");
    for _ in 0..MESSAGES / AT_ONCE {
        raw.send(&append);
        raw.until("x1 ");
        let answer = raw.until("\r\n");
        assert!(answer.starts_with("OK"), "{answer}");
    }
    raw.command("SELECT INBOX");
    // The mailbox itself has been read: what comes now is the session's.
    let fetched = peak_kib(&stage, || {
        raw.send(b"x1 FETCH 1:* (UID FLAGS ENVELOPE)\r\n");
        for _ in 0..MESSAGES {
            raw.until("FETCH (");
        }
        assert!(raw.until("x1 OK").ends_with("x1 OK"));
    });
    assert!(fetched < STREAM_KIB, "the FETCH took {fetched} KiB");
    stage.judge();
}
