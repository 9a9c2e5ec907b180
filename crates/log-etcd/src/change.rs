//! What one revision of etcd did to a shard.

use etcd_client::{Event, EventType};
use paquebot_log::LogError;
use paquebot_model::{Record, RecordError, RecordId};
use paquebot_types::ShardId;

use crate::keys::{Base, Keys, ShardKey};

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
        let Some(kv) = event.kv() else { continue };
        let revision = kv.mod_revision();
        if changes.last().is_none_or(|last| last.revision != revision) {
            changes.push(Change { revision, ..Change::default() });
        }
        let Some(change) = changes.last_mut() else { continue };
        match (keys.parse(shard, kv.key()), event.event_type()) {
            (ShardKey::Record(id), EventType::Put) => {
                let strange = || LogError::Damaged(format!("{}: it was not made by Paquebot", kv_name(kv.key())));
                if kv.version() != 1 || change.record.is_some() {
                    return Err(strange());
                }
                change.record = Some(decode(id, kv.value())?);
            }
            (ShardKey::Record(id), EventType::Delete) => change.removed.push(id),
            (ShardKey::Base, EventType::Put) => change.base = Some(base(kv.value())?),
            (ShardKey::Base, EventType::Delete) => {
                return Err(LogError::Lost(format!("{} was removed", kv_name(kv.key()))));
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
    Base::decode(value).ok_or_else(|| LogError::Damaged(format!("the base is {:?}", kv_name(value))))
}

fn kv_name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
