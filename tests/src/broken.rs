//! Histories that break each promise, and that the check must see; and one that breaks none.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::check;
use crate::history::{
    Event, Flags, History, How, Message, NameChange, Names, Observation, Outcome, Record, Resync, Step, Token, Uid,
};

const BOX: &str = "INBOX";

/// A history in which one thing happens after the other.
#[derive(Default)]
struct Story {
    history: History,
    clock: u64,
}

impl Story {
    fn then(mut self, outcome: Outcome, event: Event) -> Self {
        self.clock += 2;
        let record = Record { client: 1, invoked: self.clock, returned: self.clock + 1, outcome, event };
        self.history.records.push(record);
        self
    }

    fn ok(self, event: Event) -> Self {
        self.then(Outcome::Ok, event)
    }

    fn session(mut self, steps: &[Step]) -> Self {
        self.history.sessions.push((1, steps.to_vec()));
        self
    }

    /// The rows that the check finds broken.
    fn broken(&self) -> BTreeSet<&'static str> {
        check(&self.history).iter().map(|violation| violation.row).collect()
    }
}

fn add(token: Token, uid: Uid) -> Event {
    Event::Add { mailbox: BOX.into(), tokens: vec![token], how: How::Append, uids: Some(vec![uid]) }
}

fn deliver(token: Token) -> Event {
    Event::Add { mailbox: BOX.into(), tokens: vec![token], how: How::Deliver, uids: None }
}

fn flag(uid: Uid, flag: &str, set: bool) -> Event {
    Event::Flag { mailbox: BOX.into(), uids: vec![uid], flag: flag.into(), set }
}

fn remove(uid: Uid) -> Event {
    Event::Remove { mailbox: BOX.into(), uids: Some(vec![uid]), needs_deleted: true }
}

fn message(token: Token, flags: &[&str], modseq: u64) -> Message {
    Message { token, hash: format!("hash of {token}"), flags: flags_of(flags), modseq }
}

fn flags_of(flags: &[&str]) -> Flags {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

fn observation(messages: &[(Uid, Message)]) -> Observation {
    Observation {
        mailbox: BOX.into(),
        validity: 1,
        uid_next: 100,
        highest_modseq: 100,
        messages: messages.iter().cloned().collect(),
    }
}

fn seen(messages: &[(Uid, Message)]) -> Event {
    Event::Seen(observation(messages))
}

fn named(name: &str, validity: u32, messages: &[(Uid, Token)]) -> Event {
    Event::Names([(name.to_owned(), (validity, messages.iter().copied().collect()))].into())
}

#[test]
fn a_right_history_breaks_nothing() {
    let story = Story::default()
        .ok(add(1, 5))
        .then(Outcome::Unknown, deliver(2))
        .ok(seen(&[(5, message(1, &[], 3)), (6, message(2, &[], 4))]))
        .ok(deliver(3))
        .then(Outcome::Unknown, flag(5, "work", true))
        .ok(seen(&[(5, message(1, &[], 3)), (6, message(2, &[], 4)), (7, message(3, &[], 5))]))
        .ok(seen(&[(5, message(1, &["work"], 6)), (6, message(2, &[], 4)), (7, message(3, &[], 5))]))
        .ok(flag(5, "\\Deleted", true))
        .then(Outcome::Unknown, remove(5))
        .ok(seen(&[(6, message(2, &[], 4)), (7, message(3, &[], 5))]))
        .ok(Event::Fault("a kill".into()))
        .ok(Event::Name(NameChange::Create("own-a".into())))
        .ok(Event::Name(NameChange::Append { name: "own-a".into(), token: 9 }))
        .ok(named("own-a", 4, &[(1, 9)]))
        .then(Outcome::Unknown, Event::Name(NameChange::Rename("own-a".into(), "own-b".into())))
        .ok(named("own-b", 4, &[(1, 9)]))
        .session(&[
            Step::Select { exists: 2, qresync: true },
            Step::Fetch { number: 1, uid: Some(5), flags: None },
            Step::Exists(3),
            Step::Vanished(vec![5]),
            Step::Settled([(6, Flags::new()), (7, Flags::new())].into()),
        ]);
    assert!(story.broken().is_empty(), "{:?}", check(&story.history));
}

#[test]
fn lost_messages_are_found() {
    let lost = Story::default().ok(add(1, 5)).ok(seen(&[]));
    assert_eq!(lost.broken(), ["append-durable"].into());
    let delivered = Story::default().ok(deliver(1)).ok(seen(&[]));
    assert_eq!(delivered.broken(), ["append-durable"].into());
    // An EXPUNGE excuses nothing if the message was not deleted.
    let not_deleted = Story::default().ok(add(1, 5)).ok(remove(5)).ok(seen(&[]));
    assert_eq!(not_deleted.broken(), ["append-durable"].into());
    let event = Event::Add { mailbox: BOX.into(), tokens: vec![1, 2], how: How::Append, uids: None };
    let half = Story::default().then(Outcome::Unknown, event).ok(seen(&[(5, message(1, &[], 1))]));
    assert_eq!(half.broken(), ["append-durable"].into());
}

#[test]
fn a_message_lost_between_two_mailboxes_is_found() {
    let mut story = Story::default().ok(add(1, 5));
    let (at, outcome) = (10, Outcome::Unknown);
    let add = Event::Add { mailbox: "Work".into(), tokens: vec![1], how: How::Move, uids: None };
    let remove = Event::Remove { mailbox: BOX.into(), uids: Some(vec![5]), needs_deleted: false };
    for event in [add, remove] {
        story.history.records.push(Record { client: 1, invoked: at, returned: at + 1, outcome, event });
    }
    story.clock = at + 2;
    let work = Observation { mailbox: "Work".into(), ..observation(&[]) };
    let story = story.ok(seen(&[])).ok(Event::Seen(work));
    assert_eq!(story.broken(), ["append-durable"].into());
}

#[test]
fn messages_that_come_back_are_found() {
    let there = [(5, message(1, &["\\Deleted"], 1))];
    let gone = Event::Gone { mailbox: BOX.into(), uids: vec![5] };
    let told = Story::default().ok(add(1, 5)).ok(flag(5, "\\Deleted", true)).ok(gone).ok(seen(&there));
    assert_eq!(told.broken(), ["expunge-final"].into());
    let expunged = Story::default().ok(add(1, 5)).ok(flag(5, "\\Deleted", true)).ok(remove(5)).ok(seen(&there));
    assert_eq!(expunged.broken(), ["expunge-final"].into());
}

#[test]
fn messages_from_nowhere_are_found() {
    let refused = Story::default().then(Outcome::Fail, add(1, 5)).ok(seen(&[(5, message(1, &[], 1))]));
    assert_eq!(refused.broken(), ["no-phantom"].into());
    let twice = [(5, message(1, &[], 1)), (6, message(1, &[], 2))];
    assert_eq!(Story::default().ok(add(1, 5)).ok(seen(&twice)).broken(), ["no-phantom"].into());
}

#[test]
fn changed_messages_are_found() {
    let other = Message { hash: "another".into(), ..message(1, &[], 1) };
    let story = Story::default().ok(add(1, 5)).ok(seen(&[(5, message(1, &[], 1))])).ok(seen(&[(5, other)]));
    assert_eq!(story.broken(), ["body-intact"].into());
    assert_eq!(Story::default().ok(Event::Damaged("x".into())).broken(), ["body-intact"].into());
    let reused = Story::default()
        .ok(add(1, 5))
        .ok(seen(&[(5, message(1, &[], 1))]))
        .then(Outcome::Unknown, deliver(2))
        .ok(seen(&[(5, message(2, &[], 2))]));
    assert!(reused.broken().contains("uid-unique"));
}

#[test]
fn numbers_that_fall_are_found() {
    let there = [(5, message(1, &[], 9)), (4, message(2, &[], 9))];
    assert_eq!(Story::default().ok(add(1, 5)).ok(add(2, 4)).ok(seen(&there)).broken(), ["uid-ascending"].into());
    let below = Observation { uid_next: 5, ..observation(&[(5, message(1, &[], 1))]) };
    assert_eq!(Story::default().ok(add(1, 5)).ok(Event::Seen(below)).broken(), ["uid-ascending"].into());
    let fallen = Observation { uid_next: 99, ..observation(&[]) };
    assert_eq!(Story::default().ok(seen(&[])).ok(Event::Seen(fallen)).broken(), ["uid-ascending"].into());
    let other = Observation { validity: 2, ..observation(&[]) };
    assert_eq!(Story::default().ok(seen(&[])).ok(Event::Seen(other)).broken(), ["uidvalidity-stable"].into());
    let lower = Observation { highest_modseq: 99, ..observation(&[]) };
    assert_eq!(Story::default().ok(seen(&[])).ok(Event::Seen(lower)).broken(), ["modseq-monotonic"].into());
    for later in [message(1, &[], 8), message(1, &[], 101)] {
        let story = Story::default().ok(add(1, 5)).ok(seen(&[(5, message(1, &[], 9))])).ok(seen(&[(5, later)]));
        let story = story.ok(seen(&[(5, message(1, &[], 101))]));
        assert_eq!(story.broken(), ["modseq-monotonic"].into());
    }
}

#[test]
fn flags_without_an_order_are_found() {
    let read = |flags: &[&str]| seen(&[(5, message(1, flags, 1))]);
    let forgotten = Story::default().ok(add(1, 5)).ok(flag(5, "work", true)).ok(read(&[]));
    assert_eq!(forgotten.broken(), ["flags-last-write"].into());
    let refused = Story::default().ok(add(1, 5)).then(Outcome::Fail, flag(5, "work", true)).ok(read(&["work"]));
    assert_eq!(refused.broken(), ["flags-last-write"].into());
    // One write of unknown outcome cannot be done, undone and done.
    let flickering = Story::default().ok(add(1, 5)).then(Outcome::Unknown, flag(5, "work", true));
    let flickering = flickering.ok(read(&["work"])).ok(read(&[]));
    assert_eq!(flickering.broken(), ["flags-last-write"].into());
}

#[test]
fn a_read_that_lags_behind_a_select_is_found() {
    // fresh-read: what was OK before the SELECT began shows, on whatever connection.
    let mut story = Story::default().ok(add(1, 5)).ok(seen(&[]));
    story.history.records[1].client = 2;
    assert_eq!(story.broken(), ["append-durable"].into());
}

#[test]
fn caches_that_are_not_the_mailbox_are_found() {
    let resync = |cache: &[(Uid, (Flags, u64))], full: &[(Uid, Message)]| {
        Event::Resync(Resync {
            mailbox: BOX.into(),
            highest_modseq: 10,
            said: String::new(),
            cache: cache.iter().cloned().collect(),
            full: full.iter().cloned().collect(),
            gone: BTreeSet::new(),
        })
    };
    let there = [(5, message(1, &["work"], 7))];
    for cache in [vec![], vec![(5, (Flags::new(), 7))], vec![(5, (flags_of(&["work"]), 6))]] {
        assert_eq!(Story::default().ok(resync(&cache, &there)).broken(), ["qresync-complete"].into());
    }
    let not_told = [(4, (Flags::new(), 1)), (5, (flags_of(&["work"]), 7))];
    assert_eq!(Story::default().ok(resync(&not_told, &there)).broken(), ["qresync-complete"].into());
    assert!(Story::default().ok(resync(&not_told[1..], &there)).broken().is_empty());
    let before: BTreeMap<Uid, Message> = there.into();
    let changed = |answered: &[Uid]| Event::Changed {
        since: 6,
        answered: answered.iter().copied().collect(),
        before: before.clone(),
        gone: BTreeSet::new(),
    };
    assert_eq!(Story::default().ok(changed(&[])).broken(), ["qresync-complete"].into());
    assert!(Story::default().ok(changed(&[5])).broken().is_empty());
}

#[test]
fn untagged_responses_against_the_rules_are_found() {
    let select = |qresync| Step::Select { exists: 2, qresync };
    let by_number = || Step::Command { text: "FETCH".into(), by_number: true };
    let fetch = |number, uid| Step::Fetch { number, uid: Some(uid), flags: None };
    for steps in [
        vec![select(false), by_number(), Step::Expunge(1)],
        vec![select(true), Step::Expunge(1)],
        vec![select(false), Step::Expunge(3)],
        vec![select(false), Step::Vanished(vec![1])],
        vec![select(true), by_number(), Step::Vanished(vec![1])],
        vec![select(true), fetch(1, 5), Step::Vanished(vec![5]), Step::Vanished(vec![5])],
        vec![select(false), Step::Exists(1)],
        vec![select(false), fetch(3, 5)],
        vec![select(false), fetch(1, 5), fetch(1, 6)],
        vec![select(false), fetch(1, 5), fetch(2, 4)],
    ] {
        assert_eq!(Story::default().session(&steps).broken(), ["view-rules"].into(), "{steps:?}");
    }
}

#[test]
fn views_that_are_not_the_mailbox_are_found() {
    let fetch = |number, uid| Step::Fetch { number, uid: Some(uid), flags: Some(Flags::new()) };
    let known = [Step::Select { exists: 2, qresync: false }, fetch(1, 5), fetch(2, 6)];
    let fresh = |messages: &[(Uid, &[&str])]| {
        Step::Settled(messages.iter().map(|(uid, flags)| (*uid, flags_of(flags))).collect())
    };
    for settled in [fresh(&[(5, &[])]), fresh(&[(5, &[]), (6, &[]), (7, &[])]), fresh(&[(5, &["work"]), (6, &[])])] {
        let steps = [&known[..], &[settled]].concat();
        assert_eq!(Story::default().session(&steps).broken(), ["view-equal"].into());
    }
    let steps = [&known[..], &[fresh(&[(5, &[]), (6, &[])])]].concat();
    assert!(Story::default().session(&steps).broken().is_empty());
}

#[test]
fn wrong_namespaces_are_found() {
    let create = || Event::Name(NameChange::Create("own-a".into()));
    let rename = || Event::Name(NameChange::Rename("own-a".into(), "own-b".into()));
    let nothing = || Event::Names(Names::new());
    for story in [
        Story::default().ok(create()).ok(nothing()),
        Story::default().then(Outcome::Fail, rename()).ok(named("own-b", 1, &[])),
        Story::default().then(Outcome::Fail, create()),
        Story::default().ok(rename()),
        Story::default().ok(create()).ok(named("own-a", 1, &[])).ok(rename()).ok(named("own-a", 1, &[])),
        Story::default().ok(create()).ok(named("own-a", 1, &[])).ok(rename()).ok(named("own-b", 2, &[])),
    ] {
        assert_eq!(story.broken(), ["namespace"].into(), "{:?}", story.history);
    }
    let append = |token| Event::Name(NameChange::Append { name: "own-a".into(), token });
    let again = Story::default().ok(create()).ok(append(1)).ok(named("own-a", 1, &[(1, 1)]));
    let again = again.ok(Event::Name(NameChange::Delete("own-a".into()))).ok(create()).ok(append(2));
    assert_eq!(again.ok(named("own-a", 1, &[(1, 2)])).broken(), ["uidvalidity-stable"].into());
}

#[test]
fn replicas_that_differ_are_found() {
    let replicas = |others: Observation| {
        let first = observation(&[(5, message(1, &["work"], 7))]);
        Story::default().ok(Event::Replicas([("a".to_owned(), vec![first]), ("b".to_owned(), vec![others])].into()))
    };
    assert!(replicas(observation(&[(5, message(1, &["work"], 7))])).broken().is_empty());
    for other in [
        observation(&[]),
        observation(&[(5, message(1, &[], 7))]),
        observation(&[(5, message(1, &["work"], 8))]),
        observation(&[(6, message(1, &["work"], 7))]),
        observation(&[(5, Message { hash: "another".into(), ..message(1, &["work"], 7) })]),
        Observation { highest_modseq: 101, ..observation(&[(5, message(1, &["work"], 7))]) },
        Observation { mailbox: "Work".into(), ..observation(&[(5, message(1, &["work"], 7))]) },
    ] {
        assert_eq!(replicas(other.clone()).broken(), ["replicas-equal"].into(), "{other:?}");
    }
}

#[test]
fn a_server_that_says_that_it_lags_may_lag_and_no_more() {
    let lagged = |messages: &[(Uid, Message)]| Event::Lagged(observation(messages));
    let before = Story::default().ok(add(1, 5)).ok(flag(5, "\\Deleted", true)).ok(remove(5));
    assert!(before.ok(lagged(&[(5, message(1, &[], 1))])).broken().is_empty());
    assert!(Story::default().ok(add(1, 5)).ok(lagged(&[])).broken().is_empty());
    let other =
        Story::default().ok(add(1, 5)).then(Outcome::Unknown, deliver(2)).ok(lagged(&[(5, message(2, &[], 1))]));
    assert_eq!(other.broken(), ["uid-unique"].into());
    let refused = Story::default().then(Outcome::Unavailable, add(1, 5)).ok(lagged(&[(5, message(1, &[], 1))]));
    assert!(refused.broken().contains("no-phantom"));
}

#[test]
fn a_change_put_off_without_a_fault_is_found() {
    let create = || Event::Name(NameChange::Create("own-a".into()));
    assert_eq!(Story::default().then(Outcome::Unavailable, create()).broken(), ["answers"].into());
    let mut story = Story::default().ok(Event::Fault("no quorum".into())).then(Outcome::Unavailable, create());
    story.history.records[0].returned = 10;
    assert!(story.ok(Event::Names(Names::new())).broken().is_empty());
}

#[test]
fn a_change_of_unknown_outcome_may_be_done_late() {
    let rename = || Event::Name(NameChange::Rename("own-a".into(), "own-b".into()));
    let begun = || Story::default().ok(Event::Name(NameChange::Create("own-a".into())));
    let late = begun().then(Outcome::Unknown, rename()).ok(named("own-a", 1, &[])).ok(named("own-b", 1, &[]));
    assert!(late.broken().is_empty(), "{:?}", check(&late.history));
    let undone = late.ok(named("own-a", 1, &[]));
    assert_eq!(undone.broken(), ["namespace"].into());
    let rested = begun().then(Outcome::Unknown, rename()).ok(Event::Replicas(BTreeMap::new()));
    assert_eq!(rested.ok(named("own-a", 1, &[])).ok(named("own-b", 1, &[])).broken(), ["namespace"].into());
    assert_eq!(begun().then(Outcome::Fail, rename()).broken(), ["namespace"].into());
}

#[test]
fn answers_that_are_none_are_found() {
    assert_eq!(Story::default().ok(Event::Wrong("BAD".into())).broken(), ["answers"].into());
    assert_eq!(Story::default().then(Outcome::Unknown, Event::Lost).broken(), ["answers"].into());
    let mut killed = Story::default().ok(Event::Fault("a kill".into())).then(Outcome::Unknown, Event::Lost);
    killed.history.records[1].invoked = 0;
    assert!(killed.broken().is_empty());
}
