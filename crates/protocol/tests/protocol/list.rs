//! LIST, its patterns, LSUB and XLIST.

use paquebot_protocol::command::{List, ListReturn, ListSelection};
use paquebot_protocol::{Command, ListKind, ListPattern, StatusItem};
use paquebot_types::MailboxName;

use crate::{command, command_utf8};

fn list(line: &str) -> List {
    match command(line) {
        Command::List(list) => list,
        other => panic!("{other:?}"),
    }
}

fn patterns(line: &str) -> Vec<String> {
    list(line).patterns.iter().map(|pattern| pattern.as_str().into()).collect()
}

#[test]
fn the_plain_form() {
    let plain = |kind, pattern, only_separator| List {
        kind,
        selection: ListSelection::default(),
        patterns: vec![ListPattern::new(pattern)],
        only_separator,
        extended: false,
        returns: ListReturn::default(),
    };
    assert_eq!(list("LIST \"\" \"\""), plain(ListKind::List, "", true));
    assert_eq!(list("LIST \"\" *"), plain(ListKind::List, "*", false));
    assert_eq!(list("LIST /usr/staff/jones \"\""), plain(ListKind::List, "/usr/staff/jones", true));
    assert_eq!(list("LIST ~/Mail/ %"), plain(ListKind::List, "~/Mail/%", false));
    assert_eq!(list("LSUB \"#news.\" \"comp.mail.*\""), plain(ListKind::Lsub, "#news.comp.mail.*", false));
    assert_eq!(list("xlist {0}\r\n {1}\r\n*"), plain(ListKind::Xlist, "*", false));
    assert_eq!(patterns("LIST \"\" INBOX/%]"), ["INBOX/%]"]);
}

#[test]
fn selection_options() {
    let select = |options: &str| list(&format!("LIST ({options}) \"\" \"*\"")).selection;
    let none = ListSelection::default();
    assert_eq!(select(""), none);
    assert_eq!(select("SUBSCRIBED"), ListSelection { subscribed: true, ..none });
    assert_eq!(select("remote"), ListSelection { remote: true, ..none });
    assert_eq!(select("RECURSIVEMATCH SUBSCRIBED"), ListSelection { subscribed: true, recursive_match: true, ..none });
    assert_eq!(select("SPECIAL-USE"), ListSelection { special_use: true, ..none });
    assert!(list("LIST () \"\" \"\"").extended && !list("LIST () \"\" \"\"").only_separator);
}

#[test]
fn several_patterns() {
    assert_eq!(patterns("LIST \"\" (\"INBOX\" \"Drafts\" Sent/%)"), ["INBOX", "Drafts", "Sent/%"]);
    assert_eq!(patterns("LIST Foo/ (a \"\")"), ["Foo/a", "Foo/"]);
    assert!(list("LIST \"\" (*)").extended);
}

#[test]
fn return_options() {
    let returns = |options: &str| list(&format!("LIST \"\" % RETURN ({options})")).returns;
    let none = ListReturn::default();
    assert_eq!(returns(""), none);
    assert_eq!(returns("SUBSCRIBED children"), ListReturn { subscribed: true, children: true, ..none.clone() });
    assert_eq!(returns("SPECIAL-USE"), ListReturn { special_use: true, ..none.clone() });
    let status = vec![StatusItem::Messages, StatusItem::Unseen];
    assert_eq!(returns("STATUS (MESSAGES UNSEEN) CHILDREN"), ListReturn { status, children: true, ..none });
}

#[test]
fn patterns_are_decoded_as_names_are() {
    let as_read = |line: &str| list(line).patterns[0].clone();
    let name = |text: &str| MailboxName::new(text).unwrap();
    assert!(as_read("LIST \"\" &U,BTFw-*").matches(&name("\u{53f0}\u{5317}/x")));
    assert!(as_read("LIST &U,BTFw-/ %&ZeVnLIqe-").matches(&name("\u{53f0}\u{5317}/a\u{65e5}\u{672c}\u{8a9e}")));
    assert!(as_read("LIST \"\" R&-%").matches(&name("R&D")));
    for nothing in ["LIST \"\" &*", "LIST \"\" {3}\r\n\u{e9}*"] {
        assert!(!as_read(nothing).matches(&name("&")) && !as_read(nothing).matches(&name("\u{e9}")));
    }
    assert!(!as_read(&format!("LIST \"\" {}", "*".repeat(8001))).matches(&name("a")));
    let Command::List(utf8) = command_utf8("LIST \"\" \"&\u{e9}%\"") else { panic!() };
    assert!(utf8.patterns[0].matches(&name("&\u{e9}x")));
}

#[test]
fn wildcards() {
    let matches = |pattern: &str, name: &str| ListPattern::new(pattern).matches(&MailboxName::new(name).unwrap());
    for (pattern, name, expected) in [
        ("*", "a", true),
        ("*", "a/b/c", true),
        ("%", "a", true),
        ("%", "a/b", false),
        ("%/%", "a/b", true),
        ("%/%", "a/b/c", false),
        ("a", "a", true),
        ("a", "A", false),
        ("a*", "a", true),
        ("a%", "a", true),
        ("a*b", "ab", true),
        ("a*b", "a/x/b", true),
        ("a%b", "a/b", false),
        ("a*b%c", "axb/bc", true),
        ("*%", "a/b", true),
        ("%*", "a/b", true),
        ("**", "x", true),
        ("%%", "a/b", false),
        ("*a%", "ba/a", true),
        ("*/%", "a/b", true),
        ("*/", "a/b", false),
        ("", "a", false),
        ("%a%", "bab", true),
        ("%a", "b/a", false),
        ("*\u{e9}", "x/\u{e9}", true),
        ("%\u{e9}%", "\u{e8}\u{e9}\u{ea}", true),
        ("ab", "abc", false),
        ("abc", "ab", false),
        ("*b*d*", "abcde", true),
        ("%b%", "b", true),
        ("a/*", "a", false),
        ("*x", "a", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn inbox_matches_in_any_case() {
    let matches = |pattern: &str, name: &str| ListPattern::new(pattern).matches(&MailboxName::new(name).unwrap());
    for (pattern, name, expected) in [
        ("inbox", "INBOX", true),
        ("InBoX", "inbox", true),
        ("inb*", "INBOX", true),
        ("%box", "INBOX", true),
        ("inbox/%", "INBOX/a", true),
        ("inbox/A", "INBOX/a", false),
        ("inbox/inbox", "INBOX/inbox", true),
        ("inbox/inbox", "INBOX/INBOX", false),
        ("inboxes", "INBOXES", false),
        ("*/inbox", "a/INBOX", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
    assert_eq!(ListPattern::new("inbox").literal(), Some(MailboxName::inbox()));
    assert_eq!(ListPattern::new("in%").literal(), None);
}

#[test]
fn long_patterns_use_more_words() {
    let long = "abcdefghij".repeat(30);
    let name = MailboxName::new(&long).unwrap();
    for pattern in
        [long.clone(), format!("{}*", &long[..200]), format!("%{}%", &long[60..170]), format!("*{}", &long[1..])]
    {
        assert!(ListPattern::new(&pattern).matches(&name), "{pattern}");
    }
    for pattern in
        [format!("{long}x"), format!("%{}x%", &long[60..170]), format!("*{}", &long[..299]), "y".repeat(5000)]
    {
        assert!(!ListPattern::new(&pattern).matches(&name), "{pattern}");
    }
}

/// A matcher that tries one way after the other would not come to an end here.
#[test]
fn patterns_of_many_wildcards_come_to_an_end() {
    let name = MailboxName::new(&"a".repeat(1000)).unwrap();
    let patterns = ["*a".repeat(400) + "b", "%a*a".repeat(250) + "b", "*".repeat(60_000) + "b", "a*".repeat(30_000)];
    for pattern in patterns {
        assert!(!ListPattern::new(&pattern).matches(&name));
    }
}
