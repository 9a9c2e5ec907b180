//! CREATE, RENAME, DELETE: done or not done, and a mailbox keeps its messages, UIDs and UIDVALIDITY under its new name.
//!
//! Each such mailbox is one client's own, so that its commands have an order. After one of unknown outcome there are two states; what is seen next
//! leaves those that fit.

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
    let mut found = Vec::new();
    for mut records in clients.into_values() {
        records.sort_by_key(|record| record.invoked);
        found.extend(follow(&records));
    }
    found
}

fn follow(records: &[&Record]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut states: BTreeSet<State> = [State::new()].into();
    // What each mailbox was seen to be: its UIDVALIDITY, and the UIDs of its messages.
    let mut identities: BTreeMap<u64, (u32, BTreeMap<Token, Uid>)> = BTreeMap::new();
    let mut used: BTreeMap<(String, u32, Uid), Token> = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::Name(change) => {
                let done: BTreeSet<State> =
                    states.iter().filter_map(|state| apply(state, change, record.invoked)).collect();
                match record.outcome {
                    Outcome::Ok if done.is_empty() => {
                        found.push(violation(
                            ROW,
                            format!("{change:?} was OK and cannot be: {}, from {states:?}", when(record)),
                        ));
                    }
                    Outcome::Ok => states = done,
                    Outcome::Fail if done.len() == states.len() => {
                        found.push(violation(
                            ROW,
                            format!("{change:?} was refused and is right: {}, from {states:?}", when(record)),
                        ));
                    }
                    Outcome::Fail => states.retain(|state| apply(state, change, record.invoked).is_none()),
                    Outcome::Unknown => states.extend(done),
                    Outcome::Unavailable => {}
                }
            }
            Event::Names(names) => {
                let fitting: BTreeSet<State> =
                    states.iter().filter(|state| fits(state, names, &identities)).cloned().collect();
                if fitting.is_empty() {
                    let text =
                        format!("{} sees {names:?}; what can be: {states:?}, known as {identities:?}", when(record));
                    found.push(violation(ROW, text));
                    return found;
                }
                states = fitting;
                if let (1, Some(state)) = (states.len(), states.first()) {
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

fn fits(state: &State, names: &Names, identities: &BTreeMap<u64, (u32, BTreeMap<Token, Uid>)>) -> bool {
    state.keys().eq(names.keys())
        && state.values().zip(names.values()).all(|((mailbox, tokens), (validity, messages))| {
            let same = identities.get(mailbox).is_none_or(|(known, uids)| {
                known == validity
                    && messages.iter().all(|(uid, token)| uids.get(token).is_none_or(|known| known == uid))
            });
            same && tokens.iter().eq(messages.values())
        })
}

fn learn(state: &State, names: &Names, identities: &mut BTreeMap<u64, (u32, BTreeMap<Token, Uid>)>) {
    for ((mailbox, _), (validity, messages)) in state.values().zip(names.values()) {
        let known = identities.entry(*mailbox).or_insert((*validity, BTreeMap::new()));
        known.1.extend(messages.iter().map(|(uid, token)| (*token, *uid)));
    }
}
