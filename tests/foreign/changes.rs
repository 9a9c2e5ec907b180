//! Everything IMAP can do to another server's mailbox.

use paquebot_testkit::Client;

use crate::stage::{CHANGED, Stage, ok, text, word_after};

const MESSAGE: &[u8] = b"From: a@example.org\r\nSubject: appended here\r\n\r\nwords in it\r\n";

fn main_of(prefix: &str) -> String {
    let name = if matches!(prefix, "dovecot/" | "courier/") { "INBOX" } else { "main" };
    format!("{prefix}{name}")
}

fn append(client: &mut Client, mailbox: &str) -> u32 {
    let flags = ["\\Seen".to_owned(), "Word".to_owned()];
    let appended = client.append(mailbox, &flags, Some("01-Jan-2020 10:00:00 +0000"), MESSAGE).unwrap().ok().unwrap();
    // [APPENDUID validity uid]
    appended.tagged.split([' ', ']']).nth(3).unwrap().parse().unwrap()
}

fn search(client: &mut Client, key: &str) -> Vec<u32> {
    let found = text(&ok(client, &format!("UID SEARCH {key}")));
    let line = found.lines().find(|line| line.starts_with("* SEARCH")).unwrap().to_owned();
    line.split_whitespace().skip(2).map_while(|word| word.parse().ok()).collect()
}

fn flags(client: &mut Client, uid: u32) -> String {
    let fetched = text(&ok(client, &format!("UID FETCH {uid} (FLAGS)")));
    fetched[fetched.find("FLAGS (").unwrap()..].split_once(')').unwrap().0.to_owned()
}

#[test]
fn flags_are_stored_messages_come_and_go() {
    let stage = Stage::new(&CHANGED);
    for (prefix, ..) in CHANGED {
        let (mut client, name) = (stage.client(), main_of(prefix));
        ok(&mut client, &format!("SELECT {name}"));
        ok(&mut client, "UID STORE 1:3 +FLAGS (\\Flagged Fresh)");
        assert!(flags(&mut client, 3).contains("\\Flagged"), "{name}");
        assert!(flags(&mut client, 3).contains("Fresh"), "{name}");
        let uid = append(&mut client, &name);
        let told = text(&ok(&mut client, "NOOP"));
        assert!(told.contains(" EXISTS") || search(&mut client, "ALL").contains(&uid), "{name}: {told}");
        assert_eq!(search(&mut client, "SUBJECT \"appended here\" BODY \"words in it\" SEEN KEYWORD Word"), [uid]);
        let fetched = ok(&mut client, &format!("UID FETCH {uid} (INTERNALDATE BODY.PEEK[])"));
        assert_eq!(fetched.literals(), [MESSAGE], "{name}");
        assert!(text(&fetched).contains(" 1-Jan-2020 10:00:00 +0000"), "{name}: {}", text(&fetched));
        ok(&mut client, "UID SORT (SUBJECT REVERSE DATE) UTF-8 ALL");
        ok(&mut client, "UID THREAD REFERENCES UTF-8 ALL");
        ok(&mut client, &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
        let expunged = text(&ok(&mut client, &format!("UID EXPUNGE {uid}")));
        assert!(expunged.contains(" EXPUNGE"), "{name}: {expunged}");
        assert!(search(&mut client, "SUBJECT \"appended here\"").is_empty(), "{name}");
        assert!(append(&mut client, &name) > uid, "{name}: no UID is used twice");
    }
}

#[test]
fn messages_are_copied_and_moved_between_all_namespaces() {
    let stage = Stage::new(&CHANGED);
    let mut client = stage.client();
    let first = append(&mut client, "INBOX");
    ok(&mut client, "SELECT INBOX");
    // Around: the native store, then each format, and back.
    let mut uid = first;
    for (prefix, ..) in CHANGED {
        let name = main_of(prefix);
        let moved = text(&ok(&mut client, &format!("UID MOVE {uid} {name}")));
        let code = moved[moved.find("[COPYUID ").unwrap()..].split(']').next().unwrap().to_owned();
        let [_, _, source, destination] = code.split(' ').collect::<Vec<_>>()[..] else { panic!("{code}") };
        assert_eq!(source, uid.to_string(), "{name}");
        uid = destination.parse().unwrap();
        assert!(search(&mut client, "SUBJECT \"appended here\"").is_empty(), "{name}: it is gone where it was");
        ok(&mut client, &format!("SELECT {name}"));
        assert_eq!(search(&mut client, "SUBJECT \"appended here\""), [uid], "{name}");
    }
    ok(&mut client, &format!("UID COPY {uid} INBOX"));
    ok(&mut client, "SELECT INBOX");
    let found = search(&mut client, "ALL");
    let fetched = ok(&mut client, &format!("UID FETCH {} (INTERNALDATE FLAGS BODY.PEEK[])", found[0]));
    assert_eq!(fetched.literals(), [MESSAGE]);
    let said = text(&fetched);
    assert!(said.contains("\\Seen Word") && said.contains(" 1-Jan-2020 10:00:00 +0000"), "{said}");
}

#[test]
fn mailboxes_are_made_renamed_subscribed_to_and_deleted() {
    let stage = Stage::new(&CHANGED);
    for (prefix, ..) in CHANGED {
        let mut client = stage.client();
        ok(&mut client, &format!("CREATE {prefix}fresh"));
        assert!(client.command(&format!("CREATE {prefix}fresh")).unwrap().tagged.starts_with("NO [ALREADYEXISTS]"));
        append(&mut client, &format!("{prefix}fresh"));
        ok(&mut client, &format!("RENAME {prefix}fresh {prefix}other"));
        ok(&mut client, &format!("SUBSCRIBE {prefix}other"));
        let subscribed = text(&ok(&mut client, "LIST (SUBSCRIBED) \"\" *"));
        assert!(subscribed.contains(&format!("{prefix}other")), "{prefix}: {subscribed}");
        ok(&mut client, &format!("SELECT {prefix}other"));
        assert_eq!(search(&mut client, "ALL").len(), 1, "{prefix}");
        assert!(client.command(&format!("RENAME {prefix}other elsewhere")).unwrap().tagged.starts_with("NO [CANNOT]"));
        ok(&mut client, "UNSELECT");
        ok(&mut client, &format!("DELETE {prefix}other"));
        assert!(client.command(&format!("SELECT {prefix}other")).unwrap().tagged.starts_with("NO [NONEXISTENT]"));
        let target = client.command(&format!("APPEND {prefix}other {{1+}}\r\nx")).unwrap();
        assert!(target.tagged.starts_with("NO [TRYCREATE]"), "{prefix}: {}", target.tagged);
    }
}

#[test]
fn a_client_catches_up_after_a_restart_also_without_the_side_index() {
    let mut stage = Stage::new(&CHANGED);
    let mut known = Vec::new();
    for (prefix, ..) in CHANGED {
        let (mut client, name) = (stage.client(), main_of(prefix));
        ok(&mut client, "ENABLE QRESYNC");
        let selected = text(&ok(&mut client, &format!("SELECT {name}")));
        let (validity, modseq) = (word_after(&selected, "UIDVALIDITY "), word_after(&selected, "HIGHESTMODSEQ "));
        let uids = search(&mut client, "ALL");
        // Another session goes on.
        let mut other = stage.client();
        ok(&mut other, &format!("SELECT {name}"));
        ok(&mut other, &format!("UID STORE {} +FLAGS (\\Deleted)", uids[4]));
        ok(&mut other, &format!("UID EXPUNGE {}", uids[4]));
        ok(&mut other, &format!("UID STORE {} +FLAGS (Marked)", uids[6]));
        let after = word_after(&text(&ok(&mut other, &format!("STATUS {name} (HIGHESTMODSEQ)"))), "HIGHESTMODSEQ ");
        assert!(after.parse::<u64>().unwrap() > modseq.parse().unwrap(), "{name}");
        known.push((name, validity, modseq, uids[4], uids[6], after));
    }
    stage.server.terminate().unwrap();
    stage.server.start_again().unwrap();
    for (name, validity, modseq, gone, marked, _) in &known {
        let mut client = stage.client();
        ok(&mut client, "ENABLE QRESYNC");
        let caught_up = text(&ok(&mut client, &format!("SELECT {name} (QRESYNC ({validity} {modseq}))")));
        assert!(caught_up.contains(&format!("VANISHED (EARLIER) {gone}")), "{name}: {caught_up}");
        assert!(caught_up.contains(&format!("UID {marked} ")), "{name}: {caught_up}");
        assert!(caught_up.contains("Marked"), "{name}: {caught_up}");
    }
    stage.server.terminate().unwrap();
    std::fs::remove_file(stage.server.data().join("foreign.redb")).unwrap();
    stage.server.start_again().unwrap();
    for (name, _, _, gone, marked, after) in &known {
        let mut client = stage.client();
        let selected = text(&ok(&mut client, &format!("SELECT {name} (CONDSTORE)")));
        let modseq = word_after(&selected, "HIGHESTMODSEQ ").parse::<u64>().unwrap();
        assert!(modseq > after.parse().unwrap(), "{name}: what was told before is below");
        let changed = text(&ok(&mut client, &format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {after})")));
        assert!(changed.contains(&format!("UID {marked} ")), "{name}: all is new: {changed}");
        assert!(!search(&mut client, "ALL").contains(gone), "{name}");
    }
}

#[test]
fn unchangedsince_keeps_what_another_session_changed() {
    let stage = Stage::new(&CHANGED);
    for (prefix, ..) in CHANGED {
        let (mut client, name) = (stage.client(), main_of(prefix));
        let selected = text(&ok(&mut client, &format!("SELECT {name} (CONDSTORE)")));
        let modseq = word_after(&selected, "HIGHESTMODSEQ ");
        let uids = search(&mut client, "ALL");
        ok(&mut client, &format!("UID STORE {} +FLAGS (One)", uids[0]));
        let refused = client
            .command(&format!("UID STORE {},{} (UNCHANGEDSINCE {modseq}) +FLAGS (Two)", uids[0], uids[1]))
            .unwrap();
        assert!(refused.tagged.contains(&format!("[MODIFIED {}]", uids[0])), "{name}: {}", refused.tagged);
        assert!(!flags(&mut client, uids[0]).contains("Two"), "{name}");
        assert!(flags(&mut client, uids[1]).contains("Two"), "{name}");
    }
}
