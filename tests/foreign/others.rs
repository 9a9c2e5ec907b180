//! Others who use the same files: delivery agents, and sessions that take a mailbox over.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use paquebot_testkit::{Client, LmtpAddress, Options, Server};

use crate::stage::{Stage, ok, text, until};

/// Reads what comes in IDLE until a line has these words.
fn hears(client: &mut Client, words: &str) {
    loop {
        let response = client.read().unwrap().unwrap();
        if response.contains(words) {
            return;
        }
    }
}

fn idle(client: &mut Client) -> String {
    let tag = client.tag();
    client.send(format!("{tag} IDLE\r\n").as_bytes()).unwrap();
    client.wait_for_continuation(&tag).unwrap();
    tag
}

/// As qmail does.
fn deliver_to_maildir(maildir: &Path, name: &str) {
    let file = maildir.join("tmp").join(name);
    std::fs::write(&file, "Subject: from outside\n\nHello\n").unwrap();
    std::fs::rename(file, maildir.join("new").join(name)).unwrap();
}

/// As a local delivery agent does, under its dot-lock.
fn deliver_to_mbox(mbox: &Path) {
    let lock = mbox.with_extension("lock");
    until("the dot-lock", || OpenOptions::new().write(true).create_new(true).open(&lock).is_ok());
    let mut file = OpenOptions::new().append(true).open(mbox).unwrap();
    file.write_all(b"From a@example.org Mon Mar  5 10:15:30 2007\nSubject: from outside\n\nHello\n\n").unwrap();
    drop(file);
    std::fs::remove_file(lock).unwrap();
}

#[test]
fn mail_that_others_deliver_is_told_to_who_idles() {
    let stage = Stage::new(&[("dovecot/", "maildir", "maildir-dovecot"), ("mbox/", "mbox", "mbox")]);
    let mut client = stage.client();
    ok(&mut client, "SELECT dovecot/INBOX");
    let tag = idle(&mut client);
    deliver_to_maildir(&stage.root("maildir-dovecot"), "1173118599.M1P1.outside");
    hears(&mut client, "EXISTS");
    client.send(b"DONE\r\n").unwrap();
    client.answer(&tag).unwrap().ok().unwrap();
    assert!(text(&ok(&mut client, "SEARCH SUBJECT \"from outside\"")).contains("SEARCH 26"));
    ok(&mut client, "SELECT mbox/main");
    let tag = idle(&mut client);
    deliver_to_mbox(&stage.root("mbox").join("main"));
    hears(&mut client, "EXISTS");
    client.send(b"DONE\r\n").unwrap();
    client.answer(&tag).unwrap().ok().unwrap();
    let found = ok(&mut client, "FETCH * BODY.PEEK[]");
    assert_eq!(found.literals(), [b"Subject: from outside\r\n\r\nHello\r\n"]);
}

#[test]
fn a_newer_session_takes_a_mailbox_of_one_session_over() {
    let stage = Stage::new(&[("mbox/", "mbox", "mbox"), ("mbx/", "mbx", "mbx")]);
    let (mut old, mut new) = (stage.client(), stage.client());
    let selected = ok(&mut old, "SELECT mbox/main");
    assert!(selected.tagged.contains("[READ-WRITE]"), "{}", selected.tagged);
    ok(&mut old, "STORE 1 +FLAGS (Before)");
    let tag = idle(&mut old);
    let selected = ok(&mut new, "SELECT mbox/main");
    assert!(selected.tagged.contains("[READ-WRITE]"), "{}", selected.tagged);
    hears(&mut old, "[READ-ONLY]");
    old.send(b"DONE\r\n").unwrap();
    old.answer(&tag).unwrap().ok().unwrap();
    let refused = old.command("STORE 1 +FLAGS (After)").unwrap();
    assert!(refused.tagged.starts_with("NO [READ-ONLY]"), "{}", refused.tagged);
    ok(&mut new, "STORE 1 +FLAGS (After)");
    // It goes on reading, and hears of what the new one does.
    let told = text(&ok(&mut old, "NOOP"));
    assert!(told.contains("After"), "{told}");
    ok(&mut old, "FETCH 1 BODY.PEEK[]");
    // Who only looks takes nothing over; who leaves and comes back does.
    ok(&mut old, "EXAMINE mbox/main");
    ok(&mut new, "STORE 1 +FLAGS (Still)");
    ok(&mut old, "SELECT mbox/main");
    assert!(new.command("STORE 1 +FLAGS (Gone)").unwrap().tagged.starts_with("NO [READ-ONLY]"));
    // Many sessions share an mbx.
    ok(&mut old, "SELECT mbx/main");
    ok(&mut new, "SELECT mbx/main");
    ok(&mut old, "STORE 1 +FLAGS (Both)");
    ok(&mut new, "STORE 2 +FLAGS (Both)");
    assert!(text(&ok(&mut new, "FETCH 1 (FLAGS)")).contains("Both"));
}

#[test]
fn a_mailbox_that_others_remove_ends_its_sessions() {
    let stage = Stage::new(&[("mbx/", "mbx", "mbx")]);
    let mut client = stage.client();
    ok(&mut client, "SELECT mbx/main");
    std::fs::remove_file(stage.root("mbx").join("main")).unwrap();
    let tag = client.tag();
    client.send(format!("{tag} NOOP\r\n").as_bytes()).unwrap();
    hears(&mut client, "BYE");
    let mut client = stage.client();
    assert!(client.command("SELECT mbx/main").unwrap().tagged.starts_with("NO [NONEXISTENT]"));
    let log = stage.server.log();
    assert!(log.contains("not there any more") || log.contains("cannot be looked at"), "{log}");
}

#[test]
fn mail_is_delivered_where_all_names_are_a_drivers() {
    let files = tempfile::tempdir().unwrap();
    let maildir = files.path().join("alice");
    for part in ["", "tmp", "new", "cur"] {
        std::fs::create_dir(maildir.join(part)).unwrap();
    }
    let root = files.path().join("%u");
    let settings = format!("namespace = [{{ driver = \"maildir\", root = {root:?} }}]");
    let server = Server::start(Options { settings, ..Options::with_account("alice", "secret") }).unwrap();
    let LmtpAddress::Tcp(lmtp) = server.addresses().lmtp.clone() else { panic!("LMTP listens on a port") };
    let mut stream = std::net::TcpStream::connect(lmtp).unwrap();
    stream
        .write_all(
            b"LHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<alice>\r\nDATA\r\nSubject: to alice\r\n\r\nHi\r\n.\r\nQUIT\r\n",
        )
        .unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut stream, &mut said).unwrap();
    assert!(said.contains("delivered"), "{said}");
    let mut client = server.client("alice").unwrap();
    ok(&mut client, "SELECT INBOX");
    assert!(text(&ok(&mut client, "SEARCH SUBJECT \"to alice\"")).contains("SEARCH 1"));
    let listed = text(&ok(&mut client, "LIST \"\" *"));
    assert!(!listed.contains("Trash"), "nothing of the native store is seen: {listed}");
    let count = ["new", "cur"].iter().map(|part| std::fs::read_dir(maildir.join(part)).unwrap().count()).sum::<usize>();
    assert_eq!(count, 1);
}
