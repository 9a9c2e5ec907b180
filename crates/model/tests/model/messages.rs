//! APPEND, EXPUNGE, COPY and MOVE.

use paquebot_model::{Op, Outcome, PAGE_MESSAGES, Refusal};
use paquebot_types::{Flags, MailboxId, Uid, UidSet};

use crate::shard::{ANNA, Shard, message, uids};

/// COPYUID and the source's modseq.
fn copied(outcome: Outcome) -> (String, String, Option<u64>) {
    match outcome {
        Outcome::Copied { source, destination, modseq, .. } => {
            (source.to_string(), destination.to_string(), modseq.map(|modseq| modseq.0))
        }
        outcome => panic!("{outcome:?}"),
    }
}

fn uids_in(shard: &Shard, mailbox: &str) -> Vec<u32> {
    shard.mailbox(mailbox).messages.iter().map(|message| message.uid).collect()
}

#[test]
fn uids_ascend_and_are_never_given_twice() {
    let mut shard = Shard::with(&[]);
    assert_eq!(shard.append("INBOX", 3), "1:3");
    shard.expunge("INBOX", uids(3, 3));
    assert_eq!(shard.append("INBOX", 1), "4");
    shard.expunge("INBOX", UidSet::all());
    assert_eq!(shard.append("INBOX", 2), "5:6");
    assert_eq!(shard.mailbox("INBOX").uid_next, 7);
}

#[test]
fn a_multiappend_is_all_or_nothing() {
    let mut shard = Shard::with(&[]);
    let words: Vec<String> = (0..129).map(|n| format!("word{n}")).collect();
    let messages = words
        .chunks(43)
        .enumerate()
        .map(|(n, words)| message(n as u32, Flags::NONE, &words.iter().map(String::as_str).collect::<Vec<_>>()));
    let append = Op::Append { account: ANNA, mailbox: shard.id("INBOX"), messages: messages.collect() };
    assert_eq!(shard.refused(append), Refusal::TooManyKeywords);
    let inbox = shard.mailbox("INBOX");
    assert_eq!((inbox.messages.len(), inbox.uid_next, inbox.modseq, inbox.keywords.len()), (0, 1, 1, 0));
}

#[test]
fn a_multiappend_has_one_modseq() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 3);
    let inbox = shard.mailbox("INBOX");
    assert_eq!(inbox.messages.iter().map(|message| message.modseq).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(inbox.modseq, 2);
}

#[test]
fn an_append_of_no_message_changes_nothing() {
    let mut shard = Shard::with(&[]);
    let before = shard.mailbox("INBOX");
    assert_eq!(shard.append("INBOX", 0), "");
    assert_eq!(shard.mailbox("INBOX"), before);
}

#[test]
fn an_append_to_a_deleted_mailbox_is_refused() {
    let mut shard = Shard::with(&["a"]);
    let mailbox = shard.id("a");
    shard.delete("a");
    let append = Op::Append { account: ANNA, mailbox, messages: vec![message(0, Flags::NONE, &[])] };
    assert_eq!(shard.refused(append), Refusal::NoSuchMailbox);
}

#[test]
fn the_last_uid_but_one_is_given_and_then_no_more() {
    let mut shard = Shard::with(&["a"]);
    shard.append("a", 1);
    shard.force_mailbox("INBOX", |inbox| inbox.uid_next = Uid::new(u32::MAX - 2));
    let append = |shard: &Shard, count: u32| {
        let messages = (0..count).map(|n| message(n, Flags::NONE, &[])).collect();
        Op::Append { account: ANNA, mailbox: shard.id("INBOX"), messages }
    };
    assert_eq!(shard.refused(append(&shard, 3)), Refusal::NoMoreUids);
    assert_eq!(shard.append("INBOX", 2), "4294967293:4294967294");
    assert_eq!(shard.mailbox("INBOX").uid_next, u32::MAX);
    assert_eq!(shard.refused(append(&shard, 1)), Refusal::NoMoreUids);
    let (from, to) = (shard.id("a"), shard.id("INBOX"));
    let copy = Op::Copy { account: ANNA, from, uids: UidSet::all(), to };
    assert_eq!(shard.refused(copy), Refusal::NoMoreUids);
    let r#move = Op::Move { account: ANNA, from, uids: UidSet::all(), to };
    assert_eq!(shard.refused(r#move), Refusal::NoMoreUids);
    assert_eq!(uids_in(&shard, "a"), [1]);
    // Flags can still be changed, and what is there expunged.
    assert!(matches!(shard.expunge("INBOX", UidSet::all()), Outcome::Expunged { modseq: Some(_), .. }));
}

#[test]
fn an_expunge_takes_only_what_is_deleted_and_named() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 5);
    shard.store("INBOX", uids(2, 4), paquebot_model::FlagAction::Add, Flags::DELETED, &[]);
    let expunge = |shard: &Shard, uids| Op::Expunge { account: ANNA, mailbox: shard.id("INBOX"), uids };
    let modseq = shard.mailbox("INBOX").modseq;
    let Outcome::Expunged { uids: gone, modseq: told } = shard.op(expunge(&shard, uids(1, 3))) else { panic!() };
    assert_eq!(gone.to_string(), "2:3");
    // QRESYNC finds what is gone by the modseq that the expunge took (RFC 7162, 3.2.10).
    assert_eq!(told.map(|modseq| modseq.0), Some(modseq + 1));
    assert_eq!(shard.mailbox("INBOX").modseq, modseq + 1);
    assert_eq!(shard.mailbox("INBOX").expunged[&(modseq + 1)].uids.to_string(), "2:3");
    assert_eq!(uids_in(&shard, "INBOX"), [1, 4, 5]);
    let nothing = Outcome::Expunged { uids: UidSet::new(), modseq: None };
    assert_eq!(shard.op(expunge(&shard, uids(5, 5))), nothing);
    assert_eq!(shard.mailbox("INBOX").modseq, modseq + 1);
}

#[test]
fn uids_across_pages_are_found_and_emptied_pages_go() {
    let mut shard = Shard::with(&[]);
    let count = 3 * PAGE_MESSAGES as u32;
    shard.append("INBOX", count);
    let pages = |shard: &Shard| {
        let (from, to) = paquebot_model::key::pages(ANNA, shard.id("INBOX"), 0, u32::MAX);
        shard.rows.iter().filter(|(key, _)| from.as_slice() <= *key && *key < to.as_slice()).count()
    };
    assert_eq!(pages(&shard), 4);
    shard.expunge("INBOX", uids(64, 127));
    assert_eq!(pages(&shard), 3);
    assert_eq!(uids_in(&shard, "INBOX").len() as u32, count - 64);
    shard.expunge("INBOX", UidSet::all());
    assert_eq!(pages(&shard), 0);
}

#[test]
fn a_copy_keeps_flags_keywords_and_dates_and_not_the_save_date() {
    let mut shard = Shard::with(&["a"]);
    let mailbox = shard.id("INBOX");
    // Bits differ between the two mailboxes; names must not.
    shard.append("a", 1);
    shard.store("a", uids(1, 1), paquebot_model::FlagAction::Add, Flags::NONE, &["other"]);
    let messages = vec![message(7, Flags::SEEN.union(Flags::FLAGGED), &["$Forwarded", "work"])];
    shard.op(Op::Append { account: ANNA, mailbox, messages });
    shard.time_ms += 5_000;
    assert_eq!(copied(shard.copy("INBOX", UidSet::all(), "a")), ("1".into(), "2".into(), None));
    let (original, copy) = (shard.mailbox("INBOX").messages.remove(0), shard.mailbox("a").messages.remove(1));
    assert_eq!(copy.flags, original.flags);
    assert_eq!(copy.keywords, ["$forwarded".to_string(), "work".into()].into());
    assert_eq!((copy.internal_date, copy.size, copy.blob), (original.internal_date, original.size, original.blob));
    assert_eq!(copy.save_date, original.save_date + 5);
}

/// RFC 9051, 6.4.7; clients try again for ever when they get a NO here.
#[test]
fn a_copy_or_move_of_vanished_uids_is_done_and_empty() {
    let mut shard = Shard::with(&["a"]);
    shard.append("INBOX", 3);
    shard.expunge("INBOX", uids(2, 2));
    assert_eq!(copied(shard.copy("INBOX", uids(2, 2), "a")), (String::new(), String::new(), None));
    assert_eq!(copied(shard.r#move("INBOX", uids(9, 12), "a")), (String::new(), String::new(), None));
    assert_eq!(shard.mailbox("a").modseq, 1);
    assert_eq!(copied(shard.copy("INBOX", uids(1, 3), "a")), ("1,3".into(), "1:2".into(), None));
    // The target has it already, and gets it again.
    assert_eq!(copied(shard.copy("INBOX", uids(1, 1), "a")), ("1".into(), "3".into(), None));
}

#[test]
fn a_move_takes_the_originals_in_the_same_moment() {
    let mut shard = Shard::with(&["a"]);
    shard.append("INBOX", 3);
    let modseq = shard.mailbox("INBOX").modseq;
    assert_eq!(copied(shard.r#move("INBOX", uids(2, 3), "a")), ("2:3".into(), "1:2".into(), Some(modseq + 1)));
    assert_eq!((uids_in(&shard, "INBOX"), uids_in(&shard, "a")), (vec![1], vec![1, 2]));
    assert_eq!(shard.mailbox("INBOX").expunged[&(modseq + 1)].uids.to_string(), "2:3");
    // What was moved lives elsewhere: bringing it back would make it two.
    let undelete = Op::Undelete { account: ANNA, mailbox: shard.id("INBOX"), since_ms: 0 };
    assert_eq!(shard.op(undelete), Outcome::Undeleted { messages: 0 });
}

#[test]
fn a_copy_to_the_same_mailbox_doubles_and_a_move_renumbers() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 3);
    assert_eq!(copied(shard.copy("INBOX", UidSet::all(), "INBOX")), ("1:3".into(), "4:6".into(), None));
    assert_eq!(uids_in(&shard, "INBOX"), [1, 2, 3, 4, 5, 6]);
    let modseq = shard.mailbox("INBOX").modseq;
    assert_eq!(copied(shard.r#move("INBOX", UidSet::all(), "INBOX")), ("1:6".into(), "7:12".into(), Some(modseq + 2)));
    assert_eq!(uids_in(&shard, "INBOX"), [7, 8, 9, 10, 11, 12]);
    let inbox = shard.mailbox("INBOX");
    assert!(inbox.messages.iter().all(|message| message.modseq == modseq + 1));
    assert_eq!(inbox.expunged[&(modseq + 2)].uids.to_string(), "1:6");
}

#[test]
fn a_copy_whose_keywords_have_no_room_is_refused_whole() {
    let mut shard = Shard::with(&["a"]);
    let words: Vec<String> = (0..128).map(|n| format!("word{n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let full = vec![message(1, Flags::NONE, &words)];
    shard.op(Op::Append { account: ANNA, mailbox: shard.id("a"), messages: full });
    let messages = vec![message(2, Flags::NONE, &["WORD5"]), message(3, Flags::NONE, &["word5", "one-more"])];
    shard.op(Op::Append { account: ANNA, mailbox: shard.id("INBOX"), messages });
    let (from, to) = (shard.id("INBOX"), shard.id("a"));
    for op in [
        Op::Copy { account: ANNA, from, uids: UidSet::all(), to },
        Op::Move { account: ANNA, from, uids: UidSet::all(), to },
    ] {
        assert_eq!(shard.refused(op), Refusal::TooManyKeywords);
    }
    assert_eq!(copied(shard.copy("INBOX", uids(1, 1), "a")).1, "2");
}

#[test]
fn copies_from_or_to_what_is_not_there_are_refused() {
    let mut shard = Shard::with(&[]);
    let (inbox, nowhere) = (shard.id("INBOX"), MailboxId::new(99).unwrap());
    for (from, to) in [(inbox, nowhere), (nowhere, inbox)] {
        let copy = Op::Copy { account: ANNA, from, uids: UidSet::all(), to };
        assert_eq!(shard.refused(copy), Refusal::NoSuchMailbox);
        let r#move = Op::Move { account: ANNA, from, uids: UidSet::all(), to };
        assert_eq!(shard.refused(r#move), Refusal::NoSuchMailbox);
    }
}

#[test]
fn save_dates_and_uids_hold_when_the_clock_goes_back() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 1);
    shard.time_ms -= 86_400_000;
    assert_eq!(shard.append("INBOX", 1), "2");
    let inbox = shard.mailbox("INBOX");
    assert!(inbox.messages[1].save_date < inbox.messages[0].save_date);
    assert!(inbox.messages[1].modseq > inbox.messages[0].modseq);
}
