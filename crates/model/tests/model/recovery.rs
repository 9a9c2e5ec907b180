//! UNDELETE, PURGE and COLLECT: what was expunged can come back, until it cannot.

use paquebot_model::{Op, Outcome, Refusal};
use paquebot_types::{BlobId, Flags, Uid, UidSet};

use crate::shard::{ANNA, Shard, create, message, name, uids};

fn undelete(shard: &mut Shard, text: &str, since_ms: u64) -> u64 {
    match shard.op(Op::Undelete { account: ANNA, mailbox: shard.id(text), since_ms }) {
        Outcome::Undeleted { messages } => messages,
        outcome => panic!("{outcome:?}"),
    }
}

fn purge(shard: &mut Shard, before_ms: u64) {
    assert_eq!(shard.op(Op::Purge { account: ANNA, before_ms }), Outcome::Done);
}

#[test]
fn expunged_messages_come_back_under_new_uids() {
    let mut shard = Shard::with(&[]);
    let messages = vec![message(1, Flags::SEEN, &["work"]), message(2, Flags::NONE, &[])];
    shard.op(Op::Append { account: ANNA, mailbox: shard.id("INBOX"), messages });
    let before = shard.mailbox("INBOX");
    shard.expunge("INBOX", uids(2, 2));
    shard.expunge("INBOX", uids(1, 1));
    let modseq = shard.mailbox("INBOX").modseq;
    assert_eq!(undelete(&mut shard, "INBOX", 0), 2);
    let inbox = shard.mailbox("INBOX");
    assert_eq!(
        inbox.messages.iter().map(|m| (m.uid, m.modseq)).collect::<Vec<_>>(),
        [(3, modseq + 1), (4, modseq + 1)]
    );
    for (back, original) in inbox.messages.iter().zip(&before.messages) {
        assert_eq!((back.flags, &back.keywords, back.blob), (original.flags, &original.keywords, original.blob));
    }
    // The tombstones still tell QRESYNC of the old UIDs, and nothing comes back twice.
    assert_eq!(inbox.expunged.len(), 2);
    assert_eq!(undelete(&mut shard, "INBOX", 0), 0);
}

#[test]
fn only_what_was_expunged_since_comes_back() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 2);
    shard.expunge("INBOX", uids(1, 1));
    shard.time_ms += 1000;
    shard.expunge("INBOX", uids(2, 2));
    let since_ms = shard.time_ms;
    assert_eq!(undelete(&mut shard, "INBOX", since_ms + 1), 0);
    assert_eq!(undelete(&mut shard, "INBOX", since_ms), 1);
    assert_eq!(undelete(&mut shard, "INBOX", since_ms - 1000), 1);
}

#[test]
fn nothing_comes_back_where_no_uids_are_left() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 2);
    shard.expunge("INBOX", UidSet::all());
    shard.force_mailbox("INBOX", |inbox| inbox.uid_next = Uid::new(u32::MAX - 1));
    let op = Op::Undelete { account: ANNA, mailbox: shard.id("INBOX"), since_ms: 0 };
    assert_eq!(shard.refused(op), Refusal::NoMoreUids);
    assert_eq!(shard.mailbox("INBOX").expunged.values().next().unwrap().messages.len(), 2);
}

#[test]
fn a_deleted_mailbox_comes_back_as_it_was() {
    let mut shard = Shard::with(&["a"]);
    shard.append("a", 3);
    let (mailbox, before) = (shard.id("a"), shard.mailbox("a"));
    let op = |text| Op::UndeleteMailbox { account: ANNA, mailbox, name: name(text) };
    assert_eq!(shard.refused(op("b")), Refusal::NoSuchMailbox);
    shard.delete("a");
    shard.create("a");
    assert_eq!(shard.refused(op("a")), Refusal::MailboxExists);
    assert_eq!(shard.op(op("b")), Outcome::Undeleted { messages: 3 });
    assert_eq!(shard.mailbox("b"), crate::reference::Mailbox { name: name("b"), ..before });
    assert_eq!(shard.names(), ["INBOX", "a", "b"]);
}

#[test]
fn what_was_purged_cannot_come_back() {
    let mut shard = Shard::with(&["a"]);
    shard.append("INBOX", 2);
    shard.append("a", 2);
    shard.expunge("INBOX", UidSet::all());
    let mailbox = shard.id("a");
    shard.delete("a");
    let before_ms = shard.time_ms;
    purge(&mut shard, before_ms);
    assert!(shard.account().mailboxes.contains_key(&mailbox));
    purge(&mut shard, before_ms + 1);
    assert_eq!(undelete(&mut shard, "INBOX", 0), 0);
    assert_eq!(shard.mailbox("INBOX").expunged.values().next().unwrap().uids.to_string(), "1:2");
    let op = Op::UndeleteMailbox { account: ANNA, mailbox, name: name("a") };
    assert_eq!(shard.refused(op), Refusal::NoSuchMailbox);
    let blobs = (1..=4).map(|n| BlobId::new(n).unwrap()).collect();
    let applied = shard.ops(vec![Op::Collect { account: ANNA, blobs }]);
    assert_eq!(applied.blobs_removed.len(), 4);
    assert!(shard.account().blobs.is_empty());
}

#[test]
fn a_purge_sees_what_its_own_record_did() {
    let mut shard = Shard::with(&[]);
    let time_ms = shard.time_ms;
    let delete = Op::Delete { account: ANNA, name: name("a") };
    shard.ops(vec![create("a"), delete, Op::Purge { account: ANNA, before_ms: time_ms + 1 }]);
    assert_eq!(shard.account().mailboxes.len(), 1);
}

#[test]
fn a_body_that_comes_and_goes_in_one_record_is_neither_added_nor_removed() {
    let mut shard = Shard::with(&[]);
    let (mailbox, time_ms) = (shard.id("INBOX"), shard.time_ms);
    let applied = shard.ops(vec![
        Op::Append { account: ANNA, mailbox, messages: vec![message(1, Flags::DELETED, &[])] },
        Op::Expunge { account: ANNA, mailbox, uids: UidSet::all() },
        Op::Purge { account: ANNA, before_ms: time_ms + 1 },
        Op::Collect { account: ANNA, blobs: vec![BlobId::MIN, BlobId::MAX] },
    ]);
    assert!(applied.blobs_added.is_empty() && applied.blobs_removed.is_empty());
}

/// RFC 7162, 3.2.10: a server may tell of more UIDs than were expunged since, never of fewer.
#[test]
fn old_tombstones_merge_and_tell_no_fewer_uids() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 300);
    let mailbox = shard.id("INBOX");
    shard.store("INBOX", UidSet::all(), paquebot_model::FlagAction::Add, Flags::DELETED, &[]);
    for n in 1..=300 {
        shard.time_ms += 10;
        shard.op(Op::Expunge { account: ANNA, mailbox, uids: uids(n, n) });
    }
    let exact = shard.mailbox("INBOX").expunged;
    let told = |expunged: &std::collections::BTreeMap<u64, crate::reference::Expunged>, after: u64| {
        expunged.range(after + 1..).fold(UidSet::new(), |all, (_, expunged)| all.union(&expunged.uids))
    };
    let before_ms = shard.time_ms - 95;
    for _ in 0..2 {
        purge(&mut shard, before_ms);
        let merged = shard.mailbox("INBOX").expunged;
        // 290 were old: 256 of those stay apart, and the ten young ones.
        assert_eq!(merged.len(), 266);
        assert_eq!(merged.values().filter(|expunged| !expunged.messages.is_empty()).count(), 10);
        for after in 0..=shard.mailbox("INBOX").modseq {
            let (must, may) = (told(&exact, after), told(&merged, after));
            assert_eq!(may.intersection(&must), must, "after {after}");
        }
        assert_eq!(told(&merged, 0).to_string(), "1:300");
    }
    assert_eq!(undelete(&mut shard, "INBOX", 0), 10);
}
