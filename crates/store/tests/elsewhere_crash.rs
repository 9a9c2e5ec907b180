//! A log that lies elsewhere: crashes and errors at every operation of pins, wants, placing, taking in and dropping. A body that was
//! received is not lost before its record is applied, nor after; what is lost otherwise is wanted; no shard is used by half.
#![allow(clippy::unwrap_used)]

mod elsewhere;
mod toy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use elsewhere::{Elsewhere, Ends, Here, Owner, Prove, differs, follow, heal, here, import, open, receive};
use paquebot_store::recorded::{CrashState, Fault, Limits, RecordedFs, When};
use paquebot_store::{Budget, Fetched, Store, Wanted};
use paquebot_types::{BlobHash, BlobId, Sequence, ShardId};
use toy::{Change, Random, Record, SHARDS, account, must};

const ALL: Budget = Budget { copy_bytes: u64::MAX, dead_percent: 10 };

/// What is so from an operation on.
#[derive(Debug, Clone)]
enum Event {
    /// A record is in the log.
    Record(ShardId),
    /// The body must be here whenever its owner is.
    Secure(Owner),
    /// It need not be any more.
    Unsecure(Owner),
    /// The store has said so.
    Durable(Vec<(ShardId, Sequence)>),
    /// It is about to be taken in or dropped.
    Moving(ShardId),
}

/// The outcome of the events up to an operation.
#[derive(Default)]
struct Known {
    ends: Ends,
    secured: BTreeSet<Owner>,
    durable: BTreeMap<ShardId, Sequence>,
}

struct Node {
    fs: RecordedFs,
    store: Option<Store>,
    here: Here,
    elsewhere: Elsewhere,
    random: Random,
    events: Vec<(usize, Event)>,
    /// Placed since the last checkpoint.
    placed: BTreeSet<Owner>,
    next_blob: u64,
    recovered: usize,
}

/// A step met an error.
struct Failed;

impl<E: std::error::Error> From<E> for Failed {
    fn from(_: E) -> Self {
        Self
    }
}

impl Node {
    fn new(fs: RecordedFs, seed: u64) -> Self {
        let elsewhere = Elsewhere { records: SHARDS.map(|shard| (shard, Vec::new())).into(), ..Elsewhere::default() };
        Self {
            fs,
            store: None,
            here: Here::new(),
            elsewhere,
            random: Random(seed),
            events: Vec::new(),
            placed: BTreeSet::new(),
            next_blob: 0,
            recovered: 0,
        }
    }

    fn event(&mut self, event: Event) {
        self.events.push((self.fs.recorded(), event));
    }

    fn known(&self, after: usize) -> Known {
        let mut known = Known { ends: SHARDS.map(|shard| (shard, 0)).into(), ..Known::default() };
        for (_, event) in self.events.iter().filter(|(at, _)| *at <= after) {
            match event {
                Event::Record(shard) => *known.ends.get_mut(shard).unwrap() += 1,
                Event::Secure(owner) => drop(known.secured.insert(*owner)),
                Event::Unsecure(owner) => drop(known.secured.remove(owner)),
                Event::Durable(durable) => known.durable = durable.iter().copied().collect(),
                Event::Moving(shard) => drop(known.durable.remove(shard)),
            }
        }
        known
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            let Some(store) = self.open() else { continue };
            if self.step(&store).is_err() {
                self.recover(store);
            }
        }
    }

    fn open(&mut self) -> Option<Store> {
        if self.store.is_none() {
            self.placed.clear();
            let (store, here) = open(&self.fs).ok()?;
            (self.store, self.here) = (Some(store), here);
        }
        self.store.clone()
    }

    /// What a node does after an error: opens the failed index again, or else the store.
    fn recover(&mut self, store: Store) {
        self.placed.clear();
        if store.is_poisoned() {
            drop(store);
            (self.store, self.here) = (None, Here::new());
            self.fs.set_fault(None);
            return;
        }
        if store.read().is_ok() {
            return;
        }
        let recovered = store.recover_index().map(|(recovery, tail)| {
            // Pins of before are as good as those of the tail.
            self.here.extend(here(tail));
            recovery.finish();
        });
        match recovered {
            Ok(()) => self.recovered += 1,
            Err(_) => (self.store, self.here) = (None, Here::new()),
        }
    }

    fn step(&mut self, store: &Store) -> Result<(), Failed> {
        match self.random.below(16) {
            0..=5 => self.propose(store)?,
            6 => self.give_up(store),
            7 => self.checkpoint(store)?,
            8 => drop(store.reclaim(&ALL)?),
            9 | 10 => self.place(store)?,
            11 => self.doubt(store)?,
            12 => self.take_in(store)?,
            13 => self.drop_shard(store)?,
            14 => {
                // A start, at which nothing is durable but the last checkpoint.
                (self.store, self.here) = (None, Here::new());
                return Ok(());
            }
            _ => {}
        }
        // The index follows a little behind.
        if self.random.below(3) > 0 {
            self.follow(store)?;
        }
        self.event(Event::Durable(store.durable()));
        Ok(())
    }

    fn follow(&mut self, store: &Store) -> Result<(), Failed> {
        follow(store, &self.elsewhere, &self.elsewhere.ends(), &self.here)?;
        self.here.clear();
        Ok(())
    }

    fn body(&mut self) -> (BlobHash, Arc<[u8]>) {
        let len = if self.random.below(5) == 0 { 5000 + self.random.below(6000) } else { 20 + self.random.below(2500) };
        let bytes: Arc<[u8]> = self.random.bytes(len).into();
        let hash = BlobHash(*blake3::hash(&bytes).as_bytes());
        self.elsewhere.bodies.insert(hash, bytes.clone());
        (hash, bytes)
    }

    fn propose(&mut self, store: &Store) -> Result<(), Failed> {
        let shard = SHARDS[self.random.below(2) as usize];
        let records = &self.elsewhere.records[&shard];
        let state = self.elsewhere.state(shard, records.len());
        let sequence = Sequence(records.len() as u64 + 1);
        let (mut changes, mut bodies, mut staged, mut owners) = (Vec::new(), Vec::new(), BTreeSet::new(), Vec::new());
        for _ in 0..1 + self.random.below(4) {
            let key = format!("row {}", self.random.below(9)).into_bytes();
            let owned: Vec<u64> = state.bodies.keys().copied().collect();
            match self.random.below(8) {
                0 => changes.push(Change::Set(key, vec![7; self.random.below(300) as usize])),
                1 => changes.push(Change::Unset(key)),
                2 if !owned.is_empty() => {
                    changes.push(Change::Forget(owned[self.random.below(owned.len() as u64) as usize]));
                }
                kind => {
                    let (hash, bytes) = self.body();
                    self.next_blob += 1;
                    changes.push(Change::Body(self.next_blob, hash));
                    // Some come to others only.
                    if kind > 3 {
                        if bytes.len() > 5000 {
                            staged.insert(hash);
                        }
                        bodies.push((hash, bytes));
                        owners.push((shard, self.next_blob));
                    }
                }
            }
        }
        if !bodies.is_empty() {
            let Some(received) = receive(store, &bodies, &staged) else { return Err(Failed) };
            self.here.extend(received);
            // With the record they must be found, unless the record's shard is taken in again with the record in it.
            if !store.importing()?.contains(&shard) {
                owners.into_iter().for_each(|owner| self.event(Event::Secure(owner)));
            }
        }
        self.elsewhere.records.get_mut(&shard).unwrap().push(Record { shard, sequence, changes });
        self.event(Event::Record(shard));
        Ok(())
    }

    /// Bodies whose record never comes.
    fn give_up(&mut self, store: &Store) {
        let (hash, bytes) = self.body();
        let staged = if self.random.below(2) == 0 { BTreeSet::from([hash]) } else { BTreeSet::new() };
        drop(receive(store, &[(hash, bytes)], &staged));
    }

    fn checkpoint(&mut self, store: &Store) -> Result<(), Failed> {
        store.checkpoint()?;
        self.made_durable();
        Ok(())
    }

    fn made_durable(&mut self) {
        std::mem::take(&mut self.placed).into_iter().for_each(|owner| self.event(Event::Secure(owner)));
    }

    fn place(&mut self, store: &Store) -> Result<(), Failed> {
        let wanted = store.read()?.wanted(None, 3)?;
        let mut staged = Vec::new();
        for wanted in &wanted {
            let mut body = store.stage()?;
            body.write(&self.elsewhere.bodies[&wanted.hash])?;
            staged.push(body.finish()?);
        }
        let mut fetched: Vec<(Wanted, Fetched<'_>)> = Vec::new();
        for (wanted, blob) in wanted.iter().zip(&staged) {
            let bytes = &self.elsewhere.bodies[&wanted.hash];
            let body = if self.random.below(2) == 0 { Fetched::Staged(blob) } else { Fetched::Bytes(bytes) };
            fetched.push((*wanted, body));
        }
        assert!(store.place(&fetched)?.iter().all(|placed| *placed));
        self.placed.extend(wanted.iter().map(|wanted| (wanted.shard, wanted.blob.get())));
        Ok(())
    }

    fn doubt(&mut self, store: &Store) -> Result<(), Failed> {
        let shard = SHARDS[self.random.below(2) as usize];
        let snapshot = store.read()?;
        for (blob, hash) in self.elsewhere.state(shard, self.elsewhere.records[&shard].len()).bodies {
            let body = Wanted { shard, account: account(), blob: BlobId::new(blob).unwrap(), hash };
            if let Some(location) = snapshot.location(shard, account(), body.blob)? {
                self.placed.remove(&(shard, blob));
                self.event(Event::Unsecure((shard, blob)));
                assert!(store.doubt(&body, location)?);
                assert!(!store.doubt(&body, location)?, "it is there no more");
                break;
            }
        }
        Ok(())
    }

    fn take_in(&mut self, store: &Store) -> Result<(), Failed> {
        let shard = SHARDS[self.random.below(2) as usize];
        // What waits for its record here is given up: the snapshot has the record already.
        let snapshot = store.read()?;
        for blob in self.elsewhere.state(shard, self.elsewhere.records[&shard].len()).bodies.into_keys() {
            if snapshot.location(shard, account(), BlobId::new(blob).unwrap())?.is_none() {
                self.event(Event::Unsecure((shard, blob)));
            }
        }
        drop(snapshot);
        self.event(Event::Moving(shard));
        import(store, &self.elsewhere, &self.elsewhere.ends(), shard)?;
        self.made_durable();
        Ok(())
    }

    fn drop_shard(&mut self, store: &Store) -> Result<(), Failed> {
        let shard = SHARDS[self.random.below(2) as usize];
        let owners: Vec<Owner> =
            (1..=self.next_blob).map(|blob| (shard, blob)).filter(|owner| self.owns(owner)).collect();
        owners.into_iter().for_each(|owner| self.event(Event::Unsecure(owner)));
        self.placed.retain(|owner| owner.0 != shard);
        self.event(Event::Moving(shard));
        store.drop_shard(shard)?;
        self.made_durable();
        Ok(())
    }

    fn owns(&self, (shard, blob): &Owner) -> bool {
        let records = &self.elsewhere.records[shard];
        records
            .iter()
            .flat_map(|record| &record.changes)
            .any(|change| matches!(change, Change::Body(b, _) if b == blob))
    }

    /// A crash has left this. The log cannot be reached at first, and the store goes on with what it has.
    fn verify(&self, state: &CrashState) {
        let CrashState { after, disk, name } = state;
        let known = self.known(*after);
        let fs = RecordedFs::from_disk(disk.clone());
        let (store, here) = must(open(&fs), name);
        for (shard, durable) in &known.durable {
            let applied = store.read().unwrap().applied(*shard).unwrap().sequence;
            assert!(applied >= *durable, "{name}: {shard} at {applied}, {durable} was said to be durable");
        }
        if after % 2 == 0 {
            must(store.checkpoint(), name);
            must(store.reclaim(&ALL), name);
        }
        must(follow(&store, &self.elsewhere, &known.ends, &here), name);
        drop(here);
        let differs = |store: &Store, secured| differs(store, &self.elsewhere, &known.ends, secured);
        assert_eq!(differs(&store, &known.secured), None, "{name}");
        assert_eq!(must(store.check(&mut Prove), name).problems, [], "{name}");
        if (after + name.len()) % 4 != 0 {
            return;
        }
        heal(&store, &self.elsewhere);
        must(store.checkpoint(), name);
        must(store.reclaim(&ALL), name);
        drop(store);
        let (store, _) = must(open(&fs), name);
        let all = (1..=self.next_blob).flat_map(|blob| SHARDS.map(|shard| (shard, blob))).collect();
        assert_eq!(differs(&store, &all), None, "{name}, healed");
        assert_eq!(must(store.check(&mut Prove), name).problems, [], "{name}, healed");
    }

    fn verify_now(&mut self, name: &str) {
        self.fs.set_fault(None);
        if let Some(store) = self.store.take()
            && store.read().is_ok()
        {
            must(follow(&store, &self.elsewhere, &self.elsewhere.ends(), &self.here), name);
            let known = self.known(usize::MAX);
            assert_eq!(differs(&store, &self.elsewhere, &known.ends, &known.secured), None, "{name}");
        }
        self.here.clear();
        let now = self.fs.recorded();
        self.fs.crash_states(now..now + 1, &Limits { each: 1, random: 1, seed: 3 }, &mut |mut state| {
            state.name = format!("{name}, {}", state.name);
            self.verify(&state);
        });
    }
}

#[test]
fn a_crash_at_any_operation_keeps_what_was_received() {
    for seed in [1, 2] {
        let mut node = Node::new(RecordedFs::new(), seed);
        node.run(40);
        node.store = None;
        node.here.clear();
        let operations = node.fs.recorded() + 1;
        let (next, shown) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| {
                    loop {
                        let from = next.fetch_add(64, Ordering::Relaxed);
                        if from >= operations {
                            return;
                        }
                        let limits = Limits { each: 1, random: 1, seed };
                        node.fs.crash_states(from..from + 64, &limits, &mut |state| {
                            shown.fetch_add(1, Ordering::Relaxed);
                            node.verify(&state);
                        });
                    }
                });
            }
        });
        let records: usize = node.elsewhere.ends().values().sum();
        println!("seed {seed}: {records} records, {operations} operations, {} states", shown.into_inner());
    }
}

#[test]
fn an_error_at_any_operation_keeps_what_was_received() {
    let run = |fault| {
        let mut node = Node::new(RecordedFs::new(), 4);
        node.fs.set_fault(fault);
        node.run(24);
        node
    };
    let mut node = run(None);
    let operations = node.fs.count();
    node.verify_now("without an error");
    for fault in [Fault::Io, Fault::Full, Fault::Short] {
        let mut recovered = 0;
        for at in (0..operations).step_by(if fault == Fault::Io { 3 } else { 7 }) {
            let mut node = run(Some((When::At(at), fault)));
            recovered += node.recovered;
            node.verify_now(&format!("{fault:?} at {at}"));
        }
        println!("{fault:?}: {operations} operations, {recovered} times the index recovered");
    }
}
