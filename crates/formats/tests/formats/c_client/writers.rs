//! Two real writers in one mailbox at the same time: ours and c-client's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use paquebot_formats::{Expunged, OpenMailbox};
use paquebot_types::{Flags, Keyword, MailboxName, Uid, UidValidity};

use super::{Home, Numbers, Session, driver_of, shown, without_recent};
use crate::sharing::{append, only};

/// What each of the two does.
const ROUNDS: u64 = 300;

/// How long a writer has the mailbox open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// All the time: no space is ever given back.
    Throughout,
    /// For one change, so that now and then each is alone and moves messages.
    Each,
}

/// The messages of one writer: by UID what is in it, and its flags.
type Own = BTreeMap<u32, (String, Vec<String>)>;

enum Do {
    Append(String),
    Flag(u32, &'static str),
    Expunge(u32),
}

/// A writer touches only what it appended itself, so that what there must be at the end is known.
struct Plan {
    who: &'static str,
    numbers: Numbers,
    own: Own,
    made: u64,
}

impl Plan {
    fn new(who: &'static str, seed: u64) -> Self {
        Self { who, numbers: Numbers(seed), own: Own::new(), made: 0 }
    }

    fn next(&mut self) -> Do {
        let kind = self.numbers.below(10);
        let any = self.numbers.below(self.own.len().max(1) as u64) as usize;
        let uid = self.own.keys().nth(any).copied();
        match (kind, uid) {
            (0..=4, _) | (_, None) => {
                self.made += 1;
                let lines = self.numbers.below(400) as usize;
                Do::Append(format!("Subject: {} {}\n\n{}", self.who, self.made, "a line of text\n".repeat(lines)))
            }
            (5..=7, Some(uid)) => {
                let flags = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "Work"];
                Do::Flag(uid, flags[self.numbers.below(5) as usize])
            }
            (_, Some(uid)) => Do::Expunge(uid),
        }
    }

    fn appended(&mut self, uid: u32, text: &str) {
        let twice = self.own.insert(uid, (text.replace('\n', "\r\n"), Vec::new()));
        assert!(twice.is_none(), "UID {uid} was given out twice");
    }

    fn flagged(&mut self, uid: u32, flag: &str) -> &[String] {
        let flags = &mut self.own.get_mut(&uid).unwrap().1;
        if !flags.iter().any(|known| known == flag) {
            flags.push(flag.into());
            flags.sort();
        }
        flags
    }
}

fn ours(home: &Home, format: &str, open: Open, seed: u64) -> Own {
    let mut plan = Plan::new("ours", seed);
    let mut mailbox = home.open(format, "box");
    for _ in 0..ROUNDS {
        if open == Open::Each {
            drop(mailbox);
            mailbox = home.open(format, "box");
        }
        match plan.next() {
            Do::Append(text) => {
                let uid = append(&mut *mailbox, &text, Flags::NONE, &[]);
                plan.appended(uid.get(), &text);
            }
            Do::Flag(uid, flag) => {
                let words = plan.flagged(uid, flag).to_vec();
                let (flags, keywords) = split(&words);
                mailbox.store(&[(Uid::new(uid).unwrap(), flags, keywords)]).unwrap();
            }
            Do::Expunge(uid) => {
                mailbox.expunge(&only(Uid::new(uid).unwrap())).unwrap();
                plan.own.remove(&uid);
            }
        }
        mailbox.refresh(Expunged::Leave).unwrap();
        shows(&mut *mailbox, &plan.own);
    }
    plan.own
}

/// An open mailbox shows what this writer has put in it, at every time.
fn shows(mailbox: &mut dyn OpenMailbox, own: &Own) {
    let uids: Vec<u32> = mailbox.messages().iter().map(|message| message.uid.get()).collect();
    assert!(uids.is_sorted_by(|one, next| one < next), "{uids:?}");
    if let Some((uid, (text, _))) = own.first_key_value() {
        let found = crate::fixtures::octets(&mut *mailbox.body(Uid::new(*uid).unwrap()).unwrap());
        assert_eq!(String::from_utf8(found).unwrap(), *text, "UID {uid}");
    }
    assert!(own.keys().all(|uid| uids.binary_search(uid).is_ok()), "one of ours is lost");
}

fn theirs(home: &Home, open: Open, seed: u64) -> Own {
    let mut plan = Plan::new("theirs", seed);
    let file = home.path().join("text");
    let mut session = home.session("box");
    for _ in 0..ROUNDS {
        if open == Open::Each {
            session.quit();
            session = home.session("box");
        }
        change(&mut session, &file, &mut plan);
        session.ask(&["ping"]);
    }
    session.quit();
    plan.own
}

fn change(session: &mut Session, file: &Path, plan: &mut Plan) {
    match plan.next() {
        Do::Append(text) => {
            std::fs::write(file, text.replace('\n', "\r\n")).unwrap();
            let uid = session.append(file, "");
            plan.appended(uid, &text);
        }
        Do::Flag(uid, flag) => {
            session.ask(&["flag", &uid.to_string(), flag]);
            plan.flagged(uid, flag);
        }
        Do::Expunge(uid) => {
            let told = session.ask(&["expunge", &uid.to_string()]);
            assert!(told.iter().any(|line| line.starts_with("expunged ")), "{told:?}");
            plan.own.remove(&uid);
        }
    }
}

/// UID, subject, flags.
fn what((uid, (text, flags)): (&u32, &(String, Vec<String>))) -> (u32, String, Vec<String>) {
    (*uid, text.lines().next().unwrap_or_default().to_owned(), flags.clone())
}

fn split(words: &[String]) -> (Flags, Vec<Keyword>) {
    let mut flags = Flags::NONE;
    let mut keywords = Vec::new();
    for word in words {
        match Flags::NAMES.iter().find(|(_, name)| name == word) {
            Some((flag, _)) => flags = flags.union(*flag),
            None => keywords.push(Keyword::new(word).unwrap()),
        }
    }
    (flags, keywords)
}

fn two_writers_lose_nothing(format: &str, open: Open, seed: u64) {
    let Some(home) = Home::new() else { return };
    driver_of(format).create(&home.root(), &MailboxName::new("box").unwrap(), UidValidity::MIN).unwrap();
    let text: PathBuf = home.path().join("text");
    std::fs::write(&text, "").unwrap();
    home.give_away();
    println!("seed {seed:#x}");
    let (ours, theirs) = std::thread::scope(|scope| {
        let one = scope.spawn(|| ours(&home, format, open, seed));
        let other = scope.spawn(|| theirs(&home, open, seed ^ 0x5555));
        (one.join(), other.join())
    });
    let (mut expected, theirs) = (ours.unwrap(), theirs.unwrap());
    for (uid, message) in theirs {
        assert!(expected.insert(uid, message).is_none(), "UID {uid} was given to both");
    }
    let dump = home.dump("box");
    let found: Own = dump
        .messages
        .iter()
        .zip(&dump.octets)
        .map(|(message, octets)| {
            let mut words = [message.flags.clone(), message.keywords.clone()].concat();
            words.retain(|word| word != "\\Recent");
            words.sort();
            (message.uid, (String::from_utf8(octets.clone()).unwrap(), words))
        })
        .collect();
    let lost: Vec<_> = expected.iter().filter(|message| found.get(message.0) != Some(message.1)).map(what).collect();
    let too_many: Vec<_> =
        found.iter().filter(|message| expected.get(message.0) != Some(message.1)).map(what).collect();
    assert!(lost.is_empty() && too_many.is_empty(), "there should be {lost:?} and there are {too_many:?}");
    assert_eq!(without_recent(dump.shown()), shown(&mut *home.open(format, "box")));
    home.check("box", expected.len());
}

#[test]
fn in_an_open_mbx() {
    two_writers_lose_nothing("mbx", Open::Throughout, 0x6d62_7831);
}

#[test]
fn in_an_open_mix() {
    two_writers_lose_nothing("mix", Open::Throughout, 0x6d69_7831);
}

#[test]
fn in_an_mbx_that_each_opens_for_each_change() {
    two_writers_lose_nothing("mbx", Open::Each, 0x6d62_7832);
}

#[test]
fn in_a_mix_that_each_opens_for_each_change() {
    two_writers_lose_nothing("mix", Open::Each, 0x6d69_7832);
}
