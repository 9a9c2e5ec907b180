//! Readers of files that somebody has damaged at random: what is whole is shown, and nothing panics, grows without bound or writes.
//!
//! The mutations are the same in every run; a failure names its round. `MUTATIONS=100000` makes so many rounds of each file instead of a few hundred, and
//! `MUTATIONS=600s` as many as that time allows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use paquebot_formats::{Access, Driver, Expunged, FormatError, Root, driver};
use paquebot_types::MailboxName;

use crate::{cyrus, fixtures};

/// Rounds of each file.
const ROUNDS: u64 = 200;
/// A message of a fixture's mailbox is much shorter.
const BODY_MAX: u64 = 16 << 20;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % bound.max(1)
    }
}

/// Octets that mean something in one of the formats.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"-",
    b";",
    b",",
    b":",
    b"(",
    b"%(",
    b")",
    b"{99999999999}\r\n",
    b"\"",
    b" ",
    b"ffffffff",
    b"00000000",
    b"99999999999999999999",
    b"*mbx*",
    b"S",
    b"U",
    b"K",
    b"NIL",
    b"\t",
    b"\x1f",
    b"\n\nFrom a@b Mon Mar  5 10:15:30 2007\n",
    b"\x01\x01\x01\x01\n",
    b"X-IMAP: 0000000007 4294967295 x\n",
    b"X-IMAPbase: 7 3\n",
    b"X-UID: 4294967295\n",
    b"Status: RO\n",
    b"4294967295",
    b"S=18446744073709551615",
    b":2,",
];

/// One to four changes.
fn mutate(octets: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let (at, length) = (random.below(octets.len() + 1), random.below(64));
        let end = octets.len().min(at + length);
        match random.below(8) {
            0 => octets.truncate(at),
            1 => drop(octets.drain(at..end)),
            2 => {
                let copy = octets[at..end].to_vec();
                let to = random.below(octets.len() + 1);
                octets.splice(to..to, copy);
            }
            3 | 4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                let end = if random.below(2) == 0 { at } else { octets.len().min(at + token.len()) };
                octets.splice(at..end, token.iter().copied());
            }
            5 => octets.iter_mut().skip(at).take(1).for_each(|octet| *octet ^= 1 << (random.0 & 7)),
            6 => octets.iter_mut().skip(at).take(1).for_each(|octet| *octet = octet.wrapping_add(1)),
            _ => octets.iter_mut().skip(at).take(1).for_each(|octet| *octet = (random.0 >> 8) as u8),
        }
    }
}

/// Opens a mailbox, and reads all that it shows.
fn read(driver: &dyn Driver, root: &Root, name: &MailboxName) -> Result<(), FormatError> {
    driver.list(root)?;
    driver.annotations(root, name)?;
    let mut mailbox = driver.open(root, name, Access::Read)?;
    assert!(mailbox.messages().is_sorted_by(|a, b| a.uid < b.uid), "UIDs are not ascending");
    assert!(mailbox.messages().last().is_none_or(|last| mailbox.state().uid_next.is_none_or(|next| next > last.uid)));
    let known = mailbox.state().keywords.len();
    for message in mailbox.messages().to_vec() {
        assert!(known >= 128 || message.keywords >> known == 0, "a keyword has no name");
        match mailbox.body(message.uid) {
            Ok(body) if body.len() > BODY_MAX => panic!("UID {} has {} octets", message.uid, body.len()),
            Ok(mut body) => {
                let mut buffer = vec![0; 4096];
                let (mut at, length) = (0, body.len());
                while at < length {
                    match body.read_at(at, &mut buffer) {
                        Ok(0) => panic!("UID {} ends before its length", message.uid),
                        Ok(count) => at += count as u64,
                        Err(_) => break,
                    }
                }
            }
            Err(FormatError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        mailbox.annotations(message.uid)?;
    }
    mailbox.refresh(Expunged::Leave).map(drop)
}

/// How many rounds are made, and for how long.
fn effort() -> (u64, Duration) {
    match std::env::var("MUTATIONS") {
        Err(_) => (ROUNDS, Duration::MAX),
        Ok(said) => match said.strip_suffix('s') {
            Some(seconds) => (u64::MAX, Duration::from_secs(seconds.parse().unwrap())),
            None => (said.parse().unwrap(), Duration::MAX),
        },
    }
}

/// Damages a file round after round. `seal` may make checksums right again.
fn torment(driver: &dyn Driver, root: &Root, name: &str, file: &Path, seal: &dyn Fn(&mut [u8])) {
    let name = MailboxName::new(name).unwrap();
    let whole = std::fs::read(file).unwrap();
    read(driver, root, &name).unwrap();
    let (rounds, time) = effort();
    let began = Instant::now();
    for round in (0..rounds).take_while(|_| began.elapsed() < time) {
        let mut random = Random((round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut octets = whole.clone();
        mutate(&mut octets, &mut random);
        if random.below(2) == 0 {
            seal(&mut octets);
        }
        std::fs::write(file, &octets).unwrap();
        match catch_unwind(AssertUnwindSafe(|| read(driver, root, &name))) {
            Ok(Ok(()) | Err(FormatError::Damaged { .. } | FormatError::NoMailbox(_) | FormatError::CannotHold(_))) => {}
            Ok(Err(error)) => panic!("{}, round {round}: {error}", file.display()),
            Err(_) => panic!("{}, round {round}: see above", file.display()),
        }
        assert_eq!(std::fs::read(file).unwrap(), octets, "{}, round {round}: reading has written", file.display());
    }
    std::fs::write(file, &whole).unwrap();
    read(driver, root, &name).unwrap();
}

/// Each of a fixture's files alone, so that a round lists no others.
fn torment_each(format: &str, names: &[&str]) {
    let (directory, driver) = (fixtures::copy(format), driver(format).unwrap());
    for name in names {
        let alone = tempfile::tempdir().unwrap();
        let file = alone.path().join("box");
        std::fs::copy(directory.path().join(name), &file).unwrap();
        torment(driver, &fixtures::root(alone.path()), "box", &file, &|_| {});
    }
}

#[test]
fn mbx_files_may_be_anything() {
    torment_each("mbx", &["expunged", "expunged-hidden", "foreign/handmade"]);
}

#[test]
fn mbox_files_may_be_anything() {
    torment_each("mbox", &["expunged", "foreign/pseudo-with-gaps", "foreign/imapbase-duplicate-uid"]);
}

#[test]
fn mmdf_files_may_be_anything() {
    torment_each("mmdf", &["expunged", "foreign/delimiter-in-header"]);
}

#[test]
fn what_servers_keep_beside_a_maildir_may_be_anything() {
    let driver = driver("maildir").unwrap();
    let files = [
        ("maildir-dovecot", ".Sent/dovecot-uidlist"),
        ("maildir-dovecot", ".Sent/dovecot-keywords"),
        ("maildir-dovecot", "dovecot-uidvalidity"),
        ("maildir-courier", ".Sent/courierimapuiddb"),
        ("maildir-courier", ".Sent/courierimapkeywords/:list"),
    ];
    for (fixture, file) in files {
        let directory = fixtures::unpack(fixture);
        let top = directory.path().join("Maildir");
        torment(driver, &fixtures::root(&top), "Sent", &top.join(file), &|_| {});
    }
}

#[test]
fn mix_files_may_be_anything() {
    let (directory, driver) = (fixtures::copy("mix"), driver("mix").unwrap());
    let alone = tempfile::tempdir().unwrap();
    std::fs::rename(directory.path().join("expunged-hidden"), alone.path().join("box")).unwrap();
    let files = std::fs::read_dir(alone.path().join("box")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert_eq!(files.len(), 4);
    for file in files {
        torment(driver, &fixtures::root(alone.path()), "box", &file, &|_| {});
    }
}

#[test]
fn cyrus_files_may_be_anything() {
    let driver = driver("cyrus").unwrap();
    let directory = cyrus::unpack("cyrus");
    let alice = cyrus::root(directory.path(), Some("alice"));
    let (conf, inbox) =
        (directory.path().join("conf"), directory.path().join("spool/uuid/x/s/xsawbd8k0v2z0v1l2dees6rk"));
    torment(driver, &alice, "INBOX", &inbox.join("cyrus.index"), &seal_index);
    torment(driver, &alice, "INBOX", &inbox.join("cyrus.header"), &|_| {});
    torment(driver, &alice, "INBOX", &inbox.join("cyrus.annotations"), &seal_twoskip);
    for file in ["mailboxes.db", "annotations.db"] {
        torment(driver, &alice, "INBOX", &conf.join(file), &seal_twoskip);
    }
    torment(driver, &alice, "INBOX", &conf.join("user/uuid/x/s/xsawbd8k0v2z0v1l2dees6rk/sub.db"), &|_| {});
    let bob = cyrus::root(directory.path(), Some("bob"));
    let seen = conf.join("user/uuid/g/c/gcid4blocwqbwmsy4lcjeyqy/seen.db");
    torment(driver, &bob, "user/alice/Sent", &seen, &seal_twoskip);
}

#[test]
fn cyrus_files_without_checksums_may_be_anything() {
    let (directory, driver) = (cyrus::unpack("cyrus-legacy"), driver("cyrus").unwrap());
    let carol = cyrus::root(directory.path(), Some("carol"));
    for version in ["v6", "v8", "v9", "v12", "v13"] {
        let index = directory.path().join("spool/c/user/carol").join(version).join("cyrus.index");
        torment(driver, &carol, &format!("INBOX/{version}"), &index, &seal_index);
    }
    torment(driver, &carol, "INBOX/v6", &directory.path().join("conf/user/c/carol.seen"), &seal_twoskip);
}

/// Puts right the sums of an index, by the sizes that it says it has.
fn seal_index(octets: &mut [u8]) {
    let number = |octets: &[u8], at: usize| {
        octets.get(at..at + 4).map_or(0, |number| u32::from_be_bytes(number.try_into().unwrap())) as usize
    };
    let (minor, header, record) = (number(octets, 8), number(octets, 12), number(octets, 16));
    if minor < 12 || !(20..4096).contains(&header) || !(20..4096).contains(&record) || header > octets.len() {
        return;
    }
    let (start, records) = octets.split_at_mut(header);
    std::iter::once(start).chain(records.chunks_exact_mut(record)).for_each(seal_end);
}

/// Puts right the sums of a database: of its header, and of whatever looks like a record.
fn seal_twoskip(octets: &mut [u8]) {
    let Some(header) = octets.get_mut(..64) else { return };
    seal_end(header);
    let mut at = 64;
    while at + 24 <= octets.len() {
        let level = usize::from(octets[at + 1]);
        let key = usize::from(u16::from_be_bytes([octets[at + 2], octets[at + 3]]));
        let value = u32::from_be_bytes(octets[at + 4..at + 8].try_into().unwrap()) as usize;
        let sums = at + 8 + 8 * (level + 1);
        let (start, end) = (sums + 8, (sums + 8 + key + value).next_multiple_of(8));
        if !b"=+-$".contains(&octets[at]) || level > 31 || end > octets.len() {
            at += 8;
            continue;
        }
        let (head, tail) = (crc32fast::hash(&octets[at..sums]), crc32fast::hash(&octets[start..end]));
        octets[sums..sums + 4].copy_from_slice(&head.to_be_bytes());
        octets[sums + 4..start].copy_from_slice(&tail.to_be_bytes());
        at = end;
    }
}

fn seal_end(octets: &mut [u8]) {
    let end = octets.len() - 4;
    let sum = crc32fast::hash(&octets[..end]);
    octets[end..].copy_from_slice(&sum.to_be_bytes());
}
