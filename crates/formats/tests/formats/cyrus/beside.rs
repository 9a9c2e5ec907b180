//! A mailbox that we have open while a real Cyrus changes it.

use std::time::{Duration, Instant};

use paquebot_formats::{Access, Changes, Expunged, FormatError, OpenMailbox, driver};
use paquebot_types::{Flags, MailboxName, Uid};

use super::server::Server;
use crate::fixtures::{octets, shown};
use crate::sharing::{only, uids};

fn server() -> Option<Server> {
    server_with("")
}

fn server_with(options: &str) -> Option<Server> {
    let mut server = Server::new(&format!("altnamespace: yes\nunixhierarchysep: yes\n{options}"))?;
    server.start();
    server.client("admin").command("CREATE user/alice");
    Some(server)
}

fn open(server: &Server, user: &str, name: &str) -> Box<dyn OpenMailbox> {
    let name = MailboxName::new(name).unwrap();
    driver("cyrus").unwrap().open(&server.root(user), &name, Access::Read).unwrap()
}

fn look(mailbox: &mut dyn OpenMailbox) -> Changes {
    mailbox.refresh(Expunged::Leave).unwrap()
}

#[test]
fn everything_that_cyrus_does_is_seen() {
    let Some(server) = server() else { return };
    let mut client = server.client("alice");
    let mut ours = open(&server, "alice", "INBOX");
    assert_eq!(look(&mut *ours), Changes::default());
    let first = client.append("INBOX", "\\Seen Work", "Subject: 1\r\n\r\nfirst\r\n");
    let second = client.append("INBOX", "", "Subject: 2\r\n\r\nsecond\r\n");
    let (one, two) = (Uid::new(first).unwrap(), Uid::new(second).unwrap());
    let changes = look(&mut *ours);
    assert_eq!(changes.arrived.to_string(), format!("{first}:{second}"));
    assert_eq!(ours.state().keywords[0].to_string(), "Work");
    assert_eq!((ours.messages()[0].flags, ours.messages()[0].keywords), (Flags::SEEN, 1));
    assert_eq!(octets(&mut *ours.body(one).unwrap()), b"Subject: 1\r\n\r\nfirst\r\n");
    assert_eq!(look(&mut *ours), Changes::default());

    client.command("SELECT INBOX");
    let before = ours.state().highest_modseq;
    client.command(&format!("UID STORE {second} +FLAGS (\\Flagged Later)"));
    let changes = look(&mut *ours);
    assert_eq!((changes.flags, changes.arrived.is_empty()), (only(two), true));
    assert_eq!((ours.messages()[1].flags, ours.messages()[1].keywords), (Flags::FLAGGED, 2));
    assert!(ours.state().highest_modseq > before);

    // Gone for Cyrus, and still ours until it may be told.
    client.command(&format!("UID STORE {first} +FLAGS (\\Deleted)"));
    client.command("EXPUNGE");
    ours.refresh(Expunged::Stay).unwrap();
    assert_eq!(uids(&*ours), [first, second]);
    assert_eq!(octets(&mut *ours.body(one).unwrap()), b"Subject: 1\r\n\r\nfirst\r\n");
    let reading = ours.body(one);
    assert_eq!(look(&mut *ours).expunged, only(one));
    assert_eq!(ours.expunged().iter().map(|message| message.uid).collect::<Vec<_>>(), [one]);

    // The index is replaced, and the file removed.
    client.command("CLOSE");
    server.tool("cyr_expire", &["-E", "0", "-X", "0"], b"");
    assert_eq!(look(&mut *ours), Changes::default());
    assert_eq!((uids(&*ours), ours.expunged().len()), (vec![second], 0));
    assert_eq!(octets(&mut *reading.unwrap()), b"Subject: 1\r\n\r\nfirst\r\n");
    assert_eq!(client.append("INBOX", "", "Subject: 3\r\n\r\nthird\r\n"), second + 1);
    assert_eq!(look(&mut *ours).arrived, only(Uid::new(second + 1).unwrap()));
}

#[test]
fn what_another_user_has_seen_is_that_users() {
    let Some(server) = server() else { return };
    let mut alice = server.client("alice");
    alice.command("CREATE Shared");
    alice.command("SETACL Shared bob lrs");
    let uid = alice.append("Shared", "", "Subject: 1\r\n\r\nfirst\r\n");
    server.client("admin").command("CREATE user/bob");
    let (mut owner, mut other) = (open(&server, "alice", "Shared"), open(&server, "bob", "Other Users/alice/Shared"));
    assert_eq!((owner.messages()[0].flags, other.messages()[0].flags), (Flags::NONE, Flags::NONE));
    let mut bob = server.client("bob");
    bob.command("SELECT \"Other Users/alice/Shared\"");
    bob.command(&format!("UID STORE {uid} +FLAGS (\\Seen)"));
    bob.command("LOGOUT");
    let until = Instant::now() + Duration::from_secs(10);
    while other.messages()[0].flags != Flags::SEEN {
        assert!(Instant::now() < until, "bob's \\Seen does not come");
        look(&mut *other);
    }
    look(&mut *owner);
    assert_eq!(owner.messages()[0].flags, Flags::NONE);
}

#[test]
fn a_mailbox_that_is_renamed_or_deleted_goes_away() {
    let Some(server) = server() else { return };
    let mut client = server.client("alice");
    client.command("CREATE Work");
    client.append("Work", "", "Subject: 1\r\n\r\nfirst\r\n");
    let mut ours = open(&server, "alice", "Work");
    client.command("RENAME Work Done");
    // Its directory has its unique id: it is the same mailbox.
    look(&mut *ours);
    assert_eq!(uids(&*ours), [1]);
    let gone = driver("cyrus").unwrap().open(&server.root("alice"), &MailboxName::new("Work").unwrap(), Access::Read);
    assert!(matches!(gone, Err(FormatError::NoMailbox(_))));
    assert_eq!(uids(&*open(&server, "alice", "Done")), [1]);
    client.command("SUBSCRIBE Done");
    let listed = driver("cyrus").unwrap().list(&server.root("alice")).unwrap();
    let names: Vec<(String, bool)> = listed.iter().map(|found| (found.name.to_string(), found.subscribed)).collect();
    assert_eq!(names, [("Done".into(), true), ("INBOX".into(), false)]);
}

#[test]
fn reading_while_cyrus_writes_never_shows_what_never_was() {
    let Some(server) = server() else { return };
    let mut client = server.client("alice");
    let mut ours = open(&server, "alice", "INBOX");
    let writer = std::thread::spawn(move || {
        for round in 0..150 {
            let uid = client.append("INBOX", "", &format!("Subject: {round}\r\n\r\n{}", "line\r\n".repeat(round)));
            if round == 0 {
                client.command("SELECT INBOX");
            }
            client.command(&format!("UID STORE {uid} +FLAGS (\\Flagged k{})", round % 7));
            if round % 10 == 9 {
                client.command(&format!("UID STORE {} +FLAGS (\\Deleted)", uid - 5));
                client.command("EXPUNGE");
            }
        }
    });
    let (mut last, mut rounds) = (0, 0);
    while !writer.is_finished() {
        let changes = ours.refresh(Expunged::Stay).unwrap();
        rounds += 1;
        for uid in changes.arrived.iter() {
            assert!(uid.get() > last, "UID {uid} came after {last}");
            last = uid.get();
            let body = octets(&mut *ours.body(uid).unwrap());
            assert!(body.starts_with(format!("Subject: {}\r\n", uid.get() - 1).as_bytes()));
        }
        for message in ours.messages() {
            assert!(message.modseq <= ours.state().highest_modseq);
        }
        assert!(ours.messages().is_sorted_by_key(|message| message.uid));
        if rounds % 3 == 0 {
            look(&mut *ours);
        }
    }
    writer.join().unwrap();
    look(&mut *ours);
    assert_eq!((uids(&*ours).last(), ours.messages().len()), (Some(&150), 135));
    assert!(ours.messages().iter().all(|message| message.flags.contains(Flags::FLAGGED) && message.keywords != 0));
}

#[test]
fn what_is_delivered_is_seen() {
    let Some(server) = server() else { return };
    let mut ours = open(&server, "alice", "INBOX");
    server.deliver("alice", "Subject: delivered\r\n\r\nbody\r\n");
    let first = Uid::MIN;
    assert_eq!(look(&mut *ours).arrived, only(first));
    // With what the server puts into its header.
    let text = String::from_utf8(octets(&mut *ours.body(first).unwrap())).unwrap();
    assert!(text.contains("\r\nSubject: delivered\r\n") && text.ends_with("\r\n\r\nbody\r\n"), "{text}");
    assert!(ours.messages()[0].recent);
}

#[test]
fn an_index_that_becomes_another_version_is_read_anew() {
    let Some(server) = server() else { return };
    let mut client = server.client("alice");
    client.append("INBOX", "\\Seen Work", "Subject: 1\r\n\r\nfirst\r\n");
    client.append("INBOX", "\\Flagged", "Subject: 2\r\n\r\nsecond\r\n");
    client.command("LOGOUT");
    let mut ours = open(&server, "alice", "INBOX");
    let told = shown(&mut *ours);
    for version in ["12", "13", "15", "16", "17", "9", "max"] {
        let said = server.tool("reconstruct", &["-V", version, "user/alice"], b"");
        assert!(said.contains("Converted") || version == "max", "{version}: {said}");
        look(&mut *ours);
        // Before 12 what was seen goes to the user's own file, which is another one.
        assert_eq!(shown(&mut *ours), told, "version {version}");
        assert_eq!(shown(&mut *open(&server, "alice", "INBOX")).len(), 2);
    }
}

#[test]
fn a_message_whose_file_is_gone_is_no_message() {
    let Some(server) = server_with("expunge_mode: immediate\n") else { return };
    let mut client = server.client("alice");
    client.append("INBOX", "\\Deleted", "Subject: 1\r\n\r\nfirst\r\n");
    client.append("INBOX", "", "Subject: 2\r\n\r\nsecond\r\n");
    let mut ours = open(&server, "alice", "INBOX");
    client.command("SELECT INBOX");
    client.command("EXPUNGE");
    client.command("LOGOUT");
    let file = ours.watched()[0].with_file_name("1.");
    let until = Instant::now() + Duration::from_secs(10);
    while file.exists() {
        assert!(Instant::now() < until, "the file stays");
        std::thread::yield_now();
    }
    ours.refresh(Expunged::Stay).unwrap();
    assert_eq!(uids(&*ours), [1, 2]);
    assert!(matches!(ours.body(Uid::MIN), Err(FormatError::NoMessage(_))));
    assert_eq!(look(&mut *ours).expunged, only(Uid::MIN));
    assert!(ours.expunged().is_empty());
}

#[test]
fn files_of_other_directories_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let options = format!(
        "metapartition-default: {}\nmetapartition_files: header index cache annotations\nhashimapspool: yes\n",
        folder.path().display()
    );
    let Some(mut server) = Server::new(&format!("altnamespace: yes\nunixhierarchysep: yes\n{options}")) else { return };
    server.give(folder.path());
    server.start();
    server.client("admin").command("CREATE user/alice");
    let mut client = server.client("alice");
    let uid = client.append("INBOX", "Work", "Subject: 1\r\n\r\nfirst\r\n");
    let mut ours = open(&server, "alice", "INBOX");
    assert!(ours.watched()[0].starts_with(folder.path()));
    assert_eq!(octets(&mut *ours.body(Uid::new(uid).unwrap()).unwrap()), b"Subject: 1\r\n\r\nfirst\r\n");
    assert_eq!(ours.state().keywords.len(), 1);
}

#[test]
fn databases_of_every_kind_are_read() {
    let Some(server) = server() else { return };
    let mut client = server.client("alice");
    for name in ["Sent (USE (\\Sent))", "Work", "Work/a.b", "Entw&APw-rfe"] {
        client.command(&format!("CREATE {name}"));
    }
    client.command("SUBSCRIBE Work/a.b");
    let mut admin = server.client("admin");
    for n in 0..40 {
        admin.command(&format!("CREATE user/u{n}"));
    }
    admin.command("SETACL user/u7 admin lrswipkxtecdan");
    admin.command("DELETE user/u7");
    let alice = server.root("alice");
    let cyrus = driver("cyrus").unwrap();
    let told = cyrus.list(&alice).unwrap();
    assert_eq!(told.iter().filter(|found| found.special_use.is_some()).count(), 1);
    assert_eq!(told.len(), 5);
    let users = paquebot_formats::cyrus::users(&alice).unwrap();
    assert_eq!(users.len(), 40);
    for kind in ["skiplist", "flat", "twoskip"] {
        for file in ["mailboxes.db", "annotations.db"] {
            let (file, new) = (server.path().join("conf").join(file), server.path().join("run/new.db"));
            let (from, to) = (file.display().to_string(), new.display().to_string());
            let start = std::fs::read(&file).unwrap();
            let was = match start.get(4..12) {
                Some(b"twoskip ") => "twoskip",
                Some(b"skiplist") => "skiplist",
                _ => "flat",
            };
            server.tool("cvt_cyrusdb", &[&from, was, &to, kind], b"");
            std::fs::rename(&new, &file).unwrap();
        }
        assert_eq!(cyrus.list(&alice).unwrap(), told, "{kind}");
        assert_eq!(paquebot_formats::cyrus::users(&alice).unwrap(), users, "{kind}");
    }
}
