//! Maildir, as Dovecot, Courier and delivery agents without a server leave it.

mod beside;
pub mod server;

use std::path::Path;

use paquebot_formats::{Access, Changes, Driver, Expunged, FormatError, OpenMailbox, Root, driver};
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidSet, UidValidity};

use crate::fixtures::{self, Shown, root, shown, told, unpack};
use crate::manifest;
use crate::sharing::{append, only, uids};

fn maildir() -> &'static dyn Driver {
    driver("maildir").unwrap()
}

fn name(name: &str) -> MailboxName {
    MailboxName::new(name).unwrap()
}

fn keywords(names: &[&str]) -> Vec<Keyword> {
    names.iter().map(|name| Keyword::new(name).unwrap()).collect()
}

fn open(root: &Root, mailbox: &str) -> Box<dyn OpenMailbox> {
    maildir().open(root, &name(mailbox), Access::Write).unwrap()
}

/// A manifest's name, as IMAP clients had it, as ours.
fn our_name(name: &str) -> MailboxName {
    let name = name.strip_prefix("INBOX.").map_or(name.to_owned(), |name| name.replace('.', "/"));
    MailboxName::new(&paquebot_protocol::decode_utf7(&name).unwrap()).unwrap()
}

/// `\Recent` depends on who has looked before.
fn without_recent(mut shown: Vec<Shown>) -> Vec<Shown> {
    shown.iter_mut().for_each(|message| message.1.retain(|flag| flag != "\\Recent"));
    shown
}

fn compare(fixture: &str, access: Access) {
    let directory = unpack(fixture);
    let root = root(&directory.path().join("Maildir"));
    assert_eq!(paquebot_formats::recognise(&root).unwrap().map(Driver::name), Some("maildir"));
    let listed = maildir().list(&root).unwrap();
    for (name, mailbox) in &manifest::read(fixture).mailboxes {
        let name = our_name(name);
        assert!(listed.iter().any(|found| found.name == name && found.selectable), "{name} is not listed");
        let mut open = maildir().open(&root, &name, access).unwrap();
        assert_eq!(without_recent(shown(&mut *open)), without_recent(told(mailbox)), "{name}");
        if let Some(validity) = mailbox.uidvalidity {
            assert_eq!(open.state().uid_validity.get(), validity, "{name}");
        }
        assert_eq!(open.state().uid_next.map(Uid::get), mailbox.uidnext, "{name}");
        assert_eq!(open.refresh(Expunged::Leave).unwrap(), Changes::default());
        drop(open);
        // Nothing has changed for who comes next, either.
        let mut again = maildir().open(&root, &name, Access::Write).unwrap();
        assert_eq!(without_recent(shown(&mut *again)), without_recent(told(mailbox)), "{name} again");
    }
}

#[test]
fn fixtures_are_shown_as_the_real_servers_showed_them() {
    for fixture in ["maildir-dovecot", "maildir-courier", "maildir-qmail"] {
        for access in [Access::Read, Access::Write] {
            compare(fixture, access);
        }
    }
}

#[test]
fn names_and_subscriptions_are_those_of_the_real_servers() {
    for fixture in ["maildir-dovecot", "maildir-courier"] {
        let directory = unpack(fixture);
        let root = root(&directory.path().join("Maildir"));
        let listed = maildir().list(&root).unwrap();
        let above = listed.iter().find(|found| found.name == name("a b")).unwrap();
        assert!(!above.selectable && !above.subscribed);
        let subscribed = || -> Vec<String> {
            let listed = maildir().list(&root).unwrap();
            listed.iter().filter(|found| found.subscribed).map(|found| found.name.to_string()).collect()
        };
        let before = ["Entwürfe", "INBOX", "Sent", "日本語", "日本語/下書き"];
        assert_eq!(subscribed(), before, "{fixture}");
        maildir().subscribe(&root, &name("a b/c d"), true).unwrap();
        maildir().subscribe(&root, &name("Sent"), false).unwrap();
        assert_eq!(subscribed(), ["Entwürfe", "INBOX", "a b/c d", "日本語", "日本語/下書き"], "{fixture}");
    }
}

/// A new mailbox of each kind.
fn each_kind(test: &dyn Fn(&Root, &str)) {
    for kind in ["dovecot", "courier"] {
        let directory = tempfile::tempdir().unwrap();
        let root = root(directory.path());
        if kind == "courier" {
            std::fs::write(directory.path().join("courierimapsubscribed"), "").unwrap();
        }
        maildir().create(&root, &name("box/of/mine"), UidValidity::new(77).unwrap()).unwrap();
        let list = if kind == "courier" { "courierimapuiddb" } else { "dovecot-uidlist" };
        assert!(directory.path().join(".box.of.mine").join(list).exists());
        test(&root, kind);
    }
}

#[test]
fn two_handles_see_each_others_changes() {
    each_kind(&|root, kind| {
        let again = maildir().create(root, &name("box/of/mine"), UidValidity::MIN);
        assert!(matches!(again, Err(FormatError::Exists(_))), "{kind}");
        let (mut one, mut other) = (open(root, "box/of/mine"), open(root, "box/of/mine"));
        assert_eq!(one.state().uid_validity.get(), 77);
        let first = append(&mut *one, "Subject: 1\n\nfirst\n", Flags::SEEN, &["Work"]);
        let second = append(&mut *one, "Subject: 2\n\nsecond\n", Flags::NONE, &[]);
        assert_eq!(other.refresh(Expunged::Leave).unwrap().arrived.to_string(), "1:2");
        assert_eq!(other.state().keywords, keywords(&["Work"]));
        assert_eq!(without_recent(shown(&mut *one)), without_recent(shown(&mut *other)));

        let changes = other.store(&[(second, Flags::DELETED, keywords(&["Later"]))]).unwrap();
        assert_eq!(changes.flags, only(second));
        assert_eq!(one.refresh(Expunged::Stay).unwrap().flags, only(second));
        assert_eq!(without_recent(shown(&mut *one)), without_recent(shown(&mut *other)));
        // Each goes on from what the other did.
        let changes = one.store(&[(second, Flags::DELETED.union(Flags::SEEN), keywords(&["later", "Work"]))]).unwrap();
        assert_eq!(changes.flags, only(second));
        assert_eq!(other.refresh(Expunged::Stay).unwrap().flags, only(second));
        assert_eq!(without_recent(shown(&mut *one)), without_recent(shown(&mut *other)));

        let mut reading = one.body(second).unwrap();
        assert_eq!(other.expunge(&only(second)).unwrap().expunged, only(second));
        assert_eq!(uids(&*other), [1]);
        assert_eq!(one.refresh(Expunged::Stay).unwrap(), Changes::default());
        assert_eq!(uids(&*one), [1, 2]);
        // Open octets stay; others are gone with the file.
        assert_eq!(fixtures::octets(&mut *reading), b"Subject: 2\r\n\r\nsecond\r\n");
        assert!(matches!(one.body(second), Err(FormatError::NoMessage(_))));
        assert_eq!(one.store(&[(second, Flags::NONE, Vec::new())]).unwrap(), Changes::default());
        assert_eq!(one.refresh(Expunged::Leave).unwrap().expunged, only(second));
        assert_eq!(fixtures::octets(&mut *one.body(first).unwrap()), b"Subject: 1\r\n\r\nfirst\r\n");
        assert_eq!(append(&mut *other, "Subject: 3\n\n", Flags::NONE, &[]).get(), 3, "a UID is used once");
        assert_eq!(append(&mut *one, "Subject: 4\n\n", Flags::NONE, &[]).get(), 4);
        assert_eq!(one.refresh(Expunged::Leave).unwrap().arrived.to_string(), "3");
        assert_eq!(uids(&*one), [1, 3, 4]);
        let before = without_recent(shown(&mut *one));
        drop((one, other));
        assert_eq!(without_recent(shown(&mut *open(root, "box/of/mine"))), before);
    });
}

#[test]
fn an_append_changes_as_little_as_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    maildir().create(&root, &MailboxName::inbox(), UidValidity::new(5).unwrap()).unwrap();
    let list = directory.path().join("dovecot-uidlist");
    let mut mailbox = open(&root, "INBOX");
    append(&mut *mailbox, "a\n", Flags::NONE, &[]);
    let before = std::fs::read_to_string(&list).unwrap();
    append(&mut *mailbox, "b\n", Flags::SEEN, &["Work"]);
    let after = std::fs::read_to_string(&list).unwrap();
    assert_eq!(after.strip_prefix(&before).unwrap().lines().count(), 1);
    let names: Vec<String> = std::fs::read_dir(directory.path().join("cur"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().any(|name| name.ends_with(",S=2,W=3:2,Sa")), "{names:?}");
    // The date is the file's, in UTC.
    assert_eq!(mailbox.messages()[0].internal_date.unix_seconds(), 1_173_118_530);
    assert_eq!(std::fs::read_dir(directory.path().join("tmp")).unwrap().count(), 0);
    mailbox.expunge(&only(Uid::new(1).unwrap())).unwrap();
    assert_eq!(std::fs::read_to_string(&list).unwrap(), after, "an expunge does not touch the list");
}

#[test]
fn what_is_appended_has_the_uid_asked_for_if_it_is_above_all() {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    maildir().create(&root, &MailboxName::inbox(), UidValidity::new(5).unwrap()).unwrap();
    let mut mailbox = open(&root, "INBOX");
    let mut give = |uid: Option<u32>| {
        let mut body = crate::sharing::Octets(b"x\r\n".to_vec());
        let mut arriving = [paquebot_formats::Arriving {
            flags: Flags::NONE,
            keywords: Vec::new(),
            internal_date: paquebot_types::InternalDate::utc(-5),
            body: &mut body,
            uid: uid.and_then(Uid::new),
        }];
        mailbox.append(&mut arriving).unwrap()[0].get()
    };
    assert_eq!([give(Some(10)), give(Some(3)), give(None), give(Some(u32::MAX))], [10, 11, 12, u32::MAX]);
    let mut body = crate::sharing::Octets(Vec::new());
    let (keywords, internal_date) = (Vec::new(), paquebot_types::InternalDate::utc(0));
    let mut arriving =
        [paquebot_formats::Arriving { flags: Flags::NONE, keywords, internal_date, body: &mut body, uid: None }];
    assert!(matches!(mailbox.append(&mut arriving), Err(FormatError::CannotHold(_))));
    assert_eq!(mailbox.state().uid_next, None);
    assert_eq!(mailbox.messages().len(), 4);
    drop(mailbox);
    let again = open(&root, "INBOX");
    assert_eq!(uids(&*again), [10, 11, 12, u32::MAX]);
    assert_eq!(again.messages()[0].internal_date.unix_seconds(), -5);
}

/// As qmail-local does: written in `tmp`, linked into `new`.
fn deliver(mailbox: &Path, unique: &str, text: &str) {
    deliver_for(mailbox, unique, text, &|_| ());
}

/// The same for another user, whose `give` makes a file before anybody sees it.
fn deliver_for(mailbox: &Path, unique: &str, text: &str, give: &dyn Fn(&Path)) {
    let (tmp, new) = (mailbox.join("tmp").join(unique), mailbox.join("new").join(unique));
    std::fs::write(&tmp, text).unwrap();
    give(&tmp);
    std::fs::hard_link(&tmp, new).unwrap();
    std::fs::remove_file(tmp).unwrap();
}

#[test]
fn deliveries_are_noticed_and_get_uids_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    maildir().create(&root, &MailboxName::inbox(), UidValidity::new(5).unwrap()).unwrap();
    let mut mailbox = open(&root, "INBOX");
    let mut examined = maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap();
    deliver(directory.path(), "20.2.host", "second\n");
    deliver(directory.path(), "3.1.host", "first\n");
    // Who only reads leaves them where they are.
    assert_eq!(examined.refresh(Expunged::Leave).unwrap().arrived.count(), 2);
    assert_eq!(std::fs::read_dir(directory.path().join("new")).unwrap().count(), 2);
    assert_eq!(examined.state().uid_next, Uid::new(3));
    assert_eq!(mailbox.refresh(Expunged::Leave).unwrap().arrived.to_string(), "1:2");
    assert!(mailbox.messages().iter().all(|message| message.recent && message.flags == Flags::NONE));
    assert_eq!(fixtures::octets(&mut *mailbox.body(Uid::MIN).unwrap()), b"first\r\n");
    assert!(directory.path().join("cur/3.1.host:2,").exists());
    assert_eq!(examined.refresh(Expunged::Leave).unwrap(), Changes::default());
    assert_eq!(uids(&*examined), [1, 2]);
    assert!(examined.body(Uid::MIN).is_ok());
    // A whole day's mail at once.
    for n in 0..500 {
        deliver(directory.path(), &format!("{}.1.host", 100 + n), "more\n");
    }
    assert_eq!(mailbox.refresh(Expunged::Leave).unwrap().arrived.to_string(), "3:502");
    assert_eq!(examined.refresh(Expunged::Leave).unwrap().arrived.to_string(), "3:502");
}

#[test]
fn what_others_rename_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    maildir().create(&root, &MailboxName::inbox(), UidValidity::new(5).unwrap()).unwrap();
    let mut mailbox = open(&root, "INBOX");
    let cur = directory.path().join("cur");
    std::fs::write(cur.join("1.a.host:2,PZ"), "x\n").unwrap();
    assert_eq!(mailbox.refresh(Expunged::Leave).unwrap().arrived.to_string(), "1");
    std::fs::rename(cur.join("1.a.host:2,PZ"), cur.join("1.a.host:2,FPZ")).unwrap();
    // Nobody has looked since.
    assert!(mailbox.body(Uid::MIN).is_ok());
    std::fs::rename(cur.join("1.a.host:2,FPZ"), cur.join("1.a.host:2,FPSZ")).unwrap();
    let changes = mailbox.store(&[(Uid::MIN, Flags::ANSWERED, Vec::new())]).unwrap();
    assert_eq!(changes.flags, only(Uid::MIN));
    assert!(cur.join("1.a.host:2,PRZ").exists(), "letters that we don't know are kept");
    // There and back.
    std::fs::rename(cur.join("1.a.host:2,PRZ"), cur.join("1.a.host:2,")).unwrap();
    std::fs::rename(cur.join("1.a.host:2,"), cur.join("1.a.host:2,PRZ")).unwrap();
    assert_eq!(mailbox.refresh(Expunged::Leave).unwrap(), Changes::default());
    std::fs::rename(cur.join("1.a.host:2,PRZ"), directory.path().join("tmp/1.a.host")).unwrap();
    assert_eq!(mailbox.refresh(Expunged::Stay).unwrap(), Changes::default());
    std::fs::rename(directory.path().join("tmp/1.a.host"), cur.join("1.a.host:2,T")).unwrap();
    assert_eq!(mailbox.refresh(Expunged::Leave).unwrap().flags, only(Uid::MIN));
    assert_eq!(uids(&*mailbox), [1]);
}

#[test]
fn two_messages_of_one_name_are_both_kept() {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    maildir().create(&root, &MailboxName::inbox(), UidValidity::new(5).unwrap()).unwrap();
    let (cur, new) = (directory.path().join("cur"), directory.path().join("new"));
    std::fs::write(cur.join("1.a.host:2,S"), "one\n").unwrap();
    std::fs::write(new.join("1.a.host"), "other\n").unwrap();
    std::fs::write(cur.join("2.b.host:2,"), "link\n").unwrap();
    std::fs::hard_link(cur.join("2.b.host:2,"), new.join("2.b.host")).unwrap();
    let examined = maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap();
    assert_eq!(examined.messages().len(), 2);
    let mut mailbox = open(&root, "INBOX");
    let mut texts: Vec<Vec<u8>> = uids(&*mailbox)
        .into_iter()
        .map(|uid| fixtures::octets(&mut *mailbox.body(Uid::new(uid).unwrap()).unwrap()))
        .collect();
    texts.sort();
    assert_eq!(texts, [&b"link\r\n"[..], b"one\r\n", b"other\r\n"]);
    // The same while it is open.
    std::fs::write(cur.join("1.a.host:2,FS"), "third\n").unwrap();
    assert_eq!(mailbox.refresh(Expunged::Leave).unwrap().arrived.count(), 1);
    assert_eq!(mailbox.messages().len(), 4);
}

#[test]
fn the_quota_is_kept_where_there_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    maildir().create(&root, &name("box"), UidValidity::new(5).unwrap()).unwrap();
    let path = directory.path().join("maildirsize");
    std::fs::write(&path, "1000000S,100C\n100 1\n").unwrap();
    let sum = || {
        let text = std::fs::read_to_string(&path).unwrap();
        let numbers = text.lines().skip(1).map(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse::<i64>().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        });
        numbers.fold((0, 0), |sum, numbers| (sum.0 + numbers.0, sum.1 + numbers.1))
    };
    let mut mailbox = open(&root, "box");
    let first = append(&mut *mailbox, "12345\n", Flags::NONE, &[]);
    let second = append(&mut *mailbox, "123\n", Flags::NONE, &[]);
    assert_eq!(sum(), (110, 3));
    mailbox.store(&[(first, Flags::DELETED, Vec::new())]).unwrap();
    assert_eq!(sum(), (104, 2));
    mailbox.expunge(&[first, second].into_iter().collect::<UidSet>()).unwrap();
    assert_eq!(sum(), (100, 1));
    assert!(std::fs::read_to_string(&path).unwrap().lines().skip(2).all(|line| line.len() == 13));
}

#[test]
fn a_damaged_list_is_used_as_far_as_it_is_whole() {
    for (fixture, list) in [("maildir-dovecot", "dovecot-uidlist"), ("maildir-courier", "courierimapuiddb")] {
        let directory = unpack(fixture);
        let root = root(&directory.path().join("Maildir"));
        let path = root.directory.join(list);
        let whole = std::fs::read(&path).unwrap();
        let all = uids(&*maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap());
        let first = whole.iter().position(|octet| *octet == b'\n').unwrap();
        for cut in (0..whole.len()).step_by(3) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mailbox = maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap();
            assert_eq!(mailbox.messages().len(), 25);
            let lines = whole[..cut].iter().filter(|octet| **octet == b'\n').count();
            if cut > first {
                // Whole lines hold, but for those of messages that are gone, and what comes after is new.
                let listed = String::from_utf8_lossy(&whole[..cut]).into_owned();
                let listed = listed.lines().skip(1).take(lines - 1);
                let listed = listed.map(|line| line.split(' ').next().unwrap().parse().unwrap());
                let listed: Vec<u32> = listed.filter(|uid| all.contains(uid)).collect();
                assert!(uids(&*mailbox).starts_with(&listed), "cut at {cut}");
            }
            assert_eq!(std::fs::read(&path).unwrap(), whole[..cut], "reading has written");
        }
        for at in (0..whole.len()).step_by(3) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x15;
            std::fs::write(&path, &flipped).unwrap();
            let mailbox = maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap();
            assert_eq!(mailbox.messages().len(), 25, "byte {at}");
        }
        // Half a line at the end: what is written after it stands on a line of its own.
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let mut mailbox = open(&root, "INBOX");
        let before = without_recent(shown(&mut *mailbox));
        append(&mut *mailbox, "x\n", Flags::NONE, &[]);
        drop(mailbox);
        assert_eq!(without_recent(shown(&mut *open(&root, "INBOX")))[..25], before);
        // Nothing of it: other UIDs, so another UIDVALIDITY.
        let validity = open(&root, "INBOX").state().uid_validity;
        std::fs::write(&path, "rubbish").unwrap();
        let mailbox = open(&root, "INBOX");
        assert_ne!(mailbox.state().uid_validity, validity);
        assert_eq!(uids(&*mailbox), (1..=26).collect::<Vec<u32>>());
    }
}

#[test]
fn damaged_companions_never_harm() {
    let directory = unpack("maildir-dovecot");
    let root = root(&directory.path().join("Maildir"));
    let many = root.directory.join(".Many");
    for file in ["dovecot-keywords", "dovecot.index.log"] {
        let path = many.join(file);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 300 + 1) {
            for damaged in [whole[..at].to_vec(), {
                let mut flipped = whole.clone();
                flipped[at] ^= 0x95;
                flipped
            }] {
                std::fs::write(&path, damaged).unwrap();
                let mailbox = maildir().open(&root, &name("Many"), Access::Read).unwrap();
                assert_eq!(mailbox.messages().len(), 30, "{file}");
            }
        }
        std::fs::write(&path, whole).unwrap();
    }
    let path = root.directory.join("dovecot.index");
    std::fs::copy(root.directory.join(".Many/dovecot-keywords"), root.directory.join("dovecot-keywords")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x95;
        std::fs::write(&path, flipped).unwrap();
        assert_eq!(maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap().messages().len(), 25);
    }
}

#[test]
fn a_message_that_cannot_be_read_fails_alone_and_wrong_sizes_are_found_out() {
    let directory = unpack("maildir-qmail");
    let wrong = root(&directory.path().join("Maildir-wrong-S"));
    let mut mailbox = open(&wrong, "INBOX");
    assert_eq!(shown(&mut *mailbox).len(), 1);
    let root = root(&directory.path().join("Maildir"));
    let cur = root.directory.join("cur");
    std::fs::write(cur.join("1.a.host,S=4,W=9:2,"), "a\nb\n").unwrap();
    std::fs::write(cur.join("1.b.host,S=4,W=5:2,"), "a\nb\n").unwrap();
    std::fs::write(cur.join("1.c.host:2,"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", cur.join("1.d.host:2,")).unwrap();
    std::fs::create_dir(cur.join("1.e.host")).unwrap();
    let mut mailbox = maildir().open(&root, &MailboxName::inbox(), Access::Read).unwrap();
    let at = |mailbox: &dyn OpenMailbox, n: usize| mailbox.messages()[n];
    assert_eq!(at(&*mailbox, 0).size, None, "more than every octet a line end");
    assert_eq!(at(&*mailbox, 1).size, Some(5), "it could be");
    let uid = at(&*mailbox, 1).uid;
    assert_eq!(mailbox.body(uid).unwrap().len(), 6);
    assert_eq!(at(&*mailbox, 1).size, Some(6), "and is not");
    assert_eq!(at(&*mailbox, 2).size, Some(0));
    assert!(mailbox.body(at(&*mailbox, 2).uid).unwrap().is_empty());
    assert_eq!(mailbox.messages().len(), 28);
}
