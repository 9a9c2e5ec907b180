//! What we change, and what the real library then reads.

use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use paquebot_formats::{Access, Arriving, Expunged, FormatError, OpenMailbox, driver};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, Uid, UidSet};

use super::machine::{Home, said};
use crate::fixtures::{octets, shown};
use crate::sharing::{Octets, append, only, uids};

const BOTH: [&str; 2] = ["mbox", "mmdf"];

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn keywords(names: &[&str]) -> Vec<Keyword> {
    names.iter().map(|name| Keyword::new(name).unwrap()).collect()
}

/// Without `\Recent`.
fn lasting(mailbox: &mut dyn OpenMailbox) -> Vec<crate::fixtures::Shown> {
    let mut shown = shown(mailbox);
    shown.iter_mut().for_each(|message| message.1.retain(|flag| flag != "\\Recent"));
    shown
}

#[test]
fn flags_keywords_and_expunges_are_those_that_the_real_library_reads() {
    for format in BOTH {
        let home = Home::new(format);
        home.create("box");
        let inode = home.path("box").metadata().unwrap().ino();
        let mut mailbox = home.write("box");
        home.agree("box", &mut *mailbox);
        for number in 1..=9 {
            let text = format!("Subject: {number}\n\n{}", "text\n".repeat(number * 100));
            let flags = if number % 2 == 0 { Flags::SEEN } else { Flags::NONE };
            append(&mut *mailbox, &text, flags, &[]);
        }
        home.agree("box", &mut *mailbox);
        let changes = [
            (uid(2), Flags::SEEN.union(Flags::DRAFT), keywords(&["Work"])),
            (uid(5), Flags::ALL, keywords(&["$Forwarded", "Work", "Later"])),
            (uid(99), Flags::ALL, keywords(&[])),
        ];
        assert_eq!(mailbox.store(&changes).unwrap().flags, [uid(2), uid(5)].into_iter().collect());
        assert!(mailbox.store(&changes).unwrap().flags.is_empty(), "what is as it was is no change");
        home.agree("box", &mut *mailbox);
        let gone: UidSet = [uid(1), uid(4), uid(9)].into_iter().collect();
        assert_eq!(mailbox.expunge(&gone).unwrap().expunged, gone);
        home.agree("box", &mut *mailbox);
        assert_eq!(append(&mut *mailbox, "Subject: 10\n\n", Flags::NONE, &["Later", "New"]), uid(10));
        home.agree("box", &mut *mailbox);
        let before = lasting(&mut *mailbox);
        drop(mailbox);
        assert_eq!(lasting(&mut *home.write("box")), before);
        assert_eq!(home.path("box").metadata().unwrap().ino(), inode);
        assert_eq!(std::fs::read_dir(home.directory.path()).unwrap().count(), 1, "locks or journals stay behind");
    }
}

#[test]
fn the_fixtures_mailboxes_can_be_changed_too() {
    for format in BOTH {
        let home = Home::with_fixture(format);
        let listed = driver(format).unwrap().list(&home.root).unwrap();
        for found in listed.into_iter().filter(|found| found.selectable) {
            let name = found.name.as_str();
            let mut mailbox = home.write(name);
            let before = shown(&mut *mailbox);
            mailbox.refresh(Expunged::Leave).unwrap();
            assert_eq!(shown(&mut *mailbox), before, "{format} {name}");
            home.agree(name, &mut *mailbox);
            let all: Vec<_> = mailbox.messages().iter().map(|message| (message.uid, Flags::ANSWERED, vec![])).collect();
            mailbox.store(&all).unwrap();
            home.agree(name, &mut *mailbox);
            let first = mailbox.messages().first().map(|message| message.uid);
            mailbox.expunge(&first.into_iter().collect()).unwrap();
            home.agree(name, &mut *mailbox);
            let new = append(&mut *mailbox, "Subject: new\n\nFrom here\n", Flags::NONE, &[]);
            home.agree(name, &mut *mailbox);
            let after = lasting(&mut *mailbox);
            assert_eq!(after.len(), before.len() + usize::from(before.is_empty()), "{name}");
            assert_eq!(after.last().unwrap().0, new.get());
            drop(mailbox);
            assert_eq!(lasting(&mut *home.open(name, Access::Read)), after, "{format} {name}");
        }
    }
}

#[test]
fn a_mailbox_that_becomes_empty_keeps_its_state() {
    for format in BOTH {
        let home = Home::new(format);
        home.put("box", "");
        let mut mailbox = home.write("box");
        append(&mut *mailbox, "Subject: 1\n\nx\n", Flags::NONE, &["Work"]);
        let validity = mailbox.state().uid_validity;
        let all: UidSet = only(uid(1));
        mailbox.expunge(&all).unwrap();
        home.agree("box", &mut *mailbox);
        drop(mailbox);
        let mut mailbox = home.write("box");
        assert_eq!((mailbox.state().uid_validity, mailbox.state().keywords.len()), (validity, 1));
        assert_eq!(append(&mut *mailbox, "Subject: 2\n\nx\n", Flags::NONE, &[]), uid(2));
    }
    // One that delivery began holds its state in the first message, and then in the next, until there is none.
    let home = Home::new("mbox");
    let line = "From a@b Mon Mar  5 10:15:30 2007\n";
    home.put("spool", format!("\n\n{line}Subject: 1\n\none\n\n{line}Subject: 2\n\ntwo"));
    let mut mailbox = home.write("spool");
    assert!(home.octets("spool").starts_with(format!("{line}Subject: 1\nX-IMAPbase: ").as_bytes()));
    home.agree("spool", &mut *mailbox);
    let validity = mailbox.state().uid_validity;
    mailbox.expunge(&only(uid(1))).unwrap();
    assert!(home.octets("spool").starts_with(format!("{line}Subject: 2\nX-IMAPbase: {validity} 2\n").as_bytes()));
    home.agree("spool", &mut *mailbox);
    assert_eq!(octets(&mut *mailbox.body(uid(2)).unwrap()), b"Subject: 2\r\n\r\ntwo\r\n");
    mailbox.expunge(&only(uid(2))).unwrap();
    home.agree("spool", &mut *mailbox);
    assert_eq!((mailbox.state().uid_validity, mailbox.state().uid_next), (validity, Some(uid(3))));
}

#[test]
fn most_changes_of_flags_move_nothing() {
    for format in BOTH {
        let home = Home::new(format);
        home.create("box");
        let mut mailbox = home.write("box");
        for _ in 0..20 {
            append(&mut *mailbox, &format!("Subject: x\n\n{}", "text\n".repeat(777)), Flags::NONE, &[]);
        }
        mailbox.store(&[(uid(20), Flags::NONE, keywords(&["Work", "Later"]))]).unwrap();
        let before = home.octets("box");
        for (number, flags) in (1..=19).zip([Flags::SEEN, Flags::ALL, Flags::NONE].into_iter().cycle()) {
            mailbox.store(&[(uid(number), flags, keywords(&["Work"]))]).unwrap();
            let after = home.octets("box");
            assert_eq!(after.len(), before.len());
            let differing = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(differing < 40 * number as usize, "{differing} octets are others after {number} changes");
        }
        home.agree("box", &mut *mailbox);
    }
}

#[test]
fn a_body_that_is_being_read_goes_on_wherever_its_message_moves() {
    for format in BOTH {
        let home = Home::new(format);
        home.create("box");
        let mut mailbox = home.write("box");
        let first = append(&mut *mailbox, &"gone\n".repeat(1000), Flags::NONE, &[]);
        let text = (0..200_000).map(|number| format!("{number}\n")).collect::<String>();
        let second = append(&mut *mailbox, &format!("Subject: x\n\n{text}"), Flags::NONE, &[]);
        let wanted = format!("Subject: x\n\n{text}").replace('\n', "\r\n").into_bytes();
        let (mut gone, mut kept) = (mailbox.body(first).unwrap(), mailbox.body(second).unwrap());
        let mut piece = vec![0; 5000];
        assert_eq!(kept.read_at(1_000_000, &mut piece).unwrap(), 5000);
        assert_eq!(piece, wanted[1_000_000..1_005_000]);
        mailbox.expunge(&only(first)).unwrap();
        for offset in [1_005_000, 500, wanted.len() - 5000, 1_000_001, 0] {
            assert_eq!(kept.read_at(offset as u64, &mut piece).unwrap(), 5000);
            assert!(piece == wanted[offset..offset + 5000], "at {offset}");
        }
        gone.read_at(0, &mut piece).unwrap_err();
        drop(mailbox);
        assert!(octets(&mut *kept) == wanted);
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_and_nothing_is_written() {
    let home = Home::new("mbox");
    home.create("box");
    let mut mailbox = home.write("box");
    append(&mut *mailbox, "Subject: 1\n\n", Flags::NONE, &[]);
    mailbox.refresh(Expunged::Leave).unwrap();
    let before = home.octets("box");
    let many: Vec<String> = (0..31).map(|number| format!("k{number}")).collect();
    let many = keywords(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let long = keywords(&[&"x".repeat(51)]);
    for keywords in [many, long] {
        let refused = mailbox.store(&[(uid(1), Flags::NONE, keywords.clone())]);
        assert!(matches!(refused, Err(FormatError::CannotHold(_))), "{refused:?}");
        let mut body = Octets(b"Subject: 2\r\n\r\n".to_vec());
        let internal_date = InternalDate::utc(0);
        let mut arriving = [Arriving { flags: Flags::NONE, keywords, internal_date, body: &mut body, uid: None }];
        assert!(matches!(mailbox.append(&mut arriving), Err(FormatError::CannotHold(_))));
    }
    assert!(home.octets("box") == before);
    let name = MailboxName::new("box/below").unwrap();
    let refused = driver("mbox").unwrap().create(&home.root, &name, paquebot_types::UidValidity::MIN);
    assert!(matches!(refused, Err(FormatError::CannotHold(_))), "{refused:?}");
}

/// What a message may hold that the format uses itself, and UIDs as an export has them.
#[test]
fn hostile_messages_come_back_as_messages() {
    let text = "X-Foo: 1\nX-Status: DF\nX-UID: 4711\nstatus: R\nX-IMAPbase: 5 6\nX-IMAP: 7 8\n\n\
                From a@b Mon Mar  5 10:15:30 2007\n>From x\n\u{1}\u{1}\u{1}\u{1}\nend\u{1}\u{1}\u{1}\u{1}\n\nx\r\n";
    for format in BOTH {
        let home = Home::new(format);
        home.create("box");
        let mut mailbox = home.write("box");
        let mut body = Octets(text.replace('\n', "\r\n").into_bytes());
        let (keywords, internal_date) = (Vec::new(), InternalDate::new(1_173_118_530, 345));
        let arriving = Arriving { flags: Flags::NONE, keywords, internal_date, body: &mut body, uid: Some(uid(70)) };
        assert_eq!(mailbox.append(&mut [arriving]).unwrap(), [uid(70)]);
        append(&mut *mailbox, "Subject: next\n\nno end", Flags::NONE, &[]);
        home.agree("box", &mut *mailbox);
        assert_eq!(uids(&*mailbox), [70, 71]);
        assert_eq!(mailbox.messages()[0].internal_date, internal_date);
        let shown = String::from_utf8(octets(&mut *mailbox.body(uid(70)).unwrap())).unwrap();
        let (quoted, marks) = if format == "mbox" { (">", "\u{1}\u{1}\u{1}\u{1}") } else { ("", "") };
        let wanted = format!(
            "X-Foo: 1\nX-Original-X-Status: DF\nX-Original-X-UID: 4711\nX-Original-status: R\nX-Original-X-IMAPbase: 5 6\nX-Original-X-IMAP: 7 8\n\n\
             {quoted}From a@b Mon Mar  5 10:15:30 2007\n>From x\n{marks}\nend{marks}\n\nx\n"
        );
        assert_eq!(shown.replace("\r\n", "\n"), wanted);
    }
}

#[test]
fn mailutil_reads_and_extends_what_we_wrote() {
    for format in BOTH {
        let home = Home::new(format);
        home.create("box");
        home.create("other");
        let mut mailbox = home.write("box");
        append(&mut *mailbox, "Subject: ours\n\nx\n", Flags::SEEN, &["Work"]);
        drop(mailbox);
        let output = home.program("mailutil").args(["append", "box", "other"]).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success() && !said(&output).contains("annot"), "{}", said(&output));
        let mut other = home.write("other");
        home.agree("other", &mut *other);
        assert_eq!(uids(&*other), [1]);
    }
}

#[test]
fn an_inbox_to_which_nothing_was_delivered_is_empty() {
    for format in BOTH {
        let mut home = Home::new(format);
        let spool = home.path("spool");
        home.root.inbox = Some(spool.clone());
        let listed = driver(format).unwrap().list(&home.root).unwrap();
        assert!(listed.iter().any(|found| found.name.is_inbox() && found.selectable));
        let mut reading = home.open("INBOX", Access::Read);
        assert!(reading.messages().is_empty() && !spool.exists());
        reading.refresh(Expunged::Leave).unwrap();
        let mut mailbox = home.write("INBOX");
        assert!(mailbox.messages().is_empty() && spool.exists());
        append(&mut *mailbox, "Subject: 1\n\nx\n", Flags::NONE, &[]);
        assert!(reading.refresh(Expunged::Leave).unwrap().all);
        assert_eq!(uids(&*reading), [1]);
        std::fs::remove_file(&spool).unwrap();
        assert!(reading.refresh(Expunged::Leave).unwrap().all);
        assert!(reading.messages().is_empty());
    }
}
