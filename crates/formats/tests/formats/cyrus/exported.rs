//! What we export a real Cyrus takes over, with every UID as it was.

use paquebot_formats::cyrus::export::{Directories, Export, Lost, NewMailbox, Release, Target};
use paquebot_formats::{Access, Arriving, FormatError, Found, OpenMailbox, driver};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, ModSeq, SpecialUse, Uid, UidValidity};
use sha2::{Digest as _, Sha256};

use super::server::{Client, Server};
use super::{plain, root, unpack};
use crate::fixtures::{Shown, shown};
use crate::sharing::Octets;

/// The mailboxes of a fixture that were exported.
struct Written {
    mailboxes: Vec<(Found, Box<dyn OpenMailbox>)>,
    lost: Vec<Lost>,
    /// Mailboxes' names, entries as METADATA has them, and values.
    notes: Vec<(&'static str, &'static str, &'static str)>,
    /// Where they still are.
    _fixture: tempfile::TempDir,
}

impl Written {
    /// As if there had been none.
    fn without_notes(&mut self) {
        self.mailboxes.iter_mut().for_each(|(found, _)| found.special_use = None);
        self.notes.clear();
    }
}

fn export(target: Target) -> Written {
    let directory = unpack("cyrus");
    let (driver, root) = (driver("cyrus").unwrap(), root(directory.path(), Some("alice")));
    let mut export = Export::new(target).unwrap();
    let mut written = Vec::new();
    for found in driver.list(&root).unwrap().into_iter().filter(|found| found.selectable) {
        let mut open = driver.open(&root, &found.name, Access::Read).unwrap();
        let state = open.state().clone();
        let new = NewMailbox {
            name: found.name.clone(),
            uid_validity: state.uid_validity,
            uid_next: state.uid_next,
            highest_modseq: state.highest_modseq,
            subscribed: found.subscribed,
            special_use: found.special_use,
            annotations: driver.annotations(&root, &found.name).unwrap(),
        };
        let mut mailbox = export.mailbox(&new).unwrap();
        for message in open.messages().to_vec() {
            let keywords = (0..state.keywords.len()).filter(|bit| message.keywords >> bit & 1 == 1);
            let mut body = open.body(message.uid).unwrap();
            let mut arriving = Arriving {
                flags: message.flags,
                keywords: keywords.map(|bit| state.keywords[bit].clone()).collect(),
                internal_date: message.internal_date,
                body: &mut *body,
                uid: Some(message.uid),
            };
            assert_eq!(mailbox.append(&mut arriving, message.modseq).unwrap(), message.uid);
        }
        mailbox.finish().unwrap();
        written.push((found, open));
    }
    let notes = vec![
        ("INBOX/Entw&APw-rfe", "/shared/comment", "our folder"),
        ("INBOX/Entw&APw-rfe", "/private/comment", "my folder"),
        ("INBOX/Sent", "/shared/vendor/cmu/cyrus-imapd/expire", "30"),
    ];
    Written { mailboxes: written, lost: export.finish().unwrap(), notes, _fixture: directory }
}

fn target(server: &Server, user: &str, release: Release, directories: Directories) -> Target {
    Target {
        spool: server.path().join("spool"),
        partition: "default".into(),
        configuration: server.path().join("conf"),
        user: user.into(),
        release,
        directories,
        owner: server.owner(),
    }
}

/// Messages as the server shows them, in the words that ours are compared in; and mod-sequences.
fn served(client: &mut Client) -> (Vec<Shown>, Vec<u64>) {
    let answer = client.command("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ)");
    let part = |line: &str, from: &str, to: char| line.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let lines = answer.lines().filter(|line| line.contains(" FETCH (") && line.contains("RFC822.SIZE"));
    let show = |line: &str| {
        let uid: u32 = part(line, "UID ", ' ').parse().unwrap();
        let all = part(line, "FLAGS (", ')');
        let (mut flags, mut keywords): (Vec<String>, Vec<String>) =
            all.split(' ').filter(|flag| !flag.is_empty()).map(str::to_owned).partition(|flag| flag.starts_with('\\'));
        flags.sort();
        keywords.sort();
        let octets = client.body(uid);
        let size = part(line, "RFC822.SIZE ", ' ').trim_end_matches(')').parse().unwrap();
        assert_eq!(octets.len() as u64, size);
        let hash = Sha256::digest(octets).iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = (uid, flags, keywords, part(line, "INTERNALDATE \"", '"'), size, hash);
        (shown, part(line, "MODSEQ (", ')').parse::<u64>().unwrap())
    };
    lines.map(show).unzip()
}

/// What the server's administrator does with an export.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Only loads the list.
    List,
    /// And lets the server parse all messages at once: what it had to look at gets a new mod-sequence.
    Reconstruct,
}

fn same(server: &mut Server, user: &str, written: &mut Written, step: Step) {
    server.start();
    let mut client = server.client(user);
    let listed = client.command("LIST (SPECIAL-USE) \"\" \"*\" RETURN (SPECIAL-USE)");
    let subscribed = client.command("LSUB \"\" \"*\"");
    for (name, entry, value) in &written.notes {
        let answer = client.command(&format!("GETMETADATA \"{name}\" {entry}"));
        assert!(answer.contains(&format!("\"{entry}\" \"{value}\"")), "{answer}");
    }
    for (found, open) in &mut written.mailboxes {
        let name = paquebot_protocol::encode_utf7(found.name.as_str()).into_owned();
        let answer = client.command(&format!("SELECT \"{name}\""));
        let told = |code: &str, value: u64| {
            assert!(answer.contains(&format!("[{code} {value}]")), "{name}: {code} {value}: {answer}");
        };
        told("UIDVALIDITY", open.state().uid_validity.get().into());
        told("UIDNEXT", open.state().uid_next.unwrap().get().into());
        let ours = plain(shown(&mut **open));
        if ours.is_empty() {
            assert!(answer.contains("* 0 EXISTS"), "{name}: {answer}");
            continue;
        }
        let (theirs, modseqs) = served(&mut client);
        assert_eq!(plain(theirs), ours, "{name}");
        let ours: Vec<u64> = open.messages().iter().map(|message| message.modseq.unwrap().0).collect();
        match step {
            Step::List => assert_eq!(modseqs, ours, "{name}"),
            Step::Reconstruct => assert!(modseqs.iter().zip(&ours).all(|(now, was)| now >= was), "{name}: {modseqs:?}"),
        }
        let quoted = [format!("\"{name}\"\r\n"), format!(" {name}\r\n")];
        assert_eq!(found.subscribed, quoted.iter().any(|name| subscribed.contains(name)), "{name}: {subscribed}");
        let special = listed.lines().any(|line| line.contains("\\Sent") && line.ends_with(&name));
        assert_eq!(found.special_use == Some(SpecialUse::Sent), special, "{name}: {listed}");
        // It goes on from here.
        let next = open.state().uid_next.unwrap().get();
        assert_eq!(client.append(&format!("\"{name}\""), "", "Subject: new\r\n\r\nnew\r\n"), next);
    }
}

fn take_over(server: &mut Server, user: &str, list: &[u8], step: Step) {
    server.tool("ctl_mboxlist", &["-u"], list);
    if step == Step::Reconstruct {
        let said = server.tool("reconstruct", &["-r", &format!("user/{user}")], b"");
        assert!(said.contains("rewrote cache"), "nothing was reconstructed: {said}");
        assert!(!said.contains("found - adding") && !said.contains("failed"), "{said}");
    }
    server.tool("quota", &["-f"], b"");
}

fn exported_and_served(user: &str, options: &str, directories: Directories) {
    let options = format!("altnamespace: no\nunixhierarchysep: yes\n{options}");
    for step in [Step::List, Step::Reconstruct] {
        let Some(mut server) = Server::new(&options) else { return };
        let mut written = export(target(&server, user, Release::V3_6, directories));
        assert_eq!(written.lost, []);
        let list = std::fs::read(server.path().join("conf/mailboxes.json")).unwrap();
        take_over(&mut server, user, &list, step);
        same(&mut server, user, &mut written, step);
        // And our own driver, by the server's configuration.
        let found = driver("cyrus").unwrap().list(&server.root(user)).unwrap();
        let was = written.mailboxes.into_iter().map(|(found, _)| found).collect::<Vec<_>>();
        assert_eq!(found.into_iter().filter(|found| found.selectable).collect::<Vec<_>>(), was);
    }
}

#[test]
fn an_export_of_a_user_with_a_domain_is_served_by_cyrus() {
    let options = "virtdomains: userid\nhashimapspool: yes\n";
    for directories in [Directories::ById, Directories::Hashed] {
        exported_and_served("al.ice@example.org", options, directories);
    }
}

#[test]
fn an_export_by_unique_id_is_served_by_cyrus() {
    exported_and_served("alice", "", Directories::ById);
}

#[test]
fn an_export_by_name_is_served_by_cyrus() {
    exported_and_served("alice", "mailbox_legacy_dirs: yes\n", Directories::ByName);
}

#[test]
fn an_export_by_hashed_name_is_served_by_cyrus() {
    exported_and_served("alice", "mailbox_legacy_dirs: yes\nhashimapspool: yes\n", Directories::Hashed);
    exported_and_served(
        "alice",
        "mailbox_legacy_dirs: yes\nhashimapspool: yes\nfulldirhash: yes\n",
        Directories::FullyHashed,
    );
}

/// A later server reads the indexes of earlier ones, and takes them over as they are.
#[test]
fn an_export_for_an_earlier_release_is_served_by_cyrus() {
    for release in [Release::V2_4, Release::V2_5, Release::V3_4] {
        let options = "altnamespace: no\nunixhierarchysep: yes\nmailbox_legacy_dirs: yes\n";
        let Some(mut server) = Server::new(options) else { return };
        let mut written = export(target(&server, "alice", release, Directories::ByName));
        let lost = written.lost.iter().map(|lost| lost.mailbox.to_string()).collect::<Vec<_>>();
        assert_eq!(lost, ["INBOX/Entwürfe", "INBOX/Sent"]);
        // The list is as the earlier server's tool wants it: of 3.6 it is only asked for the format that 3.6 has.
        let lines = std::fs::read_to_string(server.path().join("conf/mailboxes.txt")).unwrap();
        assert!(lines.contains("user.alice.Sent\t0 default alice\tlrswipkxtecdan\t\n"), "{lines}");
        let other = tempfile::tempdir().unwrap();
        let beside = Target {
            spool: other.path().join("spool"),
            configuration: other.path().join("conf"),
            owner: None,
            ..target(&server, "alice", Release::V3_6, Directories::ByName)
        };
        export(beside);
        let list = std::fs::read(other.path().join("conf/mailboxes.json")).unwrap();
        take_over(&mut server, "alice", &list, Step::Reconstruct);
        written.without_notes();
        same(&mut server, "alice", &mut written, Step::Reconstruct);
    }
}

fn arriving<'a>(body: &'a mut Octets, uid: Option<u32>) -> Arriving<'a> {
    Arriving {
        flags: Flags::SEEN,
        keywords: Vec::new(),
        internal_date: InternalDate::utc(1_173_118_530),
        body,
        uid: uid.and_then(Uid::new),
    }
}

#[test]
fn what_cannot_be_kept_is_refused_or_told() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target {
        spool: directory.path().join("spool"),
        partition: "default".into(),
        configuration: directory.path().join("conf"),
        user: "jo.hn".into(),
        release: Release::V3_6,
        directories: Directories::ByName,
        owner: None,
    };
    let early = Target { release: Release::V3_4, directories: Directories::ById, ..target.clone() };
    assert!(matches!(Export::new(early), Err(FormatError::CannotHold(_))));
    let mut export = Export::new(target.clone()).unwrap();
    let new = |name: &str| NewMailbox {
        name: MailboxName::new(name).unwrap(),
        uid_validity: UidValidity::new(77).unwrap(),
        uid_next: Uid::new(100),
        highest_modseq: Some(ModSeq(1 << 40)),
        subscribed: true,
        special_use: None,
        annotations: Vec::new(),
    };
    for name in ["a!b", "a;b", "a^b", &"x".repeat(500)] {
        assert!(matches!(export.mailbox(&new(name)), Err(FormatError::CannotHold(_))), "{name}");
    }
    let mut mailbox = export.mailbox(&new("a.b/c")).unwrap();
    let mut body = Octets(b"Subject: x\r\n\r\n".to_vec());
    assert_eq!(mailbox.append(&mut arriving(&mut body, Some(7)), None).unwrap().get(), 7);
    let again = mailbox.append(&mut arriving(&mut body, Some(7)), None);
    assert!(matches!(again, Err(FormatError::CannotHold(_))), "{again:?}");
    let mut old = arriving(&mut body, None);
    old.internal_date = InternalDate::utc(-1);
    old.keywords = (0..128).map(|n| Keyword::new(&format!("k{n}")).unwrap()).collect();
    assert_eq!(mailbox.append(&mut old, None).unwrap().get(), 8);
    let mut more = arriving(&mut body, None);
    more.keywords = vec![Keyword::new("k128").unwrap()];
    assert!(matches!(mailbox.append(&mut more, None), Err(FormatError::CannotHold(_))));
    mailbox.finish().unwrap();
    assert!(matches!(export.mailbox(&new("a.b/c")), Err(FormatError::Exists(_))));
    assert!(matches!(export.mailbox(&new("INBOX/a.b/c")), Err(FormatError::Exists(_))));
    let lost = export.finish().unwrap();
    assert_eq!(lost.iter().map(|lost| lost.uid.map(Uid::get)).collect::<Vec<_>>(), [Some(8)]);

    // Our own driver finds it, without a list.
    let (driver, root) = (driver("cyrus").unwrap(), root(directory.path(), Some("jo.hn")));
    let name = MailboxName::new("INBOX/a.b/c").unwrap();
    let open = driver.open(&root, &name, Access::Read).unwrap();
    assert_eq!(open.state().uid_next, Uid::new(100));
    assert_eq!((open.state().keywords.len(), open.messages()[1].keywords), (128, u128::MAX));
    assert!(open.messages().iter().all(|message| !message.recent && message.modseq < open.state().highest_modseq));
    assert!(driver.list(&root).unwrap().iter().any(|found| found.name == name && found.subscribed));
}
