//! A toy model, whose records carry their own changes, and a workload over it.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use paquebot_model::{RowChange, Rows, Scan};
use paquebot_store::fs::Fs;
use paquebot_store::recorded::{RecordedFs, data_dir};
use paquebot_store::{GroupItem, IndexError, Location, OpenError, Options, Store, Tail, WriteTxn};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

pub const SHARDS: [ShardId; 2] = [ShardId(0), ShardId(1)];

/// Small everywhere, so that a short workload rolls packs and meets every edge.
pub fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        pack_bytes: 24 << 10,
        reserve_step_bytes: 8 << 10,
        index_headroom_bytes: 64 << 10,
        ballast_bytes: 64 << 10,
        checkpoint_bytes: u64::MAX,
        checkpoint_interval: Duration::from_secs(1 << 30),
        open_packs: 2,
        verify_index: false,
    }
}

/// One change that a record carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set(Vec<u8>, Vec<u8>),
    Unset(Vec<u8>),
    Body(u64, BlobHash),
    Forget(u64),
}

/// A record: changes of one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub shard: ShardId,
    pub sequence: Sequence,
    pub changes: Vec<Change>,
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let field = |bytes: &mut Vec<u8>, field: &[u8]| {
            bytes.extend((field.len() as u32).to_le_bytes());
            bytes.extend(field);
        };
        for change in &self.changes {
            let (kind, first, second) = match change {
                Change::Set(key, value) => (b'S', key.clone(), value.clone()),
                Change::Unset(key) => (b'U', key.clone(), Vec::new()),
                Change::Body(blob, hash) => (b'B', blob.to_le_bytes().to_vec(), hash.0.to_vec()),
                Change::Forget(blob) => (b'F', blob.to_le_bytes().to_vec(), Vec::new()),
            };
            bytes.push(kind);
            field(&mut bytes, &first);
            field(&mut bytes, &second);
        }
        bytes
    }

    pub fn decode(shard: ShardId, sequence: Sequence, mut bytes: &[u8]) -> Self {
        let mut changes = Vec::new();
        let field = |bytes: &mut &[u8]| {
            let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
            let (field, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
            *bytes = rest;
            field.to_vec()
        };
        while let Some((kind, rest)) = bytes.split_first() {
            bytes = rest;
            let (first, second) = (field(&mut bytes), field(&mut bytes));
            let number = || u64::from_le_bytes(first.clone().try_into().unwrap());
            changes.push(match kind {
                b'S' => Change::Set(first, second),
                b'U' => Change::Unset(first),
                b'B' => Change::Body(number(), BlobHash(second.try_into().unwrap())),
                _ => Change::Forget(number()),
            });
        }
        Self { shard, sequence, changes }
    }
}

/// The toy's `apply`.
pub fn apply(txn: &mut WriteTxn<'_>, record: &Record, bodies: &HashMap<BlobHash, Location>) -> Result<(), IndexError> {
    let shard = record.shard;
    assert_eq!(txn.applied(shard)?.sequence.0 + 1, record.sequence.0, "records of {shard} come in order");
    for change in &record.changes {
        match change {
            Change::Set(key, value) => {
                txn.change(shard, &[RowChange { key: key.clone(), value: Some(value.clone()) }])?;
            }
            Change::Unset(key) => txn.change(shard, &[RowChange { key: key.clone(), value: None }])?,
            Change::Body(blob, hash) => {
                txn.set_location(shard, account(), BlobId::new(*blob).unwrap(), bodies[hash])?
            }
            Change::Forget(blob) => txn.remove_location(shard, account(), BlobId::new(*blob).unwrap())?,
        }
    }
    txn.set_applied(shard, record.sequence, [record.sequence.0 as u8; 32])
}

/// Applies what a start has handed out.
pub fn apply_tail(
    tail: &Tail,
    mut write: impl FnMut(&mut dyn FnMut(&mut WriteTxn<'_>) -> Result<(), IndexError>) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    for group in &tail.groups {
        let bodies: HashMap<_, _> = group.bodies.iter().copied().collect();
        write(&mut |txn| {
            for record in &group.records {
                apply(txn, &Record::decode(record.shard, record.sequence, &record.bytes), &bodies)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

pub fn account() -> AccountId {
    AccountId::new(7).unwrap()
}

/// Opens a store and applies its tail.
pub fn open(fs: &RecordedFs) -> Result<Store, OpenError> {
    let (store, tail) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &dir(), options())?;
    apply_tail(&tail, |change| store.write(change)).map_err(OpenError::Index)?;
    Ok(store)
}

pub fn dir() -> std::path::PathBuf {
    data_dir()
}

/// What must be in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub rows: BTreeMap<(ShardId, Vec<u8>), Vec<u8>>,
    pub bodies: BTreeMap<(ShardId, u64), Arc<[u8]>>,
    pub sequences: BTreeMap<ShardId, u64>,
}

impl Expected {
    pub fn apply(&mut self, group: &Group) {
        for record in &group.records {
            self.sequences.insert(record.shard, record.sequence.0);
            for change in &record.changes {
                match change {
                    Change::Set(key, value) => {
                        self.rows.insert((record.shard, key.clone()), value.clone());
                    }
                    Change::Unset(key) => {
                        self.rows.remove(&(record.shard, key.clone()));
                    }
                    Change::Body(blob, hash) => {
                        self.bodies.insert((record.shard, *blob), group.bodies[hash].clone());
                    }
                    Change::Forget(blob) => {
                        self.bodies.remove(&(record.shard, *blob));
                    }
                }
            }
        }
    }

    /// The differences to what a store has; empty if there are none.
    pub fn differs(&self, store: &Store) -> Option<String> {
        let snapshot = store.read().unwrap();
        let mut rows = BTreeMap::new();
        for shard in SHARDS {
            let mut see = |key: &[u8], value: &[u8]| {
                rows.insert((shard, key.to_vec()), value.to_vec());
                Scan::Continue
            };
            snapshot.rows(shard).scan(b"", &[0xff; 9], &mut see).unwrap();
            let sequence = snapshot.applied(shard).unwrap().sequence.0;
            let expected = self.sequences.get(&shard).copied().unwrap_or_default();
            if sequence != expected {
                return Some(format!("{shard}: record {sequence} instead of {expected}"));
            }
        }
        if rows != self.rows {
            return Some(format!("rows {rows:?}\nexpected {:?}", self.rows));
        }
        for ((shard, blob), bytes) in &self.bodies {
            let location = snapshot.location(*shard, account(), BlobId::new(*blob).unwrap()).unwrap();
            let Some(location) = location else { return Some(format!("body {blob} of {shard} has no location")) };
            match store.read_body_verified(location) {
                Ok(body) if body == bytes[..] => {}
                Ok(_) => return Some(format!("body {blob} of {shard} has other bytes")),
                Err(error) => return Some(format!("body {blob} of {shard} at {location:?}: {error}")),
            }
        }
        None
    }
}

/// A group before it is appended.
#[derive(Debug, Clone, Default)]
pub struct Group {
    pub records: Vec<Record>,
    pub bodies: HashMap<BlobHash, Arc<[u8]>>,
    /// These bodies are staged.
    pub staged: Vec<BlobHash>,
}

impl Group {
    /// Appends the group; `None` is an error that leaves nothing.
    pub fn append(&self, store: &Store) -> Result<HashMap<BlobHash, Location>, AppendFailure> {
        let mut staged = Vec::new();
        for hash in &self.staged {
            let mut body = store.stage().map_err(|_| AppendFailure::Nothing)?;
            for chunk in self.bodies[hash].chunks(3000) {
                body.write(chunk).map_err(|_| AppendFailure::Nothing)?;
            }
            let body = body.finish().map_err(|_| AppendFailure::Nothing)?;
            assert_eq!(body.hash(), *hash);
            assert_eq!(store.read_body_verified(body.location()).ok().as_deref(), Some(&self.bodies[hash][..]));
            staged.push(body);
        }
        let encoded: Vec<Vec<u8>> = self.records.iter().map(Record::encode).collect();
        let mut items: Vec<GroupItem<'_>> = staged.iter().map(GroupItem::Staged).collect();
        let direct = self.bodies.iter().filter(|(hash, _)| !self.staged.contains(hash));
        items.extend(direct.map(|(hash, bytes)| GroupItem::Body { hash: *hash, bytes }));
        for (record, bytes) in self.records.iter().zip(&encoded) {
            items.push(GroupItem::Record { shard: record.shard, sequence: record.sequence, bytes });
        }
        match store.append_group(&items) {
            Ok(appended) => Ok(appended.bodies.into_iter().collect()),
            Err(paquebot_store::AppendError::Unknown { .. }) => Err(AppendFailure::Unknown),
            Err(_) => Err(AppendFailure::Nothing),
        }
    }

    pub fn apply(&self, store: &Store, bodies: &HashMap<BlobHash, Location>) -> Result<(), IndexError> {
        store.write(|txn| self.records.iter().try_for_each(|record| apply(txn, record, bodies)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFailure {
    Nothing,
    Unknown,
}

/// A small generator (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Makes groups that fit what is in a store.
pub struct Generator {
    pub random: Random,
    pub expected: Expected,
    next_blob: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), expected: Expected::default(), next_blob: 1 }
    }

    /// A group on top of `self.expected`, which the caller moves on once the group is there.
    pub fn group(&mut self) -> Group {
        let mut group = Group::default();
        let mut sequences = self.expected.sequences.clone();
        for _ in 0..1 + self.random.below(3) {
            let shard = SHARDS[self.random.below(2) as usize];
            let sequence = sequences.entry(shard).or_default();
            *sequence += 1;
            let mut record = Record { shard, sequence: Sequence(*sequence), changes: Vec::new() };
            for _ in 0..self.random.below(4) {
                record.changes.push(self.change(shard, &mut group));
            }
            group.records.push(record);
        }
        group
    }

    fn change(&mut self, shard: ShardId, group: &mut Group) -> Change {
        let key = format!("row {}", self.random.below(12)).into_bytes();
        match self.random.below(8) {
            0 | 1 => Change::Set(key, {
                let len = self.random.below(200);
                self.random.bytes(len)
            }),
            2 => Change::Unset(key),
            3 | 4 => {
                let owned: Vec<u64> =
                    self.expected.bodies.keys().filter(|(owner, _)| *owner == shard).map(|(_, blob)| *blob).collect();
                match owned.len() {
                    0 => Change::Unset(key),
                    len => Change::Forget(owned[self.random.below(len as u64) as usize]),
                }
            }
            kind => {
                let len = if kind == 7 { 5000 + self.random.below(8000) } else { self.random.below(2500) };
                let bytes: Arc<[u8]> = self.random.bytes(len).into();
                let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
                if kind == 7 && self.random.below(2) == 0 && !group.bodies.contains_key(&hash) {
                    group.staged.push(hash);
                }
                group.bodies.insert(hash, bytes);
                self.next_blob += 1;
                Change::Body(self.next_blob, hash)
            }
        }
    }
}

/// Fails the test with what is needed to find the case again.
pub fn must<T, E: std::fmt::Display>(result: Result<T, E>, name: &str) -> T {
    result.unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn exists(fs: &RecordedFs, path: &Path) -> bool {
    fs.disk().read(path).is_some()
}
