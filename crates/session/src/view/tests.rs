#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use paquebot_mailbox::{PageTree, Snapshot};
use paquebot_model::{Mailbox, Message, Page, page_number};
use paquebot_protocol::{NumberKind, SequenceSet};
use paquebot_types::{
    BlobId, Flags, InternalDate, Keyword, MailboxId, MailboxName, ModSeq, SeqNum, Uid, UidSet, UidValidity,
};
use proptest::prelude::*;

use super::*;

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

/// A mailbox as UIDs with modseqs.
fn snapshot(messages: &BTreeMap<u32, u64>, uid_next: u32, keywords: usize) -> Arc<Snapshot> {
    let mut pages: BTreeMap<u32, Page> = BTreeMap::new();
    for (number, modseq) in messages {
        let mut message = Message::new(uid(*number), BlobId::MIN, 1, InternalDate::utc(0), 0);
        message.modseq = ModSeq(*modseq);
        message.flags = Flags::from_bits(*modseq as u8);
        pages.entry(page_number(uid(*number))).or_default().messages.push(message);
    }
    let mailbox = Mailbox {
        id: MailboxId::MIN,
        name: MailboxName::inbox(),
        uid_validity: UidValidity::MIN,
        uid_next: Uid::new(uid_next),
        highest_modseq: ModSeq(messages.values().copied().max().unwrap_or(1)),
        messages: messages.len() as u32,
        unseen: 0,
        deleted: 0,
        size: 0,
        recent_from: 1,
        special_use: Vec::new(),
        keywords: (0..keywords).map(|number| Keyword::new(&format!("k{number}")).unwrap()).collect(),
        created_ms: 0,
        deleted_ms: None,
    };
    let messages = PageTree::from_pages(pages.into_iter().map(|(number, page)| (number, Arc::new(page))));
    Arc::new(Snapshot::new(mailbox, messages))
}

fn of(numbers: impl IntoIterator<Item = u32>) -> Arc<Snapshot> {
    let messages: BTreeMap<u32, u64> = numbers.into_iter().map(|number| (number, 1)).collect();
    let next = messages.keys().last().map_or(1, |last| last + 1);
    snapshot(&messages, next, 0)
}

fn set(text: &[(u32, u32)], open: Option<u32>) -> SequenceSet {
    let mut set = SequenceSet::new();
    text.iter().for_each(|(first, last)| set.insert(*first, *last));
    if let Some(from) = open {
        set.insert_open(from);
    }
    set
}

#[test]
fn a_sequence_number_beyond_the_view_is_a_mistake() {
    let view = View::new(of([2, 5, 9]));
    let pick = |set: &SequenceSet| view.pick(NumberKind::SeqNum, set).map(|picked| picked.to_string());
    assert_eq!(pick(&set(&[(1, 3)], None)).unwrap(), "1:3");
    assert_eq!(pick(&set(&[], Some(2))).unwrap(), "2:3");
    assert_eq!(pick(&set(&[], Some(u32::MAX))).unwrap(), "3");
    assert_eq!(pick(&set(&[(1, 4)], None)), Err(NoSuchNumber(4)));
    assert_eq!(pick(&set(&[], Some(4))), Err(NoSuchNumber(4)));
    let empty = View::new(of([]));
    assert_eq!(empty.pick(NumberKind::SeqNum, &set(&[], Some(u32::MAX))), Err(NoSuchNumber(1)));
}

#[test]
fn uids_that_are_not_there_are_passed_over_and_the_last_is_always_in_a_range_to_the_end() {
    let view = View::new(of([2, 5, 9]));
    let pick = |set: &SequenceSet| view.pick(NumberKind::Uid, set).unwrap().to_string();
    assert_eq!(pick(&set(&[(1, 1), (3, 5)], None)), "2");
    assert_eq!(pick(&set(&[], Some(100))), "3");
    assert_eq!(pick(&set(&[], Some(3))), "2:3");
    assert_eq!(pick(&set(&[(1, u32::MAX)], None)), "1:3");
    assert_eq!(View::new(of([])).pick(NumberKind::Uid, &set(&[(1, 4)], Some(1))).unwrap().to_string(), "");
}

#[test]
fn a_ghost_keeps_its_number_until_it_is_told() {
    let mut view = View::new(of([1, 2, 3]));
    let update = view.refresh(of([1, 3, 4]), Expunges::Hold);
    assert_eq!((update.expunged, update.exists), (vec![], Some(4)));
    assert!(view.is_ghost(uid(2)) && view.has_ghosts());
    assert_eq!(view.messages().number_of(uid(4)), SeqNum::new(4));
    let update = view.refresh(view.snapshot().clone(), Expunges::Tell);
    assert_eq!((update.expunged, update.exists), (vec![(SeqNum::new(2).unwrap(), uid(2))], None));
    assert!(!view.has_ghosts());
    assert_eq!(view.messages().number_of(uid(4)), SeqNum::new(3));
}

#[test]
fn new_keywords_are_told_once() {
    let messages = BTreeMap::from([(1, 1)]);
    let mut view = View::new(snapshot(&messages, 2, 1));
    assert!(!view.refresh(snapshot(&messages, 2, 1), Expunges::Tell).keywords);
    assert!(view.refresh(snapshot(&messages, 2, 2), Expunges::Tell).keywords);
    assert!(!view.refresh(snapshot(&messages, 2, 2), Expunges::Tell).keywords);
}

#[test]
fn recent_messages_are_those_that_were_claimed_and_are_there() {
    let mut view = View::new(of([2, 5, 9]));
    view.add_recent(4, Uid::new(10));
    assert_eq!(view.recent_count(), 2);
    view.add_recent(10, Uid::new(10));
    view.refresh(of([2, 5, 9, 10, 11]), Expunges::Tell);
    assert_eq!(view.recent_count(), 2);
    view.add_recent(11, None);
    view.refresh(of([2, 9, 10, 11]), Expunges::Tell);
    assert_eq!((view.recent_count(), view.is_recent(uid(10)), view.is_recent(uid(11))), (2, false, true));
}

/// What a client knows of a mailbox that believes all it is told, and nothing else: (UID, modseq) by sequence number; `None` for a
/// message that it has not fetched.
#[derive(Default)]
struct Client(Vec<Option<(u32, u64)>>);

impl Client {
    fn hear(&mut self, update: &Update) {
        for (number, _) in update.expunged.iter().rev() {
            self.0.remove(number.get() as usize - 1);
        }
        if let Some(exists) = update.exists {
            assert!(exists as usize >= self.0.len(), "EXISTS fell");
            self.0.resize(exists as usize, None);
        }
        for (number, message) in &update.changed {
            let known = &mut self.0[number.get() as usize - 1];
            assert_eq!(known.map(|(uid, _)| uid), Some(message.uid.get()), "FETCH of another message");
            *known = Some((message.uid.get(), message.modseq.0));
        }
    }

    fn fetch_new(&mut self, view: &View) {
        for (known, message) in self.0.iter_mut().zip(view.messages().iter()) {
            known.get_or_insert((message.uid.get(), message.modseq.0));
        }
    }
}

/// A message that goes between the view and the look at what has gone is told once, by the view.
#[test]
fn what_is_in_the_view_did_not_vanish_earlier() {
    let mut messages: BTreeMap<u32, u64> = [(3, 1), (5, 1)].into();
    let mut view = View::new(snapshot(&messages, 7, 0));
    messages.remove(&3);
    let gone: UidSet = [1, 2, 3, 6].map(uid).into_iter().collect();
    assert_eq!(view.without_messages_in_it(gone), [1, 2, 6].map(uid).into_iter().collect());
    assert_eq!(view.refresh(snapshot(&messages, 7, 0), Expunges::Tell).expunged.len(), 1);
}

/// A change of the mailbox: messages come, change, go.
#[derive(Debug, Clone)]
struct Change {
    added: u32,
    touched: Vec<prop::sample::Index>,
    gone: Vec<prop::sample::Index>,
    tell: bool,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let indexes = || prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let change = (0u32..90, indexes(), indexes(), any::<bool>());
    prop::collection::vec(change.prop_map(|(added, touched, gone, tell)| Change { added, touched, gone, tell }), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// view-equal and view-rules: who only listens knows after NOOP what a fresh view shows, and before it never anything wrong.
    #[test]
    fn a_client_that_listens_knows_the_mailbox(changes in changes()) {
        let (mut messages, mut next, mut modseq) = (BTreeMap::new(), 1u32, 1u64);
        let mut view = View::new(snapshot(&messages, next, 0));
        let mut client = Client::default();
        for change in changes {
            modseq += 1;
            for index in &change.gone {
                let Some(number) = messages.keys().nth(index.index(messages.len().max(1))).copied() else { break };
                messages.remove(&number);
            }
            for index in &change.touched {
                let Some(number) = messages.keys().nth(index.index(messages.len().max(1))).copied() else { break };
                messages.insert(number, modseq);
            }
            for _ in 0..change.added {
                messages.insert(next, modseq);
                next += 1;
            }
            let new = snapshot(&messages, next, 0);
            let update = view.refresh(new.clone(), if change.tell { Expunges::Tell } else { Expunges::Hold });
            prop_assert!(change.tell || update.expunged.is_empty());
            client.hear(&update);
            client.fetch_new(&view);
            let seen: Vec<_> = view.messages().iter().map(|message| Some((message.uid.get(), message.modseq.0))).collect();
            prop_assert_eq!(&client.0, &seen);
            // All that is there is seen, and what is seen beyond that is a ghost.
            let all: UidSet = messages.keys().map(|number| uid(*number)).collect();
            prop_assert_eq!(view.uids_of(&view.numbers_of(&all)), all);
            for message in view.messages().iter() {
                prop_assert_eq!(view.is_ghost(message.uid), !messages.contains_key(&message.uid.get()));
            }
        }
        client.hear(&view.refresh(view.snapshot().clone(), Expunges::Tell));
        let there: Vec<_> = messages.into_iter().map(Some).collect();
        prop_assert_eq!(client.0, there);
    }
}
