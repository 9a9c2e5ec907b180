//! Space of expunged mail comes back, and nothing that lives or is being read goes with it.
#![allow(clippy::unwrap_used)]

mod toy;

use paquebot_store::recorded::RecordedFs;
use paquebot_store::{Budget, IndexError, ReadError, Store};
use paquebot_types::BlobId;
use toy::{Change, Generator, Group, Record, SHARDS, account, open};

const ALL: Budget = Budget { copy_bytes: u64::MAX, dead_percent: 1 };

fn run(store: &Store, make: &mut Generator, group: Group) {
    let bodies = group.append(store).unwrap();
    group.apply(store, &bodies).unwrap();
    make.expected.apply(&group);
}

/// Forgets every body but each `keep`th.
fn expunge(store: &Store, make: &mut Generator, keep: usize) {
    let owned: Vec<_> = make.expected.bodies.keys().copied().collect();
    for (number, (shard, blob)) in owned.into_iter().enumerate() {
        if number % keep != 0 {
            let sequence = paquebot_types::Sequence(make.expected.sequences.get(&shard).copied().unwrap_or(0) + 1);
            let record = Record { shard, sequence, changes: vec![Change::Forget(blob)] };
            run(store, make, Group { records: vec![record], ..Group::default() });
        }
    }
}

fn filled(fs: &RecordedFs) -> (Store, Generator) {
    let store = open(fs).unwrap();
    let mut make = Generator::new(21);
    for _ in 0..80 {
        let group = make.group();
        run(&store, &mut make, group);
    }
    (store, make)
}

fn packs(fs: &RecordedFs) -> usize {
    fs.disk().files().filter(|path| matches!(path.extension(), Some(kind) if kind == "pack" || kind == "body")).count()
}

#[test]
fn dead_packs_are_removed_and_living_bodies_kept() {
    let fs = RecordedFs::new();
    let (store, mut make) = filled(&fs);
    expunge(&store, &mut make, 5);
    store.checkpoint().unwrap();
    let before = packs(&fs);
    let reclaimed = store.reclaim(&ALL).unwrap();
    assert!(reclaimed.packs > 5 && reclaimed.copied_bytes > 0, "{reclaimed:?}");
    let left = before - reclaimed.packs as usize;
    assert!((left..=left + 1).contains(&packs(&fs)), "the copies may have begun one more");
    assert_eq!(make.expected.differs(&store), None);
    assert_eq!(store.check(&mut ()).unwrap().problems, []);
    drop(store);
    let store = open(&fs).unwrap();
    assert_eq!(make.expected.differs(&store), None);
}

#[test]
fn a_snapshot_keeps_the_packs_that_it_shows() {
    let fs = RecordedFs::new();
    let (store, mut make) = filled(&fs);
    let snapshot = store.read().unwrap();
    let then = make.expected.clone();
    // Twice, with snapshots between that come and go.
    expunge(&store, &mut make, 2);
    store.checkpoint().unwrap();
    let first = store.reclaim(&ALL).unwrap().packs;
    drop(store.read().unwrap());
    expunge(&store, &mut make, 1000);
    store.checkpoint().unwrap();
    let second = store.reclaim(&ALL).unwrap().packs;
    assert!(first > 2 && second > 2, "{first}, {second}");
    let before = packs(&fs);
    let mut locations = Vec::new();
    for ((shard, blob), bytes) in &then.bodies {
        let location = snapshot.location(*shard, account(), BlobId::new(*blob).unwrap()).unwrap().unwrap();
        assert_eq!(store.read_body_verified(location).unwrap(), bytes[..]);
        locations.push(location);
    }
    let open_body = store.body_file(locations[0]).unwrap();
    drop(snapshot);
    store.reclaim(&ALL).unwrap();
    assert!(packs(&fs) < before, "they go with the snapshot");
    assert!(open_body.read_verified().is_ok(), "an open body stays readable");
    assert!(matches!(store.body_file(locations[1]), Err(ReadError::Gone { .. })));
}

#[test]
fn a_staged_body_that_no_group_names_leaves_nothing() {
    let fs = RecordedFs::new();
    let store = open(&fs).unwrap();
    let before = packs(&fs);
    let mut body = store.stage().unwrap();
    body.write(&[1; 10_000]).unwrap();
    drop(body);
    assert_eq!(packs(&fs), before);
    let mut body = store.stage().unwrap();
    body.write(&[2; 10_000]).unwrap();
    let body = body.finish().unwrap();
    assert_eq!(packs(&fs), before + 1);
    drop(body);
    assert_eq!(packs(&fs), before);
}

#[test]
fn a_staged_body_whose_record_was_refused_is_removed_by_the_next_checkpoint() {
    let fs = RecordedFs::new();
    let store = open(&fs).unwrap();
    let before = packs(&fs);
    let mut body = store.stage().unwrap();
    body.write(&[2; 10_000]).unwrap();
    let body = body.finish().unwrap();
    let record = Record { shard: SHARDS[0], sequence: paquebot_types::Sequence(1), changes: vec![] };
    let bytes = record.encode();
    let items = [
        paquebot_store::GroupItem::Staged(&body),
        paquebot_store::GroupItem::Record { shard: record.shard, sequence: record.sequence, bytes: &bytes },
    ];
    store.append_group(&items).unwrap();
    drop(body);
    store.checkpoint().unwrap();
    assert_eq!(packs(&fs), before + 1, "its record may still be applied");
    store.write(|txn| toy::apply(txn, &record, &Default::default())).map_err(|error: IndexError| error).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(packs(&fs), before);
}
