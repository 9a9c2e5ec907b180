//! Which UID a message has, by what its file says: in the order in which the lines stand there, as c-client believes them.

use paquebot_types::{Keyword, Uid, UidValidity};

use super::layout::{self, Base, Name, Status};

/// What is known of a mailbox up to a message.
#[derive(Debug, Clone, Default)]
pub struct Numbering {
    pub validity: Option<UidValidity>,
    /// A UIDVALIDITY that the file names, and that does not count any more.
    pub thrown: Option<UidValidity>,
    pub uid_last: u32,
    pub keywords: Vec<Keyword>,
    /// The last message's UID.
    previous: u32,
    /// Messages that were looked at, the pseudo-message too.
    seen: u64,
}

/// What the lines of one message say.
pub struct Told {
    /// `None`: UIDs are used up.
    pub uid: Option<Uid>,
    pub status: Status,
    /// The UID that stands in the file is the one that the message has.
    pub has_uid: bool,
    /// It is the pseudo-message.
    pub pseudo: bool,
    /// What its `X-IMAPbase` or `X-IMAP` line says, if it counts.
    pub base: Option<Base>,
}

/// Whose `X-UID` lines are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believe {
    All,
    /// While we hold the session nobody else gives UIDs: what says otherwise came with the mail.
    None,
}

impl Numbering {
    pub fn take(&mut self, lines: &[(Name, Vec<u8>)], believe: Believe) -> Told {
        let first = self.seen == 0;
        self.seen += 1;
        let mut told = Told { uid: None, status: Status::default(), has_uid: false, pseudo: false, base: None };
        let (mut uid, mut uid_lines) = (0, 0);
        for (name, value) in lines {
            match name {
                Name::Status | Name::XStatus => told.status.take_letters(value),
                Name::XKeywords => told.status.take_keywords(value, &self.keywords),
                Name::XImapBase | Name::XImap if first && self.validity.is_none() && self.thrown.is_none() => {
                    if let Some(base) = Base::parse(value) {
                        (self.validity, self.uid_last) = (Some(base.validity), base.uid_last);
                        self.keywords.clone_from(&base.keywords);
                        told.pseudo = *name == Name::XImap;
                        told.base = Some(base);
                    }
                }
                Name::XImapBase | Name::XImap => {}
                Name::XUid => {
                    uid_lines += 1;
                    if believe == Believe::None || self.validity.is_none() {
                        continue;
                    }
                    let Some(number) = layout::number(value.trim_ascii_start()) else { continue };
                    if uid != 0 || number <= self.previous {
                        tracing::warn!(
                            number,
                            after = self.previous,
                            "an X-UID line is out of order: UIDVALIDITY does not hold"
                        );
                        self.thrown = self.validity.take();
                        uid = 0;
                    } else {
                        uid = number;
                        self.uid_last = self.uid_last.max(number);
                    }
                }
            }
        }
        if told.pseudo {
            return told;
        }
        told.has_uid = uid != 0 && uid_lines == 1;
        if uid == 0 {
            let Some(next) = self.uid_last.checked_add(1).and_then(Uid::new) else { return told };
            uid = next.get();
            self.uid_last = uid;
        }
        self.previous = uid;
        told.uid = Uid::new(uid);
        told
    }

    pub fn base(&self, validity: UidValidity) -> Base {
        Base { validity, uid_last: self.uid_last, keywords: self.keywords.clone() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// UIDs and UIDVALIDITY, checked with the real library.
    fn number(messages: &[&[(Name, &str)]]) -> (Vec<u32>, Option<u32>) {
        let mut numbering = Numbering::default();
        let mut uids = Vec::new();
        for lines in messages {
            let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
            uids.extend(numbering.take(&lines, Believe::All).uid.map(Uid::get));
        }
        (uids, numbering.validity.map(UidValidity::get))
    }

    #[test]
    fn uids_are_believed_while_they_ascend() {
        let base = (Name::XImapBase, " 77 9 A");
        let uid = |value| (Name::XUid, value);
        assert_eq!(number(&[&[base, uid(" 3")], &[uid(" 7")], &[]]), (vec![3, 7, 10], Some(77)));
        assert_eq!(number(&[&[base, uid("3")], &[uid(" 12")], &[]]), (vec![3, 12, 13], Some(77)));
        assert_eq!(number(&[&[(Name::XImap, " 77 9")], &[uid(" 12")], &[]]), (vec![12, 13], Some(77)));
    }

    #[test]
    fn one_that_does_not_ascend_costs_the_mailbox_its_uid_validity() {
        let base = (Name::XImapBase, " 77 9 A");
        let uid = |value| (Name::XUid, value);
        assert_eq!(number(&[&[base, uid(" 5")], &[uid(" 5")], &[uid(" 7")]]), (vec![5, 10, 11], None));
        assert_eq!(number(&[&[base, uid(" 3"), uid(" 3")], &[uid(" 7")]]), (vec![10, 11], None));
        assert_eq!(number(&[&[uid(" 3"), base], &[uid(" 7")]]), (vec![10, 11], None));
        assert_eq!(number(&[&[base], &[uid(" 0")], &[]]), (vec![10, 11, 12], None));
    }

    #[test]
    fn without_uid_validity_messages_are_counted() {
        assert_eq!(number(&[&[(Name::XUid, " 9")], &[(Name::XImapBase, " 77 9")]]), (vec![1, 2], None));
        assert_eq!(number(&[&[(Name::XImap, " 0 5")], &[]]), (vec![1, 2], None));
    }

    #[test]
    fn a_mailbox_that_has_used_up_its_uids_shows_no_more() {
        assert_eq!(number(&[&[(Name::XImap, " 77 4294967294")], &[], &[]]), (vec![u32::MAX], Some(77)));
    }
}
