//! What every engine must pass. A test of an engine calls [`run`] with a log that has no records.

use std::sync::Arc;

use paquebot_model::{Op, Record, RecordId};
use paquebot_types::{Sequence, ShardId};
use tokio::sync::mpsc;

use crate::faulty::FaultyLog;
use crate::{AppendError, Fed, Log};

/// A record that tells its number.
pub fn numbered(number: u64) -> Record {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let op = Op::RemoveLogin { name: format!("record {number}") };
    Record { id: RecordId(id), after: Sequence::ZERO, time_ms: number, node: "suite".into(), ops: vec![op] }
}

/// Appends from several tasks and reads from several places: one order, no gap, nothing twice, nothing acknowledged missing.
///
/// # Panics
/// When the engine breaks a promise of [`Log`].
pub async fn run(log: Arc<dyn Log>) {
    let (one, other) = (ShardId(3), ShardId(4));
    assert_eq!(log.last(one).await.expect("last of an empty log"), Sequence::ZERO);

    let early = follow(&*log, one, Sequence::ZERO).await;
    let appenders: Vec<_> = (0..8u64)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0..25 {
                    let shard = if n % 5 == 4 { other } else { one };
                    let record = numbered(task * 1000 + n);
                    let sequence = log.append(shard, record.clone(), Vec::new()).await.expect("append");
                    acknowledged.push((shard, sequence, record));
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for appender in appenders {
        let own = appender.await.expect("an appender ends");
        let of_one: Vec<_> = own.iter().filter(|(shard, ..)| *shard == one).map(|(_, sequence, _)| *sequence).collect();
        assert!(of_one.is_sorted(), "a later append has a later sequence");
        acknowledged.extend(own);
    }

    let seen = collect(early, 8 * 20).await;
    for (shard, sequence, record) in acknowledged.iter().filter(|(shard, ..)| *shard == one) {
        assert!(seen.iter().any(|(at, found)| at == sequence && found == record), "{shard} {sequence} is missing");
    }
    let last = log.last(one).await.expect("last");
    assert_eq!(seen.last().map(|(sequence, _)| *sequence), Some(last));

    let middle = seen[seen.len() / 2].0;
    let late = collect(follow(&*log, one, middle).await, seen.len() - seen.len() / 2 - 1).await;
    assert_eq!(late, seen[seen.len() / 2 + 1..], "a late reader sees the same records");
}

/// Attempts at a record, at most: one in three fails.
const ATTEMPTS: usize = 100;

/// The same behind a log that loses answers, sends twice, refuses and is late, with appenders that ask again until they know. Gives the
/// shard's records. An id may be in an engine's log twice: the model applies it once.
///
/// # Panics
/// When the engine breaks a promise of [`Log`].
pub async fn run_with_faults(log: Arc<dyn Log>, seed: u64) -> Vec<(Sequence, Record)> {
    let shard = ShardId(5);
    let faulty: Arc<dyn Log> = Arc::new(FaultyLog::new(log.clone(), seed));
    let early = follow(&*faulty, shard, Sequence::ZERO).await;
    let appenders: Vec<_> = (0..4u64)
        .map(|task| {
            let log = faulty.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for n in 0..25 {
                    let record = numbered(seed * 1_000_000 + task * 1000 + n);
                    acknowledged.push((append_until_known(&*log, shard, &record).await, record));
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for appender in appenders {
        acknowledged.extend(appender.await.expect("an appender ends"));
    }

    let last = log.last(shard).await.expect("last");
    let seen = collect_to(early, last).await;
    for (sequence, record) in &acknowledged {
        assert!(seen.iter().any(|(at, found)| at == sequence && found == record), "seed {seed}: {sequence} is missing");
    }
    for (sequence, record) in &seen {
        assert!(acknowledged.iter().any(|(_, sent)| sent == record), "seed {seed}: nobody sent {sequence}");
    }
    let late = collect_to(follow(&*log, shard, Sequence::ZERO).await, last).await;
    assert_eq!(late, seen, "seed {seed}: two readers see the same records");
    seen
}

async fn append_until_known(log: &dyn Log, shard: ShardId, record: &Record) -> Sequence {
    for _ in 0..ATTEMPTS {
        match log.append(shard, record.clone(), Vec::new()).await {
            Ok(sequence) => return sequence,
            Err(AppendError::Unavailable(_) | AppendError::Unknown(_)) => {}
            Err(AppendError::Full) => break,
        }
    }
    panic!("an append does not come through");
}

async fn follow(log: &dyn Log, shard: ShardId, after: Sequence) -> mpsc::Receiver<Fed> {
    let (feed, entries) = mpsc::channel(1024);
    log.follow(shard, after, feed).await.expect("follow");
    entries
}

/// The next `count` records, which must ascend.
async fn collect(entries: mpsc::Receiver<Fed>, count: usize) -> Vec<(Sequence, Record)> {
    collect_until(entries, |seen| seen.len() >= count).await
}

/// The records up to `last`, which must ascend.
async fn collect_to(entries: mpsc::Receiver<Fed>, last: Sequence) -> Vec<(Sequence, Record)> {
    collect_until(entries, |seen| seen.last().map_or(Sequence::ZERO, |(sequence, _)| *sequence) >= last).await
}

async fn collect_until(
    mut entries: mpsc::Receiver<Fed>,
    enough: impl Fn(&[(Sequence, Record)]) -> bool,
) -> Vec<(Sequence, Record)> {
    let mut seen: Vec<(Sequence, Record)> = Vec::new();
    while !enough(&seen) {
        match entries.recv().await.expect("the feed goes on") {
            Fed::Entries(entries) => seen.extend(entries.into_iter().map(|entry| (entry.sequence, entry.record))),
            Fed::Failed(shard, error) => panic!("shard {shard}: {error}"),
        }
    }
    assert!(seen.is_sorted_by(|a, b| a.0 < b.0), "records come once and in order");
    seen
}
