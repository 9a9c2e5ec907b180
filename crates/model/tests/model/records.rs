//! Records: the window of known ids, and the logins of the system shard.

use paquebot_model::{Op, Outcome, Record, RecordId, Refusal, WINDOW, apply};
use paquebot_types::{AccountId, Flags, Sequence, ShardId};

use crate::shard::{ANNA, Shard, create, is_window, message};

fn append(shard: &Shard) -> Op {
    Op::Append { account: ANNA, mailbox: shard.id("INBOX"), messages: vec![message(1, Flags::NONE, &[])] }
}

#[test]
fn a_record_proposed_before_the_window_is_refused() {
    let shard = Shard::with(&[]);
    let record = Record { after: Sequence(5), ..shard.record(vec![append(&shard), create("a")]) };
    let late = apply(&shard.rows, shard.chain, Sequence(5 + WINDOW + 1), &record).unwrap();
    assert_eq!(late.outcomes, vec![Outcome::Refused(Refusal::TooLate); 2]);
    assert!(late.changes.is_empty() && late.blobs_added.is_empty());
    let in_time = apply(&shard.rows, shard.chain, Sequence(5 + WINDOW), &record).unwrap();
    assert!(matches!(in_time.outcomes[..], [Outcome::Appended { .. }, Outcome::Created { .. }]));
}

/// Whatever order the log gives: a retry is known, or it is too late.
#[test]
fn a_retry_is_never_applied_at_any_distance() {
    let mut shard = Shard::with(&[]);
    let record = shard.record(vec![append(&shard)]);
    shard.apply(&record);
    for distance in 1..=WINDOW + 3 {
        let applied = apply(&shard.rows, shard.chain, shard.sequence.next(), &record).unwrap();
        assert!(applied.changes.is_empty(), "distance {distance}");
        let filler = Record { id: RecordId([distance as u8; 16]), ..shard.record(vec![]) };
        let filler = Record { id: RecordId((u128::from(distance) << 64).to_be_bytes()), ..filler };
        let applied = apply(&shard.rows, shard.chain, shard.sequence.next(), &filler).unwrap();
        shard.rows.change(&applied.changes);
        (shard.sequence, shard.chain) = (shard.sequence.next(), applied.chain);
    }
    assert_eq!(shard.mailbox("INBOX").messages.len(), 1);
}

#[test]
fn the_window_keeps_its_size_over_gaps_and_repeats() {
    let mut shard = Shard::with(&[]);
    for n in 0..3 * WINDOW {
        let record = shard.record(vec![]);
        let applied = apply(&shard.rows, shard.chain, shard.sequence.next(), &record).unwrap();
        shard.rows.change(&applied.changes);
        // Every third position is another shard's, and every fifth record comes twice.
        shard.sequence = Sequence(shard.sequence.0 + if n % 3 == 0 { 2 } else { 1 });
        if n % 5 == 0 {
            let again = Record { after: shard.sequence, ..record };
            let applied = apply(&shard.rows, shard.chain, shard.sequence.next(), &again).unwrap();
            assert!(applied.changes.is_empty());
            shard.sequence = shard.sequence.next();
        }
    }
    let kept = shard.rows.iter().filter(|(key, _)| is_window(key)).count() as u64;
    assert!(kept <= 2 * WINDOW, "{kept} rows");
}

#[test]
fn the_chain_tells_order_place_and_content() {
    let start = Shard::with(&[]);
    let chain = |ops: &[Op], sequence: u64| {
        let record = start.record(ops.to_vec());
        apply(&start.rows, start.chain, Sequence(sequence), &record).unwrap().chain
    };
    let base = chain(&[create("a"), create("b")], 2);
    assert_eq!(base, chain(&[create("a"), create("b")], 2));
    assert_ne!(base, chain(&[create("b"), create("a")], 2));
    assert_ne!(base, chain(&[create("a"), create("b")], 3));
    assert_ne!(base, chain(&[create("a")], 2));
}

#[test]
fn logins_get_accounts_of_their_own_and_keep_them() {
    let mut shard = Shard::default();
    let add = |name: &str, credentials: Option<&str>| Op::AddLogin {
        name: name.into(),
        shard: ShardId(4),
        credentials: credentials.map(Into::into),
    };
    let login = |n| Outcome::Login { account: AccountId::new(n).unwrap(), shard: ShardId(4) };
    assert_eq!(shard.op(add("anna", Some("hash"))), login(1));
    assert_eq!(shard.op(add("ben", None)), login(2));
    // One whose password is kept elsewhere logs in again: the same account.
    assert_eq!(shard.op(add("ben", None)), login(2));
    assert_eq!(shard.refused(add("anna", Some("other"))), Refusal::LoginExists);
    assert_eq!(shard.op(Op::RemoveLogin { name: "anna".into() }), login(1));
    assert_eq!(shard.refused(Op::RemoveLogin { name: "anna".into() }), Refusal::NoSuchLogin);
    let set = |name: &str| Op::SetCredentials { name: name.into(), credentials: Some("new".into()) };
    assert_eq!(shard.refused(set("anna")), Refusal::NoSuchLogin);
    assert_eq!(shard.op(set("ben")), login(2));
    assert_eq!(shard.op(add("cleo", None)), login(3));
    assert_eq!(shard.op(add("anna", Some("again"))), login(1));
}
