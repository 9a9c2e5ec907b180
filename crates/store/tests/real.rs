//! A store on the real file system: what goes in comes out, before and after a start.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use paquebot_model::{RowChange, Rows};
use paquebot_store::fs::RealFs;
use paquebot_store::{GroupItem, IndexError, OpenError, Options, Store};
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
