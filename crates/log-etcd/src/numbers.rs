//! A shard's numbering: etcd's revisions give the order, and counting gives the sequences.
//!
//! Revisions are shared by everything in etcd, so those of a shard's records have gaps that mean nothing. The sequence of a record is the
//! number of records that were trimmed plus its place among those that are kept. What is trimmed is counted in the same transaction that
//! removes it, so every reader at every time counts to the same numbers, without a counter that appenders would contend for.

use std::collections::VecDeque;

use paquebot_model::RecordId;
use paquebot_types::Sequence;

use crate::kept::{KEPT, Kept};
use crate::keys::Base;

/// Records among which one is looked for whose bodies come late.
const LATELY: usize = 256;

/// A record that has not been trimmed.
#[derive(Debug, Clone)]
pub struct Retained {
    pub revision: i64,
    pub id: RecordId,
    /// `None` when this machine did not expect it.
    pub bodies: Option<Kept>,
}

/// The records of a shard as this node has seen them.
#[derive(Debug, Default)]
pub struct Numbers {
    base: Base,
    retained: VecDeque<Retained>,
}

/// Why what etcd holds cannot follow what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Discord {
    /// Not an error of etcd: it went on without this node for too long.
    #[error("records were trimmed before this node saw them")]
    Missed,
    #[error("etcd has lost records: its log ends at {end}, and this node has seen {seen}")]
    Behind { seen: Sequence, end: Sequence },
    #[error("etcd holds another record {0} than it did")]
    Differs(Sequence),
    #[error("the records from {0} on were removed, but not by trimming")]
    Removed(Sequence),
}

impl Numbers {
    pub fn base(&self) -> Base {
        self.base
    }

    /// The last record's.
    pub fn end(&self) -> Sequence {
        Sequence(self.base.count + self.retained.len() as u64)
    }

    /// The next record. Revisions ascend.
    pub fn push(&mut self, record: Retained) -> Sequence {
        debug_assert!(self.retained.back().is_none_or(|last| last.revision < record.revision));
        self.retained.push_back(record);
        self.end()
    }

    /// Whether the record is among the last that have come.
    pub fn has_lately(&self, id: RecordId) -> bool {
        self.retained.iter().rev().take(LATELY).any(|record| record.id == id)
    }

    /// The sequence of the record that was made at this revision; `None` if there is none, or it has been trimmed.
    pub fn at_revision(&self, revision: i64) -> Option<Sequence> {
        let place = self.retained.binary_search_by_key(&revision, |record| record.revision).ok()?;
        Some(Sequence(self.base.count + place as u64 + 1))
    }

    /// The records after `after`, with their sequences; `None` when some of them have been trimmed.
    pub fn after(&self, after: Sequence) -> Option<Vec<(Sequence, Retained)>> {
        let skipped = after.0.checked_sub(self.base.count)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(self.retained.len());
        let numbered = (self.base.count + 1..).map(Sequence).zip(&self.retained).skip(skipped);
        Some(numbered.map(|(sequence, record)| (sequence, record.clone())).collect())
    }

    /// The first records, up to `upto` and at most `count`, and the base that is left when they are gone; `None` when there are none.
    pub fn first(&self, upto: Sequence, count: usize) -> Option<(Vec<RecordId>, Base)> {
        let wanted = usize::try_from(upto.0.saturating_sub(self.base.count)).unwrap_or(usize::MAX).min(count);
        let ids: Vec<RecordId> = self.retained.iter().take(wanted).map(|record| record.id).collect();
        let last = self.retained.get(ids.len().checked_sub(1)?)?;
        let left = Base { count: self.base.count + ids.len() as u64, revision: last.revision };
        Some((ids, left))
    }

    /// These records were removed, and the base is now `base`, if it changed.
    pub fn removed(&mut self, removed: &[RecordId], base: Option<Base>) -> Result<(), Discord> {
        let base = base.unwrap_or(self.base);
        let counted = base.count.checked_sub(self.base.count) == Some(removed.len() as u64);
        let firsts: Vec<RecordId> = self.retained.iter().take(removed.len()).map(|record| record.id).collect();
        if !counted || firsts.len() != removed.len() || !removed.iter().all(|id| firsts.contains(id)) {
            return Err(Discord::Removed(Sequence(self.base.count + 1)));
        }
        self.retained.drain(..removed.len());
        self.base = base;
        Ok(())
    }

    /// Goes on with what etcd holds now: all records, by ascending revision. What was known of bodies stays.
    pub fn reload(&mut self, base: Base, records: Vec<Retained>) -> Result<(), Discord> {
        let seen = self.end();
        let end = Sequence(base.count + records.len() as u64);
        if base.count > seen.0 {
            return Err(Discord::Missed);
        }
        if end < seen || base.count < self.base.count {
            return Err(Discord::Behind { seen, end });
        }
        // Both fit: the base of what is held now lies within what was seen.
        let trimmed = usize::try_from(base.count - self.base.count).unwrap_or(usize::MAX);
        let known = self.retained.len().saturating_sub(trimmed);
        for (place, (seen, found)) in self.retained.iter().skip(trimmed).zip(&records).enumerate() {
            if (seen.revision, seen.id) != (found.revision, found.id) {
                return Err(Discord::Differs(Sequence(base.count + place as u64 + 1)));
            }
        }
        self.retained.drain(..trimmed.min(self.retained.len()));
        self.base = base;
        self.retained.extend(records.into_iter().skip(known));
        Ok(())
    }

    /// Begins anew with what etcd holds.
    pub fn replace(&mut self, base: Base, records: Vec<Retained>) {
        *self = Self { base, retained: records.into() };
    }

    /// Where a record's bodies lie is known now.
    pub fn set_bodies(&mut self, sequence: Sequence, bodies: Kept) {
        let place = sequence.0.checked_sub(self.base.count + 1).and_then(|place| usize::try_from(place).ok());
        if let Some(record) = place.and_then(|place| self.retained.get_mut(place)) {
            record.bodies = Some(bodies);
        }
    }

    /// A follower has these records' pins now.
    pub fn unpin(&mut self, records: &[(Sequence, Retained)]) {
        for (sequence, record) in records {
            if let Some(bodies) = &record.bodies {
                self.set_bodies(*sequence, bodies.unpinned());
            }
        }
    }

    /// Gives up the pins of records that nobody follows.
    pub fn expire(&mut self) {
        for bodies in self.retained.iter_mut().filter_map(|record| record.bodies.as_mut()) {
            if bodies.since.elapsed() > KEPT {
                bodies.pins.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u8) -> Retained {
        Retained { revision: i64::from(number) * 10, id: RecordId([number; 16]), bodies: None }
    }

    fn numbers(base: u64, records: std::ops::RangeInclusive<u8>) -> Numbers {
        let mut numbers = Numbers::default();
        numbers.replace(Base { count: base, revision: 1 }, records.map(record).collect());
        numbers
    }

    fn ids(records: std::ops::RangeInclusive<u8>) -> Vec<RecordId> {
        records.map(|number| RecordId([number; 16])).collect()
    }

    #[test]
    fn records_are_counted_from_the_base() {
        let mut numbers = numbers(5, 6..=9);
        assert_eq!(numbers.end(), Sequence(9));
        assert_eq!(numbers.push(record(10)), Sequence(10));
        assert_eq!(numbers.at_revision(60), Some(Sequence(6)));
        assert_eq!(numbers.at_revision(100), Some(Sequence(10)));
        assert_eq!(numbers.at_revision(61), None);
        let after: Vec<Sequence> = numbers.after(Sequence(8)).unwrap().iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(after, [Sequence(9), Sequence(10)]);
        assert!(numbers.after(Sequence(4)).is_none(), "6 is the first that is left");
        assert!(numbers.after(Sequence(99)).unwrap().is_empty());
    }

    #[test]
    fn trimming_moves_the_base_and_keeps_the_numbers() {
        let mut numbers = numbers(5, 6..=9);
        assert_eq!(numbers.first(Sequence(5), 100), None);
        assert_eq!(numbers.first(Sequence(8), 2), Some((ids(6..=7), Base { count: 7, revision: 70 })));
        numbers.removed(&ids(6..=7), Some(Base { count: 7, revision: 70 })).unwrap();
        assert_eq!((numbers.end(), numbers.at_revision(80)), (Sequence(9), Some(Sequence(8))));
    }

    #[test]
    fn what_was_removed_otherwise_is_noticed() {
        let lost = Err(Discord::Removed(Sequence(6)));
        assert_eq!(numbers(5, 6..=9).removed(&ids(6..=6), None), lost);
        assert_eq!(numbers(5, 6..=9).removed(&ids(7..=7), Some(Base { count: 6, revision: 60 })), lost);
        assert_eq!(numbers(5, 6..=9).removed(&ids(6..=6), Some(Base { count: 7, revision: 60 })), lost);
        assert_eq!(numbers(5, 6..=9).removed(&[], Some(Base { count: 4, revision: 60 })), lost);
    }

    #[test]
    fn a_reload_goes_on_or_says_why_not() {
        let base = |count| Base { count, revision: 1 };
        let all = |records: std::ops::RangeInclusive<u8>| records.map(record).collect::<Vec<_>>();
        let after = |count, records: std::ops::RangeInclusive<u8>| {
            let mut numbers = numbers(5, 6..=9);
            numbers.reload(base(count), all(records)).map(|()| (numbers.base().count, numbers.end()))
        };
        assert_eq!(after(5, 6..=12), Ok((5, Sequence(12))));
        assert_eq!(after(7, 8..=9), Ok((7, Sequence(9))));
        assert_eq!(after(9, 10..=11), Ok((9, Sequence(11))));
        assert_eq!(numbers(5, 6..=9).reload(base(10), all(11..=11)), Err(Discord::Missed));
        let behind = Discord::Behind { seen: Sequence(9), end: Sequence(8) };
        assert_eq!(numbers(5, 6..=9).reload(base(5), all(6..=8)), Err(behind));
        assert_eq!(numbers(5, 6..=9).reload(base(6), all(6..=8)), Err(Discord::Differs(Sequence(7))));
    }
}
