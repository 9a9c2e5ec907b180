//! A node whose log lies elsewhere and is never lost: bodies come first and pinned, records are applied from that log, some bodies come late.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use paquebot_model::{RowChange, Rows, Scan};
use paquebot_store::fs::Fs;
use paquebot_store::recorded::RecordedFs;
use paquebot_store::{
    Checker, Fetched, GroupItem, Import, ImportError, IndexError, Location, OpenError, Pin, Store, Tail, Wanted,
    WriteTxn,
};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

use crate::toy::{Change, Record, account, dir, options};

/// Whose a body is.
pub type Owner = (ShardId, u64);
/// Bodies that are here, and are to stay until a record that names them is applied.
pub type Here = HashMap<BlobHash, (Location, Pin)>;
/// How many records of each shard there are.
pub type Ends = BTreeMap<ShardId, usize>;

/// The log, and every body there is.
#[derive(Default)]
pub struct Elsewhere {
    pub records: BTreeMap<ShardId, Vec<Record>>,
    pub bodies: HashMap<BlobHash, Arc<[u8]>>,
}

/// What a shard is after a number of records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub bodies: BTreeMap<u64, BlobHash>,
}

impl Elsewhere {
    pub fn ends(&self) -> Ends {
        self.records.iter().map(|(shard, records)| (*shard, records.len())).collect()
    }

    pub fn state(&self, shard: ShardId, end: usize) -> State {
        let mut state = State::default();
        let records = self.records.get(&shard).map_or(&[][..], |records| &records[..end]);
        for change in records.iter().flat_map(|record| &record.changes) {
            match change {
                Change::Set(key, value) => drop(state.rows.insert(key.clone(), value.clone())),
                Change::Unset(key) => drop(state.rows.remove(key)),
                Change::Body(blob, hash) => {
                    state.rows.insert(blob_key(*blob), hash.0.to_vec());
                    state.bodies.insert(*blob, *hash);
                }
                Change::Forget(blob) => {
                    state.rows.remove(&blob_key(*blob));
                    state.bodies.remove(blob);
                }
            }
        }
        state
    }
}

pub fn blob_key(blob: u64) -> Vec<u8> {
    [b"B".as_slice(), &blob.to_be_bytes()].concat()
}

/// The toy's rows that name a body.
pub fn blob_of(key: &[u8], value: &[u8]) -> Option<(AccountId, BlobId, BlobHash)> {
    let blob = u64::from_be_bytes(key.strip_prefix(b"B")?.try_into().ok()?);
    Some((account(), BlobId::new(blob)?, BlobHash(value.try_into().ok()?)))
}

/// A check that knows the toy's rows.
pub struct Prove;

impl Checker for Prove {
    fn blob_of(&self) -> Option<paquebot_store::BlobOf> {
        Some(blob_of)
    }
}

pub fn open(fs: &RecordedFs) -> Result<(Store, Here), OpenError> {
    let (store, tail) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &dir(), options())?;
    Ok((store, here(tail)))
}

pub fn here(tail: Tail) -> Here {
    let mut here = Here::new();
    for group in tail.groups {
        assert_eq!(group.records, [], "records are elsewhere");
        here.extend(group.bodies.into_iter().map(|(hash, location)| (hash, (location, group.pin.clone()))));
    }
    here
}

/// Applies a record, unless it is applied already.
pub fn apply(txn: &mut WriteTxn<'_>, record: &Record, here: &Here) -> Result<(), IndexError> {
    let shard = record.shard;
    let before = txn.applied(shard)?.sequence;
    if record.sequence <= before {
        return Ok(());
    }
    assert_eq!(before.next(), record.sequence, "records of {shard} come in order");
    for change in &record.changes {
        let mut row = |key: Vec<u8>, value| txn.change(shard, &[RowChange { key, value }]);
        match change {
            Change::Set(key, value) => row(key.clone(), Some(value.clone()))?,
            Change::Unset(key) => row(key.clone(), None)?,
            Change::Body(blob, hash) => {
                row(blob_key(*blob), Some(hash.0.to_vec()))?;
                let blob = BlobId::new(*blob).unwrap();
                match here.get(hash) {
                    Some((location, _)) => txn.set_location(shard, account(), blob, *location)?,
                    None => txn.want(shard, account(), blob, *hash)?,
                }
            }
            Change::Forget(blob) => {
                row(blob_key(*blob), None)?;
                txn.remove_location(shard, account(), BlobId::new(*blob).unwrap())?;
            }
        }
    }
    txn.set_applied(shard, record.sequence, [record.sequence.0 as u8; 32])
}

/// Brings a store to the end of the log: shards that are out of use are taken in, records applied.
pub fn follow(store: &Store, elsewhere: &Elsewhere, ends: &Ends, here: &Here) -> Result<(), ImportError> {
    for shard in store.importing()? {
        import(store, elsewhere, ends, shard)?;
    }
    for (shard, end) in ends {
        for record in &elsewhere.records[shard][..*end] {
            store.write(|txn| apply(txn, record, here))?;
        }
    }
    Ok(())
}

/// Takes a shard in from a node that has all records and no body.
pub fn import(store: &Store, elsewhere: &Elsewhere, ends: &Ends, shard: ShardId) -> Result<(), ImportError> {
    let peer = open(&RecordedFs::new()).unwrap().0;
    for record in &elsewhere.records[&shard][..ends[&shard]] {
        peer.write(|txn| apply(txn, record, &Here::new()))?;
    }
    let mut export = peer.export(shard).unwrap();
    let mut import: Import = store.begin_import(shard, blob_of)?;
    while let Some(chunk) = export.next_chunk().unwrap() {
        for rows in cut(&chunk, 3) {
            import.rows(rows)?;
        }
    }
    import.finish(export.applied(), export.state_hash().unwrap())
}

/// Cuts a chunk into smaller ones, each of so many rows.
pub fn cut(mut chunk: &[u8], rows: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !chunk.is_empty() {
        let mut at = 0;
        for _ in 0..rows {
            let Some(lengths) = chunk.get(at..at + 8) else { break };
            let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
            at += 8 + number(&lengths[..4]) + number(&lengths[4..]);
        }
        let (piece, rest) = chunk.split_at(at);
        pieces.push(piece);
        chunk = rest;
    }
    pieces
}

/// What a store has that it should not have, or the other way round. Each body of `secured` must be here, others may be wanted.
pub fn differs(store: &Store, elsewhere: &Elsewhere, ends: &Ends, secured: &BTreeSet<Owner>) -> Option<String> {
    let snapshot = store.read().unwrap();
    let mut wanted = 0;
    for (shard, end) in ends {
        let expected = elsewhere.state(*shard, *end);
        let mut rows = BTreeMap::new();
        let mut see = |key: &[u8], value: &[u8]| {
            rows.insert(key.to_vec(), value.to_vec());
            Scan::Continue
        };
        snapshot.rows(*shard).scan(b"", &[0xff; 9], &mut see).unwrap();
        let applied = snapshot.applied(*shard).unwrap();
        if applied.sequence != Sequence(*end as u64) || rows != expected.rows {
            return Some(format!("{shard}: {applied:?} instead of {end}, or other rows"));
        }
        for (blob, hash) in &expected.bodies {
            let id = BlobId::new(*blob).unwrap();
            let location = snapshot.location(*shard, account(), id).unwrap();
            match (location, snapshot.wanted_of(*shard, account(), id).unwrap()) {
                (Some(location), None) => match store.read_body_verified(location) {
                    Ok(bytes) if bytes == elsewhere.bodies[hash][..] => {}
                    other => return Some(format!("{shard}, body {blob}: {:?}", other.map(|bytes| bytes.len()))),
                },
                (None, Some(found)) if found == *hash && !secured.contains(&(*shard, *blob)) => wanted += 1,
                other => return Some(format!("{shard}, body {blob}: {other:?}")),
            }
        }
    }
    let count = snapshot.wanted_count().unwrap();
    (count != wanted).then(|| format!("{count} wanted instead of {wanted}"))
}

/// Gets every wanted body.
pub fn heal(store: &Store, elsewhere: &Elsewhere) {
    let wanted = store.read().unwrap().wanted(None, usize::MAX).unwrap();
    let fetched: Vec<(Wanted, Fetched<'_>)> =
        wanted.iter().map(|wanted| (*wanted, Fetched::Bytes(&elsewhere.bodies[&wanted.hash]))).collect();
    for some in fetched.chunks(5) {
        assert!(store.place(some).unwrap().iter().all(|placed| *placed));
    }
    assert_eq!(store.read().unwrap().wanted_count().unwrap(), 0);
}

/// Appends bodies pinned, those of `staged` in packs of their own. `None` is an error that leaves nothing that anybody names.
pub fn receive(store: &Store, bodies: &[(BlobHash, Arc<[u8]>)], staged: &BTreeSet<BlobHash>) -> Option<Here> {
    let mut blobs = Vec::new();
    for (_, bytes) in bodies.iter().filter(|(hash, _)| staged.contains(hash)) {
        let mut body = store.stage().ok()?;
        bytes.chunks(3000).try_for_each(|chunk| body.write(chunk)).ok()?;
        blobs.push(body.finish().ok()?);
    }
    let mut items: Vec<GroupItem<'_>> = blobs.iter().map(GroupItem::Staged).collect();
    let direct = bodies.iter().filter(|(hash, _)| !staged.contains(hash));
    items.extend(direct.map(|(hash, bytes)| GroupItem::Body { hash: *hash, bytes }));
    let (appended, pin) = store.append_pinned(&items).ok()?;
    Some(appended.bodies.into_iter().map(|(hash, location)| (hash, (location, pin.clone()))).collect())
}
