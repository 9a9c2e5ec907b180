//! Sets of UIDs, kept as ranges.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Uid;

/// UIDs from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UidRange {
    pub first: Uid,
    pub last: Uid,
}

impl UidRange {
    /// Takes the ends in either order, as RFC 9051 has it for `seq-range`.
    pub fn new(a: Uid, b: Uid) -> Self {
        Self { first: a.min(b), last: a.max(b) }
    }

    pub fn contains(self, uid: Uid) -> bool {
        self.first <= uid && uid <= self.last
    }

    /// How many UIDs there are in it.
    pub fn count(self) -> u64 {
        u64::from(self.last.get() - self.first.get()) + 1
    }
}

/// A set of UIDs as sorted, disjoint ranges that do not touch: its size is that of its description, not of its members.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UidSet {
    ranges: Vec<UidRange>,
}

impl UidSet {
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Every UID.
    pub fn all() -> Self {
        Self { ranges: vec![UidRange { first: Uid::MIN, last: Uid::MAX }] }
    }

    /// Sorts and merges; O(n log n) in the number of ranges.
    pub fn from_ranges(mut ranges: Vec<UidRange>) -> Self {
        ranges.sort_unstable();
        let mut set = Self { ranges: Vec::with_capacity(ranges.len()) };
        for range in ranges {
            set.push_range(range);
        }
        set
    }

    /// Adds a UID: O(1) at the end of the set, O(n) elsewhere.
    pub fn insert(&mut self, uid: Uid) {
        let range = UidRange { first: uid, last: uid };
        match self.ranges.last() {
            Some(last) if uid < last.first => {
                let at = self.ranges.partition_point(|r| r.last < uid);
                if !self.ranges[at].contains(uid) {
                    self.ranges.insert(at, range);
                    let ranges = std::mem::take(&mut self.ranges);
                    *self = Self::from_sorted(ranges);
                }
            }
            _ => self.push_range(range),
        }
    }

    fn from_sorted(ranges: Vec<UidRange>) -> Self {
        let mut set = Self { ranges: Vec::with_capacity(ranges.len()) };
        for range in ranges {
            set.push_range(range);
        }
        set
    }

    /// Adds a range that does not begin before the last one does.
    fn push_range(&mut self, range: UidRange) {
        debug_assert!(self.ranges.last().is_none_or(|last| last.first <= range.first));
        match self.ranges.last_mut() {
            Some(last) if last.last.next().is_none_or(|next| range.first <= next) => {
                last.last = last.last.max(range.last)
            }
            _ => self.ranges.push(range),
        }
    }

    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|range| range.last < uid);
        self.ranges.get(at).is_some_and(|range| range.first <= uid)
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs there are in the set.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|range| range.count()).sum()
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[UidRange] {
        &self.ranges
    }

    /// Every UID, ascending. A client can write a set of four thousand million: only iterate over sets that you made.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|range| (range.first.get()..=range.last.get()).filter_map(Uid::new))
    }

    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().map(|range| range.first)
    }

    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().map(|range| range.last)
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges.iter().chain(&other.ranges).copied().collect())
    }

    /// What is in both sets; O(n + m).
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut set = Self::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.first.max(y.first), x.last.min(y.last));
            if first <= last {
                set.push_range(UidRange { first, last });
            }
            if x.last <= y.last {
                a.next()
            } else {
                b.next()
            };
        }
        set
    }
}

/// Ascending UIDs make ascending ranges; others are sorted first.
impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self::new();
        let mut rest = Vec::new();
        for uid in uids {
            let range = UidRange { first: uid, last: uid };
            match set.ranges.last() {
                Some(last) if uid < last.first => rest.push(range),
                _ => set.push_range(range),
            }
        }
        if rest.is_empty() { set } else { set.union(&Self::from_ranges(rest)) }
    }
}

/// The `uid-set` of RFC 4315 and 9051: `1:3,7`. Nothing for the empty set.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match range.first == range.last {
                true => write!(f, "{}", range.first)?,
                false => write!(f, "{}:{}", range.first, range.last)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    #[test]
    fn ranges_merge_when_they_touch() {
        let set = UidSet::from_ranges(vec![
            UidRange::new(uid(5), uid(3)),
            UidRange::new(uid(6), uid(8)),
            UidRange::new(uid(1), uid(1)),
        ]);
        assert_eq!(set.to_string(), "1,3:8");
        assert_eq!(set.count(), 7);
    }

    #[test]
    fn insert_in_any_order() {
        let mut set = UidSet::new();
        for n in [9, 1, 5, 4, 6, 2, 9, u32::MAX, 3] {
            set.insert(uid(n));
        }
        assert_eq!(set.to_string(), "1:6,9,4294967295");
    }

    #[test]
    fn collect_takes_any_order() {
        let set: UidSet = [4, 7, 2, 3, 9].map(uid).into_iter().collect();
        assert_eq!(set.to_string(), "2:4,7,9");
    }

    #[test]
    fn intersection_is_what_both_have() {
        let a = UidSet::from_ranges(vec![UidRange::new(uid(1), uid(10)), UidRange::new(uid(20), uid(30))]);
        let b = UidSet::from_ranges(vec![UidRange::new(uid(5), uid(25)), UidRange::new(uid(30), Uid::MAX)]);
        assert_eq!(a.intersection(&b).to_string(), "5:10,20:25,30");
        assert!(a.contains(uid(25)) && !a.contains(uid(15)));
    }

    #[test]
    fn the_whole_range_holds_the_largest_uid() {
        let mut all = UidSet::all();
        all.insert(Uid::MAX);
        assert_eq!(all.count(), u64::from(u32::MAX));
    }
}
