//! Shards as a whole, wanted bodies and pins: what each operation leaves, and what it refuses.
#![allow(clippy::unwrap_used)]

mod elsewhere;
mod toy;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use elsewhere::{Elsewhere, Here, Prove, apply, blob_key, blob_of, cut, differs, heal, open, receive};
use paquebot_model::RowChange;
use paquebot_store::fs::{Fs, RealFs};
use paquebot_store::recorded::{Fault, RecordedFs, When};
use paquebot_store::{
    BackupError, Budget, DropError, ExportError, Fetched, GroupItem, ImportError, IndexError, Options, PlaceError,
    Problem, Store, Wanted,
};
use paquebot_types::{BlobHash, BlobId, Sequence, ShardId};
use toy::{Change, Random, Record, SHARDS, account, exists};

const ALL: Budget = Budget { copy_bytes: u64::MAX, dead_percent: 1 };
const SHARD: ShardId = SHARDS[1];

/// A log of one shard in which each record brings one body, and some rows.
fn log_of(bodies: u64) -> Elsewhere {
    let mut elsewhere = Elsewhere { records: [(SHARD, Vec::new())].into(), ..Elsewhere::default() };
    let mut random = Random(5);
    for blob in 1..=bodies {
        let bytes: Arc<[u8]> = random.bytes(100 + blob).into();
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        elsewhere.bodies.insert(hash, bytes);
        let changes = vec![Change::Set(format!("row {blob}").into_bytes(), vec![9; 30]), Change::Body(blob, hash)];
        push(&mut elsewhere, changes);
    }
    elsewhere
}

fn push(elsewhere: &mut Elsewhere, changes: Vec<Change>) {
    let records = elsewhere.records.get_mut(&SHARD).unwrap();
    records.push(Record { shard: SHARD, sequence: Sequence(records.len() as u64 + 1), changes });
}

fn follow(store: &Store, elsewhere: &Elsewhere, here: &Here) {
    elsewhere::follow(store, elsewhere, &elsewhere.ends(), here).unwrap();
}

/// A store that has every record and every body.
fn whole(elsewhere: &Elsewhere) -> (RecordedFs, Store) {
    let fs = RecordedFs::new();
    let store = open(&fs).unwrap().0;
    let bodies: Vec<_> = elsewhere.bodies.iter().map(|(hash, bytes)| (*hash, bytes.clone())).collect();
    let here = receive(&store, &bodies, &BTreeSet::new()).unwrap();
    follow(&store, elsewhere, &here);
    (fs, store)
}

fn chunks(store: &Store) -> (Vec<Bytes>, paquebot_store::Applied, [u8; 32]) {
    let mut export = store.export(SHARD).unwrap();
    assert_eq!(export.state_hash(), None, "before the last chunk");
    let mut chunks = Vec::new();
    while let Some(chunk) = export.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    (chunks, export.applied(), export.state_hash().unwrap())
}

fn hash_of(elsewhere: &Elsewhere, blob: u64) -> BlobHash {
    elsewhere.state(SHARD, elsewhere.records[&SHARD].len()).bodies[&blob]
}

fn wanted(elsewhere: &Elsewhere, blob: u64) -> Wanted {
    Wanted { shard: SHARD, account: account(), blob: BlobId::new(blob).unwrap(), hash: hash_of(elsewhere, blob) }
}

#[test]
fn a_shard_goes_to_another_store_and_its_bodies_follow() {
    let mut elsewhere = log_of(30);
    for row in 0..5 {
        push(&mut elsewhere, vec![Change::Set(vec![b'l', row], vec![row; 600_000])]);
    }
    let (_, store) = whole(&elsewhere);
    let (sent, applied, hash) = chunks(&store);
    assert_eq!(sent.len(), 3, "chunks of about a mebibyte");
    let (fs, ends) = (RecordedFs::new(), elsewhere.ends());
    let other = open(&fs).unwrap().0;
    let mut import = other.begin_import(SHARD, blob_of).unwrap();
    // Where it is cut is nobody's business.
    for chunk in sent.iter().flat_map(|chunk| cut(chunk, 7)) {
        import.rows(chunk).unwrap();
    }
    assert_eq!((other.shards().unwrap(), other.durable()), (vec![], vec![]));
    import.finish(applied, hash).unwrap();
    assert_eq!((other.shards().unwrap(), other.durable()), (store.shards().unwrap(), vec![(SHARD, applied.sequence)]));
    assert_eq!(other.read().unwrap().state_hash(SHARD).unwrap(), hash);
    assert_eq!(store.read().unwrap().state_hash(SHARD).unwrap(), hash);
    assert_eq!(differs(&other, &elsewhere, &ends, &BTreeSet::new()), None);
    assert_eq!(other.read().unwrap().wanted_count().unwrap(), 30);
    assert_eq!(other.check(&mut Prove).unwrap().wanted, 30);
    heal(&other, &elsewhere);
    drop(other);
    let other = open(&fs).unwrap().0;
    let all = (1..=30).map(|blob| (SHARD, blob)).collect();
    assert_eq!(differs(&other, &elsewhere, &ends, &all), None, "an orderly end keeps their places");
}

#[test]
fn bodies_that_are_here_keep_their_places() {
    let elsewhere = log_of(20);
    let (_, store) = whole(&elsewhere);
    let place = |blob: u64| store.read().unwrap().location(SHARD, account(), BlobId::new(blob).unwrap()).unwrap();
    let before: Vec<_> = (1..=20).map(place).collect();
    // The other has not 3 and 20, has another 7, and has 21 too.
    let mut other = log_of(20);
    push(&mut other, vec![Change::Forget(3), Change::Forget(20)]);
    push(&mut other, vec![Change::Body(7, hash_of(&elsewhere, 8)), Change::Body(21, hash_of(&elsewhere, 9))]);
    elsewhere::import(&store, &other, &other.ends(), SHARD).unwrap();
    for blob in 1..=21 {
        let expected = if [3, 7, 20, 21].contains(&blob) { None } else { before[blob as usize - 1] };
        assert_eq!(place(blob), expected, "{blob}");
    }
    let left: Vec<u64> =
        store.read().unwrap().wanted(None, 9).unwrap().iter().map(|wanted| wanted.blob.get()).collect();
    assert_eq!(left, [7, 21]);
    assert_eq!(store.check(&mut Prove).unwrap().problems, []);
}

#[test]
fn a_snapshot_that_is_not_what_was_sent_is_not_used() {
    let elsewhere = log_of(9);
    let (_, peer) = whole(&elsewhere);
    let (sent, applied, hash) = chunks(&peer);
    let (fs, store) = whole(&elsewhere);
    let mut import = store.begin_import(SHARD, blob_of).unwrap();
    assert!(matches!(store.begin_import(SHARD, blob_of), Err(ImportError::Busy { shard: SHARD })));
    assert!(matches!(store.drop_shard(SHARD), Err(DropError::Busy { shard: SHARD })));
    let pieces = cut(&sent[0], 4);
    assert!(matches!(import.rows(&pieces[0][1..]), Err(ImportError::Rows { .. })));
    import.rows(pieces[1]).unwrap();
    assert!(matches!(import.rows(pieces[0]), Err(ImportError::Rows { .. })), "rows come in order");
    assert!(matches!(import.finish(applied, hash), Err(ImportError::Hash { shard: SHARD })), "and all of them");
    let mut import = store.begin_import(SHARD, blob_of).unwrap();
    let mut damaged = sent[0].to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    import.rows(&damaged).unwrap();
    assert!(matches!(import.finish(applied, hash), Err(ImportError::Hash { .. })));

    let out_of_use = |store: &Store| {
        assert_eq!(store.importing().unwrap(), [SHARD]);
        assert_eq!(store.read().unwrap().applied(SHARD).unwrap(), Default::default());
        assert!(matches!(store.export(SHARD), Err(ExportError::NotWhole { .. })));
        assert!(matches!(store.backup(Path::new("/copy"), &mut |_, _| {}), Err(BackupError::NotWhole { .. })));
        let report = store.check(&mut Prove).unwrap();
        assert_eq!((report.problems, report.importing), (vec![], vec![SHARD]));
    };
    out_of_use(&store);
    store.checkpoint().unwrap();
    drop(store);
    let store = open(&fs).unwrap().0;
    out_of_use(&store);
    elsewhere::import(&store, &elsewhere, &elsewhere.ends(), SHARD).unwrap();
    assert_eq!(store.importing().unwrap(), []);
    assert_eq!(differs(&store, &elsewhere, &elsewhere.ends(), &BTreeSet::new()), None);
}

#[test]
fn an_index_that_was_opened_again_ends_an_import_and_keeps_the_shard() {
    let elsewhere = log_of(12);
    let (fs, store) = whole(&elsewhere);
    store.checkpoint().unwrap();
    let (sent, applied, hash) = chunks(&store);
    let recover = |fs: &RecordedFs| {
        fs.set_fault(Some((When::At(fs.count()), Fault::Io)));
        store.checkpoint().unwrap_err();
        fs.set_fault(None);
        store.recover_index().unwrap().0.finish();
    };
    let mut import = store.begin_import(SHARD, blob_of).unwrap();
    import.rows(cut(&sent[0], 3)[0]).unwrap();
    recover(&fs);
    // The index is as it was before: the shard is whole there, and nothing may be done to it.
    assert!(matches!(import.rows(cut(&sent[0], 3)[1]), Err(ImportError::Interrupted { .. })));
    drop(import);
    let all = (1..=12).map(|blob| (SHARD, blob)).collect();
    assert_eq!(differs(&store, &elsewhere, &elsewhere.ends(), &all), None);
    let mut import = store.begin_import(SHARD, blob_of).unwrap();
    import.rows(&sent[0]).unwrap();
    recover(&fs);
    assert!(matches!(import.finish(applied, hash), Err(ImportError::Interrupted { .. })));
    assert_eq!(differs(&store, &elsewhere, &elsewhere.ends(), &all), None);
}

#[test]
fn a_dropped_shard_is_gone_and_its_space_comes_back() {
    let mut elsewhere = log_of(50);
    push(&mut elsewhere, (0..9000_u32).map(|row| Change::Set(row.to_be_bytes().to_vec(), vec![1; 9])).collect());
    let (fs, store) = whole(&elsewhere);
    let other = Record { shard: SHARDS[0], sequence: Sequence(1), changes: vec![Change::Set(b"k".to_vec(), vec![1])] };
    store.write(|txn| apply(txn, &other, &Here::new())).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(store.durable(), [(SHARDS[0], Sequence(1)), (SHARD, Sequence(51))]);
    store.drop_shard(SHARD).unwrap();
    assert_eq!(store.durable(), [(SHARDS[0], Sequence(1))]);
    store.drop_shard(ShardId(77)).unwrap();
    drop(store);
    let store = open(&fs).unwrap().0;
    assert_eq!(store.shards().unwrap(), [(SHARDS[0], Sequence(1))]);
    assert_eq!((store.durable(), store.importing().unwrap()), (store.shards().unwrap(), vec![]));
    assert_eq!(store.export(SHARD).unwrap().next_chunk().unwrap(), None);
    // Beyond the pack that is written to.
    let filler = vec![(BlobHash(*blake3::hash(&[0; 20_000]).as_bytes()), Arc::from([0; 20_000]))];
    for _ in 0..2 {
        drop(receive(&store, &filler, &BTreeSet::new()));
    }
    store.checkpoint().unwrap();
    assert!(store.reclaim(&ALL).unwrap().packs >= 1);
    assert_eq!(store.check(&mut Prove).unwrap().problems, []);
}

#[test]
fn a_body_is_wanted_until_it_has_a_place_or_is_forgotten() {
    let mut elsewhere = log_of(6);
    let store = open(&RecordedFs::new()).unwrap().0;
    follow(&store, &elsewhere, &Here::new());
    let read = || store.read().unwrap();
    let all: Vec<Wanted> = (1..=6).map(|blob| wanted(&elsewhere, blob)).collect();
    assert_eq!(read().wanted(None, 4).unwrap(), all[..4]);
    assert_eq!(read().wanted(Some(&all[3]), 4).unwrap(), all[4..]);
    assert_eq!(read().wanted_in_shard(SHARD, Some(&all[1]), 2).unwrap(), all[2..4]);
    assert_eq!(read().wanted_in_shard(SHARDS[0], None, 2).unwrap(), []);
    assert_eq!(read().wanted_in_shard(SHARDS[0], Some(&all[1]), 2).unwrap(), []);
    let bytes = |blob: u64| Fetched::Bytes(&elsewhere.bodies[&hash_of(&elsewhere, blob)]);
    let other = store.place(&[(all[0], bytes(1)), (all[1], bytes(3))]);
    assert!(matches!(other, Err(PlaceError::OtherBytes(which)) if which == all[1]));
    assert_eq!(read().wanted_count().unwrap(), 6);
    assert_eq!(store.place(&[(all[0], bytes(1)), (all[1], bytes(2))]).unwrap(), [true, true]);
    assert_eq!(store.place(&[(all[0], bytes(1)), (all[2], bytes(3))]).unwrap(), [false, true], "it has a place");
    assert_eq!(store.place(&[]).unwrap(), []);
    push(&mut elsewhere, vec![Change::Forget(4)]);
    follow(&store, &elsewhere, &Here::new());
    assert_eq!(read().wanted(None, 9).unwrap(), all[4..]);
    assert_eq!(read().wanted_of(SHARD, account(), all[4].blob).unwrap(), Some(all[4].hash));
    assert_eq!(read().wanted_of(SHARD, account(), all[0].blob).unwrap(), None);
    assert_eq!(store.check(&mut Prove).unwrap().problems, []);
}

#[test]
fn all_who_share_a_damaged_body_want_it_and_get_it_once() {
    let mut elsewhere = log_of(1);
    let hash = hash_of(&elsewhere, 1);
    push(&mut elsewhere, vec![Change::Body(2, hash), Change::Body(3, hash)]);
    let (_, store) = whole(&elsewhere);
    let place = |blob: u64| store.read().unwrap().location(SHARD, account(), BlobId::new(blob).unwrap()).unwrap();
    let shared = place(2).unwrap();
    assert!(store.doubt(&wanted(&elsewhere, 2), shared).unwrap());
    assert!(!store.doubt(&wanted(&elsewhere, 1), shared).unwrap(), "it is known");
    let lost = store.read().unwrap().wanted(None, 9).unwrap();
    assert_eq!(lost, [1, 2, 3].map(|blob| wanted(&elsewhere, blob)));
    heal(&store, &elsewhere);
    assert!(place(1).is_some() && place(1) != Some(shared));
    assert_eq!((place(2), place(3)), (place(1), place(1)), "one copy serves all");
    assert_eq!(store.check(&mut Prove).unwrap().problems, []);
}

#[test]
fn a_pinned_body_outlives_checkpoints_and_goes_with_its_pin() {
    let (fs, bytes) = (RecordedFs::new(), Arc::<[u8]>::from([3; 9000]));
    let store = open(&fs).unwrap().0;
    let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
    let here = receive(&store, &[(hash, bytes.clone())], &[hash].into()).unwrap();
    let file = toy::dir().join("incoming").join(here[&hash].0.pack.to_string());
    for _ in 0..2 {
        store.checkpoint().unwrap();
        store.reclaim(&ALL).unwrap();
        assert!(exists(&fs, &file));
    }
    drop((here, store));
    let (store, here) = open(&fs).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(store.read_body_verified(here[&hash].0).unwrap(), bytes[..], "a start hands it out, pinned");
    drop(here);
    store.checkpoint().unwrap();
    assert!(!exists(&fs, &file));
    drop(store);
    assert!(open(&fs).unwrap().1.is_empty());
}

#[test]
fn a_check_names_bodies_that_are_nowhere_and_bodies_without_a_row() {
    let elsewhere = log_of(4);
    let (_, store) = whole(&elsewhere);
    let blob = |blob: u64| BlobId::new(blob).unwrap();
    let broken = store.write(|txn| {
        txn.remove_location(SHARD, account(), blob(2))?;
        txn.change(SHARD, &[RowChange { key: blob_key(3), value: None }])?;
        txn.want(SHARD, account(), blob(9), hash_of(&elsewhere, 1))
    });
    broken.map_err(|error: IndexError| error).unwrap();
    let report = store.check(&mut Prove).unwrap();
    let (shard, account) = (SHARD, account());
    let expected = [
        Problem::Absent { shard, account, blob: blob(2) },
        Problem::Rowless { shard, account, blob: blob(3) },
        Problem::Rowless { shard, account, blob: blob(9) },
    ];
    assert_eq!((report.wanted, report.problems), (1, expected.to_vec()));
}

#[test]
fn a_backup_says_what_it_lacks() {
    let elsewhere = log_of(8);
    let (fs, store) = whole(&elsewhere);
    let body = wanted(&elsewhere, 5);
    let location = store.read().unwrap().location(SHARD, account(), body.blob).unwrap().unwrap();
    store.doubt(&body, location).unwrap();
    let backup = store.backup(Path::new("/copy"), &mut |_, _| {}).unwrap();
    assert_eq!(backup.wanted, 1);
    drop(store);
    let (copy, _) = Store::open(Arc::new(fs) as Arc<dyn Fs>, Path::new("/copy"), toy::options()).unwrap();
    assert_eq!(copy.read().unwrap().wanted(None, 9).unwrap(), [body]);
    assert_eq!(differs(&copy, &elsewhere, &elsewhere.ends(), &BTreeSet::new()), None);
}

#[test]
fn a_store_of_an_earlier_version_gets_the_tables_that_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let open = || Store::open(Arc::new(RealFs), &data, Options::default()).unwrap().0;
    let elsewhere = log_of(3);
    let store = open();
    let bodies: Vec<_> = elsewhere.bodies.iter().map(|(hash, bytes)| (*hash, bytes.clone())).collect();
    follow(&store, &elsewhere, &receive(&store, &bodies, &BTreeSet::new()).unwrap());
    store.checkpoint().unwrap();
    drop(store);
    let index = redb::Database::open(data.join("index.redb")).unwrap();
    let txn = index.begin_write().unwrap();
    txn.delete_table(redb::TableDefinition::<&[u8; 14], &[u8; 32]>::new("wanted")).unwrap();
    txn.delete_table(redb::TableDefinition::<u16, &[u8; 16]>::new("imports")).unwrap();
    txn.delete_table(redb::TableDefinition::<u64, &[u8; 40]>::new("sent")).unwrap();
    txn.commit().unwrap();
    drop(index);
    let store = open();
    let all = (1..=3).map(|blob| (SHARD, blob)).collect();
    assert_eq!(differs(&store, &elsewhere, &elsewhere.ends(), &all), None);
    elsewhere::import(&store, &elsewhere, &elsewhere.ends(), SHARD).unwrap();
    assert_eq!(differs(&store, &elsewhere, &elsewhere.ends(), &all), None);
}

#[test]
fn records_of_before_are_not_applied_to_a_shard_that_is_taken_in() {
    let (fs, elsewhere) = (RecordedFs::new(), log_of(2));
    let store = open(&fs).unwrap().0;
    // One of a shard beside it waits too, so the mark stays and a start reads both.
    let records = SHARDS.map(|shard| GroupItem::Record { shard, sequence: Sequence(1), bytes: b"" });
    store.append_group(&records).unwrap();
    drop(store.begin_import(SHARD, blob_of).unwrap());
    store.checkpoint().unwrap();
    drop(store);
    let (store, tail) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &toy::dir(), toy::options()).unwrap();
    let waiting: Vec<ShardId> =
        tail.groups.iter().flat_map(|group| &group.records).map(|record| record.shard).collect();
    assert_eq!(waiting, [SHARDS[0]]);
    elsewhere::import(&store, &elsewhere, &elsewhere.ends(), SHARD).unwrap();
    assert_eq!(differs(&store, &elsewhere, &elsewhere.ends(), &BTreeSet::new()), None);
}
