//! Random ops against the reference: same outcomes, same state, whatever records they come in and on every replica.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use paquebot_model::{DELIVERY_WINDOW_MS, MemoryRows, Op, Outcome, Record};
use paquebot_types::{AccountId, BlobHash, BlobId};

use crate::generator::Generator;
use crate::reference;
use crate::shard::{Shard, is_window};
use crate::view::view;

const SEEDS: u64 = 10;
const OPS: usize = 300;

/// One shard's history: the records with what the reference said of each op.
struct History {
    seed: u64,
    records: Vec<(u64, Vec<Op>, Vec<Outcome>)>,
    states: Vec<reference::Shard>,
}

/// What all these tests replay; the reference is the slow part.
static HISTORIES: LazyLock<Vec<History>> = LazyLock::new(|| (0..SEEDS).map(history).collect());

fn history(seed: u64) -> History {
    let mut generator = Generator::new(seed);
    let mut plain = reference::Shard::default();
    let mut history = History { seed, records: vec![], states: vec![] };
    let (mut time_ms, mut count) = (1_700_000_000_000u64, 0);
    while count < OPS {
        // Clocks differ between nodes, and go back.
        time_ms =
            if generator.one_in(10) { time_ms - generator.below(5_000) } else { time_ms + generator.below(4_000) };
        // Now and then a week goes by, and deliveries are forgotten.
        time_ms += if generator.one_in(60) { DELIVERY_WINDOW_MS } else { 0 };
        let ops_in_record = if generator.one_in(3) { 1 } else { 1 + generator.below(16) };
        let (mut ops, mut outcomes) = (vec![], vec![]);
        for _ in 0..ops_in_record {
            let op = generator.op(&plain, time_ms);
            outcomes.push(plain.apply(&op, time_ms));
            ops.push(op);
        }
        count += ops.len();
        history.records.push((time_ms, ops, outcomes));
        history.states.push(plain.clone());
    }
    history
}

fn same_account_rows(a: &MemoryRows, b: &MemoryRows) -> bool {
    let kept = |rows: &MemoryRows| -> Vec<(Vec<u8>, Vec<u8>)> {
        rows.iter().filter(|(key, _)| !is_window(key)).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    };
    kept(a) == kept(b)
}

#[test]
fn every_state_and_outcome_is_the_references() {
    for history in HISTORIES.iter() {
        let mut shard = Shard::default();
        let mut bodies: BTreeMap<(AccountId, BlobId), BlobHash> = BTreeMap::new();
        for (at, (time_ms, ops, outcomes)) in history.records.iter().enumerate() {
            let place = format!("seed {}, record {at}", history.seed);
            shard.time_ms = *time_ms;
            let applied = shard.ops(ops.clone());
            for (op, (told, expected)) in ops.iter().zip(applied.outcomes.iter().zip(outcomes)) {
                assert_eq!(told, expected, "{place}: {op:?}");
            }
            assert_eq!(applied.outcomes.len(), ops.len());
            assert_eq!(view(&shard.rows), history.states[at], "{place}: {ops:#?}");
            for (account, blob, hash) in applied.blobs_added {
                assert_eq!(bodies.insert((account, blob), hash), None, "{place}: a body's number was used again");
            }
            for (account, blob) in applied.blobs_removed {
                assert!(bodies.remove(&(account, blob)).is_some(), "{place}: a body was removed that was not there");
            }
            let accounts = &history.states[at].accounts;
            let blobs = accounts.iter().flat_map(|(id, account)| account.blobs.iter().map(|(b, h)| ((*id, *b), *h)));
            assert_eq!(bodies, blobs.collect(), "{place}");
        }
    }
}

/// Without this the other tests could hold because the ops are all refused.
#[test]
fn the_random_ops_meet_every_outcome() {
    let mut met = BTreeSet::new();
    for (_, ops, outcomes) in HISTORIES.iter().flat_map(|history| &history.records) {
        for (op, outcome) in ops.iter().zip(outcomes) {
            let kind = format!("{op:?}").split(' ').next().unwrap_or_default().to_string();
            met.insert(match outcome {
                Outcome::Refused(refusal) => format!("{refusal:?}"),
                Outcome::Stored { modified, modseq, .. } => {
                    format!("Stored {} {}", !modified.is_empty(), modseq.is_some())
                }
                Outcome::Delivered { repeat, .. } => format!("Delivered {repeat}"),
                Outcome::Undeleted { messages: 0 } => format!("{kind} of nothing"),
                Outcome::Expunged { modseq: None, .. } | Outcome::Copied { modseq: None, .. } => {
                    format!("{kind}, nothing gone")
                }
                _ => kind,
            });
        }
    }
    // Those that random ops cannot reach in time have tests of their own.
    let expected = [
        "AccountMoving",
        "AddAccount",
        "AddLogin",
        "Append",
        "BelowItself",
        "ClaimRecent",
        "Collect",
        "Copy, nothing gone",
        "Create",
        "Delete",
        "Delivered false",
        "Delivered true",
        "Expunge",
        "Expunge, nothing gone",
        "Freeze",
        "InboxStays",
        "LoginExists",
        "Mark",
        "MailboxExists",
        "Move",
        "Move, nothing gone",
        "NameTooLong",
        "NoSuchAccount",
        "NoSuchLogin",
        "NoSuchMailbox",
        "OtherMove",
        "Purge",
        "RemoveAccount",
        "RemoveLogin",
        "Rename",
        "SetCredentials",
        "SetShard",
        "SpecialUseTaken",
        "Stored false false",
        "Stored false true",
        "Stored true false",
        "Stored true true",
        "Subscribe",
        "Thaw",
        "TooManyKeywords",
        "Undelete",
        "Undelete of nothing",
        "UndeleteMailbox",
        "UndeleteMailbox of nothing",
        "Unsubscribe",
    ];
    let missed: Vec<&str> = expected.into_iter().filter(|kind| !met.contains(*kind)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

#[test]
fn one_op_a_record_comes_to_the_same_rows() {
    for history in HISTORIES.iter() {
        let (mut together, mut apart) = (Shard::default(), Shard::default());
        for (at, (time_ms, ops, outcomes)) in history.records.iter().enumerate() {
            (together.time_ms, apart.time_ms) = (*time_ms, *time_ms);
            together.ops(ops.clone());
            for (op, expected) in ops.iter().zip(outcomes) {
                assert_eq!(apart.op(op.clone()), *expected, "seed {}, record {at}: {op:?}", history.seed);
            }
            assert!(same_account_rows(&together.rows, &apart.rows), "seed {}, record {at}", history.seed);
        }
    }
}

#[test]
fn a_second_replica_has_the_same_bytes_and_chain() {
    for history in HISTORIES.iter() {
        let (mut first, mut second) = (Shard::default(), Shard::default());
        for (time_ms, ops, _) in &history.records {
            first.time_ms = *time_ms;
            let record = first.record(ops.clone());
            let (a, b) = (first.apply(&record), second.apply(&Record::decode(&record.encode()).unwrap()));
            assert_eq!((a.outcomes, a.changes, a.chain), (b.outcomes, b.changes, b.chain));
        }
        assert_eq!(first.rows, second.rows);
    }
}

#[test]
fn a_record_applied_twice_changes_only_the_chain() {
    for history in HISTORIES.iter() {
        let mut shard = Shard::default();
        for (time_ms, ops, _) in &history.records {
            shard.time_ms = *time_ms;
            let record = shard.record(ops.clone());
            shard.apply(&record);
            let before = (shard.rows.clone(), shard.chain);
            let again = shard.apply(&record);
            assert!(again.outcomes.is_empty() && again.changes.is_empty());
            assert!(again.blobs_added.is_empty() && again.blobs_removed.is_empty());
            assert!(shard.rows == before.0 && shard.chain != before.1);
        }
    }
}
