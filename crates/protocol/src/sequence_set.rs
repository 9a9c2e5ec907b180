//! Sets of message numbers as clients write them: `2,4:7,9,12:*`.

use std::fmt;

use paquebot_types::{Uid, UidRange, UidSet};

/// Which of a message's two numbers a command uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberKind {
    SeqNum,
    Uid,
}

/// The messages that a command names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Messages {
    pub kind: NumberKind,
    pub set: MessageSet,
}

/// A set of message numbers, or the result that the last SEARCH saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageSet {
    /// `$`, the saved result (RFC 9051, 6.4.4.1). It is by itself; `$` within a longer set is refused.
    Saved,
    Numbers(SequenceSet),
}

/// Numbers from `first` to `last`, both included, neither 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumberRange {
    pub first: u32,
    pub last: u32,
}

/// A set of numbers from 1 to 4294967295, kept as sorted, disjoint ranges that do not touch, so that each number is in it once.
///
/// `*` stands for the largest number in use, which only the session knows: [`SequenceSet::resolve`] puts it in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SequenceSet {
    ranges: Vec<NumberRange>,
    /// From the smallest `n` of all `n:*`; `u32::MAX` for a lone `*`, since the ends of a range may stand in either order.
    open_from: Option<u32>,
}

impl SequenceSet {
    pub const fn new() -> Self {
        Self { ranges: Vec::new(), open_from: None }
    }

    /// Adds `a:b`, the ends in either order; zeros are ignored. Amortised O(1) when ranges come in ascending order.
    pub fn insert(&mut self, a: u32, b: u32) {
        let range = NumberRange { first: a.min(b).max(1), last: a.max(b) };
        if range.last == 0 {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if range.first < last.first => {
                self.ranges.push(range);
                self.normalize();
            }
            Some(last) if range.first <= last.last.saturating_add(1) => last.last = last.last.max(range.last),
            _ => self.ranges.push(range),
        }
    }

    /// Adds `from:*`; a lone `*` is `u32::MAX:*`.
    pub fn insert_open(&mut self, from: u32) {
        let from = from.max(1);
        self.open_from = Some(self.open_from.map_or(from, |other| other.min(from)));
    }

    /// Takes ranges in any order; O(n log n).
    pub(crate) fn from_parts(ranges: Vec<NumberRange>, open_from: Option<u32>) -> Self {
        let mut set = Self { ranges, open_from };
        if set.ranges.windows(2).any(|pair| match pair {
            [a, b] => b.first <= a.last.saturating_add(1),
            _ => false,
        }) {
            set.normalize();
        }
        set
    }

    fn normalize(&mut self) {
        self.ranges.sort_unstable();
        let mut kept = 0;
        for index in 0..self.ranges.len() {
            let range = self.ranges[index];
            match kept {
                0 => kept = 1,
                _ if range.first <= self.ranges[kept - 1].last.saturating_add(1) => {
                    self.ranges[kept - 1].last = self.ranges[kept - 1].last.max(range.last);
                }
                _ => {
                    self.ranges[kept] = range;
                    kept += 1;
                }
            }
        }
        self.ranges.truncate(kept);
    }

    /// The ranges of plain numbers, ascending; what `*` adds is not among them.
    pub fn ranges(&self) -> &[NumberRange] {
        &self.ranges
    }

    /// The smallest `n` of `n:*`, `u32::MAX` for a lone `*`; `None` if there is no `*`.
    pub fn open_from(&self) -> Option<u32> {
        self.open_from
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.open_from.is_none()
    }

    /// The largest plain number in the set, those before `:*` included; 0 for the empty set and for a lone `*`.
    ///
    /// By sequence number a command is refused with BAD if this exceeds the number of messages, and so is `*` in an empty mailbox
    /// (RFC 9051, 9: `seq-number`).
    pub fn highest(&self) -> u32 {
        let open = self.open_from.filter(|&from| from != u32::MAX).unwrap_or(0);
        self.ranges.last().map_or(0, |range| range.last).max(open)
    }

    /// The set with `*` put in: ascending ranges, not cut off at `largest`.
    ///
    /// `n:*` always holds `largest`, also where `n` is beyond it (RFC 9051, 9: `seq-range`). With `None`, an empty mailbox, `*` adds nothing.
    pub fn resolve(&self, largest: Option<u32>) -> Vec<NumberRange> {
        let mut set = Self { ranges: self.ranges.clone(), open_from: None };
        if let (Some(from), Some(largest)) = (self.open_from, largest) {
            set.insert(from, largest);
        }
        set.ranges
    }

    /// The set as UIDs, `*` being `last`, the highest UID there is: O(ranges), never a list of its members.
    pub fn to_uids(&self, last: Option<Uid>) -> UidSet {
        let range = |range: NumberRange| Some(UidRange::new(Uid::new(range.first)?, Uid::new(range.last)?));
        UidSet::from_ranges(self.resolve(last.map(Uid::get)).into_iter().filter_map(range).collect())
    }

    /// Whether the number is in the set when `*` is `largest`. O(log ranges).
    pub fn contains(&self, number: u32, largest: Option<u32>) -> bool {
        let at = self.ranges.partition_point(|range| range.last < number);
        if self.ranges.get(at).is_some_and(|range| range.first <= number) {
            return true;
        }
        match (self.open_from, largest) {
            (Some(from), Some(largest)) => from.min(largest) <= number && number <= from.max(largest),
            _ => false,
        }
    }
}

impl FromIterator<u32> for SequenceSet {
    /// Any order; ascending numbers cost O(1) each.
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut ranges: Vec<NumberRange> = Vec::new();
        for number in numbers.into_iter().filter(|&number| number != 0) {
            match ranges.last_mut() {
                Some(last) if last.last.checked_add(1) == Some(number) => last.last = number,
                _ => ranges.push(NumberRange { first: number, last: number }),
            }
        }
        Self::from_parts(ranges, None)
    }
}

impl From<&UidSet> for SequenceSet {
    fn from(uids: &UidSet) -> Self {
        let ranges = uids.ranges().iter().map(|range| NumberRange { first: range.first.get(), last: range.last.get() });
        Self { ranges: ranges.collect(), open_from: None }
    }
}

/// The `sequence-set` of RFC 9051; nothing for the empty set.
impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for range in &self.ranges {
            match range.first == range.last {
                true => write!(f, "{comma}{}", range.first)?,
                false => write!(f, "{comma}{}:{}", range.first, range.last)?,
            }
            comma = ",";
        }
        match self.open_from {
            None => Ok(()),
            Some(u32::MAX) => write!(f, "{comma}*"),
            Some(from) => write!(f, "{comma}{from}:*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(parts: &[(u32, u32)]) -> SequenceSet {
        let mut set = SequenceSet::new();
        parts.iter().for_each(|&(a, b)| set.insert(a, b));
        set
    }

    #[test]
    fn ranges_merge_in_any_order() {
        assert_eq!(set(&[(9, 7), (1, 1), (2, 3), (8, 12), (20, 20)]).to_string(), "1:3,7:12,20");
        assert_eq!(set(&[(1, u32::MAX), (5, 6), (u32::MAX, u32::MAX)]).to_string(), "1:4294967295");
        assert_eq!([5, 3, 4, 9, 4].into_iter().collect::<SequenceSet>().to_string(), "3:5,9");
        let ranges = vec![NumberRange { first: 5, last: 9 }, NumberRange { first: 1, last: 4 }];
        assert_eq!(SequenceSet::from_parts(ranges, Some(7)).to_string(), "1:9,7:*");
    }

    #[test]
    fn a_star_is_the_last_message_even_below_its_partner() {
        let mut open = SequenceSet::new();
        open.insert_open(7);
        assert_eq!(open.resolve(Some(3)), [NumberRange { first: 3, last: 7 }]);
        assert_eq!(open.resolve(None), []);
        assert!(open.contains(3, Some(3)) && !open.contains(2, Some(3)) && !open.contains(3, None));
        let mut star = SequenceSet::new();
        star.insert_open(u32::MAX);
        assert_eq!(star.to_string(), "*");
        assert!(star.contains(3, Some(3)) && !star.contains(2, Some(3)));
        assert_eq!((open.highest(), star.highest()), (7, 0));
    }

    #[test]
    fn uids_come_out_merged() {
        let mut numbers = set(&[(4, 5), (2, 2)]);
        numbers.insert_open(6);
        assert_eq!(numbers.to_uids(Uid::new(9)).to_string(), "2,4:9");
        assert_eq!(SequenceSet::from(&numbers.to_uids(Uid::new(9))).to_string(), "2,4:9");
    }
}
