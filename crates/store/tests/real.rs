//! A store on the real file system: what goes in comes out, before and after a start, and under many threads.
#![allow(clippy::unwrap_used)]

mod toy;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use paquebot_model::{RowChange, Rows};
use paquebot_store::fs::RealFs;
use paquebot_store::{
    BodyFile, Budget, GroupItem, IndexError, OpenError, Options, ReadTxn, StagedBlob, StagedBody, Store,
};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

#[test]
fn what_is_appended_and_applied_is_there_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (account, blob) = (AccountId::new(1).unwrap(), BlobId::new(1).unwrap());
    let body = b"Subject: x\r\n\r\nbody".as_slice();
    let hash = BlobHash(*blake3::hash(body).as_bytes());
    let location = {
        let (store, tail) = Store::open(Arc::new(RealFs), &data, Options::default()).unwrap();
        assert!(tail.groups.is_empty());
        let record = GroupItem::Record { shard: ShardId(1), sequence: Sequence(1), bytes: b"op" };
        let appended = store.append_group(&[GroupItem::Body { hash, bytes: body }, record]).unwrap();
        let location = appended.bodies[0].1;
        store
            .write(|txn| {
                txn.change(ShardId(1), &[RowChange { key: b"k".to_vec(), value: Some(b"v".to_vec()) }])?;
                txn.set_location(ShardId(1), account, blob, location)?;
                txn.set_applied(ShardId(1), Sequence(1), [7; 32])?;
                Ok::<_, IndexError>(())
            })
            .unwrap();
        location
    };
    let (store, tail) = Store::open(Arc::new(RealFs), &data, Options::default()).unwrap();
    assert!(tail.groups.iter().all(|group| group.records.is_empty()), "{tail:?}");
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.location(ShardId(1), account, blob).unwrap(), Some(location));
    assert_eq!(snapshot.rows(ShardId(1)).get(b"k").unwrap(), Some(b"v".to_vec()));
    assert_eq!(snapshot.applied(ShardId(1)).unwrap().chain, [7; 32]);
    assert_eq!(store.read_body_verified(location).unwrap(), body);
    let second = Store::open(Arc::new(RealFs), &data, Options::default());
    assert!(matches!(second, Err(OpenError::Locked { pid: Some(pid), .. }) if pid == std::process::id()));
}

#[test]
fn checks_reclaiming_and_a_backup_run_while_mail_comes_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (store, _) = Store::open(Arc::new(RealFs), &data, toy::options()).unwrap();
    let mut make = toy::Generator::new(31);
    let done = AtomicBool::new(false);
    let (checks, reclaimed) = std::thread::scope(|scope| {
        let checks = scope.spawn(|| {
            let mut checks = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(store.check(&mut ()).unwrap().problems, []);
                checks += 1;
            }
            checks
        });
        let reclaimed = scope.spawn(|| {
            let mut packs = 0;
            while !done.load(Ordering::Relaxed) {
                packs += store.reclaim(&Budget { copy_bytes: u64::MAX, dead_percent: 30 }).unwrap().packs;
                std::thread::yield_now();
            }
            packs
        });
        for number in 0..150 {
            let group = make.group();
            let bodies = group.append(&store).unwrap();
            group.apply(&store, &bodies).unwrap();
            make.expected.apply(&group);
            if number % 10 == 0 {
                store.checkpoint().unwrap();
            }
            if number == 100 {
                let copy = dir.path().join("copy");
                store.backup(&copy, &mut |_, _| {}).unwrap();
                let (copy, tail) = Store::open(Arc::new(RealFs), &copy, toy::options()).unwrap();
                toy::apply_tail(&tail, |change| copy.write(change)).unwrap();
                assert_eq!(make.expected.differs(&copy), None);
            }
        }
        done.store(true, Ordering::Relaxed);
        (checks.join().unwrap(), reclaimed.join().unwrap())
    });
    assert!(checks > 0 && reclaimed > 0, "{checks} checks, {reclaimed} packs reclaimed");
    assert_eq!(make.expected.differs(&store), None);
    drop(store);
    let (store, tail) = Store::open(Arc::new(RealFs), &data, toy::options()).unwrap();
    assert!(tail.groups.iter().all(|group| group.records.is_empty()));
    assert_eq!(make.expected.differs(&store), None);
    assert_eq!(store.check(&mut ()).unwrap().problems, []);
}

#[test]
fn handles_can_go_to_other_threads() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is_shared::<Store>();
    is_shared::<ReadTxn>();
    is_shared::<BodyFile>();
    is_shared::<StagedBlob>();
    is_sent::<StagedBody>();
}
