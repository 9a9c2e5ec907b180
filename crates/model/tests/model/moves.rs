//! Moves of accounts between shards, with drivers that die, come back, repeat themselves and do things late.

use paquebot_model::{
    AccountMove, Applied, LoadDigest, LoadedRow, LoadedTo, MoveStage, Op, Outcome, Refusal, Row, RowChange, Rows, Scan,
    key,
};
use paquebot_types::{AccountId, BlobHash, Flags, ShardId};

use crate::generator::Generator;
use crate::reference;
use crate::shard::{ANNA, Shard, create, is_window, message, uids};
use crate::view::view;

const HERE: ShardId = ShardId(1);
const THERE: ShardId = ShardId(2);

fn last_move(shard: &Shard) -> Option<AccountMove> {
    let row = shard.rows.get(&key::account_move(ANNA)).unwrap();
    row.map(|row| AccountMove::decode(&row).unwrap())
}

/// The account's rows, as they are loaded elsewhere.
fn rows(shard: &Shard) -> Vec<LoadedRow> {
    let (from, to) = key::account_rows(ANNA);
    let mut rows = Vec::new();
    let mut see = |key: &[u8], value: &[u8]| {
        rows.push(LoadedRow { key: key[key::KIND_AT..].to_vec(), value: value.to_vec() });
        Scan::Continue
    };
    shard.rows.scan(&from, &to, &mut see).unwrap();
    rows
}

fn digest(rows: &[LoadedRow]) -> LoadDigest {
    rows.iter().fold(LoadDigest::default(), |digest, row| digest.extend(&row.key, &row.value))
}

/// The rows as ops, each with some octets of values, cut anywhere.
fn loads(rows: &[LoadedRow], number: u64, mut octets: impl FnMut() -> usize) -> Vec<Op> {
    let (mut ops, mut after) = (Vec::new(), LoadedTo::START);
    let mut left: Vec<LoadedRow> = rows.iter().rev().cloned().collect();
    let mut done = 0;
    while !left.is_empty() {
        let (mut part, mut room, mut whole) = (Vec::new(), octets().max(1), true);
        while let Some(mut row) = left.pop().filter(|_| whole) {
            let count = room.min(row.value.len());
            let rest = row.value.split_off(count);
            (room, whole) = (room - count, rest.is_empty());
            done += count as u64;
            if !whole {
                left.push(LoadedRow { key: row.key.clone(), value: rest });
            }
            part.push(row);
            if room == 0 || !whole {
                break;
            }
            done = 0;
        }
        let last = part.last().unwrap().key.clone();
        let octets = if whole { LoadedTo::WHOLE } else { done };
        ops.push(Op::Load { account: ANNA, number, from: HERE, after: after.clone(), rows: part, whole });
        if whole {
            done = 0;
        }
        after = LoadedTo { key: last, octets };
    }
    ops
}

/// Moves the account with its rows in small parts; gives what the loads added.
fn load(source: &Shard, target: &mut Shard, number: u64) -> Vec<(AccountId, BlobHash)> {
    let rows = rows(source);
    let mut added = Vec::new();
    for op in loads(&rows, number, || 300) {
        let applied = target.ops(vec![op]);
        assert_eq!(applied.outcomes, [Outcome::Done]);
        assert_eq!(applied.loaded, [(ANNA, HERE)]);
        added.extend(applied.blobs_added.iter().map(|(account, _, hash)| (*account, *hash)));
    }
    assert_eq!(target.op(Op::Arrive { account: ANNA, number, digest: digest(&rows) }), Outcome::Done);
    added
}

fn freeze(shard: &mut Shard, number: u64) -> Outcome {
    shard.op(Op::Freeze { account: ANNA, number, to: THERE })
}

/// An account with some of everything.
fn full() -> Shard {
    let mut shard = Shard::with(&["a", "b"]);
    shard.append("INBOX", 150);
    shard.expunge("INBOX", uids(2, 90));
    shard.copy("INBOX", uids(100, 120), "a");
    shard.delete("b");
    let mailbox = shard.id("INBOX");
    let once = paquebot_model::DeliveryKey([1; 16]);
    shard.op(Op::Deliver { account: ANNA, mailbox, message: message(7, Flags::SEEN, &["work"]), once });
    shard
}

fn empty() -> Shard {
    Shard { time_ms: 1_700_000_000_000, ..Shard::default() }
}

#[test]
fn all_of_an_account_moves_and_goes_on_where_it_was() {
    let (mut source, mut target) = (full(), empty());
    let before = source.account();
    freeze(&mut source, 1);
    let added = load(&source, &mut target, 1);
    assert_eq!(added.len(), before.blobs.len());
    assert_eq!(target.account(), before);
    assert_eq!(rows(&target), rows(&source));
    // A delivery that was made before the move is known after it, and UIDs go on.
    let mailbox = target.id("INBOX");
    let once = paquebot_model::DeliveryKey([1; 16]);
    let again = Op::Deliver { account: ANNA, mailbox, message: message(7, Flags::SEEN, &["work"]), once };
    assert!(matches!(target.op(again), Outcome::Delivered { repeat: true, .. }));
    assert_eq!(target.append("INBOX", 1), "152");
    let mut removed = 0;
    loop {
        let applied = source.ops(vec![Op::Depart { account: ANNA, number: 1 }]);
        removed += applied.blobs_removed.len();
        match applied.outcomes[..] {
            [Outcome::Departed { more: true }] => {}
            [Outcome::Departed { more: false }] => break,
            ref other => panic!("{other:?}"),
        }
    }
    assert_eq!((removed, rows(&source)), (before.blobs.len(), vec![]));
    assert_eq!(source.op(Op::Depart { account: ANNA, number: 1 }), Outcome::Departed { more: false });
}

#[test]
fn an_account_between_two_shards_takes_changes_in_neither() {
    let (mut source, mut target) = (full(), empty());
    freeze(&mut source, 1);
    assert_eq!(source.refused(create("c")), Refusal::AccountMoving);
    let parts = loads(&rows(&source), 1, || 2000);
    target.op(parts[0].clone());
    let add = Op::AddAccount { account: ANNA, name: "anna".into(), mailboxes: vec![] };
    for op in [create("c"), add.clone(), Op::RemoveAccount { account: ANNA }] {
        assert_eq!(target.refused(op), Refusal::AccountMoving);
    }
    for op in &parts[1..] {
        target.op(op.clone());
    }
    target.op(Op::Arrive { account: ANNA, number: 1, digest: digest(&rows(&source)) });
    target.op(create("c"));
    // Nobody makes the account anew where it was, however late he hears of the move.
    while source.op(Op::Depart { account: ANNA, number: 1 }) == (Outcome::Departed { more: true }) {}
    assert_eq!(source.refused(add), Refusal::AccountMoving);
}

#[test]
fn an_account_goes_there_and_back() {
    let (mut source, mut target) = (full(), empty());
    freeze(&mut source, 1);
    load(&source, &mut target, 1);
    target.append("INBOX", 2);
    // What is left must have gone before it comes back.
    assert_eq!(target.op(Op::Freeze { account: ANNA, number: 2, to: HERE }), Outcome::Done);
    let parts = loads(&rows(&target), 2, || 2000);
    assert_eq!(source.refused(parts[0].clone()), Refusal::AccountExists);
    assert!(matches!(source.op(Op::Depart { account: ANNA, number: 1 }), Outcome::Departed { more: false }));
    load(&target, &mut source, 2);
    assert_eq!(source.account(), target.account());
    // The first move's steps come again, late.
    assert_eq!(source.refused(Op::Freeze { account: ANNA, number: 1, to: THERE }), Refusal::OtherMove);
    assert_eq!(source.refused(Op::Depart { account: ANNA, number: 1 }), Refusal::OtherMove);
    assert_eq!(source.refused(Op::Thaw { account: ANNA, number: 1 }), Refusal::OtherMove);
    assert_eq!(source.append("INBOX", 1), "154");
}

#[test]
fn a_move_that_is_given_up_can_not_arrive_any_more() {
    let (mut source, mut target) = (full(), empty());
    freeze(&mut source, 1);
    let parts = loads(&rows(&source), 1, || 2000);
    parts.iter().for_each(|op| assert_eq!(target.op(op.clone()), Outcome::Done));
    assert_eq!(target.op(Op::Forsake { account: ANNA, number: 1 }), Outcome::Done);
    assert_eq!(rows(&target), []);
    let arrive = Op::Arrive { account: ANNA, number: 1, digest: digest(&rows(&source)) };
    assert_eq!(target.refused(arrive.clone()), Refusal::OtherMove);
    assert_eq!(target.refused(parts[0].clone()), Refusal::OtherMove);
    assert_eq!(source.op(Op::Thaw { account: ANNA, number: 1 }), Outcome::Done);
    source.append("INBOX", 1);
    // The next try is another move, and one that has arrived cannot be given up.
    assert_eq!(freeze(&mut source, 1), Outcome::Refused(Refusal::OtherMove));
    assert_eq!(freeze(&mut source, 2), Outcome::Done);
    load(&source, &mut target, 2);
    assert_eq!(target.refused(Op::Forsake { account: ANNA, number: 2 }), Refusal::AccountExists);
    assert_eq!(target.refused(arrive), Refusal::OtherMove);
}

#[test]
fn wrong_rows_are_refused() {
    let (mut source, mut target) = (full(), empty());
    freeze(&mut source, 1);
    let rows = rows(&source);
    let op = |after: LoadedTo, rows: Vec<LoadedRow>| Op::Load {
        account: ANNA,
        number: 1,
        from: HERE,
        after,
        rows,
        whole: true,
    };
    let damaged = LoadedRow { value: vec![99], ..rows[0].clone() };
    let nobodys = LoadedRow { key: b"Zx".to_vec(), value: vec![] };
    let gap = LoadedTo { key: rows[0].key.clone(), octets: LoadedTo::WHOLE };
    let cases = [
        op(LoadedTo::START, vec![]),
        op(LoadedTo::START, vec![damaged]),
        op(LoadedTo::START, vec![nobodys]),
        op(LoadedTo::START, vec![rows[1].clone(), rows[0].clone()]),
        op(gap, vec![rows[1].clone()]),
    ];
    for case in cases {
        assert_eq!(target.refused(case), Refusal::WrongRows);
    }
    target.op(op(LoadedTo::START, rows[..3].to_vec()));
    let arrive = Op::Arrive { account: ANNA, number: 1, digest: digest(&rows) };
    assert_eq!(target.refused(arrive), Refusal::WrongRows);
    assert_eq!(full().refused(op(LoadedTo::START, rows)), Refusal::AccountExists);
}

/// One that lives through a random history in `HERE` and then moves, its steps repeated, cut anywhere and mixed with late ones of an earlier move that was given
/// up, is as if it had not.
#[test]
fn random_accounts_arrive_as_they_were() {
    for seed in 0..12 {
        let mut generator = Generator::new(1000 + seed);
        let (mut source, mut target) = (Shard::with(&["a", "a/b", "b"]), empty());
        let mut plain = view(&source.rows);
        for _ in 0..150 {
            let op = generator.op(&plain, source.time_ms);
            if owners(&op) && reference::account_of(&op) == ANNA && !matches!(op, Op::RemoveAccount { .. }) {
                plain.apply(&op, source.time_ms);
                source.op(op);
            }
        }
        let given_up = loads(&rows(&source), 1, || 700);
        assert_eq!(freeze(&mut source, 1), Outcome::Done);
        given_up.iter().take(generator.below(4) as usize).for_each(|op| drop(target.op(op.clone())));
        target.op(Op::Forsake { account: ANNA, number: 1 });
        source.op(Op::Thaw { account: ANNA, number: 1 });
        source.append("INBOX", 1);
        let before = source.account();
        freeze(&mut source, 2);
        let rows = rows(&source);
        let mut bodies = std::collections::BTreeMap::new();
        let mut note = |applied: Applied| {
            bodies.retain(|blob, _| !applied.blobs_removed.contains(&(ANNA, *blob)));
            bodies.extend(applied.blobs_added.iter().map(|(_, blob, hash)| (*blob, *hash)));
        };
        // Two drivers at the same move cut the rows differently.
        let mut drivers = [0, 1].map(|_| {
            let mut ops = loads(&rows, 2, || 1 + generator.below(900) as usize);
            ops.reverse();
            ops
        });
        while drivers.iter().any(|driver| !driver.is_empty()) {
            if generator.one_in(5) {
                let late = given_up[generator.below(given_up.len() as u64) as usize].clone();
                assert_eq!(target.refused(late), Refusal::OtherMove);
            }
            let driver = &mut drivers[generator.below(2) as usize];
            let Some(op) = driver.pop() else { continue };
            let applied = target.ops(vec![op.clone()]);
            match applied.outcomes[..] {
                [Outcome::Done] => {}
                // The other one is further, and in the midst of this part: this driver looks where things are, and goes on from there.
                [Outcome::Refused(Refusal::WrongRows)] => resume(driver, &rows, &target),
                ref other => panic!("seed {seed}: {other:?}"),
            }
            note(applied);
            if generator.one_in(7) {
                driver.push(op);
            }
        }
        let arrive = Op::Arrive { account: ANNA, number: 2, digest: digest(&rows) };
        note(target.ops(vec![arrive.clone()]));
        assert_eq!(target.op(arrive), Outcome::Done);
        assert_eq!(target.account(), before, "seed {seed}");
        assert_eq!(bodies, before.blobs, "seed {seed}");
    }
}

/// What a driver still has to load.
fn resume(driver: &mut Vec<Op>, rows: &[LoadedRow], target: &Shard) {
    let Some(MoveStage::Loading { to, .. }) = last_move(target).map(|last| last.stage) else {
        panic!("nothing is loading");
    };
    let mut left: Vec<LoadedRow> = rows.iter().filter(|row| row.key >= to.key).cloned().collect();
    if to.octets == LoadedTo::WHOLE {
        left.retain(|row| row.key > to.key);
    } else {
        left[0].value.drain(..to.octets as usize);
    }
    *driver = match left.is_empty() {
        true => vec![],
        false => vec![Op::Load { account: ANNA, number: 2, from: HERE, after: to, rows: left, whole: true }],
    };
}

fn owners(op: &Op) -> bool {
    !matches!(
        op,
        Op::AddLogin { .. }
            | Op::SetCredentials { .. }
            | Op::RemoveLogin { .. }
            | Op::SetShard { .. }
            | Op::Mark
            | Op::Freeze { .. }
            | Op::Thaw { .. }
    )
}

#[test]
fn several_steps_in_one_record_are_the_same_as_apart() {
    let (mut source, mut together, mut apart) = (full(), empty(), empty());
    freeze(&mut source, 1);
    let mut ops = vec![create("early")];
    ops.extend(loads(&rows(&source), 1, || 5000));
    ops.push(Op::Arrive { account: ANNA, number: 1, digest: digest(&rows(&source)) });
    ops.push(create("late"));
    ops.push(Op::Freeze { account: ANNA, number: 2, to: HERE });
    ops.push(Op::Depart { account: ANNA, number: 2 });
    let apart_outcomes: Vec<Outcome> = ops.iter().map(|op| apart.op(op.clone())).collect();
    assert_eq!(together.ops(ops).outcomes, apart_outcomes);
    let kept = |shard: &Shard| -> Vec<RowChange> {
        let rows = shard.rows.iter().filter(|(key, _)| !is_window(key));
        rows.map(|(key, value)| RowChange { key: key.to_vec(), value: Some(value.to_vec()) }).collect()
    };
    assert_eq!(kept(&together), kept(&apart));
}
