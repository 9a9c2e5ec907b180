//! How long a command takes from bytes to its typed form, and a FETCH response to bytes. Run with `--release`.
#![allow(clippy::disallowed_methods)] // The crate has no clock; this measures it.

use std::hint::black_box;
use std::time::Instant;

use paquebot_protocol::response::{Mode, ResponseWriter};
use paquebot_protocol::{Event, Framer, Limits, ParseContext, parse};
use paquebot_types::{Flags, InternalDate, ModSeq, SeqNum, Uid};

const ROUNDS: u32 = 200_000;

const COMMANDS: &[&str] = &[
    "a NOOP",
    "a001 UID FETCH 1:* (FLAGS)",
    "a001 UID FETCH 1234:1300,1400 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From To Subject Date)])",
    "a001 UID STORE 17,19:23 +FLAGS.SILENT (\\Seen $Forwarded)",
    "a001 SELECT \"Archive/2024\" (CONDSTORE)",
    "a001 LIST (SUBSCRIBED) \"\" (\"INBOX\" \"%\") RETURN (CHILDREN STATUS (MESSAGES UNSEEN))",
    "a001 UID SEARCH RETURN (MIN COUNT) OR FROM \"smith\" SUBJECT {5+}\r\nhello NOT DELETED SINCE 1-Feb-1994",
    "a001 STATUS &U,BTFw- (MESSAGES UIDNEXT UNSEEN)",
];

fn main() {
    let context = ParseContext::default();
    for command in COMMANDS {
        let line = format!("{command}\r\n");
        let mut framer = Framer::new(Limits::AFTER_LOGIN);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let mut input = black_box(line.as_bytes());
            if let Some(Event::Command(bytes)) = framer.next(&mut input) {
                let _ = black_box(parse(bytes, &context));
            }
        }
        report(command, start);
    }
    let mut out = Vec::new();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        out.clear();
        write_fetch(&mut out);
        black_box(&out);
    }
    report("* 12345 FETCH (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE)", start);
}

fn write_fetch(out: &mut Vec<u8>) {
    let mut write = ResponseWriter::new(out, Mode::default());
    let mut fetch = write.fetch(black_box(SeqNum::MAX));
    fetch.uid(black_box(Uid::MAX));
    fetch.flags(black_box(Flags::ALL), &[], false);
    fetch.modseq(black_box(ModSeq(1_234_567)));
    fetch.internal_date(black_box(InternalDate::new(837_596_665, -420)));
    fetch.rfc822_size(black_box(44_827));
    fetch.end();
}

fn report(what: &str, start: Instant) {
    let nanoseconds = start.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{nanoseconds:>6} ns  {}", what.escape_debug());
}
