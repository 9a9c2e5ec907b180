//! STORE and `\Recent`.

use paquebot_model::{FlagAction, FlagChange, KEYWORDS_MAX, Op, Outcome, Refusal};
use paquebot_types::{Flags, ModSeq, UidSet};

use crate::shard::{ANNA, Shard, is_window, keywords, uids};

fn stored(outcome: Outcome) -> (String, String, Option<u64>) {
    match outcome {
        Outcome::Stored { modified, changed, modseq } => {
            (modified.to_string(), changed.to_string(), modseq.map(|modseq| modseq.0))
        }
        outcome => panic!("{outcome:?}"),
    }
}

fn store_op(shard: &Shard, words: &[&str], unchanged_since: Option<u64>) -> Op {
    let change = FlagChange { action: FlagAction::Add, flags: Flags::FLAGGED, keywords: keywords(words) };
    let unchanged_since = unchanged_since.map(ModSeq);
    Op::Store { account: ANNA, mailbox: shard.id("INBOX"), uids: UidSet::all(), change, unchanged_since }
}

#[test]
fn each_action_does_what_it_says() {
    use FlagAction::*;
    let cases = [
        (Add, Flags::SEEN, vec!["b"], Flags::SEEN.union(Flags::DRAFT), vec!["a", "b"]),
        (Remove, Flags::DRAFT, vec!["A", "unknown"], Flags::NONE, vec![]),
        (Replace, Flags::ANSWERED, vec!["c"], Flags::ANSWERED, vec!["c"]),
        (Replace, Flags::NONE, vec![], Flags::NONE, vec![]),
    ];
    for (action, flags, words, flags_after, words_after) in cases {
        let mut shard = Shard::with(&[]);
        shard.append("INBOX", 2);
        shard.store("INBOX", uids(1, 1), Add, Flags::DRAFT, &["a"]);
        assert_eq!(stored(shard.store("INBOX", uids(1, 1), action, flags, &words)).1, "1");
        let messages = shard.mailbox("INBOX").messages;
        assert_eq!(messages[0].flags, flags_after, "{action:?}");
        assert_eq!(messages[0].keywords, words_after.iter().map(|word| word.to_string()).collect());
        assert_eq!((messages[1].flags, messages[1].modseq), (Flags::NONE, 2));
    }
}

#[test]
fn keywords_keep_their_first_spelling() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 1);
    shard.store("INBOX", uids(1, 1), FlagAction::Add, Flags::NONE, &["$Forwarded"]);
    let again = shard.store("INBOX", uids(1, 1), FlagAction::Add, Flags::NONE, &["$FORWARDED"]);
    assert_eq!(stored(again), (String::new(), String::new(), None));
    assert_eq!(shard.mailbox("INBOX").keywords, ["$Forwarded"]);
}

#[test]
fn what_changes_nothing_takes_no_modseq_and_writes_no_row() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 1);
    shard.op(store_op(&shard, &[], None));
    let modseq = shard.mailbox("INBOX").modseq;
    for op in [store_op(&shard, &[], None), store_op(&shard, &[], Some(modseq - 1))] {
        let applied = shard.ops(vec![op]);
        assert!(applied.changes.iter().all(|change| is_window(&change.key)), "{:?}", applied.changes);
    }
    assert_eq!(shard.mailbox("INBOX").modseq, modseq);
}

#[test]
fn the_keyword_after_the_last_is_refused_and_nothing_changed() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 1);
    let words: Vec<String> = (0..KEYWORDS_MAX).map(|n| format!("word{n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(stored(shard.store("INBOX", uids(1, 1), FlagAction::Add, Flags::NONE, &words)).1, "1");
    let before = shard.mailbox("INBOX");
    assert_eq!(before.messages[0].keywords.len(), KEYWORDS_MAX);
    assert_eq!(shard.refused(store_op(&shard, &["one-more"], None)), Refusal::TooManyKeywords);
    assert_eq!(shard.mailbox("INBOX"), before);
    // Those that are there can still be set and taken off.
    assert_eq!(stored(shard.store("INBOX", uids(1, 1), FlagAction::Remove, Flags::NONE, &["WORD127"])).1, "1");
    assert_eq!(stored(shard.op(store_op(&shard, &["word127"], None))).1, "1");
}

/// RFC 7162, 3.1.3: the first of two that both saw modseq 2 wins, and the other is told.
#[test]
fn unchanged_since_is_judged_when_the_op_is_applied() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 3);
    shard.store("INBOX", uids(2, 2), FlagAction::Add, Flags::SEEN, &[]);
    let race = vec![store_op(&shard, &["one"], Some(2)), store_op(&shard, &["two"], Some(2))];
    let outcomes = shard.ops(race).outcomes;
    let [first, second] = outcomes.try_into().unwrap();
    assert_eq!(stored(first), ("2".into(), "1,3".into(), Some(4)));
    assert_eq!(stored(second), ("1:3".into(), String::new(), None));
    assert_eq!(shard.mailbox("INBOX").keywords, ["one"]);
    // 0 is before any change: nothing that exists is unchanged since.
    assert_eq!(stored(shard.op(store_op(&shard, &[], Some(0)))).0, "1:3");
}

#[test]
fn uids_that_are_not_there_are_skipped() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 2);
    shard.expunge("INBOX", uids(1, 1));
    assert_eq!(stored(shard.store("INBOX", uids(1, 1), FlagAction::Add, Flags::SEEN, &[])), Default::default());
    assert_eq!(stored(shard.store("INBOX", uids(1, 900), FlagAction::Add, Flags::SEEN, &[])).1, "2");
}

#[test]
fn modseqs_only_grow_and_never_exceed_the_mailboxs() {
    let mut shard = Shard::with(&["a"]);
    shard.append("INBOX", 4);
    let mut last = 0;
    for step in 0..12u32 {
        match step % 4 {
            0 => drop(shard.append("INBOX", 1)),
            1 => drop(shard.store("INBOX", uids(step, step), FlagAction::Add, Flags::SEEN, &[])),
            2 => drop(shard.expunge("INBOX", uids(1, step))),
            _ => drop(shard.r#move("INBOX", uids(1, step), "a")),
        }
        shard.time_ms -= 10_000;
        let inbox = shard.mailbox("INBOX");
        assert!(inbox.modseq >= last && inbox.messages.iter().all(|message| message.modseq <= inbox.modseq));
        last = inbox.modseq;
    }
}

#[test]
fn recent_is_claimed_once_and_only_grows() {
    let mut shard = Shard::with(&[]);
    shard.append("INBOX", 3);
    let claim = |shard: &Shard, below| Op::ClaimRecent { account: ANNA, mailbox: shard.id("INBOX"), below };
    for (below, after) in [(3, 3), (2, 3), (900, 4), (1, 4)] {
        assert_eq!(shard.op(claim(&shard, below)), Outcome::Done);
        assert_eq!(shard.mailbox("INBOX").recent_from, after);
    }
    assert_eq!(shard.mailbox("INBOX").modseq, 2);
}
