//! CREATE, RENAME, DELETE: done or not done, and a mailbox keeps its messages, UIDs and UIDVALIDITY under its new name.
//!
//! Each such mailbox is one client's own, so that its commands have an order. One of unknown outcome is done at any moment until
//! all have come to rest, or never: what is seen next leaves the states that fit.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, violation, when};
use crate::history::{Event, History, NameChange, Names, Outcome, Record, Token, Uid};

const ROW: &str = "namespace";

/// By name: which mailbox it is, counted by its making, and its messages in order.
type State = BTreeMap<String, (u64, Vec<Token>)>;

pub fn check(history: &History) -> Vec<Violation> {
    let mut clients: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for record in &history.records {
        if matches!(record.event, Event::Name(_) | Event::Names(_)) {
            clients.entry(record.client).or_default().push(record);
        }
    }
    // Everybody has come to rest: what is to be done is done.
    let mut rests: Vec<u64> = history
        .records
        .iter()
        .filter(|record| matches!(record.event, Event::Replicas(_)))
        .map(|record| record.returned)
        .collect();
    rests.sort_unstable();
    let mut found = Vec::new();
    for mut records in clients.into_values() {
        records.sort_by_key(|record| record.invoked);
        found.extend(follow(&records, &rests));
    }
    found
}

/// What may be, and which of the changes whose outcome is unknown have not been done in it.
type States = BTreeSet<(State, BTreeSet<usize>)>;

fn follow(records: &[&Record], rests: &[u64]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut states: States = [(State::new(), BTreeSet::new())].into();
    let mut unknown: Vec<(&NameChange, u64)> = Vec::new();
    // What each mailbox was seen to be: its UIDVALIDITY, and the UIDs of its messages.
    let mut identities = Identities::new();
    let mut used: BTreeMap<(String, u32, Uid), Token> = BTreeMap::new();
    let mut rests = rests.iter().peekable();
    for record in records {
        states = reachable(states, &unknown);
        while rests.next_if(|rest| **rest < record.invoked).is_some() {
            states = states.into_iter().map(|(state, _)| (state, BTreeSet::new())).collect();
        }
        match &record.event {
            Event::Name(change) => {
                let apply = |state: &State| apply(state, change, record.invoked);
                let done: States =
                    states.iter().filter_map(|(state, open)| Some((apply(state)?, open.clone()))).collect();
                match record.outcome {
                    Outcome::Ok if done.is_empty() => {
                        let text = format!("{change:?} was OK and cannot be: {}, from {states:?}", when(record));
                        found.push(violation(ROW, text));
                    }
                    Outcome::Ok => states = done,
                    Outcome::Fail if states.iter().all(|(state, _)| apply(state).is_some()) => {
                        let text = format!("{change:?} was refused and is right: {}, from {states:?}", when(record));
                        found.push(violation(ROW, text));
                    }
                    Outcome::Fail => states.retain(|(state, _)| apply(state).is_none()),
                    Outcome::Unknown => {
                        unknown.push((change, record.invoked));
                        let number = unknown.len() - 1;
                        states = states.into_iter().map(|(state, open)| (state, with(open, number))).collect();
                    }
                    Outcome::Unavailable => {}
                }
            }
            Event::Names(names) => {
                let Some(fitting) = fitting(&states, &unknown, names, &identities) else {
                    let text =
                        format!("{} sees {names:?}; what can be: {states:?}, known as {identities:?}", when(record));
                    found.push(violation(ROW, text));
                    return found;
                };
                states = fitting;
                let certain: BTreeSet<&State> = states.iter().map(|(state, _)| state).collect();
                if let (1, Some(state)) = (certain.len(), certain.first()) {
                    learn(state, names, &mut identities);
                }
                for (name, (validity, messages)) in names {
                    for (uid, token) in messages {
                        let first = *used.entry((name.clone(), *validity, *uid)).or_insert(*token);
                        if first != *token {
                            let text = format!(
                                "{name} ({validity}, {uid}) was message {first} and is {token}: {}",
                                when(record)
                            );
                            found.push(violation("uidvalidity-stable", text));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn with(mut set: BTreeSet<usize>, number: usize) -> BTreeSet<usize> {
    set.insert(number);
    set
}

/// All that can be when changes of unknown outcome may be done, in any order.
fn reachable(states: States, unknown: &[(&NameChange, u64)]) -> States {
    let mut left: Vec<_> = states.iter().cloned().collect();
    let mut reached = states;
    while let Some((state, open)) = left.pop() {
        for number in &open {
            let (change, at) = unknown[*number];
            let Some(done) = apply(&state, change, at) else { continue };
            let mut open = open.clone();
            open.remove(number);
            if reached.insert((done.clone(), open.clone())) {
                left.push((done, open));
            }
        }
    }
    reached
}

type Identities = BTreeMap<u64, (u32, BTreeMap<Token, Uid>)>;

/// The states that fit a look: at the names first, then at one mailbox after the other, and changes of unknown outcome may be done in between.
fn fitting(states: &States, unknown: &[(&NameChange, u64)], names: &Names, known: &Identities) -> Option<States> {
    let mut states: States = states.iter().filter(|(state, _)| state.keys().eq(names.keys())).cloned().collect();
    for (name, seen) in names {
        states = reachable(states, unknown);
        states.retain(|(state, _)| fits(state.get(name), seen, known));
    }
    (!states.is_empty()).then_some(states)
}

/// The state after the change; `None` when it is to be refused.
fn apply(state: &State, change: &NameChange, at: u64) -> Option<State> {
    let mut state = state.clone();
    match change {
        NameChange::Create(name) => match state.contains_key(name) {
            true => return None,
            false => drop(state.insert(name.clone(), (at, Vec::new()))),
        },
        NameChange::Delete(name) => drop(state.remove(name)?),
        NameChange::Rename(from, to) => {
            if state.contains_key(to) {
                return None;
            }
            let mailbox = state.remove(from)?;
            state.insert(to.clone(), mailbox);
        }
        NameChange::Append { name, token } => state.get_mut(name)?.1.push(*token),
    }
    Some(state)
}

fn fits(there: Option<&(u64, Vec<Token>)>, seen: &(u32, BTreeMap<Uid, Token>), known: &Identities) -> bool {
    let (validity, messages) = seen;
    // It was renamed or deleted since the look at the names.
    let Some((mailbox, tokens)) = there else { return *validity == 0 };
    let same = known.get(mailbox).is_none_or(|(known, uids)| {
        known == validity && messages.iter().all(|(uid, token)| uids.get(token).is_none_or(|known| known == uid))
    });
    same && tokens.iter().eq(messages.values())
}

fn learn(state: &State, names: &Names, identities: &mut Identities) {
    for (name, (mailbox, _)) in state {
        let Some((validity, messages)) = names.get(name).filter(|(validity, _)| *validity != 0) else { continue };
        let known = identities.entry(*mailbox).or_insert((*validity, BTreeMap::new()));
        known.1.extend(messages.iter().map(|(uid, token)| (*token, *uid)));
    }
}
