//! Little that inflates to much.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::attack::{Raw, Stage};

/// So many octets `a`, deflated: one part in a thousand.
fn deflated(megabytes: usize, before: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(before).unwrap();
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

fn compressed(stage: &Stage) -> Raw {
    let mut raw = stage.bert();
    assert!(raw.command("COMPRESS DEFLATE").contains("x1 OK"));
    raw
}

#[test]
fn bombs_meet_the_limits_of_what_they_inflate_to() {
    let stage = Stage::new();
    // A line of 192 MB, then a literal of 64 MB where a name should be.
    for (megabytes, before) in [(192, "x1 NOOP "), (64, "x1 SELECT {67108864+}\r\n")] {
        let mut raw = compressed(&stage);
        raw.send(&deflated(megabytes, before.as_bytes()));
        raw.rest();
    }
    stage.judge();
}

#[test]
fn what_does_not_inflate_ends_the_connection() {
    let stage = Stage::new();
    for garbage in [vec![0xff; 4096], b"x1 NOOP\r\n".repeat(100), vec![0x07, 0x07, 0x07]] {
        let mut raw = compressed(&stage);
        raw.send(&garbage);
        raw.rest();
    }
    // Compression is begun once.
    let mut twice = compressed(&stage);
    twice.send(&deflated(0, b"x1 COMPRESS DEFLATE\r\nx2 LOGOUT\r\n"));
    twice.rest();
    stage.judge();
}
