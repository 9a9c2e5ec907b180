//! Sets of numbers.

use paquebot_types::UidSet;

use super::{Parsed, Parser};
use crate::{MessageSet, NumberRange, SequenceSet};

impl Parser<'_> {
    /// `sequence-set = (seq-number / seq-range) *("," sequence-set)`, or `$` by itself.
    pub fn message_set(&mut self) -> Parsed<MessageSet> {
        if self.skip_byte(b'$') { Ok(MessageSet::Saved) } else { self.sequence_set().map(MessageSet::Numbers) }
    }

    /// As [`Self::message_set`], without `$`.
    pub fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        let max = self.context.set_elements_max;
        let mut ranges: Vec<NumberRange> = Vec::new();
        let mut open_from: Option<u32> = None;
        for _ in 0..max {
            match self.set_element()? {
                (first, Some(last)) => match ranges.last_mut() {
                    // The usual set ascends, so that neighbours merge as they come.
                    Some(before) if before.last.checked_add(1) == Some(first) => before.last = last,
                    _ => ranges.push(NumberRange { first, last }),
                },
                (first, None) => open_from = Some(open_from.map_or(first, |other| other.min(first))),
            }
            if !self.skip_byte(b',') {
                return Ok(SequenceSet::from_parts(ranges, open_from));
            }
        }
        self.too_many("elements of a set", max)
    }

    /// `seq-number / seq-range` as its two ends in order, the second absent for `*`; a lone `*` begins at the last number there is.
    fn set_element(&mut self) -> Parsed<(u32, Option<u32>)> {
        let first = self.seq_number()?;
        if !self.skip_byte(b':') {
            return Ok((first.unwrap_or(u32::MAX), first));
        }
        Ok(match (first, self.seq_number()?) {
            (Some(a), Some(b)) => (a.min(b), Some(a.max(b))),
            (Some(from), None) | (None, Some(from)) => (from, None),
            (None, None) => (u32::MAX, None),
        })
    }

    /// `seq-number = nz-number / "*"`; `None` is `*`.
    fn seq_number(&mut self) -> Parsed<Option<u32>> {
        match self.peek() {
            Some(b'*') => {
                self.skip(1);
                Ok(None)
            }
            Some(b'1'..=b'9') => self.nz_number().map(Some),
            _ => self.expected("a message set"),
        }
    }

    /// A set without `*`: `known-uids` and its like (RFC 7162, 7).
    pub fn closed_set(&mut self) -> Parsed<SequenceSet> {
        let start = self.at();
        let set = self.sequence_set()?;
        if set.open_from().is_some() { Self::expected_at(start, "a set without *") } else { Ok(set) }
    }

    /// As [`Self::closed_set`], of UIDs.
    pub fn known_uids(&mut self) -> Parsed<UidSet> {
        Ok(self.closed_set()?.to_uids(None))
    }
}
