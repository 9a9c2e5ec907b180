//! What one revision of etcd did to a shard.

use paquebot_log::LogError;
use paquebot_model::{Record, RecordError, RecordId};
use paquebot_types::ShardId;

use crate::keys::{Base, Keys, ShardKey};
use crate::kv::Event;

/// One transaction's effect on a shard.
#[derive(Debug, Default)]
pub struct Change {
    pub revision: i64,
    /// A transaction makes at most one record of a shard, so that revisions order them.
    pub record: Option<Record>,
    pub removed: Vec<RecordId>,
    pub base: Option<Base>,
}

/// The changes in a watch's events, by ascending revision.
pub fn changes(keys: &Keys, shard: ShardId, events: &[Event]) -> Result<Vec<Change>, LogError> {
    let mut changes: Vec<Change> = Vec::new();
    for event in events {
        let (Event::Put(pair) | Event::Delete(pair)) = event;
        let revision = pair.changed;
        if changes.last().is_none_or(|last| last.revision != revision) {
            changes.push(Change { revision, ..Change::default() });
        }
        let Some(change) = changes.last_mut() else { continue };
        match (keys.parse(shard, &pair.key), event) {
            (ShardKey::Record(id), Event::Put(_)) => {
                if pair.version != 1 || change.record.is_some() {
                    let strange = format!("{}: it was not made by Paquebot", shown(&pair.key));
                    return Err(LogError::Damaged(strange));
                }
                change.record = Some(decode(id, &pair.value)?);
            }
            (ShardKey::Record(id), Event::Delete(_)) => change.removed.push(id),
            (ShardKey::Base, Event::Put(_)) => change.base = Some(base(&pair.value)?),
            (ShardKey::Base, Event::Delete(_)) => {
                return Err(LogError::Lost(format!("{} was removed", shown(&pair.key))));
            }
            (ShardKey::Other, _) => {}
        }
    }
    Ok(changes)
}

/// A record, as the key that has this id holds it.
pub fn decode(id: RecordId, value: &[u8]) -> Result<Record, LogError> {
    let record = Record::decode(value).map_err(|error| match error {
        RecordError::NewerVersion(version) => LogError::Newer(version),
        error => LogError::Damaged(error.to_string()),
    })?;
    match record.id == id {
        true => Ok(record),
        false => Err(LogError::Damaged(format!("record {id:?} has the id {:?} in it", record.id))),
    }
}

pub fn base(value: &[u8]) -> Result<Base, LogError> {
    Base::decode(value).ok_or_else(|| LogError::Damaged(format!("the base is {:?}", shown(value))))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
