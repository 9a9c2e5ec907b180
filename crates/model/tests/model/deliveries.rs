//! Deliveries, exactly once.

use paquebot_model::{DELIVERY_WINDOW_MS, DeliveryKey, Op, Outcome, Refusal, key};
use paquebot_types::{Flags, MailboxId};

use crate::shard::{ANNA, Shard, message};

fn op(shard: &Shard, once: u128) -> Op {
    let once = DeliveryKey(once.to_be_bytes());
    Op::Deliver { account: ANNA, mailbox: shard.id("INBOX"), message: message(1, Flags::NONE, &[]), once }
}

/// The UID, and whether the delivery was made before.
fn deliver(shard: &mut Shard, once: u128) -> (u32, bool) {
    match shard.op(op(shard, once)) {
        Outcome::Delivered { uid, repeat, .. } => (uid.get(), repeat),
        outcome => panic!("{outcome:?}"),
    }
}

fn remembered(shard: &Shard) -> usize {
    shard.account().deliveries.len()
}

#[test]
fn a_delivery_tried_again_is_told_what_the_first_came_to() {
    let mut shard = Shard::with(&[]);
    let first = shard.op(op(&shard, 7));
    assert_eq!(deliver(&mut shard, 8), (2, false));
    let before = shard.rows.clone();
    let again = shard.ops(vec![op(&shard, 7), op(&shard, 7)]);
    let (Outcome::Delivered { uid, modseq, uid_validity, .. }, window) = (first, crate::shard::is_window) else {
        panic!("not delivered");
    };
    assert_eq!(again.outcomes, vec![Outcome::Delivered { uid, modseq, uid_validity, repeat: true }; 2]);
    assert!(again.changes.iter().all(|change| window(&change.key)) && again.blobs_added.is_empty());
    assert_eq!(shard.mailbox("INBOX").messages.len(), 2);
    assert_ne!(shard.rows, before, "the window moves on");
}

#[test]
fn two_tries_in_one_record_are_one_delivery() {
    let mut shard = Shard::with(&[]);
    let applied = shard.ops(vec![op(&shard, 7), op(&shard, 7)]);
    let repeats: Vec<bool> =
        applied.outcomes.iter().map(|outcome| matches!(outcome, Outcome::Delivered { repeat: true, .. })).collect();
    assert_eq!((repeats, applied.blobs_added.len()), (vec![false, true], 1));
}

/// What was read and expunged does not come back because a mail server was slow to hear.
#[test]
fn a_try_after_the_message_was_expunged_brings_nothing_back() {
    let mut shard = Shard::with(&["a"]);
    deliver(&mut shard, 7);
    shard.expunge("INBOX", crate::shard::uids(1, 1));
    assert_eq!(deliver(&mut shard, 7), (1, true));
    assert_eq!(shard.mailbox("INBOX").messages, []);
}

#[test]
fn a_refused_delivery_is_not_remembered() {
    let mut shard = Shard::with(&[]);
    let Op::Deliver { account, message, once, .. } = op(&shard, 7) else { unreachable!("made so") };
    let nowhere = Op::Deliver { account, mailbox: MailboxId::MAX, message, once };
    assert_eq!(shard.refused(nowhere), Refusal::NoSuchMailbox);
    assert_eq!(deliver(&mut shard, 7), (1, false));
}

#[test]
fn a_delivery_is_remembered_for_the_window_whatever_clocks_do() {
    let mut shard = Shard::with(&[]);
    deliver(&mut shard, 7);
    shard.time_ms -= 60_000;
    assert_eq!(deliver(&mut shard, 7), (1, true));
    shard.time_ms += 60_000 + DELIVERY_WINDOW_MS - 1;
    assert_eq!(deliver(&mut shard, 7), (1, true));
    shard.time_ms += 1;
    assert_eq!(deliver(&mut shard, 7), (2, false));
    assert_eq!(deliver(&mut shard, 7), (2, true));
}

#[test]
fn what_has_run_out_goes_as_new_deliveries_come_a_bounded_number_each() {
    let mut shard = Shard::with(&[]);
    // A rotation that visits every residue: as evenly spread as hashes are.
    let spread = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    for n in 0..200 {
        deliver(&mut shard, spread(n));
    }
    shard.time_ms += DELIVERY_WINDOW_MS;
    let mut most = 0;
    for n in 200..400 {
        let applied = shard.ops(vec![op(&shard, spread(n))]);
        let is_delivery = |key: &[u8]| matches!(key::parse_account_row(key), Some((_, key::AccountRow::Delivery(_))));
        most = most.max(applied.changes.iter().filter(|change| is_delivery(&change.key)).count());
    }
    assert!(most <= 5, "{most} rows in one delivery");
    assert!((200..270).contains(&remembered(&shard)), "{} rows for 200 deliveries", remembered(&shard));
}
