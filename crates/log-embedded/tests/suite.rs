//! The embedded engine keeps the promises of every engine.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use paquebot_log::{Log, suite};
use paquebot_log_embedded::EmbeddedLog;
use paquebot_store::fs::RealFs;
use paquebot_store::{Options, Store};
use paquebot_types::{Sequence, ShardId};

fn open(dir: &std::path::Path) -> (Arc<Store>, EmbeddedLog) {
    let (store, tail) = Store::open(Arc::new(RealFs), dir, Options::default()).unwrap();
    let store = Arc::new(store);
    (store.clone(), EmbeddedLog::open(store, tail).unwrap())
}

#[tokio::test]
async fn the_engine_passes_the_suite() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, log) = open(dir.path());
    suite::run(Arc::new(log)).await;
}

#[tokio::test]
async fn the_engine_passes_the_suite_behind_faults() {
    for seed in 1..=4 {
        let dir = tempfile::tempdir().unwrap();
        let (_store, log) = open(dir.path());
        suite::run_with_faults(Arc::new(log), seed).await;
    }
}

#[tokio::test]
async fn records_are_there_when_the_log_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let shard = ShardId(9);
    let sent = suite::numbered(7);
    {
        let (_store, log) = open(dir.path());
        assert_eq!(log.append(shard, sent.clone(), Vec::new()).await.unwrap(), Sequence(1));
        // The writing thread has the store until the log is gone and it sees so.
    }
    let (_store, log) = loop {
        match Store::open(Arc::new(RealFs), dir.path(), Options::default()) {
            Ok((store, tail)) => {
                let store = Arc::new(store);
                break (store.clone(), EmbeddedLog::open(store, tail).unwrap());
            }
            Err(paquebot_store::OpenError::Locked { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(log.last(shard).await.unwrap(), Sequence(1));
    let (feed, mut entries) = tokio::sync::mpsc::channel(8);
    log.follow(shard, Sequence::ZERO, feed).await.unwrap();
    let paquebot_log::Fed::Entries(entries) = entries.recv().await.unwrap() else { panic!("the log failed") };
    assert_eq!(entries[0].record, sent);
}
