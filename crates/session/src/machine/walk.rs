//! Walking over a view's messages while others get their turn between them.

use paquebot_mailbox::PageTree;
use paquebot_model::Message;
use paquebot_protocol::SequenceSet;
use paquebot_types::SeqNum;

/// Messages of a batch.
const BATCH: usize = 64;

/// Some messages of a version of a mailbox, ascending, copied in batches: it holds no borrow, so that it lives on while others are waited
/// for.
pub(super) struct Walk {
    messages: PageTree,
    numbers: SequenceSet,
    /// Which of the ranges of numbers is next, and from which number on.
    range: usize,
    from: Option<SeqNum>,
    batch: Vec<(SeqNum, Message)>,
}

impl Walk {
    /// The messages with these numbers, as far as there are such.
    pub fn new(messages: PageTree, numbers: SequenceSet) -> Self {
        Self { messages, numbers, range: 0, from: None, batch: Vec::new() }
    }

    /// Goes on to the next batch; `false` after the last.
    pub fn advance(&mut self) -> bool {
        self.batch.clear();
        while let Some(range) = self.numbers.ranges().get(self.range) {
            let Some(first) = self.from.or_else(|| SeqNum::new(range.first)) else { break };
            let wanted = self.messages.iter_from(first).take_while(|(number, _)| number.get() <= range.last);
            let room = BATCH - self.batch.len();
            self.batch.extend(wanted.take(room).map(|(number, message)| (number, *message)));
            match self.batch.last() {
                Some((last, _)) if self.batch.len() == BATCH => {
                    self.from = last.next().filter(|next| next.get() <= range.last);
                    self.range += usize::from(self.from.is_none());
                    break;
                }
                _ => {
                    self.from = None;
                    self.range += 1;
                }
            }
        }
        !self.batch.is_empty()
    }

    pub fn batch(&self) -> &[(SeqNum, Message)] {
        &self.batch
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
            let mut walk = Walk::new(tree.clone(), numbers);
            let mut met = Vec::new();
            while walk.advance() {
                for (number, message) in walk.batch() {
                    assert_eq!(tree.get(*number), Some(message));
                    met.push(number.get());
                }
            }
            assert_eq!(met, expected);
        }
    }
}
