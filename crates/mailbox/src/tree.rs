//! A mailbox's messages in memory: pages shared between versions.
//!
//! A change makes a new tree that shares all pages but the changed ones with the old, so every session can keep the version that its
//! client was told of, a session that is up to date costs a pointer, and what changed between two versions is found by comparing pointers.

use std::sync::Arc;

use paquebot_model::{Message, Page, page_number};
use paquebot_types::{SeqNum, Uid, UidSet};

/// Pages in a node, at most. With 64 messages in a page, a mailbox of a million has some 250 to 500 nodes.
const NODE_PAGES: usize = 64;

/// Messages by ascending UID; a message's place is its sequence number.
#[derive(Debug, Clone, Default)]
pub struct PageTree {
    nodes: Vec<Arc<Node>>,
    /// For each node, how many messages come before it.
    starts: Vec<u32>,
    len: u32,
}

#[derive(Debug, Clone, Default)]
struct Node {
    pages: Vec<(u32, Arc<Page>)>,
    messages: u32,
}

/// What changed from one version of a mailbox to a later one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// In the old version and not in the new, with the old sequence numbers, ascending.
    pub expunged: Vec<(SeqNum, Uid)>,
    /// In both, but changed; ascending.
    pub changed: Vec<Uid>,
    /// In the new version and not in the old; ascending.
    pub added: Vec<Uid>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.expunged.is_empty() && self.changed.is_empty() && self.added.is_empty()
    }
}

impl Node {
    fn new(pages: Vec<(u32, Arc<Page>)>) -> Self {
        let messages = pages.iter().map(|(_, page)| page.messages.len() as u32).sum();
        Self { pages, messages }
    }
}

impl PageTree {
    /// A tree of pages by ascending number; empty ones are left out.
    pub fn from_pages(pages: impl IntoIterator<Item = (u32, Arc<Page>)>) -> Self {
        let mut nodes = Vec::new();
        let mut node = Vec::with_capacity(NODE_PAGES);
        for (number, page) in pages.into_iter().filter(|(_, page)| !page.messages.is_empty()) {
            node.push((number, page));
            if node.len() == NODE_PAGES {
                nodes.push(Arc::new(Node::new(std::mem::replace(&mut node, Vec::with_capacity(NODE_PAGES)))));
            }
        }
        if !node.is_empty() {
            node.shrink_to_fit();
            nodes.push(Arc::new(Node::new(node)));
        }
        Self::from_nodes(nodes)
    }

    fn from_nodes(nodes: Vec<Arc<Node>>) -> Self {
        let mut len = 0;
        let mut starts = Vec::with_capacity(nodes.len());
        for node in &nodes {
            starts.push(len);
            len += node.messages;
        }
        Self { nodes, starts, len }
    }

    /// How many messages there are: EXISTS.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message at a sequence number.
    pub fn get(&self, number: SeqNum) -> Option<&Message> {
        let index = number.get() - 1;
        let at = self.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        let mut rest = (index - self.starts[at]) as usize;
        for (_, page) in &self.nodes.get(at)?.pages {
            if let Some(message) = page.messages.get(rest) {
                return Some(message);
            }
            rest -= page.messages.len();
        }
        None
    }

    /// The message with a UID.
    pub fn find(&self, uid: Uid) -> Option<&Message> {
        self.page(page_number(uid))?.get(uid)
    }

    /// A page by its number.
    pub fn page(&self, number: u32) -> Option<&Arc<Page>> {
        let node = self.nodes.get(self.node_of(number))?;
        let at = node.pages.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&node.pages[at].1)
    }

    /// The node in which a page is or would be.
    fn node_of(&self, number: u32) -> usize {
        let after = self.nodes.partition_point(|node| node.pages.first().is_some_and(|(first, _)| *first <= number));
        after.saturating_sub(1)
    }

    /// How many messages have a UID below this one.
    pub fn rank(&self, uid: Uid) -> u32 {
        let at = self.node_of(page_number(uid));
        let Some(node) = self.nodes.get(at) else { return 0 };
        let mut rank = self.starts[at];
        for (number, page) in &node.pages {
            if *number >= page_number(uid) {
                if *number == page_number(uid) {
                    rank += page.messages.partition_point(|message| message.uid < uid) as u32;
                }
                break;
            }
            rank += page.messages.len() as u32;
        }
        rank
    }

    /// The sequence number of a message.
    pub fn number_of(&self, uid: Uid) -> Option<SeqNum> {
        self.find(uid)?;
        SeqNum::new(self.rank(uid) + 1)
    }

    pub fn last(&self) -> Option<&Message> {
        self.nodes.last()?.pages.last()?.1.messages.last()
    }

    /// Every page, ascending.
    pub fn pages(&self) -> impl Iterator<Item = &Arc<Page>> {
        self.nodes.iter().flat_map(|node| node.pages.iter().map(|(_, page)| page))
    }

    /// Every message, ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.pages().flat_map(|page| &page.messages)
    }

    /// The messages from a sequence number on, with their numbers.
    pub fn iter_from(&self, number: SeqNum) -> impl Iterator<Item = (SeqNum, &Message)> {
        let skip = number.get() - 1;
        let at = self.starts.partition_point(|start| *start <= skip).saturating_sub(1);
        let before = self.starts.get(at).copied().unwrap_or(0);
        let messages =
            self.nodes.iter().skip(at).flat_map(|node| node.pages.iter().flat_map(|(_, page)| &page.messages));
        let numbered = messages.enumerate().map(move |(index, message)| (before + index as u32, message));
        numbered
            .skip((skip - before.min(skip)) as usize)
            .filter_map(|(index, message)| Some((SeqNum::new(index + 1)?, message)))
    }

    /// The tree with some pages put in, replaced or, where there are no messages, taken out. `changes` ascend by number.
    #[must_use]
    pub fn with_pages(&self, changes: &[(u32, Arc<Page>)]) -> Self {
        let mut nodes = self.nodes.clone();
        let mut rest = changes;
        let mut at = 0;
        while let Some((number, _)) = rest.first() {
            // The node takes every change that lies before the next node's first page.
            at += nodes[at..]
                .partition_point(|node| node.pages.first().is_some_and(|(first, _)| first <= number))
                .saturating_sub(1);
            let next = nodes.get(at + 1).and_then(|node| node.pages.first()).map(|(first, _)| *first);
            let count = rest.iter().take_while(|(number, _)| next.is_none_or(|next| *number < next)).count();
            let (here, later) = rest.split_at(count);
            rest = later;
            let old = nodes.get(at).map_or(&[][..], |node| &node.pages);
            let new = Self::from_pages(merge(old, here)).nodes;
            let made = new.len();
            let replaced = at..nodes.len().min(at + 1);
            nodes.splice(replaced, new);
            at = (at + made).saturating_sub(1);
        }
        Self::from_nodes(nodes)
    }

    /// The tree with messages that a session was not yet told are gone.
    #[must_use]
    pub fn with_messages(&self, messages: &[Message]) -> Self {
        let mut changes: Vec<(u32, Arc<Page>)> = Vec::new();
        for message in messages {
            let number = page_number(message.uid);
            if changes.last().is_none_or(|(last, _)| *last != number) {
                changes.push((number, self.page(number).cloned().unwrap_or_default()));
            }
            if let Some((_, page)) = changes.last_mut() {
                let page = Arc::make_mut(page);
                if let Err(at) = page.messages.binary_search_by_key(&message.uid, |message| message.uid) {
                    page.messages.insert(at, *message);
                }
            }
        }
        self.with_pages(&changes)
    }

    /// What changed from this version to a later one. Costs what changed, and a glance at each node.
    pub fn diff(&self, new: &Self) -> Diff {
        let mut diff = Diff::default();
        let mut expunged = UidSet::new();
        let (mut old_pages, mut new_pages) = differing_pages(self, new);
        let (mut a, mut b) = (old_pages.next(), new_pages.next());
        loop {
            match (a, b) {
                (Some((x, old)), Some((y, new))) if x == y => {
                    if !Arc::ptr_eq(old, new) {
                        compare(old, new, &mut diff, &mut expunged);
                    }
                    (a, b) = (old_pages.next(), new_pages.next());
                }
                (Some((x, old)), other) if other.is_none_or(|(y, _)| x < y) => {
                    compare(old, &Page::default(), &mut diff, &mut expunged);
                    a = old_pages.next();
                }
                (_, Some((_, new))) => {
                    compare(&Page::default(), new, &mut diff, &mut expunged);
                    b = new_pages.next();
                }
                _ => break,
            }
        }
        diff.expunged = expunged.iter().filter_map(|uid| Some((self.number_of(uid)?, uid))).collect();
        diff
    }
}

type NumberedPage<'a> = (u32, &'a Arc<Page>);

/// The pages of both trees, without the nodes that they share at the beginning and at the end.
fn differing_pages<'a>(
    old: &'a PageTree,
    new: &'a PageTree,
) -> (impl Iterator<Item = NumberedPage<'a>>, impl Iterator<Item = NumberedPage<'a>>) {
    // Nodes that both have are skipped wherever they stand: they ascend in both trees.
    fn pages<'a>(tree: &'a PageTree, other: &'a PageTree) -> impl Iterator<Item = NumberedPage<'a>> {
        let mut ahead = 0;
        let own = tree.nodes.iter().filter(move |node| {
            let first = node.pages.first().map(|(first, _)| *first);
            while other.nodes.get(ahead).is_some_and(|other| other.pages.first().map(|(first, _)| *first) < first) {
                ahead += 1;
            }
            !other.nodes.get(ahead).is_some_and(|other| Arc::ptr_eq(other, node))
        });
        own.flat_map(|node| node.pages.iter().map(|(number, page)| (*number, page)))
    }
    (pages(old, new), pages(new, old))
}

fn compare(old: &Page, new: &Page, diff: &mut Diff, expunged: &mut UidSet) {
    let (mut a, mut b) = (old.messages.iter().peekable(), new.messages.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.uid == y.uid => {
                if x != y {
                    diff.changed.push(y.uid);
                }
                a.next();
                b.next();
            }
            (Some(x), y) if y.is_none_or(|y| x.uid < y.uid) => {
                expunged.insert(x.uid);
                a.next();
            }
            (_, Some(y)) => {
                diff.added.push(y.uid);
                b.next();
            }
            _ => return,
        }
    }
}

/// Old pages with the changes merged in, both ascending.
fn merge<'a>(
    old: &'a [(u32, Arc<Page>)],
    changes: &'a [(u32, Arc<Page>)],
) -> impl Iterator<Item = (u32, Arc<Page>)> + 'a {
    let (mut a, mut b) = (old.iter().peekable(), changes.iter().peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some((x, _)), Some((y, _))) if x == y => {
            a.next();
            b.next().cloned()
        }
        (Some((x, _)), other) if other.is_none_or(|(y, _)| x < y) => a.next().cloned(),
        _ => b.next().cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use paquebot_types::{BlobId, Flags, InternalDate, ModSeq};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn uid(n: u32) -> Uid {
        Uid::new(n).unwrap()
    }

    fn message(n: u32, modseq: u64) -> Message {
        let mut message = Message::new(uid(n), BlobId::MIN, 1, InternalDate::utc(0), 0);
        message.modseq = ModSeq(modseq);
        message.flags = Flags::NONE;
        message
    }

    fn pages(messages: &BTreeMap<u32, u64>) -> BTreeMap<u32, Arc<Page>> {
        let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
        for (n, modseq) in messages {
            pages.entry(page_number(uid(*n))).or_default().messages.push(message(*n, *modseq));
        }
        pages.into_iter().map(|(number, page)| (number, Arc::new(page))).collect()
    }

    fn plain_diff(old: &BTreeMap<u32, u64>, new: &BTreeMap<u32, u64>) -> Diff {
        let mut diff = Diff::default();
        for (at, n) in old.keys().enumerate() {
            match new.get(n) {
                None => diff.expunged.push((SeqNum::new(at as u32 + 1).unwrap(), uid(*n))),
                Some(modseq) if *modseq != old[n] => diff.changed.push(uid(*n)),
                Some(_) => {}
            }
        }
        diff.added = new.keys().filter(|n| !old.contains_key(n)).map(|n| uid(*n)).collect();
        diff
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_tree_is_a_sorted_map(
            first in prop::collection::btree_map(1u32..30_000, 1u64..3, 0..2000),
            gone in prop::collection::btree_set(1u32..30_000, 0..3000),
            put in prop::collection::btree_map(1u32..40_000, 3u64..9, 0..300),
        ) {
            let old_pages = pages(&first);
            let old = PageTree::from_pages(old_pages.clone());
            let mut second = first.clone();
            second.retain(|n, _| !gone.contains(n));
            second.extend(put);
            let new_pages = pages(&second);
            let numbers: std::collections::BTreeSet<u32> = old_pages.keys().chain(new_pages.keys()).copied().collect();
            let changes: Vec<_> = numbers
                .into_iter()
                .filter(|number| old_pages.get(number) != new_pages.get(number))
                .map(|number| (number, new_pages.get(&number).cloned().unwrap_or_default()))
                .collect();
            let new = old.with_pages(&changes);
            prop_assert_eq!(new.len() as usize, second.len());
            prop_assert!(new.iter().map(|m| (m.uid.get(), m.modseq.0)).eq(second.iter().map(|(n, m)| (*n, *m))));
            prop_assert_eq!(old.diff(&new), plain_diff(&first, &second));
            for (at, n) in second.keys().enumerate().step_by(17) {
                let number = SeqNum::new(at as u32 + 1).unwrap();
                prop_assert_eq!(new.get(number).map(|m| m.uid), Some(uid(*n)));
                prop_assert_eq!(new.number_of(uid(*n)), Some(number));
                prop_assert_eq!(new.iter_from(number).next().map(|(n, m)| (n, m.uid)), Some((number, uid(*n))));
                prop_assert_eq!(new.rank(uid(*n + 1)), at as u32 + 1);
            }
            prop_assert_eq!(new.get(SeqNum::new(second.len() as u32 + 1).unwrap()), None);
            // Messages that are gone come back as a session still sees them.
            let kept: Vec<Message> = old.diff(&new).expunged.iter().filter_map(|(_, uid)| old.find(*uid).copied()).collect();
            let ghosts = new.with_messages(&kept);
            prop_assert!(old.diff(&ghosts).expunged.is_empty());
            prop_assert_eq!(ghosts.len() as usize, second.len() + kept.len());
        }
    }
}
