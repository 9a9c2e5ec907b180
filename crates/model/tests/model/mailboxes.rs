//! CREATE, DELETE, RENAME, SUBSCRIBE and whole accounts.

use paquebot_model::{MAILBOXES_MAX, Op, Outcome, Refusal, Row, RowChange, Rows, key};
use paquebot_types::{SpecialUse, UidSet};

use crate::shard::{ANNA, Shard, create, create_for, name, uids};

fn uid_validity(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Created { uid_validity, .. } => uid_validity.get(),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn uid_validity_rises_with_each_mailbox_whatever_the_clock_does() {
    let mut shard = Shard::with(&[]);
    let mut last = uid_validity(shard.create("a"));
    for step_ms in [0, 0, -5_000_000, 1_000_000, -1_600_000_000_000] {
        shard.delete("a");
        shard.time_ms = shard.time_ms.saturating_add_signed(step_ms);
        let next = uid_validity(shard.create("a"));
        assert!(next > last, "{next} after {last}");
        last = next;
    }
}

#[test]
fn uid_validity_follows_the_clock() {
    let mut shard = Shard::with(&[]);
    assert_eq!(uid_validity(shard.create("a")), 1_700_000_001);
    shard.time_ms = 1_800_000_000_000;
    assert_eq!(uid_validity(shard.create("b")), 1_800_000_000);
}

#[test]
fn uid_validity_outlives_its_account() {
    let mut shard = Shard::with(&["a"]);
    let before = shard.mailbox("INBOX").uid_validity.get().max(shard.mailbox("a").uid_validity.get());
    shard.append("a", 2);
    let blobs = shard.account().numbers.blob;
    let again = Op::AddAccount { account: ANNA, name: "anna".into(), mailboxes: vec![(name("a"), None)] };
    let applied = shard.ops(vec![Op::RemoveAccount { account: ANNA }, again]);
    assert_eq!(applied.outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(applied.blobs_removed.len(), 2);
    assert!(shard.mailbox("INBOX").uid_validity.get() > before);
    assert!(shard.mailbox("a").messages.is_empty());
    shard.append("a", 1);
    assert_eq!(shard.account().numbers.blob, blobs + 1);
}

#[test]
fn a_removed_account_leaves_nothing_but_its_numbers() {
    let mut shard = Shard::with(&["a"]);
    shard.append("a", 70);
    shard.expunge("a", uids(1, 3));
    shard.op(Op::RemoveAccount { account: ANNA });
    let (from, to) = key::accounts();
    assert_eq!(shard.rows.iter().filter(|(key, _)| from.as_slice() <= *key && *key < to.as_slice()).count(), 0);
    assert_eq!(shard.op(Op::RemoveAccount { account: ANNA }), Outcome::Done);
    assert_eq!(shard.refused(create("b")), Refusal::NoSuchAccount);
    assert_eq!(shard.refused(Op::Subscribe { account: ANNA, name: name("b") }), Refusal::NoSuchAccount);
}

#[test]
fn an_account_is_made_once() {
    let mut shard = Shard::with(&["a"]);
    shard.append("INBOX", 1);
    let before = shard.account();
    shard.op(Op::AddAccount { account: ANNA, name: "other".into(), mailboxes: vec![(name("b"), None)] });
    assert_eq!(shard.account(), before);
    assert_eq!(before.subscriptions, [name("INBOX"), name("a")].into());
}

#[test]
fn create_refuses_what_is_there() {
    let mut shard = Shard::with(&["a", "INBOX/x"]);
    for text in ["a", "INBOX", "inbox", "iNBoX/x"] {
        assert_eq!(shard.refused(create(text)), Refusal::MailboxExists, "{text}");
    }
    assert!(matches!(shard.create("A"), Outcome::Created { .. }));
    assert!(matches!(shard.create("a/b/c"), Outcome::Created { .. }));
    assert_eq!(shard.names(), ["A", "INBOX", "INBOX/x", "a", "a/b/c"]);
}

#[test]
fn a_special_use_has_one_mailbox() {
    let mut shard = Shard::with(&[]);
    shard.op(create_for("Sent", &[SpecialUse::Sent]));
    assert_eq!(shard.refused(create_for("b", &[SpecialUse::Drafts, SpecialUse::Sent])), Refusal::SpecialUseTaken);
    shard.rename("Sent", "Gesendet");
    assert_eq!(shard.mailbox("Gesendet").special_use, [SpecialUse::Sent]);
    assert_eq!(shard.refused(create_for("b", &[SpecialUse::Sent])), Refusal::SpecialUseTaken);
    shard.delete("Gesendet");
    assert!(matches!(shard.op(create_for("b", &[SpecialUse::Sent])), Outcome::Created { .. }));
}

#[test]
fn an_account_has_a_limit_of_mailboxes() {
    let mut shard = Shard::with(&["a"]);
    let deleted = shard.id("a");
    shard.delete("a");
    let key = key::account(ANNA);
    let row = paquebot_model::Account::decode(&shard.rows.get(&key).unwrap().unwrap()).unwrap();
    let full = paquebot_model::Account { mailboxes: MAILBOXES_MAX, ..row };
    shard.rows.change(&[RowChange { key, value: Some(full.encode()) }]);
    // Not through the shard's own `op`: the count is a lie that the check would find.
    let undelete = Op::UndeleteMailbox { account: ANNA, mailbox: deleted, name: name("a") };
    let record = shard.record(vec![create("b"), undelete]);
    let applied = paquebot_model::apply(&shard.rows, shard.chain, shard.sequence.next(), &record).unwrap();
    assert_eq!(applied.outcomes, vec![Outcome::Refused(Refusal::TooManyMailboxes); 2]);
    assert!(applied.changes.iter().all(|change| crate::shard::is_window(&change.key)));
}

#[test]
fn inbox_cannot_be_deleted_and_what_is_below_it_can() {
    let mut shard = Shard::with(&["INBOX/x"]);
    assert_eq!(shard.refused(Op::Delete { account: ANNA, name: name("inbox") }), Refusal::InboxStays);
    assert_eq!(shard.delete("INBOX/x"), Outcome::Done);
    assert_eq!(shard.refused(Op::Delete { account: ANNA, name: name("INBOX/x") }), Refusal::NoSuchMailbox);
}

/// RFC 9051, 6.3.5: the name stays, `\NoSelect`, for as long as there are inferiors; it can be created again.
#[test]
fn a_delete_leaves_inferiors() {
    let mut shard = Shard::with(&["a", "a/b", "a/b/c"]);
    let before = shard.mailbox("a").uid_validity;
    assert_eq!(shard.delete("a"), Outcome::Done);
    assert_eq!(shard.delete("a/b"), Outcome::Done);
    assert_eq!(shard.names(), ["INBOX", "a/b/c"]);
    assert_eq!(shard.refused(Op::Delete { account: ANNA, name: name("a/b") }), Refusal::NoSuchMailbox);
    assert!(uid_validity(shard.create("a")) > before.get());
}

#[test]
fn a_rename_takes_inferiors_along_and_keeps_everything() {
    let mut shard = Shard::with(&["a", "a/b", "a/b/c", "ab", "a.b"]);
    shard.append("a/b", 3);
    let before = shard.mailbox("a/b");
    assert_eq!(shard.rename("a", "x/y"), Outcome::Done);
    assert_eq!(shard.names(), ["INBOX", "a.b", "ab", "x/y", "x/y/b", "x/y/b/c"]);
    let after = shard.mailbox("x/y/b");
    assert_eq!(
        (after.uid_validity, after.uid_next, after.messages),
        (before.uid_validity, before.uid_next, before.messages)
    );
    // A name between, which no mailbox bears, can be renamed too.
    assert_eq!(shard.rename("x", "z"), Outcome::Done);
    assert_eq!(shard.names(), ["INBOX", "a.b", "ab", "z/y", "z/y/b", "z/y/b/c"]);
}

#[test]
fn a_rename_that_cannot_be_is_refused_whole() {
    let long = vec!["x"; 62].join("/");
    let cases = [
        ("nothing", "x", Refusal::NoSuchMailbox),
        ("a", "b", Refusal::MailboxExists),
        ("a", "a", Refusal::MailboxExists),
        ("nothing", "nothing", Refusal::BelowItself),
        ("a", "a/x", Refusal::BelowItself),
        ("a", "a/c/x", Refusal::BelowItself),
        // b/c is there: an inferior would collide.
        ("a", "INBOX", Refusal::MailboxExists),
        ("d", "b/e", Refusal::MailboxExists),
        ("a", long.as_str(), Refusal::NameTooLong),
        ("INBOX", "a", Refusal::MailboxExists),
        ("INBOX", "INBOX", Refusal::MailboxExists),
    ];
    for (from, to, refusal) in cases {
        let mut shard = Shard::with(&["a", "a/c/1/2/3", "b", "b/e/c", "d", "d/c"]);
        let rename = Op::Rename { account: ANNA, from: name(from), to: name(to) };
        assert_eq!(shard.refused(rename), refusal, "{from} to {to}");
    }
}

#[test]
fn a_rename_may_use_names_that_it_frees() {
    let mut shard = Shard::with(&["a/b", "a/b/b", "a/b/c"]);
    let ids = [shard.id("a/b"), shard.id("a/b/b"), shard.id("a/b/c")];
    assert_eq!(shard.rename("a/b", "a"), Outcome::Done);
    assert_eq!(shard.names(), ["INBOX", "a", "a/b", "a/c"]);
    assert_eq!([shard.id("a"), shard.id("a/b"), shard.id("a/c")], ids);
}

/// Whoever comes upon the name again sees another UIDVALIDITY, so no UID means two messages.
#[test]
fn a_rename_onto_a_used_name_brings_its_own_uid_validity() {
    let mut shard = Shard::with(&["a", "b"]);
    let used = shard.mailbox("a").uid_validity;
    shard.delete("a");
    shard.rename("b", "a");
    assert_ne!(shard.mailbox("a").uid_validity, used);
}

/// RFC 9051, 6.3.6: the messages go to a new mailbox; INBOX, empty, and its inferiors stay.
#[test]
fn a_rename_of_inbox_moves_messages_only() {
    let mut shard = Shard::with(&["INBOX/x"]);
    shard.append("INBOX", 70);
    shard.store("INBOX", uids(70, 70), paquebot_model::FlagAction::Add, paquebot_types::Flags::FLAGGED, &["work"]);
    shard.expunge("INBOX", uids(3, 5));
    let before = shard.mailbox("INBOX");
    assert_eq!(shard.rename("INBOX", "old"), Outcome::Done);
    assert_eq!(shard.names(), ["INBOX", "INBOX/x", "old"]);
    let (inbox, old) = (shard.mailbox("INBOX"), shard.mailbox("old"));
    assert!(inbox.messages.is_empty());
    assert_eq!((inbox.uid_validity, inbox.uid_next), (before.uid_validity, before.uid_next));
    assert_eq!(inbox.modseq, before.modseq + 1);
    assert_eq!(inbox.expunged[&inbox.modseq].uids.to_string(), "1:2,6:70");
    assert_ne!(old.uid_validity, before.uid_validity);
    assert!(old.uid_next >= before.uid_next && old.modseq > before.modseq);
    let kept = |mailbox: &crate::reference::Mailbox| -> Vec<_> {
        mailbox.messages.iter().map(|m| (m.uid, m.flags, m.keywords.clone(), m.internal_date, m.blob)).collect()
    };
    assert_eq!(kept(&old), kept(&before));
    assert_eq!(shard.append("INBOX", 1), "71");
    assert_eq!(shard.rename("INBOX", "INBOX/older"), Outcome::Done);
    assert_eq!(shard.mailbox("INBOX/older").messages.len(), 1);
}

#[test]
fn subscriptions_are_to_names() {
    let mut shard = Shard::with(&["a"]);
    let subscribe = |text| Op::Subscribe { account: ANNA, name: name(text) };
    assert_eq!(shard.op(subscribe("not/there")), Outcome::Done);
    shard.delete("a");
    shard.rename("INBOX", "old");
    assert_eq!(shard.account().subscriptions, [name("INBOX"), name("a"), name("not/there")].into());
    for _ in 0..2 {
        assert_eq!(shard.op(Op::Unsubscribe { account: ANNA, name: name("a") }), Outcome::Done);
    }
    assert_eq!(shard.account().subscriptions, [name("INBOX"), name("not/there")].into());
}

#[test]
fn accounts_do_not_see_each_other() {
    let mut shard = Shard::with(&["a"]);
    let other = ANNA.next().unwrap();
    shard.op(Op::AddAccount { account: other, name: "ben".into(), mailboxes: vec![] });
    shard.append("INBOX", 1);
    let before = shard.account();
    let inbox = before.named(&name("INBOX")).unwrap();
    shard.op(Op::Expunge { account: other, mailbox: inbox, uids: UidSet::all() });
    shard.op(Op::RemoveAccount { account: other });
    assert_eq!(shard.account(), before);
    let delete = Op::Delete { account: other, name: name("a") };
    assert_eq!(shard.refused(delete), Refusal::NoSuchMailbox);
}
