//! Walking over a view's messages while others get their turn between them.

use paquebot_mailbox::PageTree;
use paquebot_model::Message;
use paquebot_protocol::SequenceSet;
use paquebot_types::SeqNum;

/// Messages copied at a time.
const COPIED: usize = 64;

/// Some messages of a version of a mailbox, ascending, as copies: it holds no borrow, so that it lives on while others are waited for.
pub(super) struct Walk {
    messages: PageTree,
    numbers: SequenceSet,
    /// Which of the ranges of numbers is next, and from which number on.
    range: usize,
    from: Option<SeqNum>,
    copied: Vec<(SeqNum, Message)>,
    taken: usize,
}

impl Walk {
    /// The messages with these numbers, as far as there are such.
    pub fn new(messages: PageTree, numbers: SequenceSet) -> Self {
        Self { messages, numbers, range: 0, from: None, copied: Vec::new(), taken: 0 }
    }

    fn refill(&mut self) {
        self.copied.clear();
        self.taken = 0;
        while let Some(range) = self.numbers.ranges().get(self.range) {
            let Some(first) = self.from.or_else(|| SeqNum::new(range.first)) else { return };
            let wanted = self.messages.iter_from(first).take_while(|(number, _)| number.get() <= range.last);
            let room = COPIED - self.copied.len();
            self.copied.extend(wanted.take(room).map(|(number, message)| (number, *message)));
            match self.copied.last() {
                Some((last, _)) if self.copied.len() == COPIED => {
                    self.from = last.next().filter(|next| next.get() <= range.last);
                    self.range += usize::from(self.from.is_none());
                    return;
                }
                _ => {
                    self.from = None;
                    self.range += 1;
                }
            }
        }
    }
}

impl Iterator for Walk {
    type Item = (SeqNum, Message);

    fn next(&mut self) -> Option<Self::Item> {
        if self.taken == self.copied.len() {
            self.refill();
        }
        let next = self.copied.get(self.taken).copied()?;
        self.taken += 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paquebot_model::{Page, page_number};
    use paquebot_types::{BlobId, InternalDate, Uid};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn every_message_is_met_once_in_order() {
        let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
        for uid in (3..2000).step_by(3).filter_map(Uid::new) {
            let message = Message::new(uid, BlobId::MIN, 1, InternalDate::utc(0), 0);
            pages.entry(page_number(uid)).or_default().messages.push(message);
        }
        let tree = PageTree::from_pages(pages.into_iter().map(|(number, page)| (number, Arc::new(page))));
        for ranges in
            [vec![(1, 666)], vec![(1, 64), (65, 128), (130, 130)], vec![(5, 68), (70, 4000)], vec![], vec![(900, 901)]]
        {
            let mut numbers = SequenceSet::new();
            ranges.iter().for_each(|(first, last)| numbers.insert(*first, *last));
            let expected: Vec<u32> =
                ranges.iter().flat_map(|(first, last)| *first..=*last).filter(|number| *number <= tree.len()).collect();
            let met: Vec<u32> = Walk::new(tree.clone(), numbers)
                .map(|(number, message)| {
                    assert_eq!(tree.get(number), Some(&message));
                    number.get()
                })
                .collect();
            assert_eq!(met, expected);
        }
    }
}
