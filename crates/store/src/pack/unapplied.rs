//! Which records lie in the log but are not applied yet.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use paquebot_types::{Sequence, ShardId};

use super::pin::{Pin, Pins};
use crate::index::Mark;
use crate::location::Position;

/// The records after the mark that the next commit may name. A checkpoint says "all records of groups before here are applied", so
/// the mark stays at the first group with a record that is not, whatever the order in which shards are applied, and at the first that
/// is pinned.
#[derive(Debug)]
pub(crate) struct Unapplied {
    end: Mark,
    /// By number: where the group starts, and how many of its records wait.
    groups: BTreeMap<u64, (Position, usize)>,
    /// Each shard's waiting records with their groups, ascending.
    shards: HashMap<ShardId, VecDeque<(Sequence, u64)>>,
    /// They outlive a failed index, and so these books of it.
    pins: Arc<Pins>,
}

impl Unapplied {
    pub(crate) fn new(end: Mark, pins: Arc<Pins>) -> Self {
        Self { end, groups: BTreeMap::new(), shards: HashMap::new(), pins }
    }

    /// A group lies durably in the log: it starts at `start`, the next one will at `end`.
    pub(crate) fn appended(&mut self, start: Mark, end: Mark, records: &[(ShardId, Sequence)]) {
        if !records.is_empty() {
            self.groups.insert(start.group, (start.position, records.len()));
        }
        for &(shard, sequence) in records {
            self.shards.entry(shard).or_default().push_back((sequence, start.group));
        }
        self.end = end;
    }

    /// Every record of the shard up to `sequence` is applied.
    pub(crate) fn applied(&mut self, shard: ShardId, sequence: Sequence) {
        let Some(waiting) = self.shards.get_mut(&shard) else { return };
        while let Some((_, group)) = waiting.pop_front_if(|(waiting, _)| *waiting <= sequence) {
            if let Some((_, records)) = self.groups.get_mut(&group) {
                *records = records.saturating_sub(1);
                if *records == 0 {
                    self.groups.remove(&group);
                }
            }
        }
    }

    /// Where the log is to be read from after a crash, if everything applied so far is durable.
    pub(crate) fn mark(&self) -> Mark {
        let waiting = self.groups.first_key_value();
        let waiting = waiting.map(|(group, (position, _))| Mark { position: *position, group: *group });
        waiting.into_iter().chain(self.pins.first()).min_by_key(|mark| mark.group).unwrap_or(self.end)
    }

    /// Holds the mark at the group that starts at `start`, until the pin is dropped.
    pub(crate) fn pin(&self, start: Mark) -> Pin {
        self.pins.pin(start)
    }

    pub(crate) fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// Where the next group will start.
    pub(crate) fn end(&self) -> Mark {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::PackId;

    fn mark(group: u64) -> Mark {
        Mark { position: Position { pack: PackId(1), offset: group * 100 }, group }
    }

    #[test]
    fn the_mark_stays_at_the_first_group_that_waits() {
        let (a, b) = (ShardId(0), ShardId(1));
        let mut log = Unapplied::new(mark(1), Arc::default());
        log.appended(mark(1), mark(2), &[(a, Sequence(1)), (b, Sequence(1))]);
        log.appended(mark(2), mark(3), &[]);
        log.appended(mark(3), mark(4), &[(b, Sequence(2))]);
        assert_eq!(log.mark(), mark(1));
        log.applied(b, Sequence(2));
        assert_eq!(log.mark(), mark(1), "shard 0 waits in the first group");
        log.applied(a, Sequence(1));
        assert_eq!(log.mark(), mark(4));
        log.applied(a, Sequence(9));
        assert_eq!(log.mark(), log.end());
    }

    #[test]
    fn the_mark_stays_at_a_pinned_group_until_its_last_pin_is_dropped() {
        let mut log = Unapplied::new(mark(1), Arc::default());
        log.appended(mark(1), mark(2), &[]);
        let pin = log.pin(mark(2));
        log.appended(mark(2), mark(3), &[]);
        log.appended(mark(3), mark(4), &[(ShardId(0), Sequence(1))]);
        assert_eq!(log.mark(), mark(2));
        // The index was opened again: its books are new, the pin is not.
        let mut log = Unapplied::new(mark(1), log.pins().clone());
        log.appended(mark(3), mark(4), &[]);
        assert_eq!(log.mark(), mark(2));
        let clone = pin.clone();
        let another = log.pin(mark(2));
        drop((pin, another));
        assert_eq!(log.mark(), mark(2), "a clone is as good");
        drop(clone);
        assert_eq!(log.mark(), mark(4));
    }
}
