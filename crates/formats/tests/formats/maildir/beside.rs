//! One maildir and two programs: ours, and the real Dovecot or Courier.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use paquebot_formats::{Access, Expunged, OpenMailbox, Root};
use paquebot_types::{Flags, MailboxName, Uid, UidSet, UidValidity};

use super::server::{Kind, Session, give_away};
use super::{keywords, maildir, name, open};
use crate::fixtures::{octets, unpack};
use crate::sharing::append;

/// Starts a session of the real server.
type Start<'a> = &'a (dyn Fn() -> Session + Sync);

/// Runs a test with each of the servers that are here, on an empty maildir and its folder `Box`.
fn with_each(test: &dyn Fn(Kind, &Root, Start<'_>)) {
    for kind in [Kind::Dovecot, Kind::Courier] {
        let Some(packages) = kind.packages() else { continue };
        let directory = tempfile::tempdir().unwrap();
        let root = kind.root(directory.path());
        for mailbox in ["INBOX", "Box"] {
            maildir().create(&root, &name(mailbox), UidValidity::new(1_000_077).unwrap()).unwrap();
        }
        test(kind, &root, &|| Session::start(kind, &packages, directory.path()));
    }
}

/// UID, flags and keywords sorted, octets: as a session of the real server tells them.
fn ours(mailbox: &mut dyn OpenMailbox) -> Vec<(u32, Vec<String>, u64)> {
    let known = mailbox.state().keywords.clone();
    let messages = mailbox.messages().to_vec();
    let tell = |message: paquebot_formats::Message| {
        let system = Flags::NAMES.iter().filter(|(flag, _)| message.flags.contains(*flag));
        let mut flags: Vec<String> = system.map(|(_, name)| (*name).to_owned()).collect();
        flags.extend((0..known.len()).filter(|at| message.keywords >> at & 1 == 1).map(|at| known[at].to_string()));
        flags.sort();
        let size = mailbox.body(message.uid).unwrap().len();
        assert!(message.size.is_none_or(|said| said == size));
        (message.uid.get(), flags, size)
    };
    messages.into_iter().map(tell).collect()
}

fn uid(uid: u32) -> Uid {
    Uid::new(uid).unwrap()
}

#[test]
fn each_goes_on_where_the_other_stopped() {
    with_each(&|kind, root, start| {
        let mut mailbox = open(root, "Box");
        let text = |n: u32| format!("Subject: {n}\r\n\r\nMessage {n}\r\n");
        for n in 1..=6 {
            let flags = if n % 2 == 0 { Flags::SEEN } else { Flags::NONE };
            let set: &[&str] = if n == 3 { &["Work", "$Junk"] } else { &[] };
            append(&mut *mailbox, &text(n).replace('\r', ""), flags, set);
        }
        mailbox.store(&[(uid(1), Flags::FLAGGED.union(Flags::DRAFT), keywords(&["Later"]))]).unwrap();
        mailbox.expunge(&[uid(2), uid(5)].into_iter().collect::<UidSet>()).unwrap();
        let before = ours(&mut *mailbox);
        drop(mailbox);

        let mut session = start();
        let selected = session.command(&format!("SELECT {}", kind.mailbox("Box")));
        assert!(selected.contains("[UIDVALIDITY 1000077]"), "{selected}");
        assert_eq!(session.messages(), before, "{kind:?}");
        assert_eq!(session.body(3), text(3).into_bytes());
        session.command("UID STORE 4 FLAGS (\\Answered \\Seen Travel Work)");
        session.command("UID STORE 3 -FLAGS ($Junk)");
        session.command("UID STORE 1 +FLAGS (\\Deleted)");
        session.command("EXPUNGE");
        assert_eq!(session.append(&kind.mailbox("Box"), "\\Flagged Later", &text(7)), 7);
        session.command("NOOP");
        let theirs = session.messages();
        assert_eq!(theirs.iter().map(|(uid, ..)| *uid).collect::<Vec<_>>(), [3, 4, 6, 7]);
        session.end();

        let mut mailbox = open(root, "Box");
        assert_eq!(mailbox.state().uid_validity.get(), 1_000_077);
        assert_eq!(ours(&mut *mailbox), theirs, "{kind:?}");
        assert_eq!(octets(&mut *mailbox.body(uid(7)).unwrap()), text(7).into_bytes());
        assert_eq!(mailbox.messages()[3].internal_date.unix_seconds(), 1_173_118_530);
        mailbox.store(&[(uid(7), Flags::ANSWERED, keywords(&["Other", "Travel"]))]).unwrap();
        assert_eq!(append(&mut *mailbox, "eight\n", Flags::NONE, &["Work"]).get(), 8);
        let before = ours(&mut *mailbox);
        drop(mailbox);

        let mut session = start();
        session.command(&format!("SELECT {}", kind.mailbox("Box")));
        assert_eq!(session.messages(), before, "{kind:?} again");
        session.end();
    });
}

#[test]
fn both_at_the_same_time_see_what_the_other_does() {
    with_each(&|kind, root, start| {
        let mut mailbox = open(root, "Box");
        let mut session = start();
        session.command(&format!("SELECT {}", kind.mailbox("Box")));
        append(&mut *mailbox, "one\n", Flags::NONE, &[]);
        session.command("NOOP");
        assert_eq!(session.messages(), ours(&mut *mailbox));
        for round in 0..5 {
            session.command("UID STORE 1 +FLAGS (\\Seen Theirs)");
            let changes = mailbox.refresh(Expunged::Leave).unwrap();
            assert!(changes.flags.contains(uid(1)), "{kind:?}, round {round}: {changes:?}");
            assert_eq!(session.messages(), ours(&mut *mailbox), "{kind:?}, round {round}");
            let theirs = session.append(&kind.mailbox("Box"), "Theirs", "theirs\r\n");
            let arrived = mailbox.refresh(Expunged::Leave).unwrap().arrived;
            assert!(arrived.contains(uid(theirs)), "{kind:?}: {arrived}");
            let own = append(&mut *mailbox, "ours\n", Flags::SEEN, &["Ours"]).get();
            assert!(own > theirs);
            mailbox.store(&[(uid(1), Flags::ANSWERED, keywords(&["Ours"]))]).unwrap();
            session.command("CHECK");
            session.command("NOOP");
            assert_eq!(session.messages(), ours(&mut *mailbox), "{kind:?}, round {round}");
            session.command(&format!("UID STORE {theirs} +FLAGS (\\Deleted)"));
            session.command("EXPUNGE");
            assert!(mailbox.refresh(Expunged::Leave).unwrap().expunged.contains(uid(theirs)));
        }
        session.end();
    });
}

#[test]
fn nothing_is_lost_when_both_write_at_once() {
    with_each(&|kind, root, start| {
        let directory = root.directory.join(".Box");
        // Courier waits for the server of its libfam, which nobody has installed, in nearly each command.
        let rounds = if kind == Kind::Courier { 6 } else { 60 };
        let going_on = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let ours = scope.spawn(|| {
                let mut mailbox = open(root, "Box");
                let mut appended = BTreeMap::new();
                for n in 0.. {
                    let uid = append(&mut *mailbox, &format!("ours {n}\n"), Flags::NONE, &["Ours"]);
                    appended.insert(uid.get(), format!("ours {n}\r\n"));
                    mailbox.store(&[(uid, Flags::SEEN, keywords(&["Ours", "Kept"]))]).unwrap();
                    let messages = mailbox.messages();
                    assert!(messages.is_sorted_by(|one, other| one.uid < other.uid));
                    if n >= 200 || !going_on.load(Ordering::Relaxed) {
                        break;
                    }
                }
                appended
            });
            let theirs = scope.spawn(|| {
                let mut session = start();
                let box_name = kind.mailbox("Box");
                session.command(&format!("SELECT {box_name}"));
                let mut appended = BTreeMap::new();
                for n in 0..rounds {
                    let uid = session.append(&box_name, "Theirs", &format!("theirs {n}\r\n"));
                    appended.insert(uid, format!("theirs {n}\r\n"));
                    session.command("NOOP");
                    session.command(&format!("UID STORE {uid} +FLAGS (\\Flagged)"));
                }
                session.end();
                going_on.store(false, Ordering::Relaxed);
                appended
            });
            let delivered = scope.spawn(|| {
                for n in 0..rounds {
                    let unique = format!("{}.{n}.agent", 1_700_000_000 + n);
                    super::deliver_for(&directory, &unique, &format!("delivered {n}\n"), &give_away);
                }
            });
            let (ours, theirs) = (ours.join().unwrap(), theirs.join().unwrap());
            delivered.join().unwrap();

            let mut mailbox = open(root, "Box");
            let count = ours.len() + theirs.len() + rounds as usize;
            assert_eq!(mailbox.messages().len(), count, "{kind:?}");
            let all = super::beside::ours(&mut *mailbox);
            let mut texts = Vec::new();
            for (uid, flags, _) in &all {
                let text = String::from_utf8(octets(&mut *mailbox.body(super::beside::uid(*uid)).unwrap())).unwrap();
                if let Some(told) = ours.get(uid) {
                    assert_eq!(
                        (&text, &flags[..]),
                        (told, &["Kept".into(), "Ours".into(), "\\Seen".into()][..]),
                        "{kind:?}"
                    );
                } else if let Some(told) = theirs.get(uid) {
                    assert_eq!((&text, &flags[..]), (told, &["Theirs".into(), "\\Flagged".into()][..]), "{kind:?}");
                } else {
                    assert!(text.starts_with("delivered "), "{kind:?}: {text}");
                }
                texts.push(text);
            }
            texts.sort();
            texts.dedup();
            assert_eq!(texts.len(), count);
            drop(mailbox);
            let mut session = start();
            session.command(&format!("SELECT {}", kind.mailbox("Box")));
            assert_eq!(session.messages(), all, "{kind:?}");
            session.end();
        });
    });
}

#[test]
fn mailboxes_that_we_make_are_theirs_too() {
    with_each(&|kind, root, start| {
        for mailbox in ["Entwürfe", "a/b c", "Tom & Jerry"] {
            maildir().create(root, &name(mailbox), UidValidity::new(9).unwrap()).unwrap();
            maildir().subscribe(root, &name(mailbox), true).unwrap();
        }
        let wire = |name: &str| kind.mailbox(&paquebot_protocol::encode_utf7(name));
        let mut session = start();
        for mailbox in ["Entwürfe", "a/b c", "Tom & Jerry"] {
            let listed = session.command("LSUB \"\" \"*\"");
            assert!(listed.contains(&wire(mailbox)), "{kind:?}: {listed}");
            session.append(&wire(mailbox), "", "in it\r\n");
        }
        session.command(&format!("CREATE \"{}\"", wire("Their own")));
        session.command(&format!("SUBSCRIBE \"{}\"", wire("Their own")));
        session.command(&format!("UNSUBSCRIBE \"{}\"", wire("Entwürfe")));
        session.end();
        let listed = maildir().list(root).unwrap();
        let found = |text: &str| listed.iter().find(|found| found.name == name(text)).unwrap();
        assert!(found("Their own").subscribed && found("Their own").selectable, "{kind:?}");
        assert!(!found("Entwürfe").subscribed && found("Tom & Jerry").subscribed, "{kind:?}: {listed:?}");

        maildir().rename(root, &name("a/b c"), &name("d/e")).unwrap();
        maildir().delete(root, &name("Entwürfe")).unwrap();
        maildir().rename(root, &MailboxName::inbox(), &name("Old")).unwrap();
        let mut session = start();
        let listed = session.command("LIST \"\" \"*\"");
        assert!(listed.contains(&wire("d/e")) && !listed.contains(&wire("Entwürfe")), "{kind:?}: {listed}");
        session.command(&format!("SELECT \"{}\"", wire("d/e")));
        assert_eq!(session.messages().len(), 1);
        session.command(&format!("SELECT \"{}\"", wire("Old")));
        session.command("SELECT INBOX");
        session.end();
    });
}

/// Given a fixture, the real server tells the same before and after we have had it.
#[test]
fn the_fixtures_stay_what_they_are_for_their_servers() {
    for (kind, fixture) in [(Kind::Dovecot, "maildir-dovecot"), (Kind::Courier, "maildir-courier")] {
        let Some(packages) = kind.packages() else { continue };
        let directory = unpack(fixture);
        let top = directory.path().join("Maildir");
        give_away(directory.path());
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&top).unwrap());
        let owner = (owner == 65534).then_some(paquebot_formats::Owner { user: 65534, group: 65534 });
        let root = Root { directory: top.clone(), owner, ..Root::default() };
        for mailbox in ["INBOX", "Sent"] {
            let mut opened = maildir().open(&root, &name(mailbox), Access::Write).unwrap();
            let before = ours(&mut *opened);
            drop(opened);
            let mut session = Session::start(kind, &packages, &top);
            session.command(&format!("SELECT {}", kind.mailbox(mailbox)));
            assert_eq!(session.messages(), before, "{fixture}, {mailbox}");
            session.end();
            assert_eq!(ours(&mut *open(&root, mailbox)), before, "{fixture}, {mailbox}");
        }
    }
}
