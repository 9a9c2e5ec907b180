//! What we write c-client reads, and what it writes we read.

use paquebot_formats::{Arriving, OpenMailbox};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, Uid, UidValidity};

use super::{Home, driver_of, shown, without_recent};
use crate::fixtures::octets;
use crate::manifest;
use crate::sharing::{Octets, only};

/// Octets, flags, keywords, seconds, minutes of the zone.
type Kind = (Vec<u8>, Flags, &'static [&'static str], i64, i16);

/// Messages of all kinds.
fn messages() -> Vec<Kind> {
    let all: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    vec![
        (b"Subject: plain\r\n\r\ntext\r\n".to_vec(), Flags::NONE, &[], 1_173_118_530, -480),
        (b"Subject: no end of line\r\n\r\nno".to_vec(), Flags::SEEN, &["Work"], 0, 0),
        (b"no header, no blank line".to_vec(), Flags::ALL, &["Work", "$Forwarded"], 2_147_483_647, 840),
        (b"\r\n".to_vec(), Flags::FLAGGED.union(Flags::DRAFT), &["$Forwarded"], 1_000_000_000, -210),
        ([b"Subject: every octet\r\n\r\n".to_vec(), all].concat(), Flags::ANSWERED, &[], 951_782_399, 345),
        (
            b"Subject: like a record\r\n\r\n:msg:00000001:20000101000000+0000:00000001:\r\n".to_vec(),
            Flags::NONE,
            &[],
            86_399,
            1,
        ),
        (
            b"From a@b Thu Jan  1 00:00:00 1970\r\nSubject: bare\rand\nends\r\n\r\n\n\r".to_vec(),
            Flags::DELETED,
            &["Later"],
            90,
            -1,
        ),
    ]
}

fn append_all(mailbox: &mut dyn OpenMailbox) -> Vec<Uid> {
    let mut messages: Vec<_> = messages().into_iter().map(|(text, ..)| Octets(text)).zip(messages()).collect();
    let mut arriving: Vec<Arriving<'_>> = messages
        .iter_mut()
        .map(|(body, (_, flags, keywords, seconds, zone))| Arriving {
            flags: *flags,
            keywords: keywords.iter().map(|keyword| Keyword::new(keyword).unwrap()).collect(),
            internal_date: InternalDate::new(*seconds, *zone),
            body,
            uid: None,
        })
        .collect();
    mailbox.append(&mut arriving).unwrap()
}

fn it_reads_what_we_write(format: &str) {
    let Some(home) = Home::new() else { return };
    let (driver, name) = (driver_of(format), MailboxName::new("a box").unwrap());
    driver.create(&home.root(), &name, UidValidity::new(77).unwrap()).unwrap();
    assert_eq!(home.dump("a box").shown(), []);
    let mut mailbox = home.open(format, "a box");
    let uids = append_all(&mut *mailbox);
    let compare = |mailbox: &mut dyn OpenMailbox, when: &str| {
        let dump = home.dump("a box");
        assert_eq!((dump.driver.as_str(), dump.uidvalidity), (format, 77), "{when}");
        assert_eq!(Some(dump.uidnext), mailbox.state().uid_next.map(Uid::get), "{when}");
        assert_eq!(without_recent(dump.shown()), shown(mailbox), "{when}");
        let written: Vec<Vec<u8>> = mailbox
            .messages()
            .to_vec()
            .iter()
            .map(|message| octets(&mut *mailbox.body(message.uid).unwrap()))
            .collect();
        assert_eq!(dump.octets, written, "{when}");
    };
    compare(&mut *mailbox, "appended");
    assert_eq!(home.dump("a box").octets, messages().into_iter().map(|message| message.0).collect::<Vec<_>>());

    let new = Keyword::new("Not-Before").unwrap();
    mailbox.store(&[(uids[0], Flags::ALL, vec![new]), (uids[2], Flags::NONE, Vec::new())]).unwrap();
    compare(&mut *mailbox, "flags changed");
    mailbox.expunge(&[uids[1], uids[4], uids[6]].into_iter().collect()).unwrap();
    compare(&mut *mailbox, "expunged");
    drop(mailbox);
    let mut mailbox = home.open(format, "a box");
    append_all(&mut *mailbox);
    compare(&mut *mailbox, "appended again");
    mailbox.expunge(&mailbox.messages().iter().map(|message| message.uid).collect()).unwrap();
    compare(&mut *mailbox, "emptied");
    drop(mailbox);
    home.check("a box", 0);
}

/// Dates that c-client cannot show go to the nearest that it can: it would refuse the mailbox, or show another century.
fn it_reads_dates_of_all_times(format: &str) {
    let Some(home) = Home::new() else { return };
    driver_of(format).create(&home.root(), &MailboxName::new("old").unwrap(), UidValidity::MIN).unwrap();
    let mut mailbox = home.open(format, "old");
    let dates = [
        ((i64::MIN, 0), " 1-Jan-1970 00:00:00 +0000"),
        ((-1, 0), " 1-Jan-1970 00:00:00 +0000"),
        ((0, -60), " 1-Jan-1970 00:00:00 -0100"),
        ((4_039_372_800, 0), "31-Dec-2097 23:59:59 +0000"),
        ((i64::MAX, -959), "31-Dec-2097 23:59:59 -1559"),
        ((86_400, 1439), " 2-Jan-1970 00:00:00 +0000"),
    ];
    for ((seconds, zone), _) in dates {
        let mut body = Octets(b"Subject: old\r\n\r\n".to_vec());
        let internal_date = InternalDate::new(seconds, zone);
        let mut arriving =
            [Arriving { flags: Flags::NONE, keywords: Vec::new(), internal_date, body: &mut body, uid: None }];
        mailbox.append(&mut arriving).unwrap();
    }
    let told: Vec<String> = home.dump("old").shown().into_iter().map(|message| message.3).collect();
    assert_eq!(told, dates.map(|(_, told)| told));
    assert_eq!(without_recent(home.dump("old").shown()), shown(&mut *mailbox));
}

/// Every mailbox of the fixtures, copied into one of ours with its UIDs.
fn it_reads_our_copies(format: &str) {
    let Some(home) = Home::new() else { return };
    let fixture = crate::fixtures::copy(format);
    let driver = driver_of(format);
    for (number, name) in manifest::read(format).mailboxes.into_keys().enumerate() {
        let from = crate::fixtures::root(fixture.path());
        let mut original =
            driver.open(&from, &MailboxName::new(&name).unwrap(), paquebot_formats::Access::Read).unwrap();
        let copy = format!("copy {number}");
        driver.create(&home.root(), &MailboxName::new(&copy).unwrap(), original.state().uid_validity).unwrap();
        let mut target = home.open(format, &copy);
        let known = original.state().keywords.clone();
        for message in original.messages().to_vec() {
            let mut body = original.body(message.uid).unwrap();
            let keywords = (0..known.len()).filter(|bit| message.keywords >> bit & 1 == 1);
            let mut arriving = [Arriving {
                flags: message.flags,
                keywords: keywords.map(|bit| known[bit].clone()).collect(),
                internal_date: message.internal_date,
                body: &mut *body,
                uid: Some(message.uid),
            }];
            assert_eq!(target.append(&mut arriving).unwrap(), [message.uid], "{name}");
        }
        let dump = home.dump(&copy);
        assert_eq!(dump.uidvalidity, original.state().uid_validity.get(), "{name}");
        assert_eq!(without_recent(dump.shown()), shown(&mut *original), "{name}");
    }
}

fn we_read_what_it_writes(format: &str) {
    let Some(home) = Home::new() else { return };
    home.peer(&["create", &format!("#driver.{format}/theirs")]).unwrap();
    let texts = messages();
    let zone = |minutes: i16| {
        format!("{}{:02}{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
    };
    for (number, (text, flags, keywords, _, minutes)) in texts.iter().enumerate() {
        let file = home.path().join("message");
        std::fs::write(&file, text).unwrap();
        let mut words = crate::fixtures::names(*flags);
        words.extend(keywords.iter().map(|keyword| (*keyword).to_owned()));
        let flags = format!("({})", words.join(" "));
        let date = format!("{:2}-Feb-2000 23:59:5{number} {}", number + 1, zone(*minutes));
        home.peer(&["append", "theirs", file.to_str().unwrap(), &flags, &date]).unwrap();
    }
    home.give_away();
    let compare = |when: &str| {
        let dump = home.dump("theirs");
        let mut mailbox = driver_of(format)
            .open(&home.root(), &MailboxName::new("theirs").unwrap(), paquebot_formats::Access::Read)
            .unwrap();
        assert_eq!(dump.driver, format);
        assert_eq!(mailbox.state().uid_validity.get(), dump.uidvalidity, "{when}");
        assert_eq!(mailbox.state().uid_next.map(Uid::get), Some(dump.uidnext), "{when}");
        assert_eq!(crate::fixtures::shown(&mut *mailbox), dump.shown(), "{when}");
        dump
    };
    assert_eq!(compare("appended").octets, texts.into_iter().map(|message| message.0).collect::<Vec<_>>());
    home.peer(&["flag", "theirs", "1:3", "\\Flagged New-One"]).unwrap();
    home.peer(&["clear", "theirs", "3", "\\Seen Work"]).unwrap();
    compare("flags changed");
    home.peer(&["flag", "theirs", "2,4", "\\Deleted"]).unwrap();
    home.peer(&["expunge", "theirs"]).unwrap();
    let left: Vec<u32> = compare("expunged").messages.iter().map(|message| message.uid).collect();
    assert_eq!(left, [1, 5, 6], "3 and 7 were \\Deleted from the beginning");

    // And we go on where it stopped.
    let mut mailbox = home.open(format, "theirs");
    assert_eq!(append_all(&mut *mailbox).first().map(|uid| uid.get()), Some(8));
    mailbox.expunge(&only(Uid::new(5).unwrap())).unwrap();
    assert_eq!(without_recent(home.dump("theirs").shown()), shown(&mut *mailbox));
}

#[test]
fn mbx_that_we_write() {
    it_reads_what_we_write("mbx");
}

#[test]
fn mix_that_we_write() {
    it_reads_what_we_write("mix");
}

#[test]
fn mbx_dates() {
    it_reads_dates_of_all_times("mbx");
}

#[test]
fn mix_dates() {
    it_reads_dates_of_all_times("mix");
}

#[test]
fn mbx_copies() {
    it_reads_our_copies("mbx");
}

#[test]
fn mix_copies() {
    it_reads_our_copies("mix");
}

#[test]
fn mbx_that_it_writes() {
    we_read_what_it_writes("mbx");
}

#[test]
fn mix_that_it_writes() {
    we_read_what_it_writes("mix");
}
