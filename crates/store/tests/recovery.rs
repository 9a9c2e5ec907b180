//! Opening what was cut off, damaged or taken away: a torn write is dropped, damage is an error, and neither is taken for the other.
#![allow(clippy::unwrap_used)]

mod toy;

use std::path::PathBuf;
use std::sync::Arc;

use paquebot_store::fs::Fs;
use paquebot_store::recorded::{Disk, RecordedFs};
use paquebot_store::{GroupItem, OpenError, Options, Problem, Store, Tail};
use paquebot_types::{BlobHash, Sequence, ShardId};
use toy::{Generator, dir, open, options};

/// One pack, no checkpoint by itself.
fn roomy() -> Options {
    Options { pack_bytes: 1 << 20, ..options() }
}

fn open_with(disk: &Disk, options: Options) -> Result<(Store, Tail), OpenError> {
    Store::open(Arc::new(RecordedFs::from_disk(disk.clone())) as Arc<dyn Fs>, &dir(), options)
}

fn pack(number: u64) -> PathBuf {
    dir().join(format!("packs/{number:08}.pack"))
}

/// A store with groups that no checkpoint knows. Gives the disk and where each group starts, and the end.
fn tail_of(groups: usize) -> (Disk, Vec<usize>) {
    let fs = RecordedFs::new();
    let (store, _) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &dir(), roomy()).unwrap();
    let mut starts = vec![64];
    for number in 1..=groups as u64 {
        let body = vec![number as u8; 700];
        let hash = BlobHash(*blake3::hash(&body).as_bytes());
        let record = GroupItem::Record { shard: ShardId(1), sequence: Sequence(number), bytes: b"a record" };
        let appended = store.append_group(&[GroupItem::Body { hash, bytes: &body }, record]).unwrap();
        starts.push(appended.position.offset as usize);
    }
    let disk = fs.disk();
    drop(store);
    (disk, starts)
}

fn sequences(tail: &Tail) -> Vec<u64> {
    tail.groups.iter().flat_map(|group| &group.records).map(|record| record.sequence.0).collect()
}

#[test]
fn every_truncation_of_the_last_group_drops_just_that_group() {
    let (disk, starts) = tail_of(3);
    let (start, end) = (starts[2], starts[3]);
    for cut in start..=end {
        let mut cut_disk = disk.clone();
        cut_disk.edit(&pack(1), |bytes| bytes.truncate(cut));
        let (store, tail) = open_with(&cut_disk, roomy()).unwrap();
        let expected: &[u64] = if cut == end { &[1, 2, 3] } else { &[1, 2] };
        assert_eq!(sequences(&tail), expected, "cut at {cut}");
        assert_eq!(tail.torn.map(|torn| torn.bytes), (cut > start && cut < end).then_some((cut - start) as u64));
        // The place is good for another group.
        let next = Sequence(expected.len() as u64 + 1);
        store.append_group(&[GroupItem::Record { shard: ShardId(1), sequence: next, bytes: b"next" }]).unwrap();
    }
}

#[test]
fn zeros_in_place_of_the_last_groups_end_are_a_torn_write() {
    let (disk, starts) = tail_of(3);
    for from in (starts[2]..starts[3]).step_by(13) {
        let mut torn = disk.clone();
        torn.edit(&pack(1), |bytes| bytes[from..starts[3]].fill(0));
        let (_, tail) = open_with(&torn, roomy()).unwrap();
        assert_eq!(sequences(&tail), [1, 2], "zeros from {from}");
    }
}

#[test]
fn damage_before_the_last_group_is_an_error_at_every_byte() {
    let (disk, starts) = tail_of(3);
    for at in (starts[0]..starts[2]).step_by(7) {
        let mut damaged = disk.clone();
        damaged.edit(&pack(1), |bytes| bytes[at] ^= 0x40);
        match open_with(&damaged, roomy()) {
            Err(OpenError::Corrupt { offset, .. }) => {
                let group = starts.iter().rposition(|start| *start <= at).unwrap();
                assert_eq!(offset as usize, starts[group], "byte {at}");
            }
            // Padding carries nothing, and is not covered by a checksum.
            Ok((_, tail)) => assert_eq!(sequences(&tail), [1, 2, 3], "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn a_pack_that_is_shorter_than_the_checkpoint_is_an_error() {
    let fs = RecordedFs::new();
    let (store, _) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &dir(), roomy()).unwrap();
    let mut make = Generator::new(4);
    for _ in 0..3 {
        let group = make.group();
        let bodies = group.append(&store).unwrap();
        group.apply(&store, &bodies).unwrap();
        make.expected.apply(&group);
    }
    store.checkpoint().unwrap();
    drop(store);
    let mut disk = fs.disk();
    let (_, tail) = open_with(&disk, roomy()).unwrap();
    assert!(tail.groups.is_empty() && tail.torn.is_none());
    disk.edit(&pack(1), |bytes| bytes.truncate(100));
    assert!(matches!(open_with(&disk, roomy()), Err(OpenError::Corrupt { .. })));
}

#[test]
fn a_mail_that_holds_a_pack_is_not_taken_for_the_log() {
    // Somebody mails the bytes of a group of another store, with a later number, and the write of that mail is torn.
    let (foreign, starts) = tail_of(9);
    let forged = foreign.read(&pack(1)).unwrap()[starts[5]..starts[9]].to_vec();
    let fs = RecordedFs::new();
    let (store, _) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &dir(), roomy()).unwrap();
    let hash = BlobHash(*blake3::hash(&forged).as_bytes());
    let record = GroupItem::Record { shard: ShardId(1), sequence: Sequence(1), bytes: b"r" };
    let end = store.append_group(&[GroupItem::Body { hash, bytes: &forged }, record]).unwrap().position.offset as usize;
    let mut disk = fs.disk();
    disk.edit(&pack(1), |bytes| bytes[end - 80..end].fill(0));
    let (_, tail) = open_with(&disk, roomy()).unwrap();
    assert_eq!(sequences(&tail), [] as [u64; 0]);
    assert!(tail.torn.is_some());
}

/// A store of some packs, closed in good order.
fn closed() -> (Disk, Generator) {
    let fs = RecordedFs::new();
    let store = open(&fs).unwrap();
    let mut make = Generator::new(11);
    for _ in 0..40 {
        let group = make.group();
        let bodies = group.append(&store).unwrap();
        group.apply(&store, &bodies).unwrap();
        make.expected.apply(&group);
    }
    store.checkpoint().unwrap();
    drop(store);
    (fs.disk(), make)
}

#[test]
fn what_is_missing_or_foreign_is_named() {
    let (disk, _) = closed();
    let without = |path: &str| {
        let mut disk = disk.clone();
        disk.remove(&dir().join(path));
        open_with(&disk, options()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(without("store"), OpenError::NoIdentity { .. }));
    assert!(matches!(without("index.redb"), OpenError::Io { path, .. } if path.ends_with("index.redb")));
    let last = disk.files().filter(|path| path.starts_with(dir().join("packs"))).max().unwrap().to_owned();
    let name = format!("packs/{}", last.file_name().unwrap().to_str().unwrap());
    assert!(matches!(without(&name), OpenError::Missing { .. }));

    let edited = |path: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut disk = disk.clone();
        disk.edit(&dir().join(path), |bytes| edit(bytes));
        open_with(&disk, options()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(edited("store", &|bytes| bytes[40] ^= 1), OpenError::Damaged { .. }));
    assert!(matches!(edited("store", &|bytes| bytes.clear()), OpenError::Damaged { .. }));
    assert!(matches!(edited("index.redb", &|bytes| bytes.clear()), OpenError::Index(_)));
    let (other, _) = closed();
    let identity = other.read(&dir().join("store")).unwrap().to_vec();
    assert!(matches!(edited("store", &|bytes| *bytes = identity.clone()), OpenError::Foreign { .. }));
    let newer = |bytes: &mut Vec<u8>| {
        bytes[12] = 2;
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    };
    assert!(matches!(edited("store", &newer), OpenError::Newer { version: 2, .. }));
}

#[test]
fn a_check_finds_any_damaged_byte_that_matters() {
    let (disk, make) = closed();
    let packs: Vec<PathBuf> =
        disk.files().filter(|path| path.to_str().unwrap().contains('.')).map(PathBuf::from).collect();
    let packs: Vec<PathBuf> = packs.into_iter().filter(|path| !path.ends_with("index.redb")).collect();
    assert!(packs.iter().any(|path| path.starts_with(dir().join("bodies"))), "large bodies have packs of their own");
    let mut random = toy::Random(8);
    let (mut found, mut padding) = (0, 0);
    for _ in 0..120 {
        let path = &packs[random.below(packs.len() as u64) as usize];
        let mut damaged = disk.clone();
        let mut at = 0;
        damaged.edit(path, |bytes| {
            at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        });
        let Ok((store, _)) = open_with(&damaged, options()) else { continue };
        let problems = store.check(&mut ()).unwrap().problems;
        if problems.is_empty() {
            // Only padding, or space past the end, may change unseen: every body is still what it was.
            padding += 1;
            assert_eq!(make.expected.differs(&store), None);
        } else {
            found += 1;
            let damaged =
                problems.iter().all(|problem| matches!(problem, Problem::Damaged { .. } | Problem::Body { .. }));
            assert!(damaged, "{}: byte {at}: {problems:?}", path.display());
        }
    }
    assert!(found > 60, "{found} found, {padding} not");
}

#[test]
fn a_damaged_index_is_an_error_when_it_is_verified() {
    let (disk, make) = closed();
    let mut random = toy::Random(3);
    let (mut refused, mut unharmed) = (0, 0);
    for _ in 0..300 {
        let mut damaged = disk.clone();
        let mut at = 0;
        damaged.edit(&dir().join("index.redb"), |bytes| {
            at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        });
        match open_with(&damaged, Options { verify_index: true, ..options() }) {
            Ok((store, _)) => {
                assert_eq!(make.expected.differs(&store), None, "byte {at}");
                assert_eq!(store.check(&mut ()).unwrap().problems, [], "byte {at}");
                unharmed += 1;
            }
            Err(OpenError::Index(_)) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(refused > 10, "{refused} refused, {unharmed} in pages that are not used");
}

#[test]
fn a_backup_made_while_serving_opens_as_a_store() {
    let fs = RecordedFs::new();
    let store = open(&fs).unwrap();
    let mut make = Generator::new(12);
    let copy = PathBuf::from("/copy");
    for number in 0..60 {
        let group = make.group();
        let bodies = group.append(&store).unwrap();
        make.expected.apply(&group);
        // The last of them lie in the log only.
        if number < 55 {
            group.apply(&store, &bodies).unwrap();
        }
        if number == 30 {
            store.reclaim(&paquebot_store::Budget { copy_bytes: u64::MAX, dead_percent: 10 }).unwrap();
        }
    }
    let mut heard = (0, 0);
    let backup = store.backup(&copy, &mut |done, total| heard = (done, total)).unwrap();
    assert_eq!(heard, (backup.bytes, backup.bytes));
    assert!(store.backup(&copy, &mut |_, _| {}).is_err(), "a backup is not overwritten");
    drop(store);
    let (copied, tail) = Store::open(Arc::new(fs.clone()) as Arc<dyn Fs>, &copy, options()).unwrap();
    toy::apply_tail(&tail, |change| copied.write(change)).unwrap();
    assert_eq!(make.expected.differs(&copied), None);
    copied.checkpoint().unwrap();
    assert_eq!(copied.check(&mut ()).unwrap().problems, []);
    assert_eq!(make.expected.differs(&copied), None);
}
