//! A damaged store is served as far as it is whole.

use std::path::{Path, PathBuf};

use paquebot_formats::{Access, FormatError, OpenMailbox, driver};
use paquebot_types::MailboxName;

use super::{plain, root, unpack};
use crate::fixtures::{octets, shown};

/// Where INBOX's files are in `cyrus`.
const INBOX: &str = "spool/uuid/x/s/xsawbd8k0v2z0v1l2dees6rk";

fn open(directory: &Path) -> Result<Box<dyn OpenMailbox>, FormatError> {
    driver("cyrus").unwrap().open(&root(directory, Some("alice")), &MailboxName::inbox(), Access::Read)
}

fn uids(directory: &Path) -> Vec<u32> {
    open(directory).unwrap().messages().iter().map(|message| message.uid.get()).collect()
}

struct Store {
    directory: tempfile::TempDir,
    index: PathBuf,
    whole: Vec<u8>,
}

fn store() -> Store {
    let directory = unpack("cyrus");
    let index = directory.path().join(INBOX).join("cyrus.index");
    let whole = std::fs::read(&index).unwrap();
    Store { directory, index, whole }
}

#[test]
fn an_index_cut_off_anywhere_gives_the_records_before() {
    let store = store();
    let all = uids(store.directory.path());
    for cut in 0..store.whole.len() {
        std::fs::write(&store.index, &store.whole[..cut]).unwrap();
        match open(store.directory.path()) {
            Ok(mailbox) => {
                let left = mailbox.messages().iter().map(|message| message.uid.get());
                assert!(all.starts_with(&left.collect::<Vec<_>>()), "cut at {cut}");
                assert!(cut >= 160);
            }
            Err(FormatError::Damaged { .. }) => assert!(cut < 160, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
    // A whole record more than the header counts is an append that did not end.
    let longer = [&store.whole[..], &store.whole[160..272]].concat();
    std::fs::write(&store.index, longer).unwrap();
    assert_eq!(uids(store.directory.path()), all);
}

#[test]
fn a_flipped_octet_takes_one_record_at_most() {
    let store = store();
    let told = plain(shown(&mut *open(store.directory.path()).unwrap()));
    for at in 0..store.whole.len() {
        let mut flipped = store.whole.clone();
        flipped[at] ^= 0x55;
        std::fs::write(&store.index, &flipped).unwrap();
        match open(store.directory.path()) {
            Ok(mailbox) if at < 160 => {
                // The header's checksum is wrong: the records are not, nor is UIDVALIDITY in the list.
                assert_eq!(mailbox.messages().len(), told.len(), "octet {at}");
                assert_eq!(mailbox.state().uid_validity.get(), 1_795_550_234);
            }
            Ok(mailbox) => assert!(mailbox.messages().len() + 1 >= told.len(), "octet {at}"),
            Err(FormatError::Damaged { .. }) => assert!((4..20).contains(&at), "octet {at}"),
            Err(FormatError::CannotHold(why)) => {
                assert!((8..12).contains(&at) && why.contains("version"), "octet {at}: {why}");
            }
            Err(error) => panic!("octet {at}: {error}"),
        }
        assert_eq!(std::fs::read(&store.index).unwrap(), flipped, "reading has written");
    }
}

#[test]
fn absurd_numbers_cost_nothing() {
    let store = store();
    for at in (0..160).step_by(4) {
        for value in [0_u32, 1, 0x7fff_ffff, 0xffff_ffff] {
            let mut absurd = store.whole.clone();
            absurd[at..at + 4].copy_from_slice(&value.to_be_bytes());
            let sum = crc32fast::hash(&absurd[..156]);
            absurd[156..160].copy_from_slice(&sum.to_be_bytes());
            std::fs::write(&store.index, &absurd).unwrap();
            match open(store.directory.path()) {
                Ok(mailbox) => assert!(mailbox.messages().len() <= 26),
                Err(FormatError::Damaged { .. } | FormatError::CannotHold(_)) => {}
                Err(error) => panic!("{value:x} at {at}: {error}"),
            }
        }
    }
}

#[test]
fn other_files_take_only_what_they_hold() {
    let store = store();
    let told = plain(shown(&mut *open(store.directory.path()).unwrap()));
    let files = ["cyrus.header", "cyrus.annotations"].map(|file| store.directory.path().join(INBOX).join(file));
    let others = ["mailboxes.db", "annotations.db"].map(|file| store.directory.path().join("conf").join(file));
    for file in files.iter().chain(&others) {
        let whole = std::fs::read(file).unwrap();
        let step = whole.len() / 50 + 1;
        for at in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x55;
            for damaged in [&flipped[..], &whole[..at]] {
                std::fs::write(file, damaged).unwrap();
                match open(store.directory.path()) {
                    Ok(mut mailbox) => {
                        assert_eq!(mailbox.messages().len(), told.len(), "{}: octet {at}", file.display());
                        let uid = mailbox.messages()[0].uid;
                        mailbox.annotations(uid).unwrap();
                    }
                    // Without the list's entry there is no such mailbox.
                    Err(FormatError::NoMailbox(_)) => assert!(file.ends_with("mailboxes.db")),
                    Err(error) => panic!("{}: octet {at}: {error}", file.display()),
                }
            }
        }
        std::fs::write(file, &whole).unwrap();
    }
    std::fs::remove_file(&files[0]).unwrap();
    let mailbox = open(store.directory.path()).unwrap();
    assert_eq!((mailbox.messages().len(), mailbox.state().keywords.len()), (told.len(), 0));
}

#[test]
fn a_message_file_that_is_missing_or_other_is_told_by_name() {
    let store = store();
    let file = |uid: u32| store.directory.path().join(INBOX).join(format!("{uid}."));
    std::fs::remove_file(file(1)).unwrap();
    std::fs::write(file(2), "Subject: cut\r\n").unwrap();
    let mut mailbox = open(store.directory.path()).unwrap();
    for (uid, what) in [(1, "missing"), (2, "not as long")] {
        match mailbox.body(paquebot_types::Uid::new(uid).unwrap()) {
            Err(FormatError::Damaged { path, what: why, .. }) => {
                assert_eq!(path, file(uid));
                assert!(why.contains(what), "{why}");
            }
            other => panic!("UID {uid}: {:?}", other.err()),
        }
    }
    let third = mailbox.messages()[2].uid;
    assert!(!octets(&mut *mailbox.body(third).unwrap()).is_empty());
}
