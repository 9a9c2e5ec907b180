//! What every format must do that many sessions share.

use std::path::Path;

use paquebot_formats::{Access, Arriving, Body, Driver, Expunged, FormatError, OpenMailbox};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, Uid, UidSet, UidValidity};

use crate::fixtures::{octets, root, shown};

pub struct Octets(pub Vec<u8>);

impl Body for Octets {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.0[usize::try_from(offset).unwrap().min(self.0.len())..];
        let count = rest.len().min(buffer.len()).min(1000);
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

pub fn append(mailbox: &mut dyn OpenMailbox, text: &str, flags: Flags, keywords: &[&str]) -> Uid {
    let mut body = Octets(text.replace('\n', "\r\n").into_bytes());
    let keywords = keywords.iter().map(|keyword| Keyword::new(keyword).unwrap()).collect();
    let internal_date = InternalDate::new(1_173_118_530, -480);
    let mut arriving = [Arriving { flags, keywords, internal_date, body: &mut body, uid: None }];
    mailbox.append(&mut arriving).unwrap()[0]
}

pub fn uids(mailbox: &dyn OpenMailbox) -> Vec<u32> {
    mailbox.messages().iter().map(|message| message.uid.get()).collect()
}

pub fn only(uid: Uid) -> UidSet {
    [uid].into_iter().collect()
}

/// Two sessions in one mailbox.
pub fn two_handles_see_each_others_changes(driver: &dyn Driver, space: &dyn Fn(&Path) -> u64) {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    let name = MailboxName::new("box/of/mine").unwrap();
    driver.create(&root, &name, UidValidity::new(77).unwrap()).unwrap();
    assert!(matches!(driver.create(&root, &name, UidValidity::MIN), Err(FormatError::Exists(_))));
    let mut one = driver.open(&root, &name, Access::Write).unwrap();
    let mut other = driver.open(&root, &name, Access::Write).unwrap();
    let first = append(&mut *one, "Subject: 1\n\nfirst\n", Flags::SEEN, &["Work"]);
    let second = append(&mut *one, "Subject: 2\n\nsecond\n", Flags::NONE, &[]);
    let changes = other.refresh(Expunged::Leave).unwrap();
    assert_eq!(changes.arrived.count(), 2);
    assert_eq!(other.state().keywords, [Keyword::new("Work").unwrap()]);

    other.store(&[(second, Flags::DELETED, vec![Keyword::new("Later").unwrap()])]).unwrap();
    let changes = one.refresh(Expunged::Stay).unwrap();
    assert_eq!(changes.flags, only(second));
    let without_recent = |mailbox: &mut dyn OpenMailbox| {
        let mut shown = shown(mailbox);
        shown.iter_mut().for_each(|message| message.1.retain(|flag| flag != "\\Recent"));
        shown
    };
    assert_eq!(without_recent(&mut *one), without_recent(&mut *other));

    // Not alone: the message is gone for the one who expunged it, and its octets stay for the other until it may be told.
    other.expunge(&only(second)).unwrap();
    assert_eq!(uids(&*other), [1]);
    one.refresh(Expunged::Stay).unwrap();
    assert_eq!(uids(&*one), [1, 2]);
    assert_eq!(octets(&mut *one.body(second).unwrap()), b"Subject: 2\r\n\r\nsecond\r\n");
    let changes = one.refresh(Expunged::Leave).unwrap();
    assert_eq!(changes.expunged, only(second));

    // Alone: the space is given back.
    let path = directory.path().join("box/of/mine");
    let before = space(&path);
    drop(other);
    one.refresh(Expunged::Leave).unwrap();
    assert!(space(&path) < before);
    assert_eq!(octets(&mut *one.body(first).unwrap()), b"Subject: 1\r\n\r\nfirst\r\n");
    assert_eq!(append(&mut *one, "Subject: 3\n\n", Flags::NONE, &[]).get(), 3, "a UID is used once");
}

/// A body that is being read stays what it is while others are expunged.
pub fn what_is_being_read_is_not_moved(driver: &dyn Driver) {
    let directory = tempfile::tempdir().unwrap();
    let root = root(directory.path());
    let name = MailboxName::new("box").unwrap();
    driver.create(&root, &name, UidValidity::MIN).unwrap();
    let mut mailbox = driver.open(&root, &name, Access::Write).unwrap();
    let first = append(&mut *mailbox, &"gone\n".repeat(1000), Flags::DELETED, &[]);
    let second = append(&mut *mailbox, &"kept\n".repeat(1000), Flags::NONE, &[]);
    let mut reading = mailbox.body(second).unwrap();
    mailbox.expunge(&only(first)).unwrap();
    assert_eq!(octets(&mut *reading), "kept\r\n".repeat(1000).as_bytes());
    drop(reading);
    mailbox.refresh(Expunged::Leave).unwrap();
    assert_eq!(octets(&mut *mailbox.body(second).unwrap()), "kept\r\n".repeat(1000).as_bytes());
}
