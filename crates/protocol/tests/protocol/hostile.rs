//! What is sent to break a server.

use paquebot_protocol::{Command, MessageSet, ParseContext, parse};

use crate::{command, error};

#[test]
fn sets_have_a_bounded_number_of_elements_and_merge() {
    let everything = format!("UID FETCH 1:4294967295{} UID", ",1:4294967295".repeat(4000));
    let Command::Fetch(fetch) = command(&everything) else { panic!() };
    assert!(matches!(fetch.messages.set, MessageSet::Numbers(set) if set.ranges().len() == 1));
    let most = format!("FETCH 1{} UID", ",3".repeat(9_999));
    command(&most);
    assert_eq!(error(&format!("FETCH 1{} UID", ",3".repeat(10_000))).1, "FETCH: more than 10000 elements of a set");
    // Descending, so that nothing merges before the end.
    let descending: Vec<String> = (1..10_000).rev().map(|number| (2 * number).to_string()).collect();
    command(&format!("FETCH {} UID", descending.join(",")));
}

#[test]
fn lists_are_bounded() {
    let many = |word: &str| vec![word; 1001].join(" ");
    for line in [
        format!("FETCH 1 ({})", many("UID")),
        format!("FETCH 1 BODY[HEADER.FIELDS ({})]", many("a")),
        format!("STORE 1 FLAGS ({})", many("a")),
        format!("STORE 1 FLAGS {}", many("a")),
        format!("STATUS x ({})", many("MESSAGES")),
        format!("ENABLE {}", many("X")),
        format!("SORT ({}) UTF-8 ALL", many("DATE")),
    ] {
        assert!(error(&line).1.contains("more than 1000 "), "{}", error(&line).1);
    }
    let patterns = vec!["*"; 101].join(" ");
    assert_eq!(error(&format!("LIST \"\" ({patterns})")).1, "LIST: more than 100 patterns");
    let parts = vec!["1"; 129].join(".");
    assert!(error(&format!("FETCH 1 BODY[{parts}]")).1.contains("more than 128 part numbers"));
    let pairs = "\"a\" NIL ".repeat(31);
    assert_eq!(error(&format!("ID ({})", pairs.trim())).1, "ID: more than 30 fields");
    assert!(error(&format!("ID (\"{}\" NIL)", "a".repeat(31))).1.contains("octets of a field name"));
    assert!(error(&format!("ID (\"a\" \"{}\")", "a".repeat(1025))).1.contains("octets of a value"));
}

#[test]
fn brackets_without_end_are_refused_at_once() {
    for (before, repeated) in [
        ("", "("),
        ("ID ", "("),
        ("SEARCH ", "("),
        ("SEARCH ", "NOT "),
        ("FETCH 1 ", "("),
        ("LIST ", "("),
        ("STATUS x ", "("),
    ] {
        let line = format!("a {before}{}", repeated.repeat(60_000 / repeated.len()));
        assert!(parse(line.as_bytes(), &ParseContext::default()).is_err());
    }
}

#[test]
fn announced_sizes_take_no_memory_and_no_more_than_is_there() {
    for size in ["4294967295", "9223372036854775807", "18446744073709551615", "00000000000000000000000000000000000009"]
    {
        assert!(error(&format!("LOGIN {{{size}}}\r\nabc x")).1.starts_with("LOGIN: expected"));
    }
}
