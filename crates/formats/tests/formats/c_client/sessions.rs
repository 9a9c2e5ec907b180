//! Our handle beside a session of c-client's.

use std::path::Path;

use paquebot_formats::{Expunged, FormatError};
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidValidity};

use super::{Home, driver_of, shown, without_recent};
use crate::fixtures::octets;
use crate::sharing::{append, only, uids};

const TEXT: &str = "Subject: shared\n\na message of many\n";

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

/// Octets that the messages of a mailbox take.
fn space(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().unwrap().len();
    }
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let data = files.filter(|entry| entry.file_name().to_string_lossy().len() == ".mix00000000".len());
    data.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Only what changed: c-client says how many messages there are each time.
fn news(told: Vec<String>, known: u32) -> Vec<String> {
    told.into_iter().filter(|line| *line != format!("exists {known}")).collect()
}

fn its_session_hears_of_what_we_do(format: &str) {
    let Some(home) = Home::new() else { return };
    driver_of(format).create(&home.root(), &MailboxName::new("box").unwrap(), UidValidity::MIN).unwrap();
    let mut ours = home.open(format, "box");
    append(&mut *ours, TEXT, Flags::SEEN, &["Work"]);
    let mut theirs = home.session("box");
    assert_eq!(news(theirs.ask(&["ping"]), 1), [] as [&str; 0]);

    append(&mut *ours, TEXT, Flags::NONE, &["Later"]);
    append(&mut *ours, TEXT, Flags::NONE, &[]);
    assert!(theirs.ask(&["ping"]).contains(&"exists 3".to_owned()));
    ours.store(&[(uid(2), Flags::FLAGGED, vec![Keyword::new("Work").unwrap()])]).unwrap();
    assert_eq!(news(theirs.ask(&["ping"]), 3), ["flags 2"]);
    // Twice within a second: neither may be missed.
    ours.store(&[(uid(2), Flags::SEEN, Vec::new())]).unwrap();
    assert_eq!(news(theirs.ask(&["ping"]), 3), ["flags 2"]);
    assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours));

    let before = space(&home.path().join("box"));
    ours.expunge(&only(uid(1))).unwrap();
    assert_eq!(uids(&*ours), [2, 3]);
    assert_eq!(space(&home.path().join("box")), before, "its session still shows the message");
    assert!(theirs.ask(&["ping"]).contains(&"expunged 1".to_owned()));
    assert_eq!(space(&home.path().join("box")), before, "nobody is alone");
    ours.refresh(Expunged::Leave).unwrap();
    assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours));

    // Flags and messages of both at once, and none is lost.
    theirs.ask(&["flag", "3", "\\Answered Theirs"]);
    ours.store(&[(uid(2), Flags::DRAFT, vec![Keyword::new("Ours").unwrap()])]).unwrap();
    append(&mut *ours, TEXT, Flags::NONE, &[]);
    theirs.ask(&["ping"]);
    theirs.ask(&["flag", "4", "\\Flagged"]);
    ours.refresh(Expunged::Leave).unwrap();
    let now = shown(&mut *ours);
    let flags: Vec<_> = now.iter().map(|message| (message.0, message.1.join(" "), message.2.join(" "))).collect();
    let expected = [(2, "\\Draft", "Ours"), (3, "\\Answered", "Theirs"), (4, "\\Flagged", "")];
    assert_eq!(flags, expected.map(|(uid, flags, keywords)| (uid, flags.to_owned(), keywords.to_owned())));
    assert_eq!(without_recent(home.dump("box").shown()), now);

    let before = space(&home.path().join("box"));
    theirs.quit();
    ours.refresh(Expunged::Leave).unwrap();
    assert!(space(&home.path().join("box")) < before, "now that nobody needs it the space is given back");
    assert_eq!(without_recent(home.dump("box").shown()), now);
}

fn we_hear_of_what_its_session_does(format: &str) {
    let Some(home) = Home::new() else { return };
    home.peer(&["create", &format!("#driver.{format}/box")]).unwrap();
    let text = home.path().join("text");
    std::fs::write(&text, TEXT.replace('\n', "\r\n")).unwrap();
    home.give_away();
    let mut theirs = home.session("box");
    assert_eq!(theirs.append(&text, "(\\Seen)"), 1);
    let mut ours = home.open(format, "box");
    assert_eq!(ours.refresh(Expunged::Leave).unwrap(), Default::default());

    for expected in [2, 3] {
        assert_eq!(theirs.append(&text, "(Work)"), expected);
        assert_eq!(ours.refresh(Expunged::Stay).unwrap().arrived, only(uid(expected)));
    }
    theirs.ask(&["ping"]);
    theirs.ask(&["flag", "2", "\\Flagged Later"]);
    assert_eq!(ours.refresh(Expunged::Stay).unwrap().flags, only(uid(2)));
    theirs.ask(&["clear", "2", "\\Flagged"]);
    assert_eq!(ours.refresh(Expunged::Stay).unwrap().flags, only(uid(2)));
    assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours));

    // Two messages go; ours stay until they may.
    let mut reading = ours.body(uid(1)).unwrap();
    assert!(theirs.ask(&["expunge", "1:2"]).contains(&"expunged 1".to_owned()));
    assert!(ours.refresh(Expunged::Stay).unwrap().expunged.is_empty());
    assert_eq!(uids(&*ours), [1, 2, 3]);
    assert_eq!(octets(&mut *ours.body(uid(2)).unwrap()), TEXT.replace('\n', "\r\n").as_bytes());
    append(&mut *ours, TEXT, Flags::NONE, &[]);
    ours.store(&[(uid(3), Flags::DRAFT, Vec::new())]).unwrap();
    assert_eq!(uids(&*ours), [1, 2, 3, 4]);
    assert_eq!(ours.refresh(Expunged::Leave).unwrap().expunged, [uid(1), uid(2)].into_iter().collect());
    assert_eq!(uids(&*ours), [3, 4]);
    assert_eq!(octets(&mut *reading), TEXT.replace('\n', "\r\n").as_bytes());
    drop(reading);
    theirs.ask(&["ping"]);
    theirs.quit();
    assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours));
}

/// A mailbox that a session has open is neither deleted nor renamed.
fn it_is_not_taken_from_under_its_session(format: &str) {
    let Some(home) = Home::new() else { return };
    home.peer(&["create", &format!("#driver.{format}/box")]).unwrap();
    let (driver, root) = (driver_of(format), home.root());
    let (name, other) = (MailboxName::new("box").unwrap(), MailboxName::new("other").unwrap());
    let theirs = home.session("box");
    assert!(matches!(driver.delete(&root, &name), Err(FormatError::InUse { .. })));
    assert!(matches!(driver.rename(&root, &name, &other), Err(FormatError::InUse { .. })));
    theirs.quit();
    driver.rename(&root, &name, &other).unwrap();
    home.check("other", 0);
    driver.delete(&root, &other).unwrap();
    assert_eq!(home.peer(&["dump", "other"]).map(drop).map_err(drop), Err(()));
}

#[test]
fn an_mbx_session_hears_of_what_we_do() {
    its_session_hears_of_what_we_do("mbx");
}

#[test]
fn a_mix_session_hears_of_what_we_do() {
    its_session_hears_of_what_we_do("mix");
}

#[test]
fn we_hear_of_what_an_mbx_session_does() {
    we_hear_of_what_its_session_does("mbx");
}

#[test]
fn we_hear_of_what_a_mix_session_does() {
    we_hear_of_what_its_session_does("mix");
}

#[test]
fn mbx_is_not_taken_from_under_a_session() {
    it_is_not_taken_from_under_its_session("mbx");
}

#[test]
fn mix_is_not_taken_from_under_a_session() {
    it_is_not_taken_from_under_its_session("mix");
}
