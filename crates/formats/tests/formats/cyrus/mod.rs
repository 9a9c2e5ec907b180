//! Cyrus.

mod beside;
mod damage;
mod exported;
mod server;

use std::path::Path;

use paquebot_formats::{Access, Annotation, Driver, FormatError, Root, cyrus, driver};
use paquebot_types::{MailboxName, SpecialUse, Uid, UidSet, UidValidity};

use crate::fixtures::{Shown, octets, shown, told};
use crate::manifest::{self, Mailbox};

/// A fixture's store, with its dates.
pub fn unpack(fixture: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let archive = manifest::directory(fixture).join(format!("{fixture}.tar"));
    // It complains of dates in the future.
    let status = std::process::Command::new("tar")
        .args(["--extract", "--no-same-owner", "--warning=no-timestamp", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(target.path())
        .status();
    assert!(status.unwrap().success());
    target
}

pub fn root(directory: &Path, user: Option<&str>) -> Root {
    Root { directory: directory.into(), user: user.map(str::to_owned), ..Root::default() }
}

/// The name that a client sees, in whose server's words it is.
pub fn name(told: &str, separator: char) -> MailboxName {
    let levels: Vec<String> =
        told.split(separator).map(|level| paquebot_protocol::decode_utf7(level).unwrap().into_owned()).collect();
    MailboxName::new(&levels.join("/")).unwrap()
}

/// Without \Recent, which is of the sessions there have been.
pub fn plain(mut shown: Vec<Shown>) -> Vec<Shown> {
    shown.iter_mut().for_each(|message| message.1.retain(|flag| flag != "\\Recent"));
    shown
}

fn same(driver: &dyn Driver, root: &Root, name: &MailboxName, mailbox: &Mailbox) {
    let mut open = driver.open(root, name, Access::Read).unwrap();
    assert_eq!(plain(shown(&mut *open)), plain(told(mailbox)), "{name}");
    assert_eq!(Some(open.state().uid_validity.get()), mailbox.uidvalidity, "{name}");
    assert_eq!(open.state().uid_next.map(Uid::get), mailbox.uidnext, "{name}");
    let keywords: Vec<String> = open.state().keywords.iter().map(ToString::to_string).collect();
    let flags: Vec<&String> = mailbox.flags_list.iter().filter(|flag| !flag.starts_with('\\')).collect();
    assert_eq!(keywords.iter().collect::<Vec<_>>(), flags, "{name}");
    // Version 6 keeps none; the server makes them up.
    if let Some(highest) = open.state().highest_modseq {
        assert_eq!(Some(highest.0), mailbox.highestmodseq, "{name}");
        let modseqs: Vec<Option<String>> =
            open.messages().iter().map(|message| message.modseq.map(|modseq| modseq.0.to_string())).collect();
        assert_eq!(
            modseqs,
            mailbox.messages.iter().map(|message| message.modseq.clone()).collect::<Vec<_>>(),
            "{name}"
        );
    }
}

fn compare(fixture: &str, user: &str, separator: char) -> tempfile::TempDir {
    let (manifest, directory, driver) = (manifest::read(fixture), unpack(fixture), driver("cyrus").unwrap());
    let root = root(directory.path(), Some(user));
    assert!(driver.recognises(&root).unwrap());
    let listed = driver.list(&root).unwrap();
    for (told, mailbox) in &manifest.mailboxes {
        let name = name(told, separator);
        assert!(listed.iter().any(|found| found.name == name && found.selectable), "{name} is not listed");
        same(driver, &root, &name, mailbox);
    }
    // What the server listed, with its special uses, and what the user is subscribed to.
    let told = |lines: &[String]| {
        let mut names: Vec<MailboxName> = lines
            .iter()
            .map(|line| name(line.split_once(&format!("\"{separator}\" ")).unwrap().1.trim_matches('"'), separator))
            .collect();
        names.sort();
        names
    };
    let names = |wanted: &dyn Fn(&paquebot_formats::Found) -> bool| -> Vec<MailboxName> {
        listed.iter().filter(|found| wanted(found)).map(|found| found.name.clone()).collect()
    };
    assert_eq!(names(&|found| found.selectable), told(&manifest.list));
    assert_eq!(names(&|found| found.subscribed), told(&manifest.lsub));
    if let Some(other) = &manifest.as_other_user {
        let root = Root { user: Some(other.user.clone()), ..root.clone() };
        same(driver, &root, &name(&other.mailbox, separator), &other.shown);
    }
    directory
}

#[test]
fn fixtures_by_unique_id_are_shown_as_the_real_server_showed_them() {
    let directory = compare("cyrus", "alice", '/');
    let (driver, alice) = (driver("cyrus").unwrap(), root(directory.path(), Some("alice")));
    let sent = MailboxName::new("INBOX/Sent").unwrap();
    let uses: Vec<_> =
        driver.list(&alice).unwrap().into_iter().filter_map(|f| Some((f.name, f.special_use?))).collect();
    assert_eq!(uses, [(sent.clone(), SpecialUse::Sent)]);
    let note = |entry: &str, shared, value: &str| Annotation { entry: entry.into(), shared, value: value.into() };
    let folder = MailboxName::new("INBOX/Entwürfe").unwrap();
    let notes = [note("/comment", true, "our folder"), note("/comment", false, "my folder")];
    assert_eq!(driver.annotations(&alice, &folder).unwrap(), notes);
    let mut inbox = driver.open(&alice, &MailboxName::inbox(), Access::Read).unwrap();
    let uid = |uid| Uid::new(uid).unwrap();
    let notes = [note("/comment", true, "shared note"), note("/comment", false, "private note")];
    assert_eq!(inbox.annotations(uid(1)).unwrap(), notes);
    assert_eq!(inbox.annotations(uid(2)).unwrap(), [note("/altsubject", false, "another subject")]);
    assert_eq!(inbox.annotations(uid(3)).unwrap(), []);
}

#[test]
fn fixtures_of_every_version_are_shown_as_the_real_server_showed_them() {
    compare("cyrus-legacy", "carol", '.');
}

#[test]
fn expunged_messages_can_be_brought_back() {
    let directory = unpack("cyrus");
    let (driver, root) = (driver("cyrus").unwrap(), root(directory.path(), Some("alice")));
    let mut inbox = driver.open(&root, &MailboxName::inbox(), Access::Read).unwrap();
    let expunged = inbox.expunged().to_vec();
    let uids: Vec<u32> = expunged.iter().map(|message| message.uid.get()).collect();
    assert_eq!(uids, [11, 20]);
    for message in expunged {
        assert!(!inbox.messages().iter().any(|shown| shown.uid == message.uid));
        assert_eq!(octets(&mut *inbox.body(message.uid).unwrap()).len() as u64, message.size.unwrap());
    }
}

#[test]
fn users_are_in_lower_case() {
    let directory = unpack("cyrus");
    let (driver, root) = (driver("cyrus").unwrap(), root(directory.path(), Some("Alice")));
    let inbox = driver.open(&root, &MailboxName::inbox(), Access::Read).unwrap();
    assert_eq!(inbox.messages().len(), 24);
}

#[test]
fn a_user_must_be_named_where_there_are_several() {
    let directory = unpack("cyrus");
    let (driver, nobody) = (driver("cyrus").unwrap(), root(directory.path(), None));
    assert_eq!(cyrus::users(&nobody).unwrap(), ["alice", "bob"]);
    let refused = driver.list(&nobody);
    assert!(
        matches!(&refused, Err(FormatError::CannotHold(why)) if why.contains("2 users (alice, bob")),
        "{refused:?}"
    );
    let only = unpack("cyrus-legacy");
    assert!(driver.list(&root(only.path(), None)).unwrap().iter().any(|found| found.name.is_inbox()));
}

#[test]
fn others_mailboxes_need_a_right() {
    let directory = unpack("cyrus");
    let (driver, bob) = (driver("cyrus").unwrap(), root(directory.path(), Some("bob")));
    let names: Vec<String> = driver.list(&bob).unwrap().iter().map(|found| found.name.to_string()).collect();
    assert_eq!(names, ["INBOX", "user", "user/alice", "user/alice/Sent"]);
    let keywords = MailboxName::new("user/alice/Keywords").unwrap();
    assert!(matches!(driver.open(&bob, &keywords, Access::Read), Err(FormatError::NoMailbox(_))));
}

#[test]
fn nothing_is_written() {
    let directory = unpack("cyrus");
    let (driver, root) = (driver("cyrus").unwrap(), root(directory.path(), Some("alice")));
    assert!(!driver.abilities().writes);
    let (inbox, other) = (MailboxName::inbox(), MailboxName::new("INBOX/other").unwrap());
    let mut open = driver.open(&root, &inbox, Access::Write).unwrap();
    assert!(open.state().read_only.as_deref().is_some_and(|why| why.contains("import")));
    let uid = Uid::new(1).unwrap();
    let answers = [
        open.store(&[(uid, paquebot_types::Flags::SEEN, Vec::new())]).err(),
        open.append(&mut []).err(),
        open.expunge(&UidSet::all()).err(),
        driver.create(&root, &other, UidValidity::MIN).err(),
        driver.delete(&root, &inbox).err(),
        driver.rename(&root, &inbox, &other).err(),
        driver.subscribe(&root, &other, true).err(),
    ];
    for answer in answers {
        assert!(matches!(answer, Some(FormatError::ReadOnly(_))), "{answer:?}");
    }
}

#[test]
fn an_imapd_conf_says_where_and_how() {
    let directory = unpack("cyrus-legacy");
    let (conf, spool) = (directory.path().join("conf"), directory.path().join("spool"));
    let file = directory.path().join("imapd.conf");
    let text = format!(
        "# a server\nconfigdirectory: {}\npartition-default: {}\nhashimapspool: yes\naltnamespace: yes\nunixhierarchysep: no\n",
        conf.display(),
        spool.display()
    );
    std::fs::write(&file, text).unwrap();
    let (driver, root) = (driver("cyrus").unwrap(), root(&file, Some("carol")));
    assert!(driver.recognises(&root).unwrap());
    let names: Vec<String> = driver.list(&root).unwrap().iter().map(|found| found.name.to_string()).collect();
    assert!(names.contains(&"INBOX".into()) && names.contains(&"sub/sub two".into()), "{names:?}");
    let manifest = manifest::read("cyrus-legacy");
    let two = MailboxName::new("sub/sub two").unwrap();
    same(driver, &root, &two, &manifest.mailboxes["INBOX.sub.sub two"]);
    std::fs::write(&file, "From somebody\n\nhello: world\n").unwrap();
    assert!(!driver.recognises(&root).unwrap());
}

#[test]
fn without_the_list_what_lies_in_the_partition_is_served() {
    for (fixture, user, separator) in [("cyrus", "alice", '/'), ("cyrus-legacy", "carol", '.')] {
        let (manifest, directory, driver) = (manifest::read(fixture), unpack(fixture), driver("cyrus").unwrap());
        let list = directory.path().join("conf/mailboxes.db");
        let root = root(directory.path(), Some(user));
        for damage in [Some(&b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0 and nothing"[..]), None] {
            match damage {
                Some(octets) => std::fs::write(&list, octets).unwrap(),
                None => std::fs::remove_file(&list).unwrap(),
            }
            assert!(driver.recognises(&root).unwrap());
            for (told, mailbox) in &manifest.mailboxes {
                same(driver, &root, &name(told, separator), mailbox);
            }
        }
    }
}

#[test]
fn a_locked_index_is_waited_for() {
    let directory = unpack("cyrus");
    let (driver, root) = (driver("cyrus").unwrap(), root(directory.path(), Some("alice")));
    let index = directory.path().join("spool/uuid/x/s/xsawbd8k0v2z0v1l2dees6rk/cyrus.index");
    // As another program locks it, in a process of its own.
    let script = "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\nfcntl.lockf(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script]).arg(&index).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut held = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut held).unwrap();
    assert_eq!(held, "held\n");
    let opening = std::thread::spawn(move || {
        driver.open(&root, &MailboxName::inbox(), Access::Read).map(|mailbox| mailbox.messages().len()).unwrap()
    });
    let until = std::time::Instant::now() + std::time::Duration::from_millis(200);
    while std::time::Instant::now() < until {
        assert!(!opening.is_finished(), "it was read under another's lock");
        std::thread::yield_now();
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(opening.join().unwrap(), 24);
}
