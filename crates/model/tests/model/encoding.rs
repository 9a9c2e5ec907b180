//! Golden bytes of every version: a new binary reads every older record and row.

use std::fmt::{Debug, Write};

use paquebot_model::{
    Account, AccountMove, Blob, Delivery, DeliveryKey, FlagAction, FlagChange, LoadDigest, LoadedRow, LoadedTo, Login,
    Mailbox, Message, MoveStage, NeedsVersion, NewMessage, Op, Page, Record, RecordError, RecordId, Row, Tombstone,
};
use paquebot_types::{
    AccountId, BlobHash, BlobId, Flags, InternalDate, Keyword, MailboxId, ModSeq, Sequence, ShardId, SpecialUse,
    ThreadId, Uid, UidRange, UidSet, UidValidity,
};

use crate::shard::name;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn uid_set() -> UidSet {
    UidSet::from_ranges(vec![UidRange::new(uid(1), uid(3)), UidRange::new(uid(300), uid(300))])
}

fn keyword() -> Keyword {
    Keyword::new("$Forwarded").unwrap()
}

/// Every op of version 1, in the order in which they were added.
fn ops() -> Vec<Op> {
    let (account, mailbox) = (AccountId::new(2).unwrap(), MailboxId::new(3).unwrap());
    let (from, to) = (mailbox, MailboxId::new(300).unwrap());
    let message = NewMessage {
        body: BlobHash([0xb0; 32]),
        size: 6000,
        thread: Some(ThreadId([0x7d; 16])),
        summary: b"sum".to_vec(),
        flags: Flags::SEEN.union(Flags::DRAFT),
        keywords: vec![keyword()],
        internal_date: InternalDate::new(1_700_000_000, -90),
    };
    let change =
        |action| FlagChange { action, flags: Flags::FLAGGED.union(Flags::ANSWERED), keywords: vec![keyword()] };
    let store = |action, unchanged_since| Op::Store {
        account,
        mailbox,
        uids: uid_set(),
        change: change(action),
        unchanged_since,
    };
    vec![
        Op::AddLogin { name: "anna".into(), shard: ShardId(1), credentials: Some("hash".into()) },
        Op::SetCredentials { name: "anna".into(), credentials: None },
        Op::RemoveLogin { name: "anna".into() },
        Op::AddAccount { account, name: "anna".into(), mailboxes: vec![(name("Sent"), Some(SpecialUse::Sent))] },
        Op::RemoveAccount { account },
        Op::Create { account, name: name("a/b"), special_use: vec![SpecialUse::All, SpecialUse::Important] },
        Op::Delete { account, name: name("a") },
        Op::Rename { account, from: name("a"), to: name("März") },
        Op::Subscribe { account, name: name("INBOX") },
        Op::Unsubscribe { account, name: name("a") },
        Op::Append { account, mailbox, messages: vec![message] },
        store(FlagAction::Add, None),
        store(FlagAction::Remove, Some(ModSeq(300))),
        store(FlagAction::Replace, None),
        Op::Expunge { account, mailbox, uids: uid_set() },
        Op::Copy { account, from, uids: UidSet::all(), to },
        Op::Move { account, from, uids: UidSet::new(), to },
        Op::ClaimRecent { account, mailbox, below: 4 },
        Op::Undelete { account, mailbox, since_ms: 1_700_000_000_000 },
        Op::UndeleteMailbox { account, mailbox, name: name("a") },
        Op::Purge { account, before_ms: 1_700_000_000_000 },
        Op::Collect { account, blobs: vec![BlobId::MIN, BlobId::MAX] },
    ]
}

/// Every op of version 2, in the order in which they were added.
fn ops_of_version_2() -> Vec<Op> {
    let (account, mailbox) = (AccountId::new(2).unwrap(), MailboxId::new(3).unwrap());
    let Some(Op::Append { mut messages, .. }) = ops().into_iter().find(|op| matches!(op, Op::Append { .. })) else {
        unreachable!("there is an append");
    };
    let (number, from, to) = (300, ShardId(1), ShardId(2));
    let rows = vec![LoadedRow { key: vec![0], value: vec![1, 2] }, LoadedRow { key: b"M".to_vec(), value: vec![] }];
    let after = LoadedTo { key: vec![0], octets: 300 };
    vec![
        Op::Mark,
        Op::Deliver { account, mailbox, message: messages.remove(0), once: DeliveryKey([0xde; 16]) },
        Op::Freeze { account, number, to },
        Op::Thaw { account, number },
        Op::Load { account, number, from, after, rows, whole: true },
        Op::Arrive { account, number, digest: LoadDigest([0xd1; 32]) },
        Op::Forsake { account, number },
        Op::SetShard { name: "anna".into(), account, from, to },
        Op::Depart { account, number },
    ]
}

fn record() -> Record {
    let id = RecordId(std::array::from_fn(|n| n as u8));
    Record { id, after: Sequence(300), time_ms: 1_700_000_000_000, node: "a".into(), ops: ops() }
}

fn page() -> Page {
    let mut first = Message::new(uid(65), BlobId::new(9).unwrap(), 6000, InternalDate::new(1_700_000_000, -90), 1);
    (first.modseq, first.flags) = (ModSeq(300), Flags::SEEN.union(Flags::DELETED));
    first.set_keywords(1 << 127 | 1);
    let mut second = Message::new(uid(127), BlobId::MIN, u32::MAX, InternalDate::utc(-1), i64::MAX);
    second.modseq = ModSeq(2);
    Page { messages: vec![first, second] }
}

const RECORD: &str = "\
    01000102030405060708090a0b0c0d0e0fac0280d095ffbc310161160004616e6e61010104686173680104616e6e61000204616e6e6103
    0204616e6e61010453656e7401050402050203612f620200070602016107020161054dc3a4727a080205494e424f58090201610a020301
    b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0f02e017d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d0373756d
    11010a24466f7277617264656480c49fd50cb3010b0203020103ac02ac020006010a24466f72776172646564000b0203020103ac02ac02
    0106010a24466f7277617264656401ac020b0203020103ac02ac020206010a24466f72776172646564000c0203020103ac02ac020d0203
    0101ffffffff0fac020e020300ac020f02030410020380d095ffbc311102030161120280d095ffbc3113020201ffffffffffffffffff01";

const RECORD_2: &str = "\
    02000102030405060708090a0b0c0d0e0fac0280d095ffbc3101610914150203b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0
    b0b0b0b0b0b0b0b0b0b0f02e017d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d0373756d11010a24466f7277617264656480c49fd50cb301de
    dedededededededededededededede1602ac02021702ac021802ac02010100ac02020100020102014d00011902ac02d1d1d1d1d1d1d1
    d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d11a02ac021b04616e6e610201021c02ac02";

#[test]
fn a_record_of_version_1_is_read_and_written() {
    assert_eq!(hex(&record().encode()), hex(&bytes(RECORD)));
    assert_eq!(Record::decode(&bytes(RECORD)), Ok(record()));
}

#[test]
fn a_record_that_is_cut_longer_or_newer_is_an_error() {
    let whole = record().encode();
    for cut in 0..whole.len() {
        assert_eq!(Record::decode(&whole[..cut]), Err(RecordError::Damaged), "cut at {cut}");
    }
    assert_eq!(Record::decode(&[whole.as_slice(), &[0]].concat()), Err(RecordError::Damaged));
    assert_eq!(Record::decode(&[&[3], &whole[1..]].concat()), Err(RecordError::NewerVersion(3)));
    assert_eq!(Record::decode(&[&[0], &whole[1..]].concat()), Err(RecordError::Damaged));
}

#[test]
fn a_record_is_written_as_the_oldest_version_that_has_its_ops() {
    let old = record();
    assert_eq!((old.version(), old.encode_for(1)), (1, Ok(old.encode())));
    assert_eq!(Record::decode(&[&[2], &old.encode()[1..]].concat()), Ok(old.clone()));
    for op in ops_of_version_2() {
        match op.clone().for_version(1) {
            Ok(older) => assert!(matches!((&op, older), (Op::Deliver { .. }, Op::Append { .. }))),
            Err(error) => assert_eq!(error, NeedsVersion { needed: 2, max: 1 }),
        }
        assert_eq!(op.clone().for_version(2), Ok(op.clone()));
        let new = Record { ops: vec![op], ..record() };
        assert_eq!((new.version(), new.encode()[0]), (2, 2));
        assert_eq!(new.encode_for(1), Err(NeedsVersion { needed: 2, max: 1 }));
        assert_eq!(new.encode_for(2), Ok(new.encode()));
        assert_eq!(Record::decode(&[&[1], &new.encode()[1..]].concat()), Err(RecordError::Damaged));
        assert_eq!(Record::decode(&new.encode()), Ok(new));
    }
}

#[test]
fn a_record_of_version_2_is_read_and_written() {
    let new = Record { ops: ops_of_version_2(), ..record() };
    assert_eq!(hex(&new.encode()), hex(&bytes(RECORD_2)));
    assert_eq!(Record::decode(&bytes(RECORD_2)), Ok(new));
}

#[test]
fn a_page_of_version_1_is_read_and_written() {
    let golden = "010241d8041280c49fd50cb301fdc39fd50cf02e09818080808080808080808080808080808080023ed3040f81c49fd50c00ffffffffffffffffff01ffffffff0f0000";
    assert_eq!(hex(&page().encode()), golden);
    assert_eq!(Page::decode(&bytes(golden)), Some(page()));
}

#[test]
fn a_blob_of_version_1_is_read_and_written() {
    let golden = "01b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0f02e017d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d73756d6d617279";
    let blob = Blob { hash: BlobHash([0xb0; 32]), size: 6000, thread: Some(ThreadId([0x7d; 16])), summary: b"summary" };
    assert_eq!(hex(&blob.encode()), golden);
    assert_eq!(Blob::decode(&bytes(golden)), Some(blob));
}

fn golden_row<T: Row + PartialEq + Debug>(row: &T, golden: &str) {
    assert_eq!(hex(&row.encode()), golden);
    assert_eq!(T::decode(&bytes(golden)).as_ref(), Some(row));
    assert_eq!(T::decode(&[bytes(golden), vec![0]].concat()), None);
}

#[test]
fn rows_of_version_1_are_read_and_written() {
    let login = Login {
        name: "anna".into(),
        account: AccountId::new(2).unwrap(),
        shard: ShardId(1),
        credentials: Some("hash".into()),
        removed: false,
        created_ms: 1_700_000_000_000,
    };
    golden_row(&login, "0104616e6e6102010104686173680080d095ffbc31");
    let account = Account {
        name: "anna".into(),
        created_ms: 1_700_000_000_000,
        last_mailbox: 3,
        last_blob: 300,
        last_uid_validity: 1_700_000_002,
        mailboxes: 2,
    };
    golden_row(&account, "0104616e6e6180d095ffbc3103ac0282e2cfaa0602");
    let mailbox = Mailbox {
        id: MailboxId::new(3).unwrap(),
        name: name("a/b"),
        uid_validity: UidValidity::new(1_700_000_002).unwrap(),
        uid_next: Some(uid(128)),
        highest_modseq: ModSeq(300),
        messages: 2,
        unseen: 1,
        deleted: 1,
        size: 1 << 40,
        recent_from: 127,
        special_use: vec![SpecialUse::Junk],
        keywords: vec![keyword()],
        created_ms: 1_700_000_000_000,
        deleted_ms: Some(1_700_000_000_001),
    };
    golden_row(
        &mailbox,
        "010303612f6282e2cfaa06018001ac020201018080808080207f0104010a24466f7277617264656480d095ffbc310181d095ffbc31",
    );
    let tombstone = Tombstone { time_ms: 1_700_000_000_000, uids: uid_set(), messages: vec![page().encode()] };
    golden_row(
        &tombstone,
        "0180d095ffbc31020103ac02ac020143010241d8041280c49fd50cb301fdc39fd50cf02e09818080808080808080808080808080808080023ed3040f81c49fd50c00ffffffffffffffffff01ffffffff0f0000",
    );
}

#[test]
fn rows_of_deliveries_and_moves_are_read_and_written() {
    let (uid_validity, modseq) = (UidValidity::new(1_700_000_002).unwrap(), ModSeq(300));
    let delivery = Delivery { time_ms: 1_700_000_000_000, uid_validity, uid: uid(300), modseq };
    golden_row(&delivery, "0180d095ffbc3182e2cfaa06ac02ac02");
    let (from, to) = (ShardId(1), ShardId(2));
    let loaded = LoadedTo { key: b"M".to_vec(), octets: LoadedTo::WHOLE };
    let stages = [
        (MoveStage::Here { from: Some(from) }, "01ac02000101"),
        (MoveStage::Frozen { to, since_ms: 1_700_000_000_000, from: None }, "01ac02010280d095ffbc3100"),
        (
            MoveStage::Loading { from, to: loaded, digest: LoadDigest([0xd1; 32]) },
            "01ac020201014dffffffffffffffffff01d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1",
        ),
        (MoveStage::Gone { to }, "01ac020302"),
        (MoveStage::Forsaken, "01ac0204"),
    ];
    for (stage, golden) in stages {
        golden_row(&AccountMove { number: 300, stage }, golden);
    }
}

#[test]
fn keys_are_what_they_were() {
    use paquebot_model::key;
    let (account, mailbox) = (AccountId::new(2).unwrap(), MailboxId::new(3).unwrap());
    let cases = [
        (key::login("anna"), "4c616e6e61"),
        (key::last_account(), "6c"),
        (key::recent_id(&[7; 16]), "5207070707070707070707070707070707"),
        (key::recent_sequence(Sequence(300)), "72000000000000012c"),
        (key::removed_account(account), "6100000002"),
        (key::account_move(account), "6d00000002"),
        (key::delivery(account, DeliveryKey([0xde; 16])), "410000000244dededededededededededededededede"),
        (key::account(account), "410000000200"),
        (key::blob(account, BlobId::new(300).unwrap()), "410000000242000000000000012c"),
        (key::mailbox(account, mailbox), "41000000024d00000003"),
        (key::name(account, &name("März")), "41000000024e4dc3a4727a"),
        (key::page(account, mailbox, 300), "410000000250000000030000012c"),
        (key::subscription(account, &name("a")), "41000000025361"),
        (key::tombstone(account, mailbox, ModSeq(300)), "41000000025400000003000000000000012c"),
    ];
    for (key, golden) in cases {
        assert_eq!(hex(&key), golden);
    }
}
