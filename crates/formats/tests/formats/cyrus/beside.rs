//! A mailbox that we have open while a real Cyrus changes it.

use std::time::{Duration, Instant};

use paquebot_formats::{Access, Changes, Expunged, FormatError, OpenMailbox, driver};
use paquebot_types::{Flags, MailboxName, Uid};

use super::server::Server;
use crate::fixtures::octets;
use crate::sharing::{only, uids};

fn server() -> Option<Server> {
    let mut server = Server::new("altnamespace: yes\nunixhierarchysep: yes\n")?;
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
